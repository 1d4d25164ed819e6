"""Two dials together: every trial where it was tried, coloured by how good it was."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from automl.engine.evidence import Evidence, in_range
from automl.engine.response import told
from automl.engine.space import Choice, Space
from automl.pages.charts.dials import dial_ticks
from automl.pages.charts.plane import Tick

WIDTH, HEIGHT = 460, 380
LEFT, RIGHT, TOP, BOTTOM = 66, 14, 12, 44
MOST_POINTS = 400
LEVELS = 5
CELLS = 4


@dataclass(frozen=True, slots=True)
class ScatterChart:
    """One drawing, in the units of its own view box; one path of dots for each fifth of the scores."""

    levels: tuple[tuple[int, str], ...]
    ruined: str
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    x_label: str
    y_label: str
    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT
    right: int = WIDTH - RIGHT
    top: int = TOP
    bottom: int = HEIGHT - BOTTOM


@dataclass(frozen=True, slots=True)
class Cells:
    """The same as a table: the mean score in each part of the two ranges."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, tuple[tuple[float | None, int], ...]], ...]


def pair_chart(space: Space, pair: Sequence[str], evidence: Evidence) -> ScatterChart | None:
    """Trials by two dials; None where there are too few to see anything."""
    found = _placed(space, pair, evidence)
    if len(found) < 2 * LEVELS:
        return None
    step = max(1.0, len(found) / MOST_POINTS)
    kept = [found[int(place * step)] for place in range(min(len(found), MOST_POINTS))]
    scores = sorted(score for _, _, score, _ in kept)

    def across(position: float) -> float:
        return round(LEFT + position * (WIDTH - LEFT - RIGHT), 1)

    def down(position: float) -> float:
        return round(HEIGHT - BOTTOM - position * (HEIGHT - TOP - BOTTOM), 1)

    paths = ["" for _ in range(LEVELS)]
    ruined = ""
    edges = [scores[min(int(len(scores) * part / LEVELS), len(scores) - 1)] for part in range(1, LEVELS)]
    for x, y, score, is_ruined in kept:
        dot = f"M{across(x)} {down(y)}h0"
        if is_ruined:
            ruined += dot
        else:
            paths[sum(score >= edge for edge in edges)] += dot
    return ScatterChart(
        levels=tuple(enumerate(paths, start=1)),
        ruined=ruined,
        x_ticks=tuple(Tick(across(at), text) for at, text in dial_ticks(space.dimensions[pair[0]], 5)),
        y_ticks=tuple(Tick(down(at), text) for at, text in dial_ticks(space.dimensions[pair[1]], 5)),
        x_label=pair[0].replace("_", " "),
        y_label=pair[1].replace("_", " "),
    )


def pair_cells(space: Space, pair: Sequence[str], evidence: Evidence) -> Cells:
    """The mean score and the number of trials in each part of the two ranges."""
    found = _placed(space, pair, evidence)
    across, down = (_parts(space, name) for name in pair)
    rows = []
    for low, high, label in reversed(down):
        cells = []
        for left, right, _ in across:
            inside = [s for x, y, s, _ in found if left <= x < right and low <= y < high]
            cells.append((sum(inside) / len(inside) if inside else None, len(inside)))
        rows.append((label, tuple(cells)))
    return Cells(tuple(label for *_, label in across), tuple(rows))


def _parts(space: Space, name: str) -> list[tuple[float, float, str]]:
    """The parts of a dial's range: from, to, and what it is called."""
    dimension = space.dimensions[name]
    count = len(dimension.choices) if isinstance(dimension, Choice) else CELLS
    parts = []
    for place in range(count):
        low, high = place / count, (place + 1) / count
        if isinstance(dimension, Choice):
            label = told(dimension.choices[place])
        else:
            label = f"{told(_short(dimension.at(low)))} to {told(_short(dimension.at(high)))}"
        # The last part holds its own end.
        parts.append((low, high if place + 1 < count else 1.1, label))
    return parts


def _short(value: object) -> float | int:
    assert isinstance(value, int | float)
    return value if isinstance(value, int) else float(f"{value:.2g}")


def _placed(space: Space, pair: Sequence[str], evidence: Evidence) -> list[tuple[float, float, float, bool]]:
    found = []
    for trial in evidence.trials:
        x, y = (in_range(space, name, trial.record.params) for name in pair)
        if x is not None and y is not None and trial.score is not None:
            found.append((x, y, trial.score, trial.ruined))
    return found
