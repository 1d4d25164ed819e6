"""Gives estimators their trees back, which a bundle holds as columns.

Column by column over all trees of a model, what is alike lies side by side: a file is half as large, and is
written and read in a fraction of the time that thousands of small arrays take.
"""

from __future__ import annotations

import copy
import re
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from .errors import Damaged
from .trees import LEAF, check_trees

Array = np.ndarray[Any, Any]
# What scikit-learn writes in place of a leaf's feature and threshold.
UNDEFINED = -2
# XGBoost's word for no parent.
ROOT = 2**31 - 1
KINDS_OF_NUMBERS = {
    mark: np.dtype(kind) for mark, kind in ((b"d", ">f4"), (b"l", ">i4"), (b"L", ">i8"), (b"U", "u1"))
}
ARRAYS = re.compile(
    rb"L\0{7}.(base_weights|default_left|left_children|loss_changes|parents|right_children|split_conditions"
    rb"|split_indices|split_type|sum_hessian)\[\$([dlLU])#L(.{8})",
    re.DOTALL,
)


def restore(estimator: Any, joined: Mapping[str, Any] | None) -> Any:
    """Put the trees of a model back into it, in place.

    Parameters
    ----------
    estimator : object
        As it was stored beside them.
    joined : mapping or None
        What `automl.engine.joining.join` took out of it; None if that was nothing.

    Raises
    ------
    Damaged
        If the columns do not fit together, or a tree leads outside of itself.
    """
    if joined is None:
        return estimator
    try:
        RESTORED[joined["kind"]](estimator, joined)
    except (AttributeError, IndexError, KeyError, OverflowError, TypeError, ValueError) as error:
        raise Damaged(
            f"model.skops holds trees that do not fit together ({error}). It is not used; download the "
            "bundle again."
        ) from error
    check_trees(estimator)
    return estimator


def booster_arrays(handle: bytearray) -> dict[str, list[Array]]:
    """The arrays of all trees in XGBoost's own form (UBJSON), by name."""
    found: dict[str, list[Array]] = {}
    for match in ARRAYS.finditer(handle):
        kind, count = KINDS_OF_NUMBERS[match[2]], int.from_bytes(match[3], "big")
        view = np.frombuffer(handle, kind, count, match.end())
        found.setdefault(match[1].decode(), []).append(view)
    return found


def _whole_form(frame: bytes, columns: Mapping[str, Array], parts: list[slice]) -> bytearray:
    """XGBoost's own form: the columns where they were cut out of it, and zeros in place of reports."""
    found: list[bytes] = []
    seen: Counter[str] = Counter()
    last = 0
    for match in ARRAYS.finditer(frame):
        name, kind = match[1].decode(), KINDS_OF_NUMBERS[match[2]]
        part, column = parts[seen[name]], columns.get(name)
        count = part.stop - part.start
        if count != int.from_bytes(match[3]):
            raise ValueError(f"an array {name} is not as long as its tree")
        zeros = bytes(count * kind.itemsize)
        found += [frame[last : match.end()], zeros if column is None else column[part].astype(kind).tobytes()]
        seen[name] += 1
        last = match.end()
    if any(seen[name] != len(parts) for name in columns):
        raise ValueError("trees of XGBoost lack an array")
    return bytearray(b"".join([*found, frame[last:]]))


def numbers(stored: Mapping[str, Any]) -> Array:
    """Numbers as they were: from a table and places in it, or from their bytes, plane by plane."""
    if "table" in stored:
        return np.asarray(stored["table"][stored["codes"]])
    planes: Array = stored["planes"]
    return np.asarray(np.ascontiguousarray(planes.T).reshape(-1).view(f"<f{len(planes)}"))


def places_of(counts: Array) -> Array:
    """The place of each node in its tree."""
    counts = counts.astype(np.int64)
    found: Array = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    return found


def parents_of(left: Array, right: Array, counts: Array) -> Array:
    """The parents of nodes, `ROOT` for the first of each tree."""
    own = places_of(counts)
    starts = np.arange(len(own)) - own
    found = np.full(len(own), ROOT, dtype=np.int64)
    inner = np.flatnonzero(left != LEAF)
    for children in (left, right):
        found[starts[inner] + children[inner]] = own[inner]
    return found


