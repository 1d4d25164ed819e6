"""Small charts of how the score follows one dial: trials, mean, band, danger."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from automl.engine.metrics import Metric
from automl.engine.response import Point, Response
from automl.engine.space import Choice, Dimension
from automl.pages.charts.dials import dial_ticks
from automl.pages.charts.plane import Tick, ticks

WIDTH, HEIGHT = 400, 220
LEFT, RIGHT, TOP, BOTTOM = 60, 12, 14, 26
MOST_POINTS = 160
# Where the worst would press the rest flat, what lies under the middle by more than this is cut off.
ROOM = 1.25


@dataclass(frozen=True, slots=True)
class Zone:
    """A shaded part of the range."""

    x: float
    width: float
    kind: str


@dataclass(frozen=True, slots=True)
class Whisk:
    """The mean of one choice with its band."""

    at: float
    mean: float
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class ResponseChart:
    """One drawing, in the units of its own view box; points are the moves of a path of round dots."""

    fine: str
    stopped: str
    ruined: str
    line: str
    band: str
    whisks: tuple[Whisk, ...]
    zones: tuple[Zone, ...]
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    x_label: str
    y_label: str
    cut: int  # points under the scale, drawn at its edge
    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT
    right: int = WIDTH - RIGHT
    top: int = TOP
    bottom: int = HEIGHT - BOTTOM


def response_chart(
    found: Response, dimension: Dimension, metric: Metric | None, label: str
) -> ResponseChart | None:
    """A dial's response, better always up; None where no trial used the dial."""
    points = _spread(found.points)
    scored = [point.score for point in points if point.score is not None]
    if not scored:
        return None
    low, high = _scale(found, scored)
    turn = metric.score_of if metric else float

    def across(position: float) -> float:
        return round(LEFT + position * (WIDTH - LEFT - RIGHT), 1)

    def down(score: float) -> float:
        share = (min(max(score, low), high) - low) / ((high - low) or 1.0)
        return round(HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM), 1)

    def path(chosen: Sequence[Point]) -> str:
        # A move and a line of no length, with round ends: a dot in a tenth of the bytes of a circle.
        return "".join(
            f"M{across(p.position)} {down(p.score if p.score is not None else low)}h0" for p in chosen
        )

    known = [step for step in found.curve if step.mean is not None]
    is_choice = isinstance(dimension, Choice)
    top = [(across(s.position), down(s.high)) for s in known if s.high is not None]
    base = [(across(s.position), down(s.low)) for s in known if s.low is not None]
    least, most = sorted((turn(low), turn(high)))
    values = ticks(least, most, 4)
    inside = [value for value in values if low <= turn(value) <= high]
    return ResponseChart(
        fine=path([p for p in points if not p.ruined and p.state == "complete"]),
        stopped=path([p for p in points if not p.ruined and p.state != "complete"]),
        ruined=path([p for p in points if p.ruined]),
        line="" if is_choice else _joined([(across(s.position), down(s.mean or 0.0)) for s in known]),
        band="" if is_choice else _joined([*top, *reversed(base)]),
        whisks=tuple(
            Whisk(
                across(s.position),
                down(s.mean),
                down(s.low) if s.low is not None else None,
                down(s.high) if s.high is not None else None,
            )
            for s in known
            if is_choice and s.mean is not None
        ),
        zones=_zones(found, across),
        x_ticks=tuple(Tick(across(at), text) for at, text in dial_ticks(dimension, 5)),
        y_ticks=tuple(Tick(down(turn(value)), f"{value:g}") for value in inside),
        x_label=found.name.replace("_", " "),
        y_label=label,
        cut=sum(point.score is None or point.score < low for point in points),
    )


def _zones(found: Response, across: object) -> tuple[Zone, ...]:
    assert callable(across)
    zones = [(danger.low, danger.high, "danger") for danger in found.dangers]
    if found.best:
        zones.append((*found.best, "best"))
    drawn = []
    for low, high, kind in zones:
        x = across(max(low, 0.0))
        drawn.append(Zone(x, round(max(across(min(high, 1.0)) - x, 2.0), 1), kind))
    return tuple(drawn)


def _scale(found: Response, scored: Sequence[float]) -> tuple[float, float]:
    """From a little under what is usual to a little over the best; wrecks are drawn at the edge."""
    ordered = sorted(scored)
    high, middle = ordered[-1], ordered[len(ordered) // 2]
    fine = [p.score for p in found.points if p.score is not None and not p.ruined] or scored
    low = max(min(fine), high - 6 * ROOM * max(high - middle, 1e-9)) if high > middle else min(fine)
    pad = (high - low) * 0.06 or abs(high) * 0.01 or 1.0
    return low - 2 * pad, high + pad


def _spread(points: Sequence[Point]) -> list[Point]:
    """At most so many: every ruined one is as telling as any, so all are thinned alike."""
    step = max(1.0, len(points) / MOST_POINTS)
    return [points[int(place * step)] for place in range(min(len(points), MOST_POINTS))]


def _joined(places: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{x},{y}" for x, y in places)
