"""How the best score rose over time."""

from __future__ import annotations

from collections.abc import Sequence

from automl.pages.charts.plane import WIDTHS, Chart, Series, draw

# A first score that is further from the next than this share of all progress would press the rest flat.
FAR_OFF = 0.8


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
        draw(size, [Series("Best", x, y)], dots=dots, x_label="Seconds since the start", y_label=label)
        for size in WIDTHS
    ]


def off_scale(history: Sequence[tuple[float, float, str]]) -> Sequence[tuple[float, float, str]]:
    """The first entry, where it lies so far behind that the progress after it could not be seen."""
    if len(history) < 3:
        return []
    first, second, last = history[0][1], history[1][1], history[-1][1]
    return history[:1] if abs(second - first) > FAR_OFF * abs(last - first) else []
