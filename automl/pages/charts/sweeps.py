"""How the score answers to one dial, as a curve, or to two, as a map of heat."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from automl.engine.space import Choice, Dimension
from automl.engine.trial import ParamValue
from automl.pages.charts.plane import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTHS, Chart, Line, Tick, ticks

# A response beside a table may be taller than a staircase of scores, and is never as wide.
CURVE_WIDTHS = (("wide", 720), WIDTHS[1])
INSET = 26
# Labels of an axis need this much room each.
LABEL_ROOM = 58
SHADES = 9
CELL_HEIGHT, CELL_GAP = 40, 3
MAP_LEFT, MOST_LEFT, MAP_BOTTOM = 74, 130, 46
# The name of the dial stands beside the labels of its rows: room for one of them, and for a character.
NAME_ROOM, CHARACTER = 26, 7
# A cell narrower than this has no room for its value; the table has it.
ROOM_FOR_TEXT = 46

Point = tuple[ParamValue, float | None, float | None, float | None]


def response_curve(
    dimension: Dimension, points: Sequence[Point], *, x_label: str, y_label: str
) -> list[Chart]:
    """Values of a dial with score and interval; those without a score yet keep their place on the axis."""
    placed = sorted(
        (_place(dimension, value), value, score, low, high)
        for value, score, low, high in points
        if value is not None or isinstance(dimension, Choice)
    )
    known = [(at, score, low, high) for at, _, score, low, high in placed if score is not None]
    if not placed or not any(math.isfinite(score) for _, score, _, _ in known):
        return []
    return [_curve(size, dimension, placed, known, x_label, y_label) for size in CURVE_WIDTHS]


def _place(dimension: Dimension, value: ParamValue) -> float:
    if isinstance(dimension, Choice):
        return dimension.position(value) if dimension.offers(value) else 1.0
    number = float(value or 0)
    return math.log(number) if dimension.log and number > 0 else number


def _curve(
    size: tuple[str, int],
    dimension: Dimension,
    placed: Sequence[Any],
    known: Sequence[Any],
    x_label: str,
    y_label: str,
) -> Chart:
    name, width = size
    first, last = placed[0][0], placed[-1][0]
    heights = [value for _, score, low, high in known for value in (score, low, high) if value is not None]
    y_ticks = ticks(min(heights), max(heights), 5)
    bottom, top = min(*heights, y_ticks[0]), max(*heights, y_ticks[-1])

    def across(at: float) -> float:
        share = (at - first) / (last - first) if last > first else 0.5
        return round(LEFT + INSET + share * (width - LEFT - RIGHT - 2 * INSET), 1)

    def down(value: float) -> float:
        share = float(value - bottom) / ((top - bottom) or 1)
        return round(HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM), 1)

    lines = [
        Line("95 % interval", f"{across(at)},{down(low)} {across(at)},{down(high)}", "band")
        for at, _, low, high in known
        if low is not None and high is not None
    ]
    if not isinstance(dimension, Choice):
        path = " ".join(f"{across(at)},{down(score)}" for at, score, _, _ in known)
        lines.append(Line("Score", path, "main"))
    return Chart(
        size=name,
        width=width,
        lines=tuple(lines),
        dots=tuple((across(at), down(score)) for at, score, _, _ in known),
        x_ticks=tuple(_labels([(across(at), _label(value)) for at, value, *_ in placed])),
        y_ticks=tuple(Tick(down(value), f"{value:g}") for value in y_ticks),
        x_label=x_label,
        y_label=y_label,
    )


def _label(value: ParamValue) -> str:
    if value is None or isinstance(value, bool):
        return {True: "yes", False: "no", None: "none"}[value]
    return value.replace("_", " ") if isinstance(value, str) else f"{value:.4g}"


def _labels(found: Sequence[tuple[float, str]]) -> list[Tick]:
    """As many labels as have room, the first among them."""
    kept: list[Tick] = []
    for at, label in found:
        if not kept or at - kept[-1].at >= LABEL_ROOM:
            kept.append(Tick(at, label))
    return kept


@dataclass(frozen=True, slots=True)
class Cell:
    """One combination: where it is, how good, what it says."""

    x: float
    y: float
    width: float
    height: float
    kind: str
    text: str
    title: str
    best: bool

    @property
    def middle(self) -> float:
        return round(self.x + self.width / 2, 1)

    @property
    def centre(self) -> float:
        return round(self.y + self.height / 2, 1)


@dataclass(frozen=True, slots=True)
class HeatMap:
    """Two dials against one another; a stronger colour is better."""

    size: str
    width: int
    height: int
    cells: tuple[Cell, ...]
    rows: tuple[Tick, ...]
    columns: tuple[Tick, ...]
    y_label: str
    x_label: str
    left: int

    @property
    def label_end(self) -> int:
        return self.left - 6

    @property
    def centre(self) -> float:
        return round((self.height - MAP_BOTTOM) / 2, 1)

    @property
    def middle(self) -> float:
        return round((self.left + self.width) / 2, 1)


def heat_map(
    entries: Sequence[Mapping[str, Any]],
    *,
    rows: tuple[str, Sequence[str]],
    across: tuple[str, Sequence[str]],
    labels: Mapping[str, str],
) -> list[HeatMap]:
    """Values of two dials with the best score of each pair; further dials are folded away by their best."""
    chosen: dict[tuple[str, str], Mapping[str, Any]] = {}
    for entry in entries:
        place = (entry["labels"][rows[0]], entry["labels"][across[0]])
        if place not in chosen or _rank(entry) > _rank(chosen[place]):
            chosen[place] = entry
    scores = sorted({each["score"] for each in chosen.values() if each["score"] is not None})
    return [_map(size, chosen, scores, rows, across, labels) for size in CURVE_WIDTHS]


def _rank(entry: Mapping[str, Any]) -> float:
    return -math.inf if entry["score"] is None else float(entry["score"])


def _map(
    size: tuple[str, int],
    chosen: Mapping[tuple[str, str], Mapping[str, Any]],
    scores: Sequence[float],
    rows: tuple[str, Sequence[str]],
    across: tuple[str, Sequence[str]],
    labels: Mapping[str, str],
) -> HeatMap:
    name, width = size
    left = _left_of(rows[1])
    room = (width - left - RIGHT) / max(len(across[1]), 1)
    height = TOP + CELL_HEIGHT * len(rows[1]) + MAP_BOTTOM
    cells = []
    # The largest value on top, as on a plane.
    order = list(rows[1])[::-1]
    for line, row in enumerate(order):
        for place, column in enumerate(across[1]):
            entry = chosen.get((row, column))
            if entry is None:
                continue
            value = "" if entry["value"] is None else _short(entry["value"])
            pair = f"{labels[rows[0]]} {row}, {labels[across[0]]} {column}"
            cells.append(
                Cell(
                    x=round(left + place * room, 1),
                    y=TOP + line * CELL_HEIGHT,
                    width=round(room - CELL_GAP, 1),
                    height=CELL_HEIGHT - CELL_GAP,
                    kind=_shade(entry, scores),
                    text=value if room >= ROOM_FOR_TEXT else "",
                    title=f"{pair}: {value or entry['state']}",
                    best=bool(scores) and entry["score"] == scores[-1],
                )
            )
    columns = [(round(left + (place + 0.5) * room, 1), column) for place, column in enumerate(across[1])]
    return HeatMap(
        size=name,
        width=width,
        height=height,
        cells=tuple(cells),
        rows=tuple(Tick(TOP + line * CELL_HEIGHT + CELL_HEIGHT / 2, row) for line, row in enumerate(order)),
        columns=tuple(_labels(columns)),
        y_label=labels[rows[0]],
        x_label=labels[across[0]],
        left=left,
    )


def _left_of(labels: Sequence[str]) -> int:
    longest = max(map(len, labels), default=0)
    return min(max(NAME_ROOM + CHARACTER * longest, MAP_LEFT), MOST_LEFT)


def _shade(entry: Mapping[str, Any], scores: Sequence[float]) -> str:
    """The class of a cell: how good it is among the others, in ranks and distances alike."""
    score = entry["score"]
    if score is None:
        return str(entry["state"])
    if len(scores) < 2:
        return f"heat-{SHADES}"
    by_rank = scores.index(score) / (len(scores) - 1)
    by_distance = (score - scores[0]) / (scores[-1] - scores[0])
    # Distances alone would press all but one ruined corner into one shade.
    return f"heat-{1 + round((SHADES - 1) * (by_rank + by_distance) / 2)}"


def _short(value: float) -> str:
    if value and abs(value) < 0.001:
        return f"{value:.1e}"
    return f"{value:.3f}" if abs(value) < 10 else f"{value:.4g}" if abs(value) < 10_000 else f"{value:,.0f}"
