"""What the columns of an estimator's matrix are made of, and the matrix that all trees of a member share.

Trees of one member read one matrix: that of the table, and columns made of codes by a table of
values. A fold's own preprocessing of a category is such a table, whatever made it: we ask it for the
value of every code.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from automl.engine.onnx.graph import INT64, Graph, Unsupported
from automl.engine.onnx.trees import Tree, round_below, round_down

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]


@dataclass(frozen=True, slots=True)
class Source:
    """A column of an estimator's matrix: one of the table, or `values` of its codes.

    Position 0 of the values is that of a missing code, code c is at c + 1.
    """

    column: int
    values: Array | None = None


class Inputs:
    """The encoded table in a graph: `matrix` of float32, and the codes of its categories, 0 where missing.

    `rows` is the matrix that was trained on, where that is at hand.
    """

    def __init__(
        self, graph: Graph, matrix: str, levels: dict[int, int], width: int, *, rows: Array | None = None
    ) -> None:
        self.graph = graph
        self.matrix = matrix
        self.levels = levels
        self.width = width
        self.own = width  # columns of the table; those after them are what models predict
        self.rows = rows
        self.categories = sorted(levels)
        self._codes: str | None = None

    def widened(self, columns: Sequence[str], count: int) -> Inputs:
        """The same with so many further columns of numbers."""
        found = Inputs(
            self.graph, self.graph.concat([self.matrix, *columns]), self.levels, self.width + count
        )
        found.rows, found._codes, found.own = self.rows, self._codes, self.own
        return found

    def codes(self) -> str:
        """Codes of all categories as int64, each one more than in the matrix."""
        if self._codes is None:
            graph = self.graph
            found = graph.take(self.matrix, self.categories)
            missing = graph.add("IsNaN", found)
            whole = graph.add("Where", missing, graph.constant(-1.0, np.float32), found)
            self._codes = graph.cast(graph.add("Add", whole, graph.constant(1.0, np.float32)), INT64)
        return self._codes

    def code(self, column: int) -> str:
        """Codes of one column, as `codes` has them."""
        place = self.categories.index(column)
        return self.graph.add("Gather", self.codes(), self.graph.constant(place, np.int64), axis=1)

    def look_up(self, column: int, table: Array) -> str:
        """Rows of a table by the codes of a column."""
        return self.graph.add("Gather", self.graph.constant(table), self.code(column), axis=0)


def codes_of(values: Array) -> Array:
    """Codes of a column of the matrix, as `Inputs.code` has them in the graph."""
    return np.asarray(np.nan_to_num(values, nan=-1.0).astype(np.int64) + 1)


class TreeMatrix:
    """The matrix that the trees of a member share; features are numbered as they are asked for."""

    def __init__(self, inputs: Inputs) -> None:
        self._inputs = inputs
        self._tables: dict[int, list[Array]] = {}
        self._order: list[tuple[int, int]] = []
        self._members: dict[int, dict[int, int]] = {}

    def add_values(self, column: int, values: Array) -> int:
        """A feature that is a value of each code."""
        table = self._tables.setdefault(column, [])
        table.append(values.astype(np.float32))
        self._order.append((column, len(table) - 1))
        return self._inputs.width + len(self._order) - 1

    def number_members(self, column: int, sets: Sequence[Sequence[int]]) -> tuple[int, dict[int, int]]:
        """A feature for sets of codes: those that are in most sets have the smallest numbers, 0 is in none.

        ONNX Runtime tests up to 32 numbers, those from 1 on, at once.
        """
        counts = np.bincount([code for codes in sets for code in codes])
        order = [int(code) for code in np.argsort(-counts, kind="stable") if counts[code]]
        numbers = {code: number for number, code in enumerate(order, start=1)}
        values = np.zeros(self._inputs.levels[column] + 1)
        for code, number in numbers.items():
            if code + 1 < len(values):
                values[code + 1] = number
        return self.add_values(column, values), numbers

    def name(self) -> str:
        """The matrix's name in the graph."""
        graph = self._inputs.graph
        if not self._order:
            return self._inputs.matrix
        blocks: list[str] = []
        places: dict[tuple[int, int], int] = {}
        start = self._inputs.width
        for column, vectors in self._tables.items():
            blocks.append(self._inputs.look_up(column, np.stack(vectors, axis=1)))
            places |= {(column, number): start + number for number in range(len(vectors))}
            start += len(vectors)
        joined = graph.concat([self._inputs.matrix, *blocks])
        wanted = [*range(self._inputs.width), *(places[entry] for entry in self._order)]
        return joined if wanted == list(range(start)) else graph.take(joined, wanted)


