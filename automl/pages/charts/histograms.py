"""A column's values as small bars."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

HISTOGRAM_WIDTH, HISTOGRAM_HEIGHT = 96, 26


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
