"""Greedy selection of an ensemble's members over out-of-fold predictions.

Caruana, Niculescu-Mizil, Crew and Ksikes 2004: add, again and again, the candidate that helps most. On few
rows that fits the noise: there it is done on many halves of the rows, and the weights are their mean.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from automl.engine.labels import OF_TWO, best_of_two, label_factors
from automl.engine.metrics import LEAST_PROBABILITY, Metric
from automl.engine.room import Room

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]

ROUNDS = 12
PATIENCE = 6
# Up to so many rows are halved: into at most so many halves, with about so many rows in all of them.
FEW_ROWS, MOST_HALVES, HALVED_ROWS = 10_000, 16, 20_000
# Each member costs time and space at every prediction, and the package has to be written before the budget's
# end: after a short search nobody wants to wait for more than one in so many seconds of it.
MEMBER_SECONDS, LEAST_MEMBERS, MOST_MEMBERS = 5.0, 5, ROUNDS
LEAST_WEIGHT, LEAST_MEAN_WEIGHT = 0.04, 0.02
# Of so few rows the best of a hundred trials of one family is the luckiest of them: a few of each family are
# candidates, and the families' weights are drawn so far towards equal ones.
LEVELLED_ROWS, LEVELLED, FEW_OF_A_FAMILY = 2_000, 0.5, 3
# Members may go for as much of what the ensemble gains over its best one.
SPARED_GAIN = 0.02
# Beyond so many numbers only some of the rows are looked at; so many are averaged at once.
MOST_CELLS, CELLS_AT_ONCE = 60_000_000, 2_000_000


@dataclass(frozen=True, slots=True)
class Loss:
    """A metric to be asked a thousand times, of many candidates at once.

    Attributes
    ----------
    view : callable
        From predictions of shape (candidates, rows) or (candidates, rows, classes), and y, what of them
        counts, of shape (candidates, rows) or unchanged. A mean of predictions is seen as the mean of views.
    of : callable
        From y and such views the losses, of shape (candidates,); less is better.
    """

    view: Callable[[Array, Array], Array]
    of: Callable[[Array, Array], Array]


def loss_of(metric: Metric) -> Loss:
    """The loss of a metric: the metric or what falls with it, such as the squared error for R².

    Scores of equal predictions depend on the order of the rows, which has to be one of chance.

    Parameters
    ----------
    metric : Metric

    Returns
    -------
    Loss
    """
    quick = {
        "roc_auc": Loss(_second, _auc_losses),
        "average_precision": Loss(_second, _precision_losses),
        "log_loss": Loss(lambda stack, y: stack[:, np.arange(len(y)), y], _log_losses),
        "brier": Loss(_whole, _brier_losses),
        "accuracy": Loss(_whole, _error_losses),
        "rmse": Loss(_whole, lambda y, views: np.sqrt(np.mean((views - y) ** 2, axis=1))),
        "r2": Loss(_whole, lambda y, views: np.mean((views - y) ** 2, axis=1)),
        "mae": Loss(_whole, lambda y, views: np.mean(np.abs(views - y), axis=1)),
    }
    if metric.name in OF_TWO:
        return _of_labels(metric)

    def of_each(y: Array, views: Array) -> Array:
        return np.array([-metric.score(y, np.asarray(view, dtype=np.float64)) for view in views])

    return quick.get(metric.name, Loss(_whole, of_each))


def _of_labels(metric: Metric) -> Loss:
    """By the best labels: of two classes each candidate has its own threshold, of more all share factors."""

    def view(stack: Array, y: Array) -> Array:
        if stack.shape[2] == 2:
            return _second(stack, y)
        return np.asarray(stack * label_factors(metric, y, stack.mean(axis=0)).astype(stack.dtype))

    def of(y: Array, views: Array) -> Array:
        if views.ndim == 2:
            return 1.0 - best_of_two(metric, y, _found(y, views, best_first=True))
        return np.array([-metric.score(y, np.asarray(each, dtype=np.float64)) for each in views])

    return Loss(view, of)


def _whole(stack: Array, y: Array) -> Array:
    return stack


def _second(stack: Array, y: Array) -> Array:
    return stack[:, :, 1]


def _auc_losses(y: Array, views: Array) -> Array:
    count = int((y == 1).sum())
    ranks = _found(y, views) @ np.arange(1.0, len(y) + 1)
    return np.asarray(1.0 - (ranks - count * (count + 1) / 2) / max(count * (len(y) - count), 1))


def _precision_losses(y: Array, views: Array) -> Array:
    found = _found(y, views, best_first=True)
    precision = np.cumsum(found, axis=1) / np.arange(1.0, len(y) + 1)
    return np.asarray(1.0 - (precision * found).sum(axis=1) / max(int((y == 1).sum()), 1))


def _found(y: Array, views: Array, *, best_first: bool = False) -> Array:
    """Whether rows are of the second class, in the order of each view; equals in the order of the rows.

    A probability, its row and the class are sorted as one whole number: that is several times as fast as
    finding the order.
    """
    bits = np.ascontiguousarray(views, dtype=np.float32).view(np.uint32)
    keys = (~bits if best_first else bits).astype(np.uint64) << np.uint64(32)
    keys |= 2 * np.arange(len(y), dtype=np.uint64) + (y == 1).astype(np.uint64)
    keys.sort(axis=1)
    return np.asarray(keys & np.uint64(1) == 1)


def _log_losses(y: Array, views: Array) -> Array:
    # Members' rows sum to 1, so their mean's do.
    return np.asarray(-np.log(np.maximum(views, LEAST_PROBABILITY)).mean(axis=1))


def _brier_losses(y: Array, views: Array) -> Array:
    truth = np.zeros(views.shape[1:])
    truth[np.arange(len(y)), y] = 1.0
    return np.asarray(((views - truth) ** 2).sum(axis=2).mean(axis=1))


def _error_losses(y: Array, views: Array) -> Array:
    # Of few rows most candidates call as many right: of those the surer of the truth is ahead.
    doubt = np.mean((1.0 - views[:, np.arange(len(y)), y]) ** 2, axis=1)
    return np.asarray(((views.argmax(axis=2) != y).sum(axis=1) + doubt) / len(y))


def choose_weights(
    loss: Loss,
    y: Array,
    views: Array,
    *,
    room: Room,
    families: Array | None,
    halved: bool,
    generator: np.random.Generator,
) -> Array:
    """Choose weights for candidates.

    Parameters
    ----------
    loss : Loss
    y : array of shape (rows,)
        Rows in an order of chance, see `loss_of`.
    views : array of shape (candidates, rows, ...)
        See `Loss`.
    room : Room
    families : array of shape (candidates,), or None
        What each candidate is one of, where their weights are to be drawn towards equal ones.
    halved : bool
        Whether rows are halved again and again, and the weights are the mean.
    generator : Generator

    Returns
    -------
    array of shape (candidates,)
        They sum to 1; most of them are 0.
    """
    if len(y) < 2:
        return np.asarray(np.arange(len(views)) == 0, dtype=np.float64)
    if views.size > MOST_CELLS:
        step = -(-views.size // MOST_CELLS)
        y, views = y[::step], views[:, ::step]
    if not halved:
        weights = _without(_greedy(loss, y, views, room), LEAST_WEIGHT)
        return thin(loss, y, views, weights=weights)
    # Halves may differ in their members: how many there are is limited in the mean.
    each = replace(room, members=ROUNDS)
    found = [_greedy(loss, y[rows], views[:, rows], each) for rows in _halves(y, generator)]
    weights = _limited(np.mean(found, axis=0), room)
    return weights if families is None else levelled(weights, families)


def most_members(seconds: float | None) -> int:
    """How many members there is the time to package after a search of so many seconds."""
    if seconds is None:
        return MOST_MEMBERS
    return int(np.clip(seconds / MEMBER_SECONDS, LEAST_MEMBERS, MOST_MEMBERS))


def _halves(y: Array, generator: np.random.Generator) -> list[Array]:
    """Halves of the rows, two at a time, in an order of chance; both have their share of every class."""
    pairs = min(MOST_HALVES, HALVED_ROWS // max(len(y) // 2, 1)) // 2
    place = np.arange(len(y))
    found: list[Array] = []
    for _ in range(max(pairs, 1)):
        order = np.lexsort((generator.random(len(y)), y))
        # Of two neighbours one goes to each half.
        is_first = (place % 2) ^ generator.integers(0, 2, len(y))[place // 2] == 0
        found += [generator.permutation(order[is_first]), generator.permutation(order[~is_first])]
    return found


def _greedy(loss: Loss, y: Array, views: Array, room: Room) -> Array:
    """Add, again and again, the candidate that helps most; with replacement, from the best one on."""
    counts = np.zeros(len(views))
    total = np.zeros_like(views[0])
    best, best_counts, since = np.inf, counts.copy(), 0
    for size in range(1, ROUNDS + 1):
        open_ = np.flatnonzero(_may_join(counts, room))
        losses = _losses_with(loss, y, views, total, open_, size)
        least = int(np.argmin(losses))
        total += views[open_[least]]
        counts[open_[least]] += 1
        if losses[least] < best * (1 - 1e-6) if best > 0 else losses[least] < best - 1e-9:
            best, best_counts, since = float(losses[least]), counts.copy(), 0
        else:
            since += 1
            if since >= PATIENCE:
                break
    return np.asarray(best_counts / best_counts.sum())


def best_alone(loss: Loss, y: Array, views: Array) -> int:
    """The place of the candidate with the least loss; the arguments are those of `choose_weights`."""
    everyone = np.arange(len(views))
    return int(np.argmin(_losses_with(loss, y, views, np.zeros_like(views[0]), everyone, 1)))


def _losses_with(loss: Loss, y: Array, views: Array, total: Array, open_: Array, size: int) -> Array:
    """The losses of the sum so far with each of some candidates."""
    step = max(1, CELLS_AT_ONCE // max(total.size, 1))
    parts = [open_[start : start + step] for start in range(0, len(open_), step)]
    return np.concatenate([loss.of(y, (total + views[part]) / size) for part in parts])


def _may_join(counts: Array, room: Room) -> Array:
    """Tell which candidates are members already, or may still become one."""
    members = counts > 0
    if not members.any():
        return np.ones(len(counts), dtype=bool)
    if members.sum() >= room.members:
        return np.asarray(members)
    return np.asarray(members | (room.with_each(members) <= room.bytes))


def _without(weights: Array, least: float) -> Array:
    """Drop the members that hardly count."""
    kept = np.where(weights >= min(least, float(weights.max())), weights, 0.0)
    return np.asarray(kept / kept.sum())


def thin(loss: Loss, y: Array, views: Array, *, weights: Array) -> Array:
    """Drop members, the one that is missed least first, while nearly all of what they gain stays.

    Parameters
    ----------
    loss : Loss
    y : array of shape (rows,)
    views : array of shape (candidates, rows, ...)
    weights : array of shape (candidates,)

    Returns
    -------
    array of shape (candidates,)
        They sum to 1.
    """
    members = np.flatnonzero(weights)
    mixed = _loss_of_mean(loss, y, views, weights)
    limit = mixed + SPARED_GAIN * max(float(loss.of(y, views[members]).min()) - mixed, 0.0)
    while len(members) > 1:
        without = []
        for member in members:
            rest = np.where(np.arange(len(weights)) == member, 0.0, weights)
            without.append(rest / rest.sum())
        losses = [_loss_of_mean(loss, y, views, rest) for rest in without]
        least = int(np.argmin(losses))
        if losses[least] > limit:
            break
        weights = without[least]
        members = np.flatnonzero(weights)
    return weights


def _loss_of_mean(loss: Loss, y: Array, views: Array, weights: Array) -> float:
    members = np.flatnonzero(weights)
    mean = np.tensordot(weights[members], views[members], axes=1)
    return float(loss.of(y, mean[None])[0])


def _limited(weights: Array, room: Room) -> Array:
    """Keep those that weigh most, as many as a bundle has room for."""
    kept = np.zeros_like(weights)
    for member in np.argsort(-weights, kind="stable"):
        first = not kept.any()
        fits = room.with_each(kept > 0)[member] <= room.bytes
        if first or (weights[member] >= LEAST_MEAN_WEIGHT and fits):
            kept[member] = weights[member]
        if np.count_nonzero(kept) == room.members:
            break
    return np.asarray(kept / kept.sum())


def levelled(weights: Array, families: Array) -> Array:
    """Draw the weights of the families that have members towards equal ones.

    Parameters
    ----------
    weights : array of shape (candidates,)
        They sum to 1.
    families : array of shape (candidates,)

    Returns
    -------
    array of shape (candidates,)
        They sum to 1; what was 0 stays so.
    """
    members = weights > 0
    present = np.unique(families[members])
    drawn = np.zeros_like(weights)
    for family in present:
        own = members & (families == family)
        drawn[own] = weights[own] / weights[own].sum() / len(present)
    return np.asarray((1.0 - LEVELLED) * weights + LEVELLED * drawn)
