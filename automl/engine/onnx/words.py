"""What the words of texts add to a linear model, as `inference.word_weights.WithWords` weighs them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from automl.engine.inference.word_weights import WithWords
from automl.engine.onnx.features import Inputs
from automl.engine.onnx.graph import DOUBLE, INT64, Graph
from automl.engine.onnx.texts import count_logs, nonzero

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]


def add_words(inputs: Inputs, told: Sequence[Mapping[str, Any]], weights: Sequence[Array]) -> str:
    """Add what words and pairs weigh in all folds together: float64 of shape (folds, rows, outputs).

    Parameters
    ----------
    told : sequence of mapping
        Of each fold, see `inference.word_weights.parted`.
    weights : sequence of array of shape (columns, outputs)
        Of each fold; those of words and pairs are the last.
    """
    graph, texts, buckets = inputs.graph, told[0]["texts"], told[0]["buckets"]
    start = weights[0].shape[0] - sum(words + buckets for _, _, words in texts)
    parts: list[str] = []
    block = 0
    for first, slots, words in texts:
        places = graph.cast(graph.take(inputs.matrix, range(first, first + slots)), INT64)
        for find, width in ((_words, words), (_pairs, buckets)):
            if width:
                idf = [np.asarray(fold["idf"][block]) for fold in told]
                own = [fold[start : start + width] for fold in weights]
                parts.append(find(graph, places, (words, width), _Tables(graph, idf, own)))
                block, start = block + 1, start + width
    total = parts[0]
    for part in parts[1:]:
        total = graph.add("Add", total, part)
    return total


class _Tables:
    """Of each fold what is added for a word or a pair, and what it adds to the square of a row's length.

    They are reckoned in the graph, of numbers that take half the room and of which members share some.
    """

    def __init__(self, graph: Graph, idf: Sequence[Array], weights: Sequence[Array]) -> None:
        inverse = [graph.cast(graph.constant(found[:, None], np.float32), DOUBLE) for found in idf]
        self.squares = [graph.add("Mul", found, found) for found in inverse]
        self.values = [
            graph.add("Mul", found, graph.cast(graph.constant(own, _kind(own)), DOUBLE))
            for found, own in zip(inverse, weights, strict=True)
        ]
        self.outputs = weights[0].shape[1]


def _kind(weights: Array) -> Any:
    """The type that holds weights to the last digit; see `automl.engine.slimming`."""
    return np.float32 if np.array_equal(weights.astype(np.float32), weights) else np.float64


def _words(graph: Graph, places: str, sizes: tuple[int, int], tables: _Tables) -> str:
    words, _ = sizes
    found = count_logs(graph, places, words, pool_int64s=np.arange(words, dtype=np.int64))
    squared = graph.add("Mul", found, found)
    folds = [
        _scaled(
            graph,
            graph.add("MatMul", found, values),
            graph.add("MatMul", squared, squares),
        )
        for values, squares in zip(tables.values, tables.squares, strict=True)
    ]
    return graph.concat(folds, axis=0)


def _pairs(graph: Graph, places: str, sizes: tuple[int, int], tables: _Tables) -> str:
    words, buckets = sizes
    start, last, end, axis = (
        graph.constant([value], np.int64) for value in (0, -1, np.iinfo(np.int64).max, 1)
    )
    one = graph.add("Slice", places, start, last, axis)
    other = graph.add("Slice", places, axis, end, axis)
    nothing, unknown = graph.constant(0, np.int64), graph.constant(words, np.int64)
    is_known = graph.add("Or", graph.add("Less", one, unknown), graph.add("Less", other, unknown))
    is_pair = graph.add("And", graph.add("GreaterOrEqual", other, nothing), is_known)
    factors = (graph.constant(factor, np.int64) for factor in WithWords.FACTORS)
    parts = (graph.add("Mul", each, factor) for each, factor in zip((one, other), factors, strict=True))
    bucket = graph.add("Mod", graph.add("Add", *parts), graph.constant(buckets, np.int64))
    # What is no pair takes the last row, which is nothing.
    bucket = graph.add("Where", is_pair, bucket, graph.constant(buckets, np.int64))

    def summed(table: str, width: int) -> str:
        wide = graph.concat([table, graph.constant(np.zeros((1, width)), np.float64)], axis=0)
        found = graph.add("Gather", wide, bucket, axis=0)
        return graph.add("ReduceSum", found, graph.constant([1], np.int64), keepdims=0)

    folds = [
        _scaled(graph, summed(values, tables.outputs), summed(squares, 1))
        for values, squares in zip(tables.values, tables.squares, strict=True)
    ]
    return graph.concat(folds, axis=0)


def _scaled(graph: Graph, found: str, square: str) -> str:
    """Divide by each row's length, times the scale; shape (1, rows, outputs)."""
    length = nonzero(graph, graph.add("Sqrt", square))
    scaled = graph.add("Div", found, graph.add("Div", length, graph.constant(WithWords.SCALE, np.float64)))
    return graph.add("Unsqueeze", scaled, graph.constant([0], np.int64))
