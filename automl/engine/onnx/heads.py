"""From what the estimators of a member add up to the mean of their predictions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from automl.engine.inference.model import LEAST_PROBABILITY, SIGN_FACTOR
from automl.engine.onnx.graph import Graph

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]

# As a logarithm of odds: no chance at all.
NEVER = -1e30


@dataclass(frozen=True, slots=True)
class Fold:
    """What the last step of a fold's estimator knows: its classes, or bounds of its numbers.

    Bounds and offset of logarithms, where it predicts those.

    `outputs` is how many numbers it gives: one for two classes, or one for each.
    """

    outputs: int = 1
    classes: tuple[int, ...] = ()
    log_bounds: tuple[float, float] | None = None
    log_offset: float = 0.0
    bounds: tuple[float, float] | None = None


def mean_number(graph: Graph, raw: str, folds: Sequence[Fold]) -> str:
    """The mean of numbers of shape (rows, folds): shape (rows, 1)."""
    is_log = folds[0].log_bounds is not None
    found = [fold.log_bounds if is_log else fold.bounds for fold in folds]
    bounds = [each for each in found if each is not None]
    if bounds:
        low, high = (graph.constant(side, np.float64) for side in zip(*bounds, strict=True))
        raw = graph.add("Min", graph.add("Max", raw, low), high)
    if is_log:
        raw = graph.add("Exp", raw)
        offset = folds[0].log_offset
        raw = graph.add("Sub", raw, graph.constant(offset, np.float64)) if offset else raw
    return mean(graph, raw, 1, keepdims=1)


def mean(graph: Graph, value: str, axis: int, *, keepdims: int = 0) -> str:
    """The mean along an axis."""
    return graph.add("ReduceMean", value, graph.constant([axis], np.int64), keepdims=keepdims)


def mean_probability(graph: Graph, raw: str, folds: Sequence[Fold], classes: int) -> str:
    """The mean of probabilities: shape (rows, classes).

    Parameters
    ----------
    raw : str
        Logarithms of odds or of chances as float64, those of all folds side by side.
    """
    everything = tuple(range(classes))
    usual = all(fold.classes == everything for fold in folds)
    if classes == 2 and usual and all(fold.outputs == 1 for fold in folds):
        return both_chances(graph, mean(graph, graph.add("Sigmoid", raw), 1, keepdims=1))
    if not usual or any(fold.outputs != classes for fold in folds):
        raw = _arrange(graph, raw, folds, classes)
    chances = graph.reshape(raw, 0, len(folds), classes)
    return mean(graph, graph.add("Softmax", chances, axis=2), 1)


def both_chances(graph: Graph, chance: str) -> str:
    """The chances of both classes from that of the second one, of shape (rows, 1)."""
    return graph.concat([graph.add("Sub", graph.constant(1.0, np.float64), chance), chance])


def _arrange(graph: Graph, raw: str, folds: Sequence[Fold], classes: int) -> str:
    """Put each fold's outputs to their classes; a class that a fold has not seen gets no chance."""
    zero = sum(fold.outputs for fold in folds)
    nothing = graph.add("Mul", graph.take(raw, [0]), graph.constant(0.0, np.float64))
    never = graph.add("Add", nothing, graph.constant(NEVER, np.float64))
    places: list[int] = []
    start = 0
    for fold in folds:
        own = list(range(start, start + fold.outputs))
        if fold.outputs == 1:
            own.insert(0, zero)
        found = dict(zip(fold.classes, own, strict=False))
        places += [found.get(code, zero + 1) for code in range(classes)]
        start += fold.outputs
    return graph.take(graph.concat([raw, nothing, never]), places)


def finish_probabilities(graph: Graph, raw: str) -> str:
    """No class is impossible, and every row sums to 1; see `inference.finish_probabilities`."""
    clipped = graph.add("Max", raw, graph.constant(LEAST_PROBABILITY, np.float64))
    total = graph.add("ReduceSum", clipped, graph.constant([1], np.int64), keepdims=1)
    return graph.add("Div", clipped, total)


def temper(graph: Graph, probabilities: str, temperature: float) -> str:
    """Probabilities raised to 1 / temperature; see `inference.temper`."""
    if temperature == 1.0:
        return probabilities
    logs = graph.add("Div", graph.add("Log", probabilities), graph.constant(temperature, np.float64))
    return finish_probabilities(graph, graph.add("Softmax", logs, axis=1))


def logarithm(graph: Graph, probabilities: str, least: float = LEAST_PROBABILITY) -> str:
    """The logarithms of probabilities, none of which is less than `least`."""
    return graph.add("Log", graph.add("Max", probabilities, graph.constant(least, np.float64)))


def keep_sign(graph: Graph, total: str, parts: Sequence[str]) -> str:
    """Hold a total at zero where all parts are on the other side of it; see `inference.combine`."""
    zero = graph.constant(0.0, np.float64)
    lowest = scale(graph, graph.add("Min", *parts, zero), SIGN_FACTOR)
    highest = scale(graph, graph.add("Max", *parts, zero), SIGN_FACTOR)
    return graph.add("Min", graph.add("Max", total, lowest), highest)


def total_of(graph: Graph, parts: Sequence[str]) -> str:
    """The sum of one or more."""
    return parts[0] if len(parts) == 1 else graph.add("Sum", *parts)


def scale(graph: Graph, value: str, factor: float) -> str:
    """Multiply, unless by one."""
    return value if factor == 1.0 else graph.add("Mul", value, graph.constant(factor, np.float64))
