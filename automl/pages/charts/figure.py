"""Figures beyond lines over time: scales that may be logarithmic or named, bands, bars and dots."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from automl.pages.charts.plane import Tick, ticks

# Two of them stand side by side on a wide screen.
FIGURE_WIDTHS = (("wide", 540), ("narrow", 330))
LEFT, RIGHT, TOP, BOTTOM = 64, 24, 12, 44
HEIGHT = 270
# Of a name, as many as a mark on the axis of x has room for.
LETTERS, AIR = 6, 2


@dataclass(frozen=True, slots=True)
class Axis:
    """A scale in the data's own units.

    Attributes
    ----------
    names : sequence of str
        For an axis of categories: they stand at 0, 1, 2 and so on.
    percent : bool
        Shares are written in per cent.
    whole : bool
        There is nothing between whole numbers, so no mark either.
    """

    label: str
    low: float
    high: float
    log: bool = False
    names: Sequence[str] = ()
    percent: bool = False
    whole: bool = False

    def share(self, value: float) -> float:
        """Where a value lies between the ends; what lies beyond is held there."""
        if self.names:
            return (value + 0.5) / len(self.names)
        if self.log:
            low, high, value = math.log(self.low), math.log(self.high), math.log(max(value, self.low))
        else:
            low, high = self.low, self.high
        return min(max((value - low) / ((high - low) or 1.0), 0.0), 1.0)

    def marks(self, wanted: int) -> list[tuple[float, str]]:
        """Values to write beside the axis, at most about as many as wanted."""
        if self.names:
            names = [_cut(name) for name in self.names]
            # Long names take the room of several short ones, and each some air.
            step = max(1, math.ceil(sum(len(name) + AIR for name in names) / (wanted * LETTERS)))
            return [(place, name) for place, name in enumerate(names) if place % step == 0]
        if self.log:
            return [(value, brief(value)) for value in _powers(self.low, self.high, wanted)]
        found = [value for value in ticks(self.low, self.high, wanted) if self.low <= value <= self.high]
        if self.whole:
            found = [value for value in found if value == round(value)]
        if self.percent:
            return [(value, f"{100 * value:g} %") for value in found]
        return [(value, brief(value)) for value in found]


def axis(label: str, values: Sequence[float], *, log: bool = False, percent: bool = False) -> Axis:
    """A scale that holds some values, with round ends."""
    finite = [value for value in values if math.isfinite(value)] or [0.0, 1.0]
    low, high = min(finite), max(finite)
    if log and low > 0:
        return Axis(label, low / 1.1, high * 1.1, log=True)
    steps = ticks(low, high, 5)
    return Axis(label, min(low, steps[0]), max(high, steps[-1]), percent=percent)


def _powers(low: float, high: float, wanted: int) -> list[float]:
    """Ones, twos and fives of each power of ten where there is room for them, else ones."""
    exponents = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for factors in ((1, 2, 5), (1, 3), (1,)):
        found = [f * 10.0**e for e in exponents for f in factors if low <= f * 10.0**e <= high]
        if len(found) <= wanted:
            return found
    return found[:: math.ceil(len(found) / wanted)]


def brief(value: float) -> str:
    """A number for an axis: 1.5k, 20k, 3M; small ones as they are."""
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size * (10 if unit == "k" else 1):
            return f"{value / size:.3g}{unit}"
    return f"{value:.4g}" if abs(value) >= 1e-3 or value == 0 else f"{value:.0e}"


def _cut(name: str, most: int = 10) -> str:
    return name if len(name) <= most else f"{name[: most - 1]}…"


@dataclass(frozen=True, slots=True)
class Stroke:
    """A line: points in the data's own units; `kind` is its class in the style sheet."""

    name: str
    points: Sequence[tuple[float, float]]
    kind: str = "hue-1"


@dataclass(frozen=True, slots=True)
class Band:
    """An area from a lower to an upper line."""

    x: Sequence[float]
    low: Sequence[float]
    high: Sequence[float]
    kind: str = "hue-1"


