"""Words of a text to its components: counts, weights, a product.

A graph cannot cut words as Python's regular expressions do, so its input is a row of words, in the order
of the text, padded with empty ones; its last two are numbers as text: how long the text is, and how
many words a reader counts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from automl.engine.inference.words import PADDING
from automl.engine.onnx.graph import DOUBLE, FLOAT, ML, Graph, Unsupported


def add_text(graph: Graph, name: str, pipeline: Any, column: Mapping[str, Any]) -> tuple[str, int]:
    """Add the components of a text, its length, its number of words, its words; and how many columns that is.

    As the encoder does, it reckons with 64 bits and rounds, so that both come to the same numbers.
    """
    words, components = pipeline.steps[0][1], pipeline.steps[-1][1]
    if words.ngram_range != (1, 1) or words.norm != "l2" or not words.sublinear_tf:
        raise Unsupported("its way to weigh the words of a text is not known")
    own, figures = _split(graph, name)
    vocabulary = [str(word) for word in words.get_feature_names_out()]
    logs = count_logs(graph, own, len(vocabulary), pool_strings=vocabulary)
    weighted = graph.add("Mul", logs, graph.constant(words.idf_, np.float64))
    length = graph.add("ReduceL2", weighted, graph.constant([1], np.int64), keepdims=1)
    normed = graph.add("Div", weighted, nonzero(graph, length))
    found = graph.add("MatMul", normed, graph.constant(components.components_.T, np.float64))
    digits = graph.constant(10.0 ** column["decimals"], np.float64)
    rounded = graph.add("Div", graph.add("Round", graph.add("Mul", found, digits)), digits)
    blocks = [graph.cast(rounded, FLOAT), graph.cast(figures, FLOAT)]
    slots = column.get("places", 0)
    if slots:
        blocks.append(_places(graph, own, vocabulary, slots))
    return graph.concat(blocks), components.n_components + 2 + slots


def count_logs(graph: Graph, words: str, known: int, **pool: Any) -> str:
    """Add one more than the logarithm of how often each known word is in a row, 0 where it is not: float64.

    Parameters
    ----------
    words : str
        Rows of words, or of their numbers.
    known : int
    **pool
        The words that are known, in order: `pool_strings` or `pool_int64s`.
    """
    counts = graph.add(
        "TfIdfVectorizer",
        words,
        mode="TF",
        max_gram_length=1,
        min_gram_length=1,
        max_skip_count=0,
        ngram_counts=[0],
        ngram_indexes=np.arange(known, dtype=np.int64),
        **pool,
    )
    counts = graph.cast(counts, DOUBLE)
    one, nothing = graph.constant(1.0, np.float64), graph.constant(0.0, np.float64)
    # The logarithm of nothing would be endless.
    logs = graph.add("Add", graph.add("Log", graph.add("Max", counts, one)), one)
    return graph.add("Where", graph.add("Greater", counts, nothing), logs, nothing)


def nonzero(graph: Graph, length: str) -> str:
    """Give 1 for a length of 0, by which nothing can be divided."""
    one, nothing = graph.constant(1.0, np.float64), graph.constant(0.0, np.float64)
    return graph.add("Where", graph.add("Equal", length, nothing), one, length)


def _places(graph: Graph, own: str, vocabulary: Sequence[str], slots: int) -> str:
    """The places of the first words in the vocabulary, as `places_of_words` gives them."""
    places = graph.add(
        "LabelEncoder",
        own,
        domain=ML,
        keys_strings=[*vocabulary, ""],
        values_floats=[*map(float, range(len(vocabulary))), float(PADDING)],
        default_float=float(len(vocabulary)),
    )
    padding = graph.constant(PADDING, np.float32)
    wide = graph.add("Pad", places, graph.constant([0, 0, 0, slots], np.int64), padding)
    ends = (graph.constant([value], np.int64) for value in (0, slots, 1))
    return graph.add("Slice", wide, *ends)


def _split(graph: Graph, name: str) -> tuple[str, str]:
    """The words, and the two figures behind them."""
    last, end, axis = (graph.constant([value], np.int64) for value in (-2, np.iinfo(np.int64).max, 1))
    start = graph.constant([0], np.int64)
    return graph.add("Slice", name, start, last, axis), graph.add("Slice", name, last, end, axis)
