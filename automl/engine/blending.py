"""From complete trials to the ensemble, its honest score, and the trials that are as good."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from automl.engine.budget import most_bytes
from automl.engine.ensemble import Blend, blend
from automl.engine.errors import Damaged
from automl.engine.evaluation import (
    are_decided,
    read_bases,
    read_fitting,
    read_predictions,
    seconds_of,
    size_of,
    write_predictions,
)
from automl.engine.inference import finish_probabilities
from automl.engine.intervals import difference, interval, is_tie
from automl.engine.labels import decided, factors_of_others, part_of
from automl.engine.learners import get_learner
from automl.engine.metrics import METRICS, Metric
from automl.engine.preparation import open_prepared
from automl.engine.room import Room
from automl.engine.selection import FEW_OF_A_FAMILY, LEVELLED_ROWS, MOST_MEMBERS, most_members

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]

# Each candidate's predictions are in memory at once. Those far behind have a say too: a correction takes away
# what they lean to.
MOST_CANDIDATES = 48
MOST_BYTES = 1 << 30
# Of the memory there is: they are stacked once more, and sampled once more for each judge.
SHARE = 4
# A member as large as this makes a bundle that nobody wants to download for a gain in the fourth digit.
LARGEST_MEMBER = 160 << 20
# How rarely two equals may be so far apart that the best trial goes before the ensemble. Of few rows the best
# of a hundred trials is the luckiest one, on each of its folds.
LUCK, LUCK_OF_FEW_ROWS = 0.05, 0.001
# For holding the trials that are no candidates against the best: an answer is waited for.
TESTING_SECONDS, TESTING_SHARE = 5.0, 0.01


def blend_trials(args: Mapping[str, Any]) -> dict[str, Any]:
    """Blend trials; see `automl.engine.jobs.BlendArgs` and `BlendResult`."""
    prepared = open_prepared(args["prepared"])
    metric = METRICS[args["metric"]]
    truth = np.asarray(prepared.y)
    most = min(MOST_BYTES, args.get("memory_bytes", SHARE * MOST_BYTES) // SHARE)
    width = max(prepared.profile.classes, 1)
    given = [*args["trials"], *args.get("others", [])]
    trials = choose_candidates(args["trials"], rows=len(truth), width=width, most_bytes=most)
    trials, predictions, validated, damaged = _read(trials)
    truth = truth[validated]
    answer: dict[str, Any] = {"weights": {}, "powers": {}}
    answer |= dict.fromkeys(("score", "value", "score_low", "score_high"), 0.0)
    chosen = _judged(trials[0], truth, predictions[0])
    if len(trials) > 1:
        found = blend(
            metric,
            truth,
            predictions,
            room=_room(trials, args),
            families=[trial["family"] for trial in trials],
            seed=args["seed"],
        )
        weights, powers = _members(found, trials)
        members = [trial for trial in trials if trial["id"] in weights]
        honest, alone = (
            _finished(each, prepared.profile.classes) for each in (found.honest, found.honest_best)
        )
        whole, factors = honest, None
        if are_decided(members):
            factors = factors_of_others(metric, truth, honest)
            whole, alone = honest * factors[part_of(truth)], decided(metric, truth, alone)
        value, low, high = interval(metric, truth, whole)
        # What chance can explain does not count against it: on new rows a mean of models errs less.
        gap = difference(metric, truth, whole, alone)
        good = gap.gain >= 0 or gap.chance >= (LUCK if len(truth) >= LEVELLED_ROWS else LUCK_OF_FEW_ROWS)
        if good and len(weights) > 1:
            # It goes before the single trials, whose scores are those of the best of many.
            answer = {"weights": weights, "powers": powers}
            # The best trial's as it was told: what is kept of its predictions is rounded, and gives another.
            answer |= {"score": max(metric.score_of(value), trials[0]["score"])}
            answer |= {"value": value, "score_low": low, "score_high": high}
            answer |= {"size": size_of(members), "predict_time": seconds_of(members)}
            answer["gain"] = metric.score_of(value - metric.value(truth, alone))
            chosen = whole
            if args.get("out"):
                _store(Path(args["out"]), honest, validated, factors)
    answer["tied"] = [
        trial["id"]
        for trial, prediction in zip(trials, predictions, strict=True)
        if is_tie(metric, truth, _judged(trial, truth, prediction), chosen)
    ]
    seen = {trial["id"] for trial in trials} | set(damaged)
    others = [trial for trial in given if trial["id"] not in seen]
    seconds = min(TESTING_SECONDS, TESTING_SHARE * (args.get("time_budget") or math.inf))
    tested = _Others(metric, truth, chosen, validated, seconds)
    answer["tied"] += tested.tied(others, damaged)
    answer["untested"] = len(others) - tested.count
    answer["damaged"] = damaged
    return answer


@dataclass
class _Others:
    """Holds trials that are no candidates against the best, one at a time, as long as that may take."""

    metric: Metric
    truth: Array
    chosen: Array
    validated: Array
    seconds: float
    count: int = 0

    def tied(self, trials: Sequence[Mapping[str, Any]], damaged: dict[str, str]) -> list[str]:
        found = []
        ends = time.monotonic() + self.seconds
        for trial in trials:
            if time.monotonic() > ends:
                break
            self.count += 1
            try:
                prediction = read_predictions(trial["dir"])[self.validated]
                prediction = _judged(trial, self.truth, prediction)
            except Damaged as error:
                damaged[trial["id"]] = str(error)
                continue
            if np.isfinite(prediction).all() and is_tie(self.metric, self.truth, prediction, self.chosen):
                found.append(trial["id"])
        return found


def _judged(trial: Mapping[str, Any], truth: Array, prediction: Array) -> Array:
    """What a trial was judged by: where a metric decides labels, those are of its own factors."""
    fitting = read_fitting(trial["dir"])
    factors = fitting.get("label_factors") if fitting is not None else None
    return prediction * np.array(factors)[part_of(truth)] if factors else prediction


def _store(out: Path, honest: Array, validated: Array, factors: Array | None) -> None:
    """Keep what the ensemble is judged by, as a trial's predictions are kept."""
    every = np.full((len(validated), *honest.shape[1:]), np.nan)
    every[validated] = honest
    write_predictions(out, every, factors)


