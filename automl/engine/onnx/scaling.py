"""How numbers are prepared for models that add them up, for all folds of a member at once.

What scikit-learn rounds to 32 bits is rounded here as well. Quantiles and splines are functions by
pieces: a tree finds the piece of each number, and a table has its coefficients.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from automl.engine.onnx.features import Inputs
from automl.engine.onnx.graph import DOUBLE, FLOAT, INT64, Graph, Unsupported
from automl.engine.onnx.trees import Tree, ensemble, round_below, round_down

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]

# The probability next to 0 and 1 that scikit-learn still tells from them.
EDGE = np.float32(1e-7)


@dataclass(frozen=True, slots=True)
class Spread:
    """Prepared numbers, and where they are missing: both of shape (rows, folds, columns)."""

    values: str
    missing: str


def add_numbers(inputs: Inputs, pipelines: Sequence[Any], columns: Sequence[int]) -> Spread:
    """Add the numeric steps of all folds; the pipelines are of the same make."""
    graph, folds = inputs.graph, len(pipelines)
    # Column f * k + j is column j as fold f sees it.
    tiled = graph.take(inputs.matrix, list(columns) * folds)
    gaps = graph.add("IsNaN", tiled)
    kinds = [type(step).__name__ for _, step in pipelines[0].steps]
    found = tiled
    for place, kind in enumerate(kinds):
        steps = [pipeline.steps[place][1] for pipeline in pipelines]
        if kind == "SimpleImputer":
            filled = np.concatenate([step.statistics_ for step in steps]).astype(np.float32)
            found = graph.add("Where", gaps, graph.constant(filled), found)
        elif kind == "StandardScaler":
            found = _standardise(graph, found, steps)
        elif kind == "MinMaxScaler":
            found = _hold(graph, found, steps)
        elif kind == "QuantileTransformer":
            found = _spread_by_rank(graph, found, steps)
        elif kind == "SplineTransformer":
            found = _bend(graph, found, steps)
        else:
            raise Unsupported(f"its preprocessing {kind} is not known")
    missing = graph.reshape(graph.cast(gaps, DOUBLE), 0, folds, len(columns))
    return Spread(graph.cast(graph.reshape(found, 0, folds, -1), DOUBLE), missing)


def _standardise(graph: Graph, value: str, scalers: Sequence[Any]) -> str:
    means = np.concatenate([scaler.mean_ for scaler in scalers]).astype(np.float32)
    scales = np.concatenate([scaler.scale_ for scaler in scalers]).astype(np.float32)
    return graph.add("Div", graph.add("Sub", value, graph.constant(means)), graph.constant(scales))


def _hold(graph: Graph, value: str, scalers: Sequence[Any]) -> str:
    """From 0 to 1 between the least and the most of training, and no further."""
    scales = np.concatenate([scaler.scale_ for scaler in scalers]).astype(np.float32)
    starts = np.concatenate([scaler.min_ for scaler in scalers]).astype(np.float32)
    found = graph.add("Add", graph.add("Mul", value, graph.constant(scales)), graph.constant(starts))
    low, high = (graph.constant(np.float32(end)) for end in scalers[0].feature_range)
    return graph.add("Min", graph.add("Max", found, low), high)


@dataclass(frozen=True, slots=True)
class Pieces:
    """A function by pieces: where each begins, and its row of coefficients.

    Attributes
    ----------
    thresholds : array of float32
        Ascending; a number is in piece i if it is over the first i thresholds, and over no other.
    rows : array of shape (pieces, ...)
    """

    thresholds: Array
    rows: Array


def _find(graph: Graph, value: str, columns: Sequence[Pieces]) -> str:
    """Places of the pieces of all columns in one table of all rows: int64 of shape (rows, columns)."""
    trees: list[Tree] = []
    targets: list[int] = []
    first = np.cumsum([0, *(len(pieces.rows) for pieces in columns)])[:-1].astype(np.float64)
    for number, pieces in enumerate(columns):
        if len(pieces.thresholds):
            trees.append(_search_tree(pieces.thresholds, number))
            targets.append(number)
    if not trees:
        zero = graph.add(
            "Mul", graph.cast(graph.add("IsNaN", value), DOUBLE), graph.constant(0.0, np.float64)
        )
        return graph.cast(graph.add("Add", zero, graph.constant(first)), INT64)
    found = ensemble(graph, value, trees, targets, len(columns))
    return graph.cast(graph.add("Add", found, graph.constant(first)), INT64)


def _search_tree(thresholds: Array, column: int) -> Tree:
    """A balanced tree whose leaves are the numbers of pieces."""
    true: list[int] = []
    false: list[int] = []
    split: list[float] = []

    def grow(low: int, high: int) -> int:
        """The tree of the pieces from low to high; a leaf is negative."""
        if low == high:
            return ~low
        middle = (low + high) // 2
        node = len(split)
        split.append(float(thresholds[middle]))
        true.append(0)
        false.append(0)
        true[node], false[node] = grow(low, middle), grow(middle + 1, high)
        return node

    grow(0, len(thresholds))
    count = len(split)
    return Tree(
        np.full(count, column, dtype=np.int64),
        np.array(split, dtype=np.float32),
        np.zeros(count, dtype=bool),
        np.array(true, dtype=np.int64),
        np.array(false, dtype=np.int64),
        np.arange(count + 1, dtype=np.float64),
    )


def _coefficients(graph: Graph, value: str, columns: Sequence[Pieces]) -> str:
    """The row of each number's piece: float64 of shape (rows, columns, ...)."""
    table = np.concatenate([pieces.rows for pieces in columns])
    return graph.add("Gather", graph.constant(table, np.float64), _find(graph, value, columns), axis=0)


