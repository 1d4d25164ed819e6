"""Which dials of a family decide its score."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from automl.engine.evidence import Evidence, in_range, shuffled
from automl.engine.space import Choice, Dimension, Space

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[Any]

# With fewer trials a dial looks important by luck as often as not.
LEAST_TRIALS = 10
# The best part of the trials, whose settings are compared with those of all.
TOP_SHARE, LEAST_TOP = 0.25, 4
RESAMPLES = 60
STEPS = 32


@dataclass(frozen=True, slots=True)
class DialImportance:
    """How much a dial decides.

    Attributes
    ----------
    name : str
    share : float
        Of what all dials of the family decide together; they add up to 1, or all are 0.
    low, high : float
        90 % interval of the share, over resampled trials.
    is_beyond_chance : bool
        Dials that do nothing would look as important in fewer than one of twenty searches.
    trials : int
        Trials in which the dial was in use.
    """

    name: str
    share: float
    low: float
    high: float
    is_beyond_chance: bool
    trials: int


@dataclass(frozen=True, slots=True)
class Importance:
    """The dials of a family, most important first; none where there are too few trials.

    Attributes
    ----------
    dials : tuple of DialImportance
    trials : int
        Those it was taken from.
    missing : int
        How many more trials are needed before anything can be said.
    """

    dials: tuple[DialImportance, ...]
    trials: int
    missing: int


def dial_importance(space: Space, evidence: Evidence, *, seed: int = 0) -> Importance:
    """Say which dials set the best trials apart from the others.

    PED-ANOVA (Watanabe, Bansal and Hutter 2023): for each dial, the Pearson divergence between the
    density of its values among the best quarter of the trials and that among all of them. A dial whose
    best values are spread like all others decides nothing.

    Parameters
    ----------
    space : Space
    evidence : Evidence
    seed : int

    Returns
    -------
    Importance

    Notes
    -----
    With few trials any dial diverges a little. So what a dial shows after its scores were shuffled is
    taken off, and the interval comes from resampled trials. Scores are shuffled within each fifth of the
    search: one that narrows all its dials while its scores rise would make any of them look decisive.
    A dial that is not always in use is judged among the trials in which it is, and counts by their share.
    """
    import numpy as np

    # A failed trial ranks last: its settings are as bad as settings can be.
    ranked = sorted(evidence.trials, key=lambda t: -(t.score if t.score is not None else float("-inf")))
    missing = max(0, LEAST_TRIALS - len(ranked))
    if missing or not space.dimensions:
        return Importance((), len(ranked), missing)
    rng = np.random.default_rng(seed)
    points, drawn, beyond, used = {}, {}, {}, {}
    for name, dimension in space.dimensions.items():
        places = [in_range(space, name, trial.record.params) for trial in ranked]
        known = np.asarray([place for place in places if place is not None])
        numbers = [
            trial.record.number for trial, place in zip(ranked, places, strict=True) if place is not None
        ]
        used[name] = len(known)
        if len(known) < LEAST_TRIALS or np.ptp(known) == 0:
            points[name], drawn[name], beyond[name] = 0.0, np.zeros(RESAMPLES), False
            continue
        weight = len(known) / len(ranked)
        excess, resampled, certain = _divergence(_densities(dimension, known), numbers, rng)
        points[name], drawn[name], beyond[name] = weight * excess, weight * resampled, certain
    total, totals = sum(points.values()), sum(drawn.values())
    dials = []
    for name in space.dimensions:
        shares = drawn[name] / np.where(totals > 0, totals, 1.0)
        low, high = (float(bound) for bound in np.quantile(shares, (0.05, 0.95)))
        share = points[name] / total if total > 0 else 0.0
        dials.append(DialImportance(name, share, min(low, share), max(high, share), beyond[name], used[name]))
    return Importance(tuple(sorted(dials, key=lambda dial: -dial.share)), len(ranked), 0)


def _top(count: int) -> int:
    return max(LEAST_TOP, round(TOP_SHARE * count))


def _densities(dimension: Dimension, places: Array) -> Array:
    """Each trial's density over the dial's range, as a row that adds up to 1."""
    import numpy as np

    if isinstance(dimension, Choice):
        count = len(dimension.choices)
        return np.asarray(np.eye(count)[np.minimum((places * count).astype(int), count - 1)])
    grid = (np.arange(STEPS) + 0.5) / STEPS
    # Scott's rule for an even spread, by the size of the smaller group.
    width = max(0.29 * _top(len(places)) ** -0.2, 1.0 / STEPS)
    rows = np.exp(-0.5 * ((places[:, None] - grid) / width) ** 2)
    return np.asarray(rows / rows.sum(axis=1, keepdims=True))


def _divergence(
    densities: Array, numbers: Sequence[int], rng: np.random.Generator
) -> tuple[float, Array, bool]:
    """What a dial shows beyond chance, the same over resampled trials, and whether it is certain.

    The rows are the trials, best first.
    """
    import numpy as np

    count, top = len(densities), _top(len(densities))
    ones = np.ones((1, count))
    plain = float(_pearson(ones, densities, top)[0])
    places = shuffled(numbers, RESAMPLES, rng)
    picked = np.zeros((RESAMPLES, count))
    np.put_along_axis(picked, places[:, :top], 1.0, axis=1)
    by_chance = _pearson(np.ones((RESAMPLES, count)), densities, top, picked)
    counts = rng.multinomial(count, np.full(count, 1.0 / count), size=RESAMPLES).astype(float)
    resampled = _pearson(counts, densities, top)
    # Resampling alone makes groups differ: its own chance is measured in the same way.
    orders = np.take_along_axis(counts, places, axis=1)
    luck = np.zeros((RESAMPLES, count))
    np.put_along_axis(luck, places, _first(orders, top), axis=1)
    resampled_by_chance = _pearson(counts, densities, top, luck)
    excess = max(0.0, plain - float(by_chance.mean()))
    certain = bool(plain > np.quantile(by_chance, 0.95))
    return excess, np.maximum(0.0, resampled - resampled_by_chance.mean()), certain


def _first(counts: Array, top: int) -> Array:
    """The part of each count that falls among the first `top` of its row."""
    import numpy as np

    before = np.cumsum(counts, axis=1) - counts
    return np.asarray(np.clip(top - before, 0.0, counts))


def _pearson(counts: Array, densities: Array, top: int, picked: Array | None = None) -> Array:
    """The divergence of the top trials' density from that of all, one for each row of counts."""
    best = _first(counts, top) if picked is None else picked
    everywhere, there = _density(counts, densities), _density(best, densities)
    return ((there / everywhere - 1.0) ** 2 * everywhere).sum(axis=1)  # type: ignore[no-any-return]


def _density(weights: Array, densities: Array) -> Array:
    """The weighted mean of densities, with one even one among them so that none is zero."""
    steps = densities.shape[1]
    return (weights @ densities + 1.0 / steps) / (weights.sum(axis=1, keepdims=True) + 1.0)  # type: ignore[no-any-return]


def most_important(importance: Importance, count: int = 2) -> Sequence[str]:
    """The names of the dials that decide most, those that decide nothing left out."""
    return [dial.name for dial in importance.dials[:count] if dial.share > 0]
