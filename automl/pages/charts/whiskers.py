"""Scores with their intervals, drawn into the rows of the board."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

WHISKER_WIDTH, WHISKER_HEIGHT, WHISKER_PAD = 100, 14, 5


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
