"""CatBoost's symmetric trees and its statistics of categories.

All nodes of a level ask the same question, so that a tree is a list of questions and a table of
leaves: the answers, read as a binary number, are the place in the table. A statistic is a function of
one category or of a few: a table too, and where these have many levels one of the combinations that
training had. All others are alike to CatBoost.
"""

from __future__ import annotations

import itertools
import json
import math
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from automl.engine.inference import FittedModel
from automl.engine.onnx.features import Inputs, codes_of
from automl.engine.onnx.graph import DOUBLE, FLOAT, INT64, ML, Graph, Unsupported

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]

WHOLE = "cat_feature_value"
# A table of all combinations is looked up by place up to this size; beyond it those of training are, by key.
MOST_PLACES = 20_000
# Where training rows don't tell which combinations there were, so many are tried, in a tenth of a second.
MOST_TRIED = 500_000
# What combinations are numbered with.
LARGEST = (1 << 63) - 1
YES_NO = np.arange(2, dtype=np.uint64)
WORD = (1 << 64) - 1
# In a place of CatBoost's own table that holds nothing.
EMPTY = np.uint64(WORD)
COMBINE = np.uint64(0x4906BA494954CB65)


def add_catboost(
    inputs: Inputs, models: Sequence[FittedModel], thresholds: list[tuple[int, float]]
) -> tuple[str, list[int]]:
    """Add what the models add up, as float64 side by side; and how many outputs each has."""
    parts: list[str] = []
    outputs: list[int] = []
    for model in models:
        with tempfile.TemporaryDirectory(prefix="bakeoff-") as folder:
            path = Path(folder) / "model.json"
            model.estimator.save_model(str(path), format="json")
            stored = json.loads(path.read_text(encoding="utf-8"))
        fold = _Fold(inputs, stored)
        parts.append(fold.add(thresholds))
        outputs.append(fold.outputs)
    return inputs.graph.concat(parts), outputs


@dataclass(frozen=True, slots=True)
class _Part:
    """What a statistic looks at: a number from 0 on in the graph, what is hashed for each, and what gives
    the numbers of training rows.
    """

    name: str
    hashes: Array
    numbers: Callable[[Array], Array]


