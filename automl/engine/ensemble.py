"""Ensembles over out-of-fold predictions: a mean whose members `automl.engine.selection` chooses, and what
`automl.engine.correction` adds to it where that is better on rows that it was not found by.

The score on the board is not that of the weights on the rows they were chosen by: weights are
chosen on part of the rows and judged on the others, in turn.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from automl.engine.calibration import CALIBRATED, fit_temperature
from automl.engine.correction import correct_chances, correct_numbers
from automl.engine.inference import combine, finish_probabilities, temper
from automl.engine.labels import OF_TWO
from automl.engine.learners import stacks
from automl.engine.metrics import Metric
from automl.engine.room import Room
from automl.engine.selection import (
    FEW_ROWS,
    LEVELLED_ROWS,
    MOST_MEMBERS,
    SPARED_GAIN,
    best_alone,
    choose_weights,
    loss_of,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]

# Choosing weights needs no more rows than this; scores are taken on all of them.
CHOOSING_ROWS = 20_000
# But for more of the rarest class, of which so many are to be among them; up to so many rows times classes.
LEAST_OF_A_CLASS, MOST_CELLS = 500, 120_000
# And as many as make that no longer than so many candidates take of the usual rows: there is a minute for it.
USUAL_CANDIDATES = 24
JUDGES = 5
# Less than this part of a score is the noise of its last digits.
LEAST_GAIN = 1e-6


@dataclass(frozen=True, slots=True)
class Blend:
    """An ensemble.

    Attributes
    ----------
    weights : tuple of float
        One for each candidate, most of them 0. They sum to 1, but for those of numbers that were corrected,
        of which some may be negative.
    powers : tuple of float
        One for each candidate, see `automl.engine.inference.combine`.
    honest : array
        Predictions in which each row's weights, and temperature, were chosen without it.
    honest_best : array
        Predictions of the one best candidate, likewise chosen without the row: the best of many looks
        better on the rows it was chosen by than it is.
    """

    weights: tuple[float, ...]
    powers: tuple[float, ...]
    honest: Array
    honest_best: Array


def blend(
    metric: Metric,
    y: Array,
    candidates: Sequence[Array],
    *,
    room: Room | None = None,
    families: Sequence[str] | None = None,
    seed: int = 0,
) -> Blend:
    """Choose weights for candidates, and predict every row with weights chosen without it.

    Parameters
    ----------
    metric : Metric
    y : array of shape (rows,)
    candidates : sequence of arrays
        Out-of-fold predictions, best candidate first.
    room : Room or None
        For how many and how large members.
    families : sequence of str or None
        The family of each candidate: of few rows those with members weigh more alike. Where some of them
        stack, an ensemble of the others alone is held against the whole.
    seed : int
    """
    # Probabilities need no more than 24 bits; a target's unit may.
    kind = np.float32 if metric.needs != "numbers" else np.float64
    stack = np.stack([np.asarray(candidate, dtype=kind) for candidate in candidates])
    is_few = len(y) < LEVELLED_ROWS
    kinds = np.asarray(families) if families is not None and is_few else None
    room = room or Room.unlimited(len(stack), MOST_MEMBERS)
    task = _Task(metric, y, seed)
    whole = task.blend(stack, room, kinds)
    first = np.flatnonzero([not stacks(family) for family in families or ()])
    taken = np.flatnonzero(np.any([whole.weights, whole.powers], axis=0))
    if len(first) < 2 or np.isin(taken, first).all():
        return whole
    # Those that learned from others are ahead one by one, but share what they learned from, and its luck; and
    # what they are based on takes the room of other members.
    count, stack = len(stack), stack[first]
    rest = task.blend(stack, room.only(first), None if kinds is None else kinds[first])
    return task.better(whole, _of_all(rest, first, count))


def _of_all(some: Blend, places: Array, count: int) -> Blend:
    """A blend of some candidates as one of all of them."""
    weights, powers = np.zeros(count), np.zeros(count)
    weights[places], powers[places] = some.weights, some.powers
    return replace(some, weights=tuple(weights.tolist()), powers=tuple(powers.tolist()))


@dataclass(frozen=True, slots=True)
class _Task:
    """What rows are to be predicted and how that is judged."""

    metric: Metric
    y: Array
    seed: int

    def _generator(self) -> np.random.Generator:
        """The same again each time, so that all blends have the same judges."""
        return np.random.default_rng([self.seed, 0xB1E4D])

    def blend(self, stack: Array, room: Room, families: Array | None) -> Blend:
        """Choose weights for the candidates of a stack; the arguments are those of `blend`."""
        metric, y = self.metric, self.y
        generator = self._generator()
        judge = _deal(y, generator)
        loss = loss_of(metric)
        views = loss.view(stack, y)
        is_few = len(y) < LEVELLED_ROWS
        choose = partial(
            choose_weights, loss, room=room, families=families, halved=len(y) <= FEW_ROWS, generator=generator
        )
        correct = partial(_corrected, metric, room=room)
        honest, tempered, corrected, honest_best = (np.empty_like(stack[0]) for _ in range(4))
        powers = np.zeros(len(stack))
        for part in range(JUDGES):
            others = np.flatnonzero(judge != part)
            chosen = self.sample(others, generator, len(stack))
            ranked = self.with_rare(chosen, others, generator)
            seen = views[:, ranked]
            weights = choose(y[ranked], seen)
            held = np.flatnonzero(judge == part)
            best = stack[best_alone(loss, y[ranked], seen)]
            mean = combine(stack, weights, powers)
            honest[held] = _calibrated(metric, y, mean, chosen)[held]
            # On one scale with the mean: judges may choose one best each, and their rows are ranked together.
            alone = _calibrated if is_few else _tempered
            honest_best[held] = alone(metric, y, best, chosen)[held]
            # Of so few rows nothing but the mean is sure.
            if not is_few:
                found = combine(stack, *correct(y[chosen], stack[:, chosen], weights))
                tempered[held] = _tempered(metric, y, mean, chosen)[held]
                corrected[held] = _tempered(metric, y, found, chosen)[held]
        rows = self.sample(np.arange(len(y)), generator, len(stack))
        ranked = self.with_rare(rows, np.arange(len(y)), generator)
        weights = choose(y[ranked], views[:, ranked])
        if not is_few:
            # On one scale with what is corrected: the rows of both are ranked together.
            honest = tempered
            is_worth_it = partial(_is_worth_it, metric, y, corrected, tempered, honest_best)
            if is_worth_it(np.ones(len(y), dtype=bool)):
                weights, powers = correct(y[rows], stack[:, rows], weights)
                # Rows are not judged by a choice to correct that they took part in.
                honest = _chosen_by_others(judge, is_worth_it, corrected, tempered)
        return Blend(tuple(weights.tolist()), tuple(powers.tolist()), honest, honest_best)

    def sample(self, rows: Array, generator: np.random.Generator, candidates: int) -> Array:
        """Some of the rows, in an order of chance: in a sorted table ties would look like knowledge."""
        most = CHOOSING_ROWS
        if self.metric.needs != "numbers" and self.metric.name != "roc_auc":
            counts = np.bincount(self.y[rows])
            needed = -(-len(rows) * LEAST_OF_A_CLASS // int(counts[counts > 0].min()))
            there_is_time_for = CHOOSING_ROWS * USUAL_CANDIDATES // candidates
            most = max(most, min(needed, MOST_CELLS // len(counts), there_is_time_for))
        return np.asarray(generator.permutation(rows)[:most])

    def with_rare(self, chosen: Array, rows: Array, generator: np.random.Generator) -> Array:
        """Of the rows more of a rare class than were drawn: ranks don't mind how many there are of either."""
        if self.metric.name != "roc_auc" or len(chosen) == len(rows):
            return chosen
        rarer = int(np.bincount(self.y[rows], minlength=2).argmin())
        is_rare = self.y[chosen] == rarer
        if is_rare.sum() >= LEAST_OF_A_CLASS:
            return chosen
        rare = generator.permutation(rows[self.y[rows] == rarer])[:LEAST_OF_A_CLASS]
        others = chosen[~is_rare][: len(chosen) - len(rare)]
        return np.asarray(generator.permutation(np.concatenate([rare, others])))

    def better(self, whole: Blend, rest: Blend) -> Blend:
        """The blend that is better on rows that its weights were not chosen by."""
        judge = _deal(self.y, self._generator())

        def is_rest(rows: Array) -> bool:
            score = partial(_score, self.metric, self.y[rows])
            return score(rest.honest[rows]) > score(whole.honest[rows])

        honest = _chosen_by_others(judge, is_rest, rest.honest, whole.honest)
        found = rest if is_rest(np.ones(len(self.y), dtype=bool)) else whole
        return replace(found, honest=honest, honest_best=whole.honest_best)


