"""How the score of a family follows one dial: where it is best, and where it ruins the result."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from automl.engine.evidence import Evidence, in_range
from automl.engine.space import Choice, Dimension, Space
from automl.engine.trial import ParamValue, TrialRecord

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]

STEPS = 41
LEAST_TRIALS = 8
Z = 1.96
# A zone is dangerous if at least this part of its trials is ruined, and no luck in twenty does that.
DANGER_SHARE, DANGER_TRIALS, DANGER_CHANCE = 0.6, 3, 0.05
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
    """A part of the range whose settings mostly ruin the result."""

    low: float
    high: float
    ruined: int
    trials: int
    sentence: str


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
    if isinstance(dimension, Choice):
        groups = [
            [p for p in points if abs(p.position - dimension.position(c)) < 1e-6] for c in dimension.choices
        ]
        half = 0.5 / len(dimension.choices)
        found = []
        for choice, inside in zip(dimension.choices, groups, strict=True):
            ruined = sum(point.ruined for point in inside)
            if _is_dangerous(ruined, len(inside), sum(p.ruined for p in points), len(points)):
                place = dimension.position(choice)
                words = f"With {told(choice)} it {_how_often(ruined, len(inside))}."
                found.append(Danger(place - half, place + half, ruined, len(inside), words))
        return found
    ends = (_tail(dimension, points, upper=False), _tail(dimension, points, upper=True))
    dangers = [danger for danger in ends if danger is not None]
    if len(dangers) == 2 and dangers[0].high >= dangers[1].low:
        # Two halves of a range that is bad all over say nothing of the dial.
        return []
    return dangers


def _tail(dimension: Dimension, points: Sequence[Point], *, upper: bool) -> Danger | None:
    """The end of the range where the ruined trials are, cut where it parts them best from the others."""
    ordered = sorted(points, key=lambda point: point.position, reverse=upper)
    every, fine = sum(p.ruined for p in ordered), sum(not p.ruined for p in ordered)
    if not every or not fine:
        return None
    chosen, most, ruined = 0, 0.0, 0
    for count, point in enumerate(ordered, start=1):
        ruined += point.ruined
        if count < len(ordered) and ordered[count].position == point.position:
            continue
        parted = ruined / every - (count - ruined) / fine
        if parted > most and _is_dangerous(ruined, count, every, len(ordered)):
            chosen, most = count, parted
    if not chosen:
        return None
    ruined = sum(p.ruined for p in ordered[:chosen])
    edge = ordered[chosen - 1]
    beyond = ordered[chosen] if chosen < len(ordered) else edge
    cut = (edge.position + beyond.position) / 2
    words = (
        f"{'Above' if upper else 'Below'} {told(_rounded(dimension, cut))} it {_how_often(ruined, chosen)}."
    )
    low, high = (cut, 1.0) if upper else (0.0, cut)
    return Danger(low, high, ruined, chosen, words)


def _rounded(dimension: Dimension, position: float) -> ParamValue:
    value = dimension.at(position)
    return float(f"{value:.2g}") if isinstance(value, float) else value


def _how_often(ruined: int, trials: int) -> str:
    if ruined == trials:
        return f"has always ruined the result (all {trials} trials)"
    return f"usually ruins the result ({ruined} of {trials} trials)"


def _is_dangerous(ruined: int, inside: int, every: int, trials: int) -> bool:
    """Whether so many ruined ones in one place are no luck (Fisher's exact test)."""
    if ruined < DANGER_TRIALS or ruined < DANGER_SHARE * inside or inside == trials:
        return False
    # An enumeration of thousands would be slow, and such numbers leave no doubt.
    if trials > 400:
        return ruined / inside > 2 * (every - ruined) / max(trials - inside, 1)
    ways = math.comb(trials, inside)
    chance = sum(
        math.comb(every, hit) * math.comb(trials - every, inside - hit)
        for hit in range(ruined, min(every, inside) + 1)
    )
    return chance / ways < DANGER_CHANCE


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
