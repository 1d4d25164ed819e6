"""How the score of a family follows one dial: where it is best, and where it ruins the result."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from automl.engine.evidence import Evidence, in_range, shuffled
from automl.engine.space import Choice, Dimension, Space
from automl.engine.trial import ParamValue, TrialRecord

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]

STEPS = 41
LEAST_TRIALS = 8
Z = 1.96
# A zone is dangerous if at least this part of its trials is ruined, and if with the ruined ones shuffled
# no zone of the dial, wherever it were cut, parts them as well in more than one of twenty shuffles.
DANGER_SHARE, DANGER_TRIALS, DANGER_CHANCE = 0.6, 3, 0.05
SHUFFLES = 199
# A best region that covers more than this of what was tried says that the dial hardly matters.
FLAT = 0.8


@dataclass(frozen=True, slots=True)
class Point:
    """One trial on a dial: its position from 0 to 1, its value there, and its score."""

    position: float
    value: ParamValue
    score: float | None
    ruined: bool
    number: int
    state: str


@dataclass(frozen=True, slots=True)
class Step:
    """The smoothed score at one position, with the 95 % band of the mean; None where nothing was tried."""

    position: float
    value: ParamValue
    mean: float | None
    low: float | None
    high: float | None
    trials: int


@dataclass(frozen=True, slots=True)
class Danger:
    """A part of the range whose settings mostly ruin the result.

    Attributes
    ----------
    low, high : float
        Its ends as positions.
    values : tuple of ParamValue
        Its ends as the sentence tells them; of a choice, the choice twice.
    ruined, trials : int
    sentence : str
    """

    low: float
    high: float
    values: tuple[ParamValue, ParamValue]
    ruined: int
    trials: int
    sentence: str


@dataclass(frozen=True, slots=True)
class _Zones:
    """Places where a danger may be: each choice, or each cut from both ends.

    `holds` says how many of the ruined trials each has, for each row of marks of the trials.
    """

    trials: Array  # of each zone
    holds: Callable[[Array], Array]


@dataclass(frozen=True, slots=True)
class Response:
    """What the trials say of one dial.

    Attributes
    ----------
    name : str
    points : tuple of Point
    curve : tuple of Step
        Along the dial's own scale; of a choice, one step for each.
    best : tuple of float or None
        Where the score is best, as positions; None where nothing can be said, or it is the same all over.
    dangers : tuple of Danger
    sentence : str
        The same in words.
    """

    name: str
    points: tuple[Point, ...]
    curve: tuple[Step, ...]
    best: tuple[float, float] | None
    dangers: tuple[Danger, ...]
    sentence: str


def response(space: Space, name: str, evidence: Evidence) -> Response:
    """Say how the score follows a dial.

    Parameters
    ----------
    space : Space
    name : str
        Of the dial.
    evidence : Evidence

    Returns
    -------
    Response

    Notes
    -----
    The mean is smoothed along the dial with a Gaussian kernel. A ruined trial counts in it with the
    floor: one wreck should not hide what the others say. The other dials move at the same time, so
    a response says what went with good scores, not what alone made them.
    """
    dimension = space.dimensions[name]
    points = _points(space, name, evidence)
    floor = evidence.floor if evidence.floor is not None else 0.0
    scored = [(point.position, max(point.score, floor)) for point in points if point.score is not None]
    curve = _by_choice(dimension, scored) if isinstance(dimension, Choice) else _smoothed(dimension, scored)
    best = _best(curve) if len(scored) >= LEAST_TRIALS and not isinstance(dimension, Choice) else None
    dangers = _dangers(dimension, points)
    sentence = _sentence(dimension, curve, best, len(scored))
    return Response(name, tuple(points), tuple(curve), best, tuple(dangers), sentence)


def told(value: ParamValue) -> str:
    """Write a dial's value as briefly as it can be read."""
    if value is None or isinstance(value, bool):
        return {True: "on", False: "off", None: "none"}[value]
    if isinstance(value, float):
        return f"{value:.3g}" if 1e-3 <= abs(value) < 1e5 or not value else f"{value:.2g}"
    return str(value)


def _points(space: Space, name: str, evidence: Evidence) -> list[Point]:
    points = []
    for trial in evidence.trials:
        place = in_range(space, name, trial.record.params)
        if place is not None:
            record: TrialRecord = trial.record
            points.append(
                Point(
                    place, record.params[name], trial.score, trial.ruined, record.number, record.state.value
                )
            )
    return points


