"""Figures as JSON holds them: short, and no more points of a curve than an eye can tell apart."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]

DIGITS = 5


def short(value: Any) -> float | None:
    """A number with the digits that matter; None where it is not finite."""
    number = float(value)
    return float(f"{number:.{DIGITS}g}") if math.isfinite(number) else None


def exact(value: Any) -> float | None:
    """A number as the table has it, but for the noise of its last digits; None where it is not finite."""
    number = float(value)
    return float(f"{number:.10g}") if math.isfinite(number) else None


def shorts(values: Any) -> list[float | None]:
    """Each of them as `short`."""
    return [short(value) for value in np.asarray(values, dtype=float).ravel()]


def thinned(x: Array, y: Array, most: int) -> list[tuple[float, float]]:
    """Points of a curve, evenly spaced along its length, the first and the last among them.

    Both axes count by their own span, so that a steep start keeps its points.
    """
    if len(x) > most:
        steps = np.abs(np.diff(x)) / (np.ptp(x) or 1.0) + np.abs(np.diff(y)) / (np.ptp(y) or 1.0)
        along = np.concatenate([[0.0], np.cumsum(steps)])
        chosen = np.unique(np.searchsorted(along, np.linspace(0.0, along[-1], most - 1)))
        chosen = np.unique(np.append(np.minimum(chosen, len(x) - 1), len(x) - 1))
        x, y = x[chosen], y[chosen]
    return [(round(float(a), 4), round(float(b), 4)) for a, b in zip(x, y, strict=True)]


def spread_out(order: Array, most: int) -> Array:
    """At most so many positions, evenly spaced in the order of some values: a sample that keeps their law."""
    ranked = np.argsort(order, kind="stable")
    if len(ranked) <= most:
        return np.asarray(ranked)
    return np.asarray(ranked[np.linspace(0, len(ranked) - 1, most).round().astype(int)])
