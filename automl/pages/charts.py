"""Charts are drawn on the server: shapes and labels as data, which templates turn into SVG.

Text in a scaled SVG shrinks with it, so each chart is drawn at two widths and the style sheet shows
the one that fits.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from automl.engine.metrics import METRICS

WIDTHS = (("wide", 960), ("narrow", 340))
HEIGHT = 240
LEFT, RIGHT, TOP, BOTTOM = 64, 14, 14, 44
# A first score that is further from the next than this share of all progress would press the rest flat.
FAR_OFF = 0.8
WHISKER_WIDTH, WHISKER_HEIGHT, WHISKER_PAD = 100, 14, 5
HISTOGRAM_WIDTH, HISTOGRAM_HEIGHT = 96, 26


@dataclass(frozen=True, slots=True)
class Tick:
    """A line of the grid and its label."""

    at: float
    label: str


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the chart: its points as SVG wants them, and its name in the legend."""

    name: str
    points: str
    kind: str


@dataclass(frozen=True, slots=True)
class Chart:
    """One drawing, in the units of its own view box."""

    size: str
    width: int
    lines: tuple[Line, ...]
    dots: tuple[tuple[float, float], ...]
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    x_label: str
    y_label: str
    height: int = HEIGHT
    left: int = LEFT
    top: int = TOP

    @property
    def right(self) -> int:
        return self.width - RIGHT

    @property
    def bottom(self) -> int:
        return self.height - BOTTOM

    @property
    def middle(self) -> float:
        return (self.left + self.right) / 2

    @property
    def centre(self) -> float:
        return (self.top + self.bottom) / 2


@dataclass(frozen=True, slots=True)
class Series:
    """Points in the data's own units."""

    name: str
    x: Sequence[float]
    y: Sequence[float]
    kind: str = "main"


def best_over_time(history: Sequence[tuple[float, float, str]], until: float, label: str) -> list[Chart]:
    """A staircase: the best value holds until a better one comes. None before the first value."""
    history = history[len(off_scale(history)) :]
    if not history:
        return []
    x: list[float] = []
    y: list[float] = []
    for seconds, value, _ in history:
        if y:
            x.append(seconds)
            y.append(y[-1])
        x.append(seconds)
        y.append(value)
    x.append(max(until, x[-1]))
    y.append(y[-1])
    dots = [(seconds, value) for seconds, value, _ in history]
    return [
        _draw(size, [Series("Best", x, y)], dots=dots, x_label="Seconds since the start", y_label=label)
        for size in WIDTHS
    ]


def off_scale(history: Sequence[tuple[float, float, str]]) -> Sequence[tuple[float, float, str]]:
    """The first entry, where it lies so far behind that the progress after it could not be seen."""
    if len(history) < 4:
        return []
    first, second, last = history[0][1], history[1][1], history[-1][1]
    return history[:1] if abs(second - first) > FAR_OFF * abs(last - first) else []


def curve_series(curve: dict[str, Any] | None) -> list[Series]:
    """The lines of a learning curve; some libraries tell nothing of training."""
    if not curve or not curve.get("x"):
        return []
    return [
        Series(name, curve["x"], curve[key], kind)
        for name, key, kind in (("Training", "train", "second"), ("Validation", "valid", "main"))
        if curve.get(key) and len(curve[key]) == len(curve["x"])
    ]


def learning_curve(curve: dict[str, Any] | None) -> list[Chart]:
    """Training and validation score by round or epoch."""
    series = curve_series(curve)
    if not curve or not series:
        return []
    unit = str(curve.get("unit") or "rounds").capitalize()
    name = str(curve.get("metric") or "score")
    label = METRICS[name].label if name in METRICS else name.replace("_", " ").capitalize()
    return [_draw(size, series, dots=[], x_label=unit, y_label=label) for size in WIDTHS]