def _by_choice(dimension: Choice, scored: Sequence[tuple[float, float]]) -> list[Step]:
    import numpy as np

    steps = []
    for choice in dimension.choices:
        place = dimension.position(choice)
        scores = [score for at, score in scored if abs(at - place) < 1e-6]
        mean = low = high = None
        if scores:
            mean = float(np.mean(scores))
            error = Z * float(np.std(scores, ddof=1)) / math.sqrt(len(scores)) if len(scores) > 1 else None
            low, high = (mean - error, mean + error) if error is not None else (None, None)
        steps.append(Step(place, choice, mean, low, high, len(scores)))
    return steps


def _smoothed(dimension: Dimension, scored: Sequence[tuple[float, float]]) -> list[Step]:
    import numpy as np

    grid = np.linspace(0.0, 1.0, STEPS)
    values = [dimension.at(float(place)) for place in grid]
    if not scored:
        return [Step(float(g), v, None, None, None, 0) for g, v in zip(grid, values, strict=True)]
    x, y = np.asarray(scored).T
    width = min(max(0.3 * len(x) ** -0.25, 0.05), 0.2)
    kernel = np.exp(-0.5 * ((grid[:, None] - x) / width) ** 2)
    weight = kernel.sum(axis=1)
    mean = kernel @ y / np.maximum(weight, 1e-12)
    spread = kernel @ (y**2) / np.maximum(weight, 1e-12) - mean**2
    effective = weight**2 / np.maximum((kernel**2).sum(axis=1), 1e-12)
    # Of one or two trials no spread is known: the spread of all stands in for it.
    spread = np.where(effective < 2.0, np.maximum(spread, y.var()), np.maximum(spread, 0.0))
    error = Z * np.sqrt(spread / np.maximum(effective, 1.0))
    steps = []
    for at, place in enumerate(grid):
        near = int((np.abs(x - place) <= width).sum())
        known = near > 0
        m, e = float(mean[at]), float(error[at])
        steps.append(
            Step(
                float(place),
                values[at],
                m if known else None,
                m - e if known else None,
                m + e if known else None,
                near,
            )
        )
    return steps


def _best(curve: Sequence[Step]) -> tuple[float, float] | None:
    """The stretch around the top whose mean lies within the top's own error."""
    known = [step for step in curve if step.mean is not None]
    if len(known) < 3:
        return None
    # By the lower end of the band, so that one lucky trial at the edge does not make the top.
    usual = sum((step.mean or 0.0) * step.trials for step in known) / sum(step.trials for step in known)
    top = max(known, key=lambda step: step.low if step.low is not None else float("-inf"))
    assert top.mean is not None and top.low is not None
    if top.low <= usual:
        return None
    level = top.mean - max((top.mean - top.low) / Z, 1e-6 * abs(top.mean))
    at = curve.index(top)
    first = last = at
    while first > 0 and (m := curve[first - 1].mean) is not None and m >= level:
        first -= 1
    while last + 1 < len(curve) and (m := curve[last + 1].mean) is not None and m >= level:
        last += 1
    low, high = curve[first].position, curve[last].position
    tried = known[-1].position - known[0].position
    return None if tried <= 0 or high - low > FLAT * tried else (low, high)


def _dangers(dimension: Dimension, points: Sequence[Point]) -> list[Danger]:
    import numpy as np

    ruined = np.asarray([point.ruined for point in points], dtype=np.int32)
    if not ruined.any() or ruined.all():
        return []
    places = np.asarray([point.position for point in points])
    zones = _choices(dimension, places) if isinstance(dimension, Choice) else _tails(places)
    parted = _parted(zones, ruined[None])[0]
    if not parted.any():
        return []
    rows = shuffled([point.number for point in points], SHUFFLES, np.random.default_rng(len(points)))
    # The best of many cuts is held against the best of as many of each shuffle.
    by_chance = np.sort(_parted(zones, ruined[rows]).max(axis=1))[::-1]
    certain = np.where(parted > by_chance[int(DANGER_CHANCE * (1 + SHUFFLES)) - 1], parted, 0.0)
    counts = zones.holds(ruined[None])[0]
    if isinstance(dimension, Choice):
        return [
            _of_choice(dimension, choice, int(counts[at]), int(zones.trials[at]))
            for at, choice in enumerate(dimension.choices)
            if certain[at]
        ]
    dangers = []
    half = len(places)
    for upper, part in ((False, slice(0, half)), (True, slice(half, None))):
        if certain[part].any():
            at = int(np.argmax(certain[part])) + (half if upper else 0)
            dangers.append(_tail(dimension, places, int(counts[at]), int(zones.trials[at]), upper=upper))
    # Two halves of a range that is bad all over say nothing of the dial.
    return [] if len(dangers) == 2 and dangers[0].high >= dangers[1].low else dangers


