"""Which columns a model leans on (Breiman 2001, Fisher, Rudin and Dominici 2019), and how its answer
follows each of them (partial dependence, Friedman 2001; its spread over rows, Goldstein et al. 2015)."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from automl.engine.diagnostics.figures import short, shorts, spread_out
from automl.engine.diagnostics.outoffold import OutOfFold
from automl.engine.intervals import Z, difference
from automl.engine.metrics import Metric

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]

MOST_ROWS, LEAST_ROWS = 4_000, 200
REPEATS = 5
# Of very many columns all are tried briefly, and these once more with care.
MOST_COLUMNS = 20
CURVES = 6
CURVE_ROWS, LEAST_CURVE_ROWS = 400, 60
GRID = 16
MOST_LEVELS = 12
EXAMPLES = 8
MOST_CLASSES = 3
# The share of the budget for permuting; the rest is for the curves.
PERMUTING = 0.6


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the table: its place in the encoded matrix, and how its schema reads."""

    name: str
    positions: tuple[int, ...]
    schema: Mapping[str, Any]


def columns_of(schema: Mapping[str, Any]) -> list[Column]:
    """The columns that a prepared table is made of."""
    places: dict[str, list[int]] = {}
    for position, feature in enumerate(schema["features"]):
        places.setdefault(feature["column"], []).append(position)
    return [
        Column(found["name"], tuple(places[found["name"]]), found)
        for found in schema["columns"]
        if found["name"] in places
    ]


class Clock:
    """What is left of a budget of seconds, and how many rows can be predicted meanwhile."""

    def __init__(self, model: OutOfFold, seconds: float) -> None:
        self._ends = time.monotonic() + seconds
        few = model.subset(np.arange(min(len(model.y), LEAST_ROWS)))
        # The first call may load things, and a small one is mostly its start.
        few.predict(few.X)
        self._row = _seconds_a_row(few)
        if self._row * len(model.y) < seconds / 8:
            self._row = _seconds_a_row(model)

    @property
    def left(self) -> float:
        return self._ends - time.monotonic()

    def rows(self, share: float) -> int:
        """How many rows fit in a share of what is left."""
        return int(max(self.left, 0.0) * share / self._row)


def _seconds_a_row(model: OutOfFold) -> float:
    began = time.monotonic()
    model.predict(model.X)
    return max((time.monotonic() - began) / max(len(model.y), 1), 1e-7)