def _draw(
    size: tuple[str, int],
    series: Sequence[Series],
    *,
    dots: Sequence[tuple[float, float]],
    x_label: str,
    y_label: str,
) -> Chart:
    name, width = size
    xs = [value for each in series for value in each.x]
    ys = [value for each in series for value in each.y if math.isfinite(value)] or [0.0]
    x_ticks = _ticks(min(0.0, *xs), max(xs), 8 if name == "wide" else 4)
    y_ticks = _ticks(min(ys), max(ys), 5)
    x_low, x_high = min(0.0, *xs), max(*xs, x_ticks[-1]) or 1.0
    y_low, y_high = min(*ys, y_ticks[0]), max(*ys, y_ticks[-1])

    def across(value: float) -> float:
        return round(LEFT + (value - x_low) / ((x_high - x_low) or 1) * (width - LEFT - RIGHT), 1)

    def down(value: float) -> float:
        return round(HEIGHT - BOTTOM - (value - y_low) / ((y_high - y_low) or 1) * (HEIGHT - TOP - BOTTOM), 1)

    return Chart(
        size=name,
        width=width,
        lines=tuple(
            Line(
                each.name,
                " ".join(
                    f"{across(x)},{down(y)}" for x, y in zip(each.x, each.y, strict=True) if math.isfinite(y)
                ),
                each.kind,
            )
            for each in series
        ),
        dots=tuple((across(x), down(y)) for x, y in dots if math.isfinite(y)),
        x_ticks=tuple(Tick(across(value), f"{value:g}") for value in x_ticks),
        y_ticks=tuple(Tick(down(value), f"{value:g}") for value in y_ticks),
        x_label=x_label,
        y_label=y_label,
    )


def _ticks(low: float, high: float, wanted: int) -> list[float]:
    """Round numbers around low..high, about as many as wanted."""
    if high <= low:
        pad = abs(low) * 0.01 or 1.0
        low, high = low - pad, high + pad
    rough = (high - low) / wanted
    unit = 10.0 ** math.floor(math.log10(rough))
    step = next(unit * factor for factor in (1, 2, 2.5, 5, 10) if unit * factor >= rough * 0.999)
    first = math.floor(low / step + 1e-9)
    last = math.ceil(high / step - 1e-9)
    digits = max(0, 2 - math.floor(math.log10(step)))
    return [round(number * step, digits) for number in range(first, last + 1)]


@dataclass(frozen=True, slots=True)
class Whisker:
    """A score with its interval, on the scale that all rows share."""

    low: float
    at: float
    high: float
    width: int = WHISKER_WIDTH
    height: int = WHISKER_HEIGHT

    @property
    def middle(self) -> float:
        return self.height / 2


def whiskers(intervals: Sequence[tuple[float | None, float, float | None]]) -> list[Whisker | None]:
    """One for each row; None where the row lies off the scale, which the best ten rows set."""
    top = [(low, value, high) for low, value, high in intervals[:10] if low is not None and high is not None]
    finite = [value for row in top for value in row if value is not None and math.isfinite(value)]
    if not finite:
        return [None] * len(intervals)
    # One row far behind, such as the baseline, would press all others together.
    best_low, _, best_high = top[0]
    span = max(best_high - best_low, 1e-12) * 4
    lowest, highest = max(min(finite), best_low - span), min(max(finite), best_high + span)
    room = (highest - lowest) or 1.0

    def place(value: float) -> float:
        share = min(max((value - lowest) / room, 0.0), 1.0)
        return round(WHISKER_PAD + share * (WHISKER_WIDTH - 2 * WHISKER_PAD), 1)

    return [
        Whisker(place(low), place(value), place(high))
        if low is not None and high is not None and lowest <= value <= highest
        else None
        for low, value, high in intervals
    ]


@dataclass(frozen=True, slots=True)
class Histogram:
    """Bars of a column's values."""

    bars: tuple[tuple[float, float, float, float], ...]
    summary: str
    width: int = HISTOGRAM_WIDTH
    height: int = HISTOGRAM_HEIGHT


def histogram(statistics: dict[str, Any]) -> Histogram | None:
    """Numbers by bin, anything else by its most frequent values."""
    found = statistics.get("histogram")
    if found and found.get("counts"):
        counts, edges = found["counts"], found["edges"]
        summary = f"Histogram from {edges[0]:g} to {edges[-1]:g}."
    elif top := statistics.get("top"):
        counts = [count for _, count in top[:12]]
        summary = f"The {len(counts)} most frequent values."
    else:
        return None
    highest = max(counts) or 1
    step = HISTOGRAM_WIDTH / len(counts)
    gap = 1 if step > 3 else 0
    bars = []
    for position, count in enumerate(counts):
        tall = round(count / highest * HISTOGRAM_HEIGHT, 1)
        bars.append((round(position * step, 1), HISTOGRAM_HEIGHT - tall, round(step - gap, 1), tall))
    return Histogram(tuple(bars), summary)