def _choices(dimension: Choice, places: Array) -> _Zones:
    import numpy as np

    at = np.asarray([dimension.position(choice) for choice in dimension.choices])
    inside = (np.abs(places[:, None] - at) < 1e-6).astype(np.int32)
    return _Zones(inside.sum(axis=0), lambda marks: marks @ inside)


def _tails(places: Array) -> _Zones:
    """The first trials from below, however many, and then those from above; none parts equal values."""
    import numpy as np

    trials, orders = [], []
    for order in (np.argsort(places, kind="stable"), np.argsort(-places, kind="stable")):
        ordered = places[order]
        ends = np.append(ordered[1:] != ordered[:-1], False)
        trials.append(np.where(ends, np.arange(1, len(places) + 1), 0))
        orders.append(order)
    return _Zones(
        np.concatenate(trials),
        lambda marks: np.concatenate([marks[:, order].cumsum(axis=1) for order in orders], axis=1),
    )


def _parted(zones: _Zones, marks: Array) -> Array:
    """How well each zone parts the ruined trials from the others, 0 where it is none that may be a danger."""
    import numpy as np

    counts = zones.holds(marks)
    every = marks.sum(axis=1, keepdims=True)
    parted = counts / every - (zones.trials - counts) / (marks.shape[1] - every)
    mostly = (counts >= DANGER_TRIALS) & (counts >= DANGER_SHARE * zones.trials) & (zones.trials > 0)
    return np.where(mostly, np.maximum(parted, 0.0), 0.0)


def _of_choice(dimension: Choice, choice: ParamValue, ruined: int, trials: int) -> Danger:
    place, half = dimension.position(choice), 0.5 / len(dimension.choices)
    words = f"With {told(choice)} it {_how_often(ruined, trials)}."
    return Danger(place - half, place + half, (choice, choice), ruined, trials, words)


def _tail(dimension: Dimension, places: Array, ruined: int, trials: int, *, upper: bool) -> Danger:
    """The end of the range that holds so many trials."""
    ordered = sorted((float(place) for place in places), reverse=upper)
    cut = (ordered[trials - 1] + ordered[trials]) / 2
    edge = _rounded(dimension, cut)
    words = f"{'Above' if upper else 'Below'} {told(edge)} it {_how_often(ruined, trials)}."
    if upper:
        return Danger(cut, 1.0, (edge, dimension.at(1.0)), ruined, trials, words)
    return Danger(0.0, cut, (dimension.at(0.0), edge), ruined, trials, words)


def _rounded(dimension: Dimension, position: float) -> ParamValue:
    value = dimension.at(position)
    return float(f"{value:.2g}") if isinstance(value, float) else value


def _how_often(ruined: int, trials: int) -> str:
    if ruined == trials:
        return f"has always ruined the result (all {trials} trials)"
    return f"usually ruins the result ({ruined} of {trials} trials)"


def _sentence(
    dimension: Dimension, curve: Sequence[Step], best: tuple[float, float] | None, trials: int
) -> str:
    if trials < LEAST_TRIALS:
        return f"Too few trials to say more ({trials}; {LEAST_TRIALS} are needed)."
    if isinstance(dimension, Choice):
        known = sorted((s for s in curve if s.mean is not None), key=lambda s: -(s.mean or 0.0))
        if len(known) < 2:
            return f"Only {told(known[0].value)} was tried."
        first, second = known[0], known[1]
        if first.low is not None and second.high is not None and first.low > second.high:
            return f"{told(first.value)} is better than the others."
        return f"{told(first.value)} is ahead, within chance."
    if best is None:
        return "No stretch of its range is clearly better than the rest."
    low, high = dimension.at(best[0]), dimension.at(best[1])
    if best[0] <= 0.02:
        return f"Best up to {told(high)}: at the lower end of its range."
    if best[1] >= 0.98:
        return f"Best from {told(low)}: at the upper end of its range."
    return f"Best about {told(low)} to {told(high)}."
