"""A plane with two axes: lines and dots in the data's own units become shapes and labels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

WIDTHS = (("wide", 960), ("narrow", 340))
HEIGHT = 240
LEFT, RIGHT, TOP, BOTTOM = 64, 14, 14, 44


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Plane:
    """The room between two axes, in the units of the drawing's own view box."""

    size: str
    width: int
    height: int = HEIGHT
    left: int = LEFT
    top: int = TOP
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    x_label: str
    y_label: str

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart(Plane):
    """Lines and dots."""

    lines: tuple[Line, ...]
    dots: tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class Series:
    """Points in the data's own units."""

    name: str
    x: Sequence[float]
    y: Sequence[float]
    kind: str = "main"


def draw(
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
    x_ticks = ticks(min(0.0, *xs), max(xs), 8 if name == "wide" else 4)
    y_ticks = ticks(min(ys), max(ys), 5)
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


def ticks(low: float, high: float, wanted: int) -> list[float]:
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