def _read(
    trials: Sequence[Mapping[str, Any]],
) -> tuple[list[Mapping[str, Any]], list[Array], Array, dict[str, str]]:
    """The whole trials, their predictions of validated rows, which those are, and what is damaged."""
    whole: list[Mapping[str, Any]] = []
    predictions: list[Array] = []
    damaged: dict[str, str] = {}
    validated: Array | None = None
    for trial in trials:
        try:
            prediction = read_predictions(trial["dir"])
            for base in read_bases(trial):
                read_predictions(base["dir"])  # without it the trial can't be packaged
            read_fitting(trial["dir"])  # nor without this
            if validated is None:
                validated = np.asarray(np.isfinite(prediction).reshape(len(prediction), -1).all(axis=1))
            predictions.append(prediction[validated])
            whole.append(trial)
        except Damaged as error:
            damaged[trial["id"]] = str(error)
    if validated is None:
        raise Damaged(next(iter(damaged.values())))
    return whole, predictions, validated, damaged


def choose_candidates(
    trials: Sequence[Mapping[str, Any]], *, rows: int, width: int, most_bytes: int = MOST_BYTES
) -> list[Mapping[str, Any]]:
    """The best trials, with the best of each family among them.

    Families whose models hold the training rows can't be shipped, so they do not enter. Nor does the
    dummy: it knows nothing of a row, but its constants differ from fold to fold and so shift ranks.
    Of few rows a few of each family enter: the best of many trials there are the luckiest ones.
    """
    ranked = sorted(trials, key=lambda trial: (-trial["score"], trial["number"]))
    shippable = [trial for trial in ranked if _may_enter(trial)] or ranked
    if rows < LEVELLED_ROWS:
        shippable = _few_of_each(shippable)
    count = max(2, min(MOST_CANDIDATES, most_bytes // max(rows * width * 8, 1)))
    first: dict[str, Mapping[str, Any]] = {}
    for trial in shippable:
        first.setdefault(trial["family"], trial)
    taken = list(first.values())[:count]
    ids = {trial["id"] for trial in taken}
    taken += [trial for trial in shippable if trial["id"] not in ids][: count - len(taken)]
    return sorted(taken, key=lambda trial: (-trial["score"], trial["number"]))


def _few_of_each(ranked: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    families = len({trial["family"] for trial in ranked})
    most = max(FEW_OF_A_FAMILY, MOST_MEMBERS // families)
    counts: Counter[str] = Counter()
    kept = []
    for trial in ranked:
        counts[trial["family"]] += 1
        if counts[trial["family"]] <= most:
            kept.append(trial)
    return kept


def _may_enter(trial: Mapping[str, Any]) -> bool:
    if trial["family"] == "dummy" or _own_size(trial) > LARGEST_MEMBER:
        return False
    return not get_learner(trial["family"]).keeps_rows


def _room(trials: Sequence[Mapping[str, Any]], args: Mapping[str, Any]) -> Room:
    seconds = args.get("time_budget")
    bytes_ = most_bytes(seconds, args.get("memory_bytes"))
    return Room.of([_parts(trial) for trial in trials], most_members(seconds), bytes_)


def _parts(trial: Mapping[str, Any]) -> dict[int, int]:
    """Bytes of a trial's own models and of those that it is based on, by the number of the trial."""
    bases = {base["number"]: int(base["size"]) for base in read_bases(trial)}
    return {trial["number"]: int(trial.get("size") or 0) - sum(bases.values()), **bases}


def _own_size(trial: Mapping[str, Any]) -> int:
    """Bytes of a trial's own models."""
    size = int(trial.get("size") or 0)
    try:
        return size - sum(int(base["size"]) for base in read_bases(trial))
    except Damaged:
        return size  # it will be found when its predictions are read


def _members(found: Blend, trials: Sequence[Mapping[str, Any]]) -> tuple[dict[str, float], dict[str, float]]:
    """The weights and powers of the trials that have either."""
    weights: dict[str, float] = {}
    powers: dict[str, float] = {}
    for trial, weight, power in zip(trials, found.weights, found.powers, strict=True):
        if weight or power:
            weights[trial["id"]] = weight
        if power:
            powers[trial["id"]] = power
    return weights, powers


def _finished(prediction: Array, classes: int) -> Array:
    return finish_probabilities(prediction) if classes else np.asarray(prediction, dtype=np.float64)