class _Fold:
    """One model: its questions, in the order in which splits number them."""

    def __init__(self, inputs: Inputs, stored: Mapping[str, Any]) -> None:
        self.inputs = inputs
        self.graph: Graph = inputs.graph
        self.stored = stored
        info = stored["features_info"]
        self.floats = info.get("float_features") or []
        self.categories = info.get("categorical_features") or []
        self.ctrs = info.get("ctrs") or []
        self.columns = [int(found["flat_feature_index"]) for found in self.categories]
        self.count = self.outputs = 0
        self._read: dict[str, tuple[Array, Array]] = {}

    def add(self, thresholds: list[tuple[int, float]]) -> str:
        graph = self.graph
        trees = self.stored["oblivious_trees"]
        scale, start = self.stored["scale_and_bias"]
        start = np.atleast_1d(np.asarray(start, dtype=np.float64))
        depth = max((len(tree.get("splits") or []) for tree in trees), default=0)
        width = self.outputs = len(start)
        if depth == 0:
            raise Unsupported("its trees ask no question")
        answers = self._answers(thresholds)
        questions = np.zeros((depth, len(trees)), dtype=np.int64)
        table: list[Array] = []
        first, start_of_tree = np.zeros(len(trees), dtype=np.float32), 0
        for number, tree in enumerate(trees):
            splits = [split["split_index"] for split in tree.get("splits") or []]
            # A question that a shallower tree lacks is the last one, to which the answer is always no.
            questions[:, number] = [*splits, *[-1] * (depth - len(splits))]
            first[number] = start_of_tree
            table.append(np.asarray(tree["leaf_values"], dtype=np.float64).reshape(-1, width))
            start_of_tree += len(table[-1])
        questions[questions < 0] = self.count
        found = graph.add("Gather", answers, graph.constant(questions), axis=0)
        flat = graph.reshape(found, depth, -1)
        powers = graph.constant((2.0 ** np.arange(depth))[None, :], np.float32)
        places = graph.reshape(graph.add("MatMul", powers, flat), len(trees), -1)
        places = graph.cast(graph.add("Add", places, graph.constant(first[:, None])), INT64)
        leaves = np.concatenate(table).astype(np.float32)
        values = graph.add("Gather", graph.constant(leaves), places, axis=0)
        total = graph.add("ReduceSum", graph.cast(values, DOUBLE), graph.constant([0], np.int64), keepdims=0)
        scaled = graph.add("Mul", total, graph.constant(float(scale), np.float64))
        return graph.add("Add", scaled, graph.constant(start))

    def _answers(self, thresholds: list[tuple[int, float]]) -> str:
        """The answers to all questions as 0 and 1, one row a question, and a row of zeros."""
        graph = self.graph
        blocks = [self.inputs.matrix]
        places: list[int] = []
        borders: list[float] = []
        for feature in self.floats:
            own = [float(border) for border in feature.get("borders") or []]
            column = int(feature["flat_feature_index"])
            if feature.get("nan_value_treatment") == "AsTrue":
                raise Unsupported("CatBoost took gaps for the largest numbers")
            places += [column] * len(own)
            borders += own
            thresholds += [(column, border) for border in own]
        width = self.inputs.width
        for feature in self.categories:
            values = [int(value) & 0xFFFFFFFF for value in feature.get("values") or []]
            if values:
                column = int(feature["flat_feature_index"])
                hashes = _code_hashes(self.inputs.levels[column])
                table = np.asarray(hashes[:, None] == np.array(values, dtype=np.uint64))
                blocks.append(self.inputs.look_up(column, table.astype(np.float32)))
                places += range(width, width + len(values))
                borders += [0.5] * len(values)
                width += len(values)
        for block, own_borders in self._statistics():
            blocks.append(block)
            for offset, found in enumerate(own_borders):
                places += [width + offset] * len(found)
                borders += found
            width += len(own_borders)
        self.count = len(borders)
        matrix = graph.add("Transpose", graph.concat(blocks), perm=[1, 0])
        asked = graph.take(matrix, [*places, 0], axis=0)
        limits = np.array([*borders, np.inf], dtype=np.float32)[:, None]
        return graph.cast(graph.add("Greater", asked, graph.constant(limits)), FLOAT)

    def _statistics(self) -> list[tuple[str, list[list[float]]]]:
        """Values of the statistics as blocks of columns, and the borders of each column."""
        blocks = []
        grouped = itertools.groupby(self.ctrs, key=lambda ctr: json.dumps(ctr["elements"]))
        for _, group in grouped:
            ctrs = list(group)
            # Whole categories are hashed first.
            elements = sorted(ctrs[0]["elements"], key=lambda found: found["combination_element"] != WHOLE)
            parts = [self._element(element) for element in elements]
            own = [[float(border) for border in ctr["borders"]] for ctr in ctrs]
            blocks.append((self._look_up(parts, ctrs), own))
        return blocks

    def _look_up(self, parts: Sequence[_Part], ctrs: Sequence[Mapping[str, Any]]) -> str:
        """Statistics of one combination side by side."""
        graph, count = self.graph, math.prod(len(part.hashes) for part in parts)
        if count > LARGEST:
            raise Unsupported("CatBoost combined categories of too many levels")
        place = self._place(parts)
        if count <= MOST_PLACES:
            table = self._table(ctrs, _hashes(parts, np.arange(count)))
            return graph.add("Gather", graph.constant(table[:-1]), place, axis=0)
        keys, hashes = self._trained(parts, count, {ctr["identifier"] for ctr in ctrs})
        table = self._table(ctrs, hashes)
        differs = (table[:-1] != table[-1]).any(axis=1)
        keys, table = keys[differs], table[np.append(differs, True)]
        found = graph.add(
            "LabelEncoder",
            place,
            domain=ML,
            keys_int64s=keys,
            values_int64s=np.arange(len(keys)),
            default_int64=len(keys),
        )
        return graph.add("Gather", graph.constant(table), found, axis=0)

    def _place(self, parts: Sequence[_Part]) -> str:
        """A number for every combination."""
        graph = self.graph
        place = parts[0].name
        for part in parts[1:]:
            scaled = graph.add("Mul", place, graph.constant(len(part.hashes), np.int64))
            place = graph.add("Add", scaled, part.name)
        return place

    def _trained(self, parts: Sequence[_Part], count: int, identifiers: set[str]) -> tuple[Array, Array]:
        """The numbers and hashes of combinations, all that training had among them.

        Read off the training rows. Where there are none, or not all, every combination is tried.
        """
        known = np.unique(np.concatenate([self._buckets(identifier)[0] for identifier in identifiers]))
        if (rows := self.inputs.rows) is not None:
            places = np.zeros(len(rows), dtype=np.int64)
            for part in parts:
                places = places * len(part.hashes) + part.numbers(rows)
            keys = np.unique(places)
            hashes = _hashes(parts, keys)
            if np.isin(known, hashes).all():
                return keys, hashes
        if count > MOST_TRIED:
            raise Unsupported("CatBoost combined categories of too many levels")
        keys = np.arange(count)
        hashes = _hashes(parts, keys)
        had = np.isin(hashes, known)
        return keys[had], hashes[had]

    def _element(self, element: Mapping[str, Any]) -> _Part:
        """What a statistic looks at."""
        graph, kind = self.graph, element["combination_element"]
        if kind == "float_feature":
            column = int(self.floats[element["float_feature_index"]]["flat_feature_index"])
            border = np.float32(element["border"])
            value = graph.add("Gather", self.inputs.matrix, graph.constant(column, np.int64), axis=1)
            answer = graph.cast(graph.add("Greater", value, graph.constant(border, np.float32)), INT64)
            return _Part(answer, YES_NO, lambda rows: rows[:, column] > border)
        column = self.columns[element["cat_feature_index"]]
        hashes = _code_hashes(self.inputs.levels[column])
        if kind == WHOLE:
            return _Part(self.inputs.code(column), _signed(hashes), lambda rows: codes_of(rows[:, column]))
        wanted = int(element.get("value", element.get("cat_feature_exact_value", 0))) & 0xFFFFFFFF
        is_it = (hashes == np.uint64(wanted)).astype(np.int64)
        found = self.inputs.look_up(column, is_it)
        return _Part(found, YES_NO, lambda rows: is_it[codes_of(rows[:, column])])

    def _table(self, ctrs: Sequence[Mapping[str, Any]], hashes: Array) -> Array:
        """Values of the statistics for each hash, and in the last row for what training did not have."""
        return np.stack([self._values(ctr, hashes) for ctr in ctrs], axis=1)

    def _values(self, ctr: Mapping[str, Any], hashes: Array) -> Array:
        """A statistic's value for each hash, and for one that training did not have."""
        data = self.stored["ctr_data"][ctr["identifier"]]
        known, counts = self._buckets(ctr["identifier"])
        good, total, empty = _counted(ctr, counts, float(data.get("counter_denominator") or 0))
        place = np.clip(np.searchsorted(known, hashes), 0, max(len(known) - 1, 0))
        is_known = known[place] == hashes
        counted = np.append(np.where(is_known, good[place], 0.0), 0.0)
        return _ctr(ctr, counted, np.append(np.where(is_known, total[place], empty), empty))

    def _buckets(self, identifier: str) -> tuple[Array, Array]:
        """The hashes that training had, in order, and what it counted of each; statistics share them."""
        if identifier not in self._read:
            data = self.stored["ctr_data"][identifier]
            stride, flat = int(data["hash_stride"]), data["hash_map"]
            known = np.array([int(value) for value in flat[::stride]], dtype=np.uint64)
            counts = np.array(
                [[float(value) for value in flat[i + 1 : i + stride]] for i in range(0, len(flat), stride)],
                dtype=np.float64,
            ).reshape(len(known), stride - 1)
            order = np.argsort(known)
            order = order[known[order] != EMPTY]
            self._read[identifier] = known[order], counts[order]
        return self._read[identifier]


