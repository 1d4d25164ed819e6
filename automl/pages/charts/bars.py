"""Shares as bars, and scores as dots, drawn into the rows of a table."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from automl.engine.space import Dimension

BAR_WIDTH, BAR_HEIGHT = 160, 14
TRACK_WIDTH, TRACK_PAD = 120, 6
DOTS_WIDTH, DOTS_HEIGHT, DOTS_PAD = 260, 20, 7


@dataclass(frozen=True, slots=True)
class Bar:
    """A share with its interval, if it has one."""

    length: float
    low: float | None = None
    high: float | None = None
    width: int = BAR_WIDTH
    height: int = BAR_HEIGHT

    @property
    def middle(self) -> float:
        return self.height / 2


def bar(share: float, low: float | None = None, high: float | None = None, *, most: float = 1.0) -> Bar:
    """A bar whose full width stands for `most`."""

    def place(value: float) -> float:
        return round(min(max(value / most, 0.0), 1.0) * BAR_WIDTH, 1) if most > 0 else 0.0

    ends = (place(low), place(high)) if low is not None and high is not None else (None, None)
    return Bar(place(share), *ends)


@dataclass(frozen=True, slots=True)
class Track:
    """Where in its range a dial stands, and where its default is."""

    at: float
    default: float
    width: int = TRACK_WIDTH
    height: int = BAR_HEIGHT
    pad: int = TRACK_PAD

    @property
    def middle(self) -> float:
        return self.height / 2

    @property
    def end(self) -> int:
        return self.width - self.pad


def track(dimension: Dimension, at: float) -> Track:
    """A dial's range as a line, with its value at a position from 0 to 1."""

    def place(position: float) -> float:
        share = min(max(position, 0.0), 1.0)
        return round(TRACK_PAD + share * (TRACK_WIDTH - 2 * TRACK_PAD), 1)

    return Track(place(at), place(dimension.position(dimension.default)))


@dataclass(frozen=True, slots=True)
class Dots:
    """A few scores on one scale, with their mean."""

    places: tuple[float, ...]
    mean: float
    low: float
    high: float
    width: int = DOTS_WIDTH
    height: int = DOTS_HEIGHT
    left: int = DOTS_PAD

    @property
    def right(self) -> int:
        return self.width - DOTS_PAD

    @property
    def middle(self) -> float:
        return self.height / 2


def dots(values: Sequence[float], *, width: int = DOTS_WIDTH) -> Dots | None:
    """The scores of the folds side by side; None where there are none."""
    finite = [value for value in values if math.isfinite(value)]
    if not finite:
        return None
    low, high = min(finite), max(finite)
    room = (high - low) or 1.0

    def place(value: float) -> float:
        share = (value - low) / room if high > low else 0.5
        return round(DOTS_PAD + share * (width - 2 * DOTS_PAD), 1)

    return Dots(tuple(map(place, finite)), place(sum(finite) / len(finite)), low, high, width)