def _spread_by_rank(graph: Graph, value: str, steps: Sequence[Any]) -> str:
    is_normal = steps[0].output_distribution == "normal"
    columns = [
        _rank_pieces(step.quantiles_[:, column], step.references_, has_edge=is_normal)
        for step in steps
        for column in range(step.quantiles_.shape[1])
    ]
    rows = _coefficients(graph, value, columns)
    origin, start, slope = (_layer(graph, rows, layer) for layer in range(3))
    away = graph.add("Sub", graph.cast(value, DOUBLE), origin)
    share = graph.add("Add", start, graph.add("Mul", slope, away))
    # scikit-learn stores the share in the place of the number: in 32 bits.
    share = graph.cast(share, FLOAT)
    # Few rows' ranks are spread as a normal distribution.
    if not is_normal:
        return share
    return graph.cast(normal_quantile(graph, graph.cast(share, DOUBLE)), FLOAT)


def _layer(graph: Graph, rows: str, layer: int) -> str:
    return graph.add("Gather", rows, graph.constant(layer, np.int64), axis=2)


def _rank_pieces(quantiles: Array, references: Array, *, has_edge: bool) -> Pieces:
    """The share of values below a number: between quantiles on a line, at each of them a value of its own.

    Quantiles that are equal make a step; scikit-learn answers with its middle, but at the outermost ones with
    their end, and where ranks are spread as a normal distribution also near them. Rows are origin, value at
    the origin, slope.
    """
    points, first, counts = np.unique(quantiles, return_index=True, return_counts=True)
    low, high = references[first], references[first + counts - 1]
    rows = np.zeros((2 * len(points) + 1, 3))
    rows[:, 0] = np.append(points[0], np.repeat(points, 2))
    rows[1::2, 1] = (low + high) / 2
    rows[2::2, 1] = np.append(high[:-1], 1.0)
    rows[2:-1:2, 2] = (low[1:] - high[:-1]) / np.diff(points)
    thresholds = np.column_stack([round_below(points), round_down(points)]).ravel()
    return Pieces(*_end_low(*_end_high(thresholds, rows, points[-1], has_edge), points[0], has_edge))


def _end_high(thresholds: Array, rows: Array, point: Any, has_edge: bool) -> tuple[Array, Array]:
    """Let all numbers that scikit-learn takes for the largest quantile, or beyond it, be at 1."""
    last = _last(lambda x: not x + EDGE > point if has_edge else x < point, np.float32(point))
    kept = int((thresholds < last).sum())
    return np.append(thresholds[:kept], last), np.vstack([rows[: kept + 1], (point, 1.0, 0.0)])


