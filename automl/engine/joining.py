"""Takes the trees out of fitted models as columns; `automl.engine.inference.joined` puts them back.

What only reports need is left out on the way. What is put back predicts the same, bit by bit.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from automl.engine.inference.joined import ARRAYS, KINDS_OF_NUMBERS, booster_arrays, parents_of, places_of
from automl.engine.inference.trees import LEAF
from automl.engine.onnx.trees import round_down

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]

# A table of more different numbers needs places of more than two bytes, and saves little.
MOST_CODES = 1 << 16


def join(estimator: Any) -> tuple[Any, dict[str, Any] | None]:
    """Give an estimator with no more than its first tree, and the columns of all.

    The estimator itself stays as it is. One that can't be told in columns is given back whole, with None.
    """
    for name, take in JOINED.items():
        if type(estimator).__name__.startswith(name):
            found = take(estimator)
            return (estimator, None) if found is None else found
    return estimator, None


def _columns(left: Array, right: Array, counts: Array) -> dict[str, Any] | None:
    """Counts and children, these as steps: most of them are the same."""
    left, right, own = left.astype(np.int64), right.astype(np.int64), places_of(counts)
    is_leaf = left == LEAF
    if not np.array_equal(is_leaf, right == LEAF) or (left[~is_leaf] == own[~is_leaf]).any():
        return None
    steps = np.where(is_leaf, 0, left - own), np.where(is_leaf, 0, right - left)
    return {"counts": counts.astype(np.uint32), "left": _narrow(steps[0]), "right": _narrow(steps[1])}


def _narrow(whole: Array) -> Array:
    """The same integers in the fewest bytes."""
    least, most = int(whole.min(initial=0)), int(whole.max(initial=0))
    return whole.astype(np.promote_types(np.min_scalar_type(least), np.min_scalar_type(most)))


def _numbers(values: Array) -> dict[str, Any]:
    """Numbers as places in a table of those that there are, or byte by byte: beside its like a byte packs."""
    values = np.ascontiguousarray(values)
    bits = values.view(f"u{values.itemsize}")
    table, codes = np.unique(bits, return_inverse=True)
    if len(table) <= min(MOST_CODES, len(bits) // 4):
        return {"table": table.view(values.dtype), "codes": _narrow(codes.ravel())}
    planes = values.astype(values.dtype.newbyteorder("<")).view(np.uint8).reshape(-1, values.itemsize)
    return {"planes": np.ascontiguousarray(planes.T)}


def _forest(estimator: Any) -> tuple[Any, dict[str, Any]] | None:
    trees = [each.tree_ for each in estimator.estimators_]
    states = [tree.__getstate__() for tree in trees]
    counts = np.array([tree.node_count for tree in trees])
    nodes = np.concatenate([state["nodes"] for state in states])
    columns = _columns(nodes["left_child"], nodes["right_child"], counts)
    if columns is None or trees[0].n_outputs != 1:
        return None
    inner = nodes["left_child"] != LEAF
    values = np.concatenate([state["values"][:, 0] for state in states])[~inner]
    rows, places = np.nonzero(values)
    kept = copy.copy(estimator)
    kept.estimators_ = estimator.estimators_[:1]
    return kept, {
        "kind": "forest",
        **columns,
        "depths": np.array([tree.max_depth for tree in trees]),
        "seeds": np.array([each.random_state for each in estimator.estimators_]),
        "feature": _narrow(nodes["feature"][inner]),
        # A forest compares 32-bit numbers, so that nothing lies between a threshold and this.
        "threshold": _numbers(round_down(nodes["threshold"][inner])),
        "missing_left": nodes["missing_go_to_left"][inner],
        "filled": _narrow(np.bincount(rows, minlength=len(values))),
        "place": _narrow(places),
        "values": _numbers(values[rows, places]),
    }


def _hist_boosting(estimator: Any) -> tuple[Any, dict[str, Any]] | None:
    trees = [predictor.nodes for group in estimator._predictors for predictor in group]
    nodes = np.concatenate(trees)
    is_leaf = nodes["is_leaf"] != 0
    left, right = (np.where(is_leaf, LEAF, nodes[name].astype(np.int64)) for name in ("left", "right"))
    columns = _columns(left, right, np.array([len(tree) for tree in trees]))
    if columns is None or nodes["is_categorical"].any():
        return None
    kept = copy.copy(estimator)
    kept._predictors = estimator._predictors[:1]
    return kept, {
        "kind": "hist_boosting",
        **columns,
        "feature": _narrow(nodes["feature_idx"][~is_leaf]),
        "threshold": _numbers(nodes["num_threshold"][~is_leaf]),
        "missing_left": nodes["missing_go_to_left"][~is_leaf],
        "values": _numbers(nodes["value"][is_leaf]),
    }


def _xgboost(estimator: Any) -> tuple[Any, dict[str, Any]] | None:
    state = estimator.get_booster().__getstate__()
    handle = state.pop("handle")
    arrays = booster_arrays(handle)
    whole = {name: np.concatenate(parts) for name, parts in arrays.items()}
    if any(len(whole.get(name, ())) != len(whole["parents"]) for name in XGBOOST_COLUMNS):
        return None
    left, right = whole["left_children"], whole["right_children"]
    counts = np.array([len(part) for part in arrays["parents"]])
    columns = _columns(left, right, counts)
    if columns is None or whole["split_type"].any():
        return None
    inner = left != LEAF
    conditions = whole["split_conditions"].astype(np.float32)
    kept = copy.copy(estimator)
    del kept._Booster
    return kept, {
        "kind": "xgboost",
        **columns,
        # A node that was pruned away has another parent than its place says.
        "parents": _narrow(whole["parents"] - parents_of(left, right, counts)),
        "feature": _narrow(whole["split_indices"]),
        "threshold": _numbers(conditions[inner]),
        "missing_left": whole["default_left"],
        "values": _numbers(conditions[~inner]),
        "frame": _frame_of(bytes(handle)),
        "state": state,
    }


def _frame_of(handle: bytes) -> bytes:
    """XGBoost's own form without the arrays of its trees."""
    parts, last = [], 0
    for match in ARRAYS.finditer(handle):
        if match.start() >= last:
            parts.append(handle[last : match.end()])
            last = match.end() + int.from_bytes(match[3], "big") * KINDS_OF_NUMBERS[match[2]].itemsize
    return b"".join([*parts, handle[last:]])


XGBOOST_COLUMNS = (
    "left_children",
    "right_children",
    "split_indices",
    "split_conditions",
    "split_type",
    "default_left",
)
JOINED: dict[str, Callable[[Any], tuple[Any, dict[str, Any]] | None]] = {
    "RandomForest": _forest,
    "ExtraTrees": _forest,
    "HistGradientBoosting": _hist_boosting,
    "XGB": _xgboost,
}
