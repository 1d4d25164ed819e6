"""Decision trees of any library as one kind of tree, and many of them as one ONNX node.

Trees compare 32-bit numbers: the matrix holds such. A library that compares them with 64-bit
thresholds decides as we do when a threshold is rounded down, see `round_down`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from automl.engine.onnx.graph import DOUBLE, ML, Graph

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]

LEQ, MEMBER = 0, 6
SUM = 1


@dataclass(slots=True)
class Tree:
    """A tree in arrays: one entry for each inner node, the first of them the root.

    Attributes
    ----------
    feature : array of int
    threshold : array of float32
        A row goes to `true` where its feature is at most this.
    missing_true : array of bool
        Where a row without the feature goes.
    true, false : array of int
        The next inner node, or, where negative, the complement of the leaf.
    leaves : array of float
    members : dict
        By node: values that go to `true`, in place of a threshold.
    """

    feature: Array
    threshold: Array
    missing_true: Array
    true: Array
    false: Array
    leaves: Array
    members: dict[int, list[int]] = field(default_factory=dict)

    @property
    def is_constant(self) -> bool:
        """Whether it has no inner node."""
        return len(self.feature) == 0


def round_down(thresholds: Any) -> Array:
    """The largest 32-bit numbers that are at most the thresholds: no 32-bit number lies between the two."""
    wide = np.asarray(thresholds, dtype=np.float64)
    with np.errstate(over="ignore"):
        narrow = wide.astype(np.float32)
    return np.where(narrow > wide, np.nextafter(narrow, np.float32(-np.inf)), narrow)


def round_below(thresholds: Any) -> Array:
    """The largest 32-bit numbers below the thresholds, for libraries that compare by less than."""
    narrow = round_down(thresholds)
    return np.where(narrow == np.asarray(thresholds), np.nextafter(narrow, np.float32(-np.inf)), narrow)


def ensemble(graph: Graph, matrix: str, trees: Sequence[Tree], targets: Sequence[int], count: int) -> str:
    """Add trees up, each to its target: float64 of shape (rows, count); each tree has an inner node.

    Sums are of 64 bits, which takes no longer. What is summed up and compared has 32, which pack better.
    """
    nodes = np.array([len(tree.feature) for tree in trees], dtype=np.int64)
    leaves = np.array([len(tree.leaves) for tree in trees], dtype=np.int64)
    first_node, first_leaf = np.cumsum(nodes) - nodes, np.cumsum(leaves) - leaves
    true, true_leaf = _children([tree.true for tree in trees], nodes, first_node, first_leaf)
    false, false_leaf = _children([tree.false for tree in trees], nodes, first_node, first_leaf)
    modes, members = _sets(trees, first_node)
    missing = np.concatenate([tree.missing_true for tree in trees]).astype(np.int64)
    optional: dict[str, Any] = {}
    if missing.any():
        optional["nodes_missing_value_tracks_true"] = missing
    if len(members):
        optional["membership_values"] = members
    return graph.add(
        "TreeEnsemble",
        graph.cast(matrix, DOUBLE),
        domain=ML,
        tree_roots=first_node,
        n_targets=count,
        aggregate_function=SUM,
        nodes_featureids=np.concatenate([tree.feature for tree in trees]).astype(np.int64),
        nodes_splits=np.concatenate([tree.threshold for tree in trees]).astype(np.float64),
        nodes_modes=modes,
        nodes_truenodeids=true,
        nodes_trueleafs=true_leaf,
        nodes_falsenodeids=false,
        nodes_falseleafs=false_leaf,
        leaf_targetids=np.repeat(np.asarray(targets, dtype=np.int64), leaves),
        leaf_weights=np.concatenate([tree.leaves for tree in trees]).astype(np.float32).astype(np.float64),
        **optional,
    )


def _sets(trees: Sequence[Tree], first_node: Array) -> tuple[Array, Array]:
    """How each node compares, and the sets of those that ask for one, a NaN after each."""
    modes = np.full(sum(len(tree.feature) for tree in trees), LEQ, dtype=np.uint8)
    members: list[float] = []
    for tree, start in zip(trees, first_node, strict=True):
        for node in sorted(tree.members):
            modes[start + node] = MEMBER
            members += [*sorted(tree.members[node]), np.nan]
    return modes, np.array(members)


def _children(
    children: Sequence[Array], nodes: Array, first_node: Array, first_leaf: Array
) -> tuple[Array, Array]:
    """Positions among the nodes or leaves of all trees, and which of the two they are."""
    own = np.concatenate(children).astype(np.int64)
    is_leaf = own < 0
    found = np.where(is_leaf, ~own + np.repeat(first_leaf, nodes), own + np.repeat(first_node, nodes))
    return found, is_leaf.astype(np.int64)
