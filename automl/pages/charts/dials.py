"""A dial's own scale as an axis: where its values lie, and which of them are worth a label."""

from __future__ import annotations

import math

from automl.engine.response import told
from automl.engine.space import Choice, Dimension
from automl.pages.charts.plane import ticks


def dial_ticks(dimension: Dimension, wanted: int) -> list[tuple[float, str]]:
    """Positions from 0 to 1 and their labels: round numbers, powers of ten, or the choices."""
    if isinstance(dimension, Choice):
        return [(dimension.position(choice), told(choice)) for choice in dimension.choices]
    low, high = float(dimension.low), float(dimension.high)
    if not dimension.log:
        values = [value for value in ticks(low, high, wanted) if low <= value <= high]
    else:
        values = _round_logs(low, high, wanted)
    whole = isinstance(dimension.default, int) and not isinstance(dimension.default, bool)
    return [(dimension.position(value), f"{value:g}") for value in values if not whole or value == int(value)]


def _round_logs(low: float, high: float, wanted: int) -> list[float]:
    """1, 10, 100 ..., with 3s or with 2s and 5s between where there is room."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    steps: tuple[int, ...]
    for steps in ((1, 2, 5), (1, 3), (1,)):
        values = [
            float(f"{step * 10.0**power:.6g}")
            for power in range(first, last + 1)
            for step in steps
            if low * (1 - 1e-9) <= step * 10.0**power <= high * (1 + 1e-9)
        ]
        if len(values) <= wanted:
            return values
    every = -(-len(values) // wanted)
    return values[::every]