def _children(joined: Mapping[str, Any]) -> tuple[Array, Array]:
    """Left and right children, LEAF for those of leaves."""
    step = joined["left"].astype(np.int64)
    _hold_count(joined["counts"], len(step))
    own = places_of(joined["counts"])
    left = np.where(step == 0, LEAF, own + step)
    return left, np.where(step == 0, LEAF, left + joined["right"])


def _hold_count(counts: Array, rows: int) -> None:
    """What is repeated by numbers of a file may take no more memory than the file."""
    if int(counts.sum()) != rows:
        raise ValueError(f"{int(counts.sum()):,} entries are told of and {rows:,} are there")


def _parts(joined: Mapping[str, Any]) -> list[slice]:
    """Where the nodes of each tree are."""
    ends = np.cumsum(joined["counts"].astype(np.int64))
    return [slice(end - count, end) for end, count in zip(ends, joined["counts"], strict=True)]


def _forest(estimator: Any, joined: Mapping[str, Any]) -> None:
    like = estimator.estimators_[0]
    make, arguments, state = like.tree_.__reduce__()
    left, right = _children(joined)
    inner = left != LEAF
    nodes = np.zeros(len(left), dtype=state["nodes"].dtype)
    nodes["left_child"], nodes["right_child"] = left, right
    nodes["feature"] = nodes["threshold"] = UNDEFINED
    for name, column in (
        ("feature", joined["feature"]),
        ("threshold", numbers(joined["threshold"])),
        ("missing_go_to_left", joined["missing_left"]),
    ):
        nodes[name][inner] = column
    values = np.zeros((len(nodes), *state["values"].shape[1:]))
    _hold_count(joined["filled"], len(joined["place"]))
    rows = np.repeat(np.flatnonzero(~inner), joined["filled"])
    values[rows, 0, joined["place"]] = numbers(joined["values"])
    trees = []
    for part, depth, seed in zip(_parts(joined), joined["depths"], joined["seeds"], strict=True):
        tree, whole = copy.copy(like), make(*arguments)
        own = {"nodes": nodes[part], "values": values[part], "node_count": part.stop - part.start}
        whole.__setstate__({**state, **own, "max_depth": int(depth)})
        tree.tree_, tree.random_state = whole, int(seed)
        trees.append(tree)
    estimator.estimators_ = trees


def _hist_boosting(estimator: Any, joined: Mapping[str, Any]) -> None:
    like, width = estimator._predictors[0][0], len(estimator._predictors[0])
    left, right = _children(joined)
    inner = left != LEAF
    nodes = np.zeros(len(left), dtype=like.nodes.dtype)
    nodes["is_leaf"] = ~inner
    nodes["value"][~inner] = numbers(joined["values"])
    for name, column in (
        ("left", left[inner]),
        ("right", right[inner]),
        ("feature_idx", joined["feature"]),
        ("num_threshold", numbers(joined["threshold"])),
        ("missing_go_to_left", joined["missing_left"]),
    ):
        nodes[name][inner] = column
    trees = []
    for part in _parts(joined):
        trees.append(copy.copy(like))
        trees[-1].nodes = nodes[part]
    estimator._predictors = [trees[start : start + width] for start in range(0, len(trees), width)]


def _xgboost(estimator: Any, joined: Mapping[str, Any]) -> None:
    from xgboost import Booster

    left, right = _children(joined)
    inner = left != LEAF
    conditions = np.empty(len(left), dtype=np.float32)
    conditions[inner], conditions[~inner] = numbers(joined["threshold"]), numbers(joined["values"])
    columns = {
        "left_children": left,
        "right_children": right,
        "parents": parents_of(left, right, joined["counts"]) + joined["parents"],
        "split_indices": joined["feature"],
        "split_conditions": conditions,
        "default_left": joined["missing_left"],
    }
    handle = _whole_form(joined["frame"], columns, _parts(joined))
    booster = Booster.__new__(Booster)
    booster.__setstate__({**joined["state"], "handle": handle})
    estimator._Booster = booster


RESTORED: dict[str, Callable[[Any, Mapping[str, Any]], None]] = {
    "forest": _forest,
    "hist_boosting": _hist_boosting,
    "xgboost": _xgboost,
}