@dataclass(frozen=True, slots=True)
class Bar:
    """A bar from one value of x to another, and from 0 up (or down) to a height; with words on it."""

    start: float
    end: float
    height: float
    title: str = ""
    kind: str = "hue-1"


@dataclass(frozen=True, slots=True)
class Dot:
    """A point, with an interval where there is one."""

    x: float
    y: float
    low: float | None = None
    high: float | None = None
    title: str = ""
    kind: str = "hue-1"


@dataclass(frozen=True, slots=True)
class Figure:
    """One drawing, in the units of its own view box."""

    size: str
    width: int
    height: int
    left: float
    right: float
    top: float
    bottom: float
    x_label: str
    y_label: str
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    lines: tuple[tuple[str, str], ...]
    bands: tuple[tuple[str, str], ...]
    bars: tuple[tuple[float, float, float, float, str, str], ...]
    dots: tuple[tuple[float, float, float | None, float | None, str, str], ...]

    @property
    def middle(self) -> float:
        return (self.left + self.right) / 2

    @property
    def centre(self) -> float:
        return (self.top + self.bottom) / 2


@dataclass(frozen=True, slots=True)
class _Marks:
    lines: Sequence[Stroke]
    bands: Sequence[Band]
    bars: Sequence[Bar]
    dots: Sequence[Dot]


def figures(
    x: Axis,
    y: Axis,
    *,
    lines: Sequence[Stroke] = (),
    bands: Sequence[Band] = (),
    bars: Sequence[Bar] = (),
    dots: Sequence[Dot] = (),
    height: int = HEIGHT,
) -> list[Figure]:
    """The same at each of the widths."""
    return [_figure(size, x, y, _Marks(lines, bands, bars, dots), height) for size in FIGURE_WIDTHS]


def _figure(size: tuple[str, int], x: Axis, y: Axis, marks: _Marks, height: int) -> Figure:
    name, width = size
    left, right, top, bottom = float(LEFT), float(width - RIGHT), float(TOP), float(height - BOTTOM)

    def across(value: float) -> float:
        return round(left + x.share(value) * (right - left), 1)

    def down(value: float) -> float:
        return round(bottom - y.share(value) * (bottom - top), 1)

    def path(points: Sequence[tuple[float, float]]) -> str:
        return " ".join(f"{across(a)},{down(b)}" for a, b in points)

    zero = down(max(y.low, min(0.0, y.high))) if not y.log else bottom
    return Figure(
        size=name,
        width=width,
        height=height,
        left=left,
        right=right,
        top=top,
        bottom=bottom,
        x_label=x.label,
        y_label=y.label,
        x_ticks=tuple(Tick(across(at), label) for at, label in x.marks(7 if name == "wide" else 5)),
        y_ticks=tuple(Tick(down(at), label) for at, label in y.marks(5)),
        lines=tuple((path(line.points), line.kind) for line in marks.lines if line.points),
        bands=tuple((path(_outline(band)), band.kind) for band in marks.bands),
        bars=tuple(_box(bar, across, down, zero) for bar in marks.bars),
        dots=tuple(
            (
                across(dot.x),
                down(dot.y),
                None if dot.low is None else down(dot.low),
                None if dot.high is None else down(dot.high),
                dot.title,
                dot.kind,
            )
            for dot in marks.dots
        ),
    )


def _outline(band: Band) -> list[tuple[float, float]]:
    there = list(zip(band.x, band.high, strict=True))
    return [*there, *reversed(list(zip(band.x, band.low, strict=True)))]


def _box(
    bar: Bar, across: Callable[[float], float], down: Callable[[float], float], zero: float
) -> tuple[float, float, float, float, str, str]:
    start, end, tip = across(bar.start), across(bar.end), down(bar.height)
    gap = 1.0 if end - start > 4 else 0.0
    upper, lower = min(tip, zero), max(tip, zero)
    return start, upper, round(end - start - gap, 1), round(lower - upper, 1), bar.title, bar.kind
