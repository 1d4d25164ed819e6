"""Scores with their intervals, drawn into the rows of the board."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

WHISKER_WIDTH, WHISKER_HEIGHT, WHISKER_PAD = 100, 14, 5
Interval = tuple[float | None, float | None, float | None]
Scale = tuple[float, float] | None


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


def scale_of(top: Sequence[Interval]) -> Scale:
    """The scale that all rows share: set by the best ones, as one far behind would press them together."""
    whole = [(low, value, high) for low, value, high in top if low is not None and high is not None]
    finite = [value for row in whole for value in row if value is not None and math.isfinite(value)]
    if not finite:
        return None
    best_low, _, best_high = whole[0]
    span = max(best_high - best_low, 1e-12) * 4
    return max(min(finite), best_low - span), min(max(finite), best_high + span)


def whisker(scale: Scale, low: float | None, value: float | None, high: float | None) -> Whisker | None:
    """One row's, or None where it lies off the scale."""
    if scale is None or low is None or value is None or high is None or not scale[0] <= value <= scale[1]:
        return None
    lowest, highest = scale
    room = (highest - lowest) or 1.0

    def place(point: float) -> float:
        share = min(max((point - lowest) / room, 0.0), 1.0)
        return round(WHISKER_PAD + share * (WHISKER_WIDTH - 2 * WHISKER_PAD), 1)

    return Whisker(place(low), place(value), place(high))


def whiskers(intervals: Sequence[Interval]) -> list[Whisker | None]:
    """One for each row, on the scale that the best ten of them set."""
    scale = scale_of(intervals[:10])
    return [whisker(scale, low, value, high) for low, value, high in intervals]