def _end_low(thresholds: Array, rows: Array, point: Any, has_edge: bool) -> tuple[Array, Array]:
    """Let all numbers that scikit-learn takes for the smallest quantile, or below it, be at 0."""
    last = _last(lambda x: x - EDGE < point if has_edge else x <= point, np.float32(point))
    kept = int((thresholds <= last).sum())
    return np.append(last, thresholds[kept:]), np.vstack([(point, 0.0, 0.0), rows[kept:]])


def _last(holds: Callable[[Any], Any], near: Any) -> Any:
    """The last 32-bit number for which something holds that holds up to somewhere near a number."""
    low, high = near - 8 * EDGE, near + 8 * EDGE
    while not holds(low):
        low = np.nextafter(low, np.float32(-np.inf))
    while holds(high):
        high = np.nextafter(high, np.float32(np.inf))
    while np.nextafter(low, np.float32(np.inf)) < high:
        middle = low + (high - low) / np.float32(2.0)
        if not low < middle < high:
            middle = np.nextafter(low, np.float32(np.inf))
        low, high = (middle, high) if holds(middle) else (low, middle)
    return low


def _bend(graph: Graph, value: str, steps: Sequence[Any]) -> str:
    """Values of the splines: of each column all of its own, as SplineTransformer puts them."""
    columns = [
        _spline_pieces(spline, step.n_features_out_ // len(step.bsplines_))
        for step in steps
        for spline in step.bsplines_
    ]
    width = columns[0].rows.shape[1] - 1
    lows = np.array([pieces.rows[0, -1, 1] for pieces in columns])
    highs = np.array([pieces.rows[0, -1, 2] for pieces in columns])
    inside = graph.add(
        "Min",
        graph.add("Max", value, graph.constant(lows, np.float32)),
        graph.constant(highs, np.float32),
    )
    rows = _coefficients(graph, inside, columns)
    origin = graph.add("Gather", _layer(graph, rows, width), graph.constant([0], np.int64), axis=2)
    away = graph.add("Sub", graph.add("Unsqueeze", graph.cast(inside, DOUBLE), _axis(graph, 2)), origin)
    bases = graph.take(rows, range(width), axis=2)
    c0, c1, c2 = (graph.add("Gather", bases, graph.constant(power, np.int64), axis=3) for power in range(3))
    found = graph.add("Add", c1, graph.add("Mul", c2, away))
    found = graph.add("Add", c0, graph.add("Mul", found, away))
    return graph.cast(graph.reshape(found, 0, len(columns) * width), FLOAT)


def _axis(graph: Graph, axis: int) -> str:
    return graph.constant([axis], np.int64)


def _spline_pieces(spline: Any, width: int) -> Pieces:
    """Polynomials of the first `width` splines, and in a last row origin, and from where on nothing changes.

    The first piece is below all knots, the last two at the highest one and beyond it: there scikit-learn
    has only the outermost splines, which is a step where several knots are at one place.
    """
    if spline.k != 2:
        raise Unsupported(f"splines of degree {spline.k} are not known")
    knots = spline.t[spline.k : len(spline.t) - spline.k]
    low, high = knots[0], knots[-1]
    starts = np.unique(knots)[:-1]
    rows = np.zeros((len(starts) + 3, width + 1, 3))
    rows[:, width, 0] = [low, *starts, high, high]
    rows[:, width, 1:] = round_below(low), np.nextafter(round_down(high), np.float32(np.inf))
    rows[0, : spline.k, 0] = spline(low)[: spline.k]
    for number, start in enumerate(starts, 1):
        # From the right: at a knot the piece that begins there counts.
        for order in range(3):
            rows[number, :width, order] = spline(start, nu=order)[:width] / (1, 1, 2)[order]
    last = spline(high)
    rows[-2, :width, 0] = last[:width]
    last[: -spline.k] = 0.0
    rows[-1, :width, 0] = last[:width]
    thresholds = [*(round_below(start) for start in [*starts, high]), round_down(high)]
    return Pieces(np.array(thresholds, dtype=np.float32), rows)


def normal_quantile(graph: Graph, share: str) -> str:
    """The quantile of the normal distribution (Wichura 1988, AS 241), clipped as scikit-learn clips it."""
    from scipy.stats import norm

    low, high = norm.ppf(1e-7 - np.spacing(1)), norm.ppf(1 - (1e-7 - np.spacing(1)))

    def number(value: float) -> str:
        return graph.constant(value, np.float64)

    away = graph.add("Sub", share, number(0.5))
    central = graph.add("Sub", number(0.180625), graph.add("Mul", away, away))
    inner = graph.add("Mul", away, _ratio(graph, central, CENTRAL))
    tail = graph.add("Min", share, graph.add("Sub", number(1.0), share))
    # Zero has no logarithm; what comes of it is clipped.
    tail = graph.add("Max", tail, number(1e-300))
    root = graph.add("Sqrt", graph.add("Neg", graph.add("Log", tail)))
    near = _ratio(graph, graph.add("Sub", root, number(1.6)), NEAR)
    far = _ratio(graph, graph.add("Sub", root, number(5.0)), FAR)
    outer = graph.add("Where", graph.add("LessOrEqual", root, number(5.0)), near, far)
    outer = graph.add("Mul", outer, graph.add("Sign", away))
    is_central = graph.add("LessOrEqual", graph.add("Abs", away), number(0.425))
    found = graph.add("Where", is_central, inner, outer)
    return graph.add("Min", graph.add("Max", found, number(low)), number(high))


def _ratio(graph: Graph, value: str, coefficients: tuple[Sequence[float], Sequence[float]]) -> str:
    """A quotient of two polynomials, their coefficients from the highest power down."""
    above, below = (_polynomial(graph, value, side) for side in coefficients)
    return graph.add("Div", above, below)


def _polynomial(graph: Graph, value: str, coefficients: Sequence[float]) -> str:
    found = graph.constant(coefficients[0], np.float64)
    for coefficient in coefficients[1:]:
        found = graph.add("Mul", found, value)
        found = graph.add("Add", found, graph.constant(coefficient, np.float64))
    return found


# The coefficients of AS 241 for the middle, the tails, and the far tails.
CENTRAL = (
    (2.5090809287301226727e3, 3.3430575583588128105e4, 6.7265770927008700853e4, 4.5921953931549871457e4,
     1.3731693765509461125e4, 1.9715909503065514427e3, 1.3314166789178437745e2, 3.3871328727963666080e0),
    (5.2264952788528545610e3, 2.8729085735721942674e4, 3.9307895800092710610e4, 2.1213794301586595867e4,
     5.3941960214247511077e3, 6.8718700749205790830e2, 4.2313330701600911252e1, 1.0),
)  # fmt: skip
NEAR = (
    (7.74545014278341407640e-4, 2.27238449892691845833e-2, 2.41780725177450611770e-1,
     1.27045825245236838258e0, 3.64784832476320460504e0, 5.76949722146069140550e0,
     4.63033784615654529590e0, 1.42343711074968357734e0),
    (1.05075007164441684324e-9, 5.47593808499534494600e-4, 1.51986665636164571966e-2,
     1.48103976427480074590e-1, 6.89767334985100004550e-1, 1.67638483018380384940e0,
     2.05319162663775882187e0, 1.0),
)  # fmt: skip
FAR = (
    (2.01033439929228813265e-7, 2.71155556874348757815e-5, 1.24266094738807843860e-3,
     2.65321895265761230930e-2, 2.96560571828504891230e-1, 1.78482653991729133580e0,
     5.46378491116411436990e0, 6.65790464350110377720e0),
    (2.04426310338993978564e-15, 1.42151175831644588870e-7, 1.84631831751005468180e-5,
     7.86869131145613259100e-4, 1.48753612908506148525e-2, 1.36929880922735805310e-1,
     5.99832206555887937690e-1, 1.0),
)  # fmt: skip