class Columns:
    """The columns of one fold's matrix as features of its member's."""

    def __init__(self, shared: TreeMatrix, sources: Sequence[Source]) -> None:
        self.shared = shared
        self.sources = sources
        self._sorted: dict[int, tuple[int, Array]] = {}
        # Nearly all columns are of the table: where they lie, -1 where they are values of codes.
        self._plain = np.array(
            [source.column if source.values is None else -1 for source in sources], dtype=np.int64
        )

    def tree(self, tree: Tree, *, strictly: bool = False) -> Tree:
        """Give a tree over the member's features, its thresholds ours.

        Parameters
        ----------
        tree : Tree
            Over the fold's columns, thresholds as the library compares them.
        strictly : bool
            The library compares by less than.
        """
        if tree.is_constant:
            return tree
        feature = self._plain[tree.feature]
        threshold = (round_below if strictly else round_down)(tree.threshold)
        ranked = np.flatnonzero(feature < 0)
        if tree.members.keys() & set(ranked.tolist()):
            raise Unsupported("a category is both encoded and split by its levels")
        for column in np.unique(tree.feature[ranked]):
            nodes = ranked[tree.feature[ranked] == column]
            feature[nodes], values = self._ranked(int(column))
            below = np.searchsorted(values, tree.threshold[nodes], side="left" if strictly else "right")
            threshold[nodes] = below - 0.5
        return replace(tree, feature=feature, threshold=threshold)

    def _ranked(self, column: int) -> tuple[int, Array]:
        """A feature that is the rank of a code's value, and the values in order.

        Thresholds between values become thresholds between ranks, so that nothing is rounded.
        """
        if column not in self._sorted:
            source = self.sources[column]
            assert source.values is not None
            if np.isnan(source.values).any():
                raise Unsupported("its encoding of a category leaves gaps")
            values, ranks = np.unique(source.values, return_inverse=True)
            self._sorted[column] = self.shared.add_values(source.column, ranks), values
        return self._sorted[column]


def number_categories(shared: TreeMatrix, trees: Sequence[Tree]) -> None:
    """Give the splits by levels of all trees of a member features of their own, in place."""
    sets: dict[int, list[list[int]]] = {}
    for tree in trees:
        for node, codes in tree.members.items():
            sets.setdefault(int(tree.feature[node]), []).append(codes)
    found = {column: shared.number_members(column, chosen) for column, chosen in sets.items()}
    for tree in trees:
        for node, codes in tree.members.items():
            feature, numbers = found[int(tree.feature[node])]
            tree.feature[node] = feature
            tree.members[node] = [numbers[code] for code in codes]


def code_tables(transformer: Any, levels: Sequence[int]) -> list[Array]:
    """The values of every code of some columns, one table each; the first row is that of a missing code."""
    codes = np.full((max(levels) + 1, len(levels)), np.nan, dtype=np.float32)
    for place, count in enumerate(levels):
        codes[1 : count + 1, place] = np.arange(count)
    found = transformer.transform(codes)
    values = np.asarray(found.toarray() if hasattr(found, "toarray") else found)
    widths = _widths(transformer, len(levels), values.shape[1])
    ends = np.cumsum(widths)
    return [
        values[: count + 1, end - width : end] for count, width, end in zip(levels, widths, ends, strict=True)
    ]


def _widths(transformer: Any, columns: int, total: int) -> list[int]:
    """How many output columns each input column has, in order."""
    if type(transformer).__name__ != "OneHotEncoder":
        return [total // columns] * columns
    names = [str(name) for name in transformer.get_feature_names_out()]
    owners = [int(name[1 : name.index("_")]) for name in names]
    return [owners.count(column) for column in range(columns)]


def tree_sources(preprocess: Any, inputs: Inputs) -> list[Source]:
    """Say what the columns are that an estimator of trees gets."""
    if preprocess is None:
        return [Source(column) for column in range(inputs.width)]
    sources: list[Source] = []
    for name, transformer, columns in preprocess.transformers_:
        if name == "keep":
            sources += [Source(int(column)) for column in columns]
        elif name == "target":
            tables = code_tables(transformer, [inputs.levels[column] for column in columns])
            for column, table in zip(columns, tables, strict=True):
                sources += [Source(int(column), values) for values in table.T]
        elif len(columns) and (name, transformer) != ("remainder", "drop"):
            raise Unsupported(f"its preprocessing {name} is not known")
    return sources
