"""Trees of scikit-learn are followed by their numbers, unchecked: here they are held to what there is.

A file made with malice could have a tree lead outside of its memory, or round in a circle; of both skops
says nothing, since the types are right.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .errors import Damaged

LEAF = -1


def check_trees(found: Any, width: int | None = None) -> None:
    """Walk through a loaded model and look at every tree in it.

    Parameters
    ----------
    found : object
        Containers and estimators, inside of each other.
    width : int, optional
        The columns that an estimator around it is given.

    Raises
    ------
    Damaged
        If a tree points to a node or a column that is not there, or back to where it came from.
    """
    if isinstance(found, dict):
        for value in found.values():
            check_trees(value, width)
    elif isinstance(found, list | tuple) or (isinstance(found, np.ndarray) and found.dtype == object):
        for value in found:
            check_trees(value, width)
    elif type(found).__module__ == "sklearn.tree._tree":
        _check_tree(found, width)
    elif hasattr(found, "raw_left_cat_bitsets"):
        _check_predictor(found, width)
    elif type(found).__module__.startswith("sklearn."):
        inside = vars(found) if hasattr(found, "__dict__") else {}
        if width is None and inside.keys() & {"estimators_", "_predictors", "tree_"}:
            width = int(inside["n_features_in_"])
        for value in inside.values():
            check_trees(value, width)


def _check_tree(tree: Any, width: int | None) -> None:
    count = int(tree.node_count)
    # Before anything is read: its arrays are as long as it says, not as long as they are.
    _hold(0 < count <= tree.capacity)
    left, right = tree.children_left, tree.children_right
    splits = left != LEAF
    _hold_splits(np.flatnonzero(splits), left[splits], right[splits], count)
    _hold_columns(tree.feature[splits], width)


def _check_predictor(predictor: Any, width: int | None) -> None:
    nodes = predictor.nodes
    splits = np.flatnonzero(nodes["is_leaf"] == 0)
    inner = nodes[splits]
    _hold_splits(splits, inner["left"].astype(np.int64), inner["right"].astype(np.int64), len(nodes))
    _hold_columns(inner["feature_idx"], width)
    sets = inner["bitset_idx"][inner["is_categorical"] != 0]
    _hold(not len(sets) or int(sets.max()) < len(predictor.raw_left_cat_bitsets))


def _hold_splits(
    places: np.ndarray[Any, Any], left: np.ndarray[Any, Any], right: np.ndarray[Any, Any], count: int
) -> None:
    """Children come after their parent, so that every way ends."""
    for children in (left, right):
        _hold(bool(((children > places) & (children < count)).all()))


def _hold_columns(columns: np.ndarray[Any, Any], width: int | None) -> None:
    _hold(not len(columns) or (width is not None and columns.min() >= 0 and int(columns.max()) < width))


def _hold(is_sound: bool) -> None:
    if not is_sound:
        raise Damaged(
            "model.skops holds a tree that leads to a node or a column that is not there. It is not used; "
            "download the bundle again, from a service that you trust."
        )