@cache
def _code_hashes(levels: int) -> Array:
    """The hash of every code of a column, that of a missing one first: as text it is -1."""
    return np.array([text_hash(str(code)) & 0xFFFFFFFF for code in range(-1, levels)], dtype=np.uint64)


def _counted(ctr: Mapping[str, Any], counts: Array, denominator: float) -> tuple[Array, Array, float]:
    """What counts for a statistic in each bucket, of how many, and of how many where there is no bucket."""
    kind, border = ctr["ctr_type"], int(ctr["target_border_idx"])
    if kind in ("Counter", "FeatureFreq"):
        return counts[:, 0], np.full(len(counts), denominator), denominator
    if kind in ("BinarizedTargetMeanValue", "FloatTargetMeanValue"):
        return counts[:, 0], counts[:, 1], 0.0
    if kind == "Buckets":
        return counts[:, border], counts.sum(axis=1), 0.0
    if kind == "Borders":
        return counts[:, border + 1 :].sum(axis=1), counts.sum(axis=1), 0.0
    raise Unsupported(f"CatBoost's statistic {kind} is not known")


def _ctr(ctr: Mapping[str, Any], good: Array, total: Array) -> Array:
    """The value as CatBoost computes it, in 32 bits."""
    number = np.float32
    ratio = (good.astype(number) + number(ctr["prior_numerator"])) / (
        total.astype(number) + number(ctr["prior_denomerator"])
    )
    return np.asarray((ratio + number(ctr["shift"])) * number(ctr["scale"]), dtype=number)


def _signed(hashes: Array) -> Array:
    """Hashes as 32-bit numbers with a sign, widened."""
    return np.asarray(hashes.astype(np.uint32).astype(np.int32).astype(np.int64).astype(np.uint64))


def _hashes(parts: Sequence[_Part], places: Array) -> Array:
    """The hashes of combinations by their numbers."""
    own = []
    for part in reversed(parts):
        own.append(part.hashes[places % len(part.hashes)])
        places = places // len(part.hashes)
    found = np.zeros(1, dtype=np.uint64)
    for hashes in reversed(own):
        found = _combine(found, hashes)
    return found


def _combine(first: Array, second: Array) -> Array:
    with np.errstate(over="ignore"):
        return np.asarray(COMBINE * (first + COMBINE * second))


def text_hash(text: str) -> int:
    """CityHash64 (version 1) of a text of at most 8 bytes; codes are no longer."""
    data = text.encode()
    size, second, third = len(data), 0x9AE16A3B2F90404F, 0xC949D7C7509E6557
    if size < 4:
        low = data[0] + (data[size >> 1] << 8)
        high = size + (data[-1] << 2)
        return _mix((low * second ^ high * third) & WORD) * second & WORD
    first, last = (int.from_bytes(part, "little") for part in (data[:4], data[-4:]))
    factor = 0x9DDFEA08EB382D69
    low = size + (first << 3)
    mixed = _mix((low ^ last) * factor & WORD)
    return _mix((last ^ mixed) * factor & WORD) * factor & WORD


def _mix(value: int) -> int:
    return value ^ (value >> 47)