def _chosen_by_others(judge: Array, is_first: Callable[[Array], bool], first: Array, second: Array) -> Array:
    """For each judge's rows the first or the second predictions, as all other rows say."""
    taken = [part for part in range(JUDGES) if is_first(judge != part)]
    is_taken = np.isin(judge, taken)
    return np.where(is_taken[:, None] if first.ndim == 2 else is_taken, first, second)


def _corrected(metric: Metric, y: Array, stack: Array, weights: Array, *, room: Room) -> tuple[Array, Array]:
    """The weights and powers of a mean with what is added to it."""
    none = np.zeros(len(weights))
    try:
        if metric.needs == "numbers":
            return weights + correct_numbers(y, stack, weights, room=room), none
        return weights, correct_chances(y, stack, weights, room=room)
    except np.linalg.LinAlgError:
        # Of predictions that are the same to the last digit none can be told from the others.
        return weights, none


def _is_worth_it(metric: Metric, y: Array, corrected: Array, mean: Array, best: Array, rows: Array) -> bool:
    """Tell whether a correction gains more than members are spared for, see `selection.thin`."""
    truth = y[rows]
    score = _score(metric, truth, mean[rows])
    spared = SPARED_GAIN * max(score - _score(metric, truth, best[rows]), 0.0)
    return _score(metric, truth, corrected[rows]) - score > max(spared, LEAST_GAIN * abs(score))