def importance(
    model: OutOfFold, metric: Metric, columns: Sequence[Column], clock: Clock, *, seed: int = 0
) -> dict[str, Any]:
    """By how much the score falls when a column's cells are dealt out anew among the rows.

    Returns
    -------
    dict
        `columns`, most important first: `column`, `loss` (in the metric's unit, positive where the column
        helps) with `low` and `high`, its 95 % interval over rows and repeats; `rows`, `repeats`, and
        `left_out`, the number of columns for which there was no time or that were tried only briefly.
    """
    generator = np.random.default_rng([seed, 0x1F])
    chosen = list(columns)
    if len(chosen) > MOST_COLUMNS:
        rows = _rows(clock.rows(PERMUTING / 3), len(chosen), len(model.y))
        brief = model.subset(np.sort(spread_out(model.y, rows)))
        base = brief.judged(brief.X)
        tried = _each(chosen, clock, lambda column: _loss(brief, metric, base, column, generator, 1))
        chosen = [column for column, _ in sorted(tried, key=lambda one: -one[1][0])[:MOST_COLUMNS]]
    room = clock.rows(PERMUTING) // max(len(chosen), 1)
    repeats = REPEATS if room >= REPEATS * LEAST_ROWS else max(1, room // LEAST_ROWS)
    rows = _rows(room, repeats, len(model.y))
    part = model.subset(np.sort(spread_out(model.y, rows)))
    base = part.judged(part.X)
    found = _each(chosen, clock, lambda column: _loss(part, metric, base, column, generator, repeats))
    ranked = [
        {
            "column": column.name,
            "kind": column.schema["kind"],
            "loss": short(loss),
            "low": short(loss - Z * error),
            "high": short(loss + Z * error),
        }
        for column, (loss, error) in sorted(found, key=lambda one: -one[1][0])
    ]
    return {"columns": ranked, "rows": rows, "repeats": repeats, "left_out": len(columns) - len(found)}


def _rows(room: int, times: int, there: int) -> int:
    return min(there, max(min(room // max(times, 1), MOST_ROWS), LEAST_ROWS))


def _each(columns: Sequence[Column], clock: Clock, of: Callable[[Column], Any]) -> list[tuple[Column, Any]]:
    found: list[tuple[Column, Any]] = []
    for column in columns:
        if found and clock.left <= 0:
            break
        found.append((column, of(column)))
    return found


def _loss(
    model: OutOfFold,
    metric: Metric,
    base: Array,
    column: Column,
    generator: np.random.Generator,
    repeats: int,
) -> tuple[float, float]:
    """The mean fall of the score, and its standard error: rows differ more than repeats do."""
    rows, positions = len(model.y), np.asarray(column.positions)
    X = np.tile(model.X, (repeats, 1))
    for repeat in range(repeats):
        order = generator.permutation(rows)
        X[repeat * rows : (repeat + 1) * rows, positions] = model.X[np.ix_(order, positions)]
    predicted = model.judged(X)
    parts = predicted.reshape(repeats, rows, *predicted.shape[1:])
    # The error over rows is much the same in each repeat, and dear to find for some metrics.
    first, score = difference(metric, model.y, base, parts[0]), metric.score(model.y, base)
    gains = np.array([first.gain, *(score - metric.score(model.y, part) for part in parts[1:])])
    between = gains.std(ddof=1) ** 2 / repeats if repeats > 1 else 0.0
    return float(gains.mean()), float(np.sqrt(max(first.error**2, between)))


def dependence(
    model: OutOfFold, columns: Sequence[Column], clock: Clock, classes: Sequence[Any] | None
) -> list[dict[str, Any]]:
    """How the prediction follows a column when all the others stay as they are.

    Parameters
    ----------
    columns : sequence of Column
        The most important ones first; texts are passed over.

    Returns
    -------
    list of dict
        `column`, `kind`, `grid` (numbers, dates as ISO text, or names of categories; None is missing),
        `share` (of rows near that value) and `lines`: for each class, or for the number, `mean`, `low`,
        `high` (10th and 90th percentile over rows) and `examples` (single rows).
    """
    drawn = [column for column in columns if column.schema["kind"] != "text"][:CURVES]
    rows = clock.rows(0.9) // max(len(drawn) * GRID, 1)
    count = min(len(model.y), max(min(rows, CURVE_ROWS), LEAST_CURVE_ROWS))
    places = np.random.default_rng(0xDE).choice(len(model.y), count, replace=False)
    part = model.subset(np.sort(places))
    return [curve for _, curve in _each(drawn, clock, lambda column: _curve(model, part, column, classes))]


def _curve(
    model: OutOfFold, part: OutOfFold, column: Column, classes: Sequence[Any] | None
) -> dict[str, Any]:
    grid, cells, share = _grid(model.X, column)
    rows, positions = len(part.y), list(column.positions)
    X = np.tile(part.X, (len(grid), 1))
    X[:, positions] = np.repeat(cells, rows, axis=0)
    predicted = part.predict(X).reshape(len(grid), rows, -1)
    return {
        "column": column.name,
        "kind": column.schema["kind"],
        "grid": grid,
        "share": shorts(share),
        "lines": [
            {
                "class": label,
                "mean": shorts(predicted[:, :, code].mean(axis=1)),
                "low": shorts(np.quantile(predicted[:, :, code], 0.1, axis=1)),
                "high": shorts(np.quantile(predicted[:, :, code], 0.9, axis=1)),
                "examples": [
                    shorts(predicted[:, row, code])
                    for row in np.linspace(0, rows - 1, min(EXAMPLES, rows)).round().astype(int)
                ],
            }
            for code, label in _shown(predicted, classes)
        ],
    }


def _shown(predicted: Array, classes: Sequence[Any] | None) -> list[tuple[int, Any]]:
    """The number; the positive class; or the classes that move most."""
    if classes is None:
        return [(0, None)]
    if len(classes) == 2:
        return [(1, classes[1])]
    moved = np.ptp(predicted.mean(axis=1), axis=0)
    return [(int(code), classes[code]) for code in np.argsort(-moved, kind="stable")[:MOST_CLASSES]]


def _grid(X: Array, column: Column) -> tuple[list[Any], Array, Array]:
    """Values to try, the encoded cells that stand for each, and the share of rows each stands for."""
    positions = list(column.positions)
    kind = column.schema["kind"]
    if kind in ("categorical", "boolean"):
        return _levels(X[:, positions], column.schema["categories"])
    # A date is several numbers that go together: those of a row of the table.
    first = X[:, positions[0]]
    known = np.flatnonzero(np.isfinite(first))
    if not len(known):
        return [None], X[:1, positions], np.ones(1)
    if kind == "datetime":
        ordered = known[np.argsort(first[known], kind="stable")]
        chosen = ordered[np.unique(np.linspace(0, len(ordered) - 1, GRID).round().astype(int))]
        chosen = chosen[np.unique(first[chosen], return_index=True)[1]]
        days = np.array(first[chosen], dtype="datetime64[D]")
        values, cells = [str(day) for day in days], X[np.ix_(chosen, positions)]
        return values, cells, _shares(first[known], first[chosen])
    tried = _numbers(first[known].astype(np.float64))
    return [short(value) for value in tried], tried.reshape(-1, 1), _shares(first[known], tried)


def _levels(X: Array, names: Sequence[str]) -> tuple[list[Any], Array, Array]:
    """Levels by their codes, in the first column, and what else is told of them: that of a row of each."""
    codes = X[:, 0]
    known = codes[np.isfinite(codes)].astype(int)
    counts = np.bincount(known, minlength=len(names))
    levels = [int(code) for code in np.argsort(-counts, kind="stable")[:MOST_LEVELS] if counts[code]]
    values: list[Any] = [names[code] for code in levels]
    rows = [int(np.argmax(codes == code)) for code in levels]
    share = [counts[code] / len(codes) for code in levels]
    cells = X[rows]
    # Of levels that have no code there may be letters or numbers all the same.
    if missing := int(np.isnan(X).all(axis=1).sum()):
        empty = np.full((1, X.shape[1]), np.nan, dtype=np.float32)
        values, cells, share = [*values, None], np.concatenate([cells, empty]), [*share, missing / len(codes)]
    return values, cells, np.array(share)


def _numbers(values: Array) -> Array:
    """The values themselves where they are few, else steps over the middle 96 %: equal ones, or factors."""
    distinct = np.unique(values)
    if len(distinct) <= GRID:
        return np.asarray(distinct)
    low, middle, high = np.quantile(values, [0.02, 0.5, 0.98])
    if low > 0 and high / middle > 8 and middle / low > 2:
        tried = np.geomspace(low, high, GRID)
    else:
        tried = np.linspace(low, high, GRID)
    if (values == values.round()).all():
        tried = tried.round()
    return np.unique(tried)


def _shares(values: Array, tried: Array) -> Array:
    """The share of rows whose value is nearest to each of some rising ones."""
    edges = (tried[1:] + tried[:-1]) / 2
    counts = np.bincount(np.searchsorted(edges, values), minlength=len(tried))
    return np.asarray(counts / max(len(values), 1))
