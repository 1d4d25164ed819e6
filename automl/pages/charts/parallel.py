"""The best trials as lines across the dials: where they agree, the lines run together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from automl.engine.evidence import in_range
from automl.engine.response import told
from automl.engine.space import Choice, Space
from automl.engine.trial import TrialRecord

WIDTHS = (("wide", 960, 8), ("narrow", 340, 4))
HEIGHT = 300
SIDE, TOP, BOTTOM = 56, 56, 26
BEST = 5


@dataclass(frozen=True, slots=True)
class Axis:
    """One dial: its place, its name, and what stands at its two ends."""

    at: float
    label: str
    low: str
    high: str
    label_x: float
    label_y: int
    anchor: str


@dataclass(frozen=True, slots=True)
class Thread:
    """One trial."""

    number: int
    points: str
    kind: str


@dataclass(frozen=True, slots=True)
class ParallelChart:
    """One drawing, in the units of its own view box."""

    size: str
    axes: tuple[Axis, ...]
    threads: tuple[Thread, ...]
    width: int
    height: int = HEIGHT
    top: int = TOP
    bottom: int = HEIGHT - BOTTOM


def parallel_chart(space: Space, names: Sequence[str], best: Sequence[TrialRecord]) -> list[ParallelChart]:
    """The trials, best first, on the dials in the order given; none with fewer than two of either."""
    if len(best) < 2 or len(names) < 2:
        return []
    return [_drawn(name, width, space, list(names[:most]), best) for name, width, most in WIDTHS]


def _drawn(
    name: str, width: int, space: Space, names: list[str], best: Sequence[TrialRecord]
) -> ParallelChart:
    side = SIDE if name == "wide" else 40
    step = (width - 2 * side) / (len(names) - 1)
    tall = HEIGHT - TOP - BOTTOM
    axes = []
    for place, dial in enumerate(names):
        dimension = space.dimensions[dial]
        ends = (
            (dimension.choices[0], dimension.choices[-1])
            if isinstance(dimension, Choice)
            else (dimension.low, dimension.high)
        )
        # Names are longer than the room between two axes: every other one stands higher, and those at
        # the edges of a narrow chart begin or end there.
        at, label_y = round(side + place * step, 1), 14 if place % 2 else 30
        label_x, anchor = at, "middle"
        if name == "narrow" and place in (0, len(names) - 1):
            label_x, anchor = (2.0, "start") if place == 0 else (width - 2.0, "end")
        axes.append(Axis(at, dial.replace("_", " "), told(ends[0]), told(ends[1]), label_x, label_y, anchor))
    threads = []
    for rank, record in reversed(list(enumerate(best))):
        points = []
        for axis, dial in zip(axes, names, strict=True):
            place_on = _place(space, dial, record)
            if place_on is not None:
                points.append(f"{axis.at},{round(HEIGHT - BOTTOM - place_on * tall, 1)}")
        kind = "first" if rank == 0 else "best" if rank < BEST else "other"
        threads.append(Thread(record.number, " ".join(points), kind))
    return ParallelChart(name, tuple(axes), tuple(threads), width)


def _place(space: Space, dial: str, record: TrialRecord) -> float | None:
    """The position on an axis whose two ends are the first and the last of a dial's choices."""
    at, dimension = in_range(space, dial, record.params), space.dimensions[dial]
    if at is None or not isinstance(dimension, Choice):
        return at
    count = len(dimension.choices)
    return (at * count - 0.5) / (count - 1) if count > 1 else 0.5