def _score(metric: Metric, y: Array, prediction: Array) -> float:
    """By the best labels of these rows, where labels are decided: what is compared has them alike."""
    if metric.name not in OF_TWO:
        return metric.score(y, prediction)
    # In a sorted table ties would look like knowledge.
    order = np.random.default_rng(0).permutation(len(y))
    y, prediction = y[order], prediction[order]
    loss = loss_of(metric)
    return -float(loss.of(y, loss.view(prediction[None], y))[0])


def _calibrated(metric: Metric, y: Array, prediction: Array, rows: Array) -> Array:
    """Scale probabilities by a temperature found on some rows, as packaging will, where a metric minds."""
    return _tempered(metric, y, prediction, rows) if metric.name in CALIBRATED else prediction


def _tempered(metric: Metric, y: Array, prediction: Array, rows: Array) -> Array:
    """The same by every metric: products of other powers are not as sure as each other."""
    if metric.needs == "numbers":
        return prediction
    return temper(finish_probabilities(prediction), fit_temperature(y[rows], prediction[rows]))


def _deal(y: Array, generator: np.random.Generator) -> Array:
    """Divide rows among the judges, in the order of y, so that each has its share of every class."""
    judge = np.empty(len(y), dtype=np.int8)
    order = np.argsort(y + generator.random(len(y)) * 1e-9, kind="stable")
    judge[order] = np.arange(len(y)) % JUDGES
    return judge
