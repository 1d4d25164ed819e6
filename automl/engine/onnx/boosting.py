"""Reads the trees of the boosting libraries and of scikit-learn's forests.

A `Columns` says what the columns of an estimator's matrix are and turns a threshold of the library
into ours; readers give trees over the features that it names.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from automl.engine.inference.joined import booster_arrays
from automl.engine.onnx.features import Columns
from automl.engine.onnx.trees import Tree

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]

CATEGORICAL, DEFAULT_LEFT = 1, 2
ZERO_IS_MISSING, NAN_IS_MISSING = 1, 2
# LightGBM takes numbers up to this size for zeros.
TINY = float(np.float32(1e-35))
XGBOOST_FIELDS = ("left_children", "right_children", "split_indices", "split_conditions", "default_left")


@dataclass(slots=True)
class Boosted:
    """Trees, the output of each of them, and what is added to each output."""

    trees: list[Tree]
    outputs: list[int]
    start: Array


def lightgbm(estimator: Any, columns: Columns) -> Boosted:
    """Read the rounds that LightGBM predicts with."""
    booster = estimator.booster_
    width = booster.num_model_per_iteration()
    trees = [
        _lightgbm_tree(fields, columns)
        for fields in _sections(booster.model_to_string(num_iteration=booster.best_iteration or -1))
    ]
    return Boosted(trees, [number % width for number in range(len(trees))], np.zeros(width))


def _sections(text: str) -> Iterator[dict[str, str]]:
    """The trees of LightGBM's own format: lines of name=values."""
    body = text.partition("\nTree=0\n")[2].partition("\nend of trees")[0]
    for section in body.split("\nTree="):
        yield dict(line.split("=", 1) for line in section.splitlines() if "=" in line)


def _lightgbm_tree(fields: dict[str, str], columns: Columns) -> Tree:
    def numbers(name: str, kind: Any) -> Array:
        return np.array(fields.get(name, "").split(), dtype=kind)

    leaves = numbers("leaf_value", np.float64)
    if int(fields["num_leaves"]) == 1:
        return leaf(float(leaves[0]))
    feature, decision = numbers("split_feature", np.int64), numbers("decision_type", np.int64)
    threshold = numbers("threshold", np.float64)
    categorical = (decision & CATEGORICAL) > 0
    missing_kind = (decision >> 2) & 3
    if (missing_kind[~categorical] == ZERO_IS_MISSING).any():
        raise ValueError("LightGBM was told to take zeros for missing")
    # Where training saw no gap, LightGBM takes one for a zero. A gap is in no set of categories.
    missing_true = np.where(missing_kind == NAN_IS_MISSING, (decision & DEFAULT_LEFT) > 0, threshold >= 0.0)
    threshold = np.where((threshold >= -TINY) & (threshold < 0.0), np.nextafter(-TINY, -1.0), threshold)
    bounds, bits = numbers("cat_boundaries", np.int64), numbers("cat_threshold", np.uint32)
    members: dict[int, list[int]] = {}
    for node in np.flatnonzero(categorical):
        place = int(threshold[node])
        words = bits[bounds[place] : bounds[place + 1]]
        codes = np.flatnonzero(np.unpackbits(words.view(np.uint8), bitorder="little"))
        members[int(node)] = [int(code) for code in codes]
    return columns.tree(
        Tree(
            feature,
            threshold,
            missing_true & ~categorical,
            numbers("left_child", np.int64),
            numbers("right_child", np.int64),
            leaves,
            members,
        )
    )


def leaf(value: float) -> Tree:
    """Make a tree that says the same of every row."""
    nothing = np.zeros(0, dtype=np.int64)
    return Tree(nothing, np.zeros(0), nothing.astype(bool), nothing, nothing, np.array([value]))


def xgboost(estimator: Any, columns: Columns) -> Boosted:
    """Read XGBoost's trees, which compare by less than and keep thresholds and leaves in one list."""
    booster = estimator.get_booster()
    learner = json.loads(booster.save_config())["learner"]
    parameters = learner["learner_model_param"]
    classes = max(int(parameters["num_class"]), 1)
    base = np.array(json.loads(f"[{parameters['base_score'].strip('[]')}]"), dtype=np.float64)
    if learner["objective"]["name"] == "binary:logistic":
        base = np.log(base / (1.0 - base))
    # As JSON it would be read for seconds.
    arrays = booster_arrays(booster.save_raw("ubj"))
    if any(kinds.any() for kinds in arrays["split_type"]):
        raise ValueError("XGBoost's own splits of categories are not known")
    fields = (arrays[name] for name in XGBOOST_FIELDS)
    trees = [columns.tree(_xgboost_tree(*found), strictly=True) for found in zip(*fields, strict=True)]
    outputs = [number % classes for number in range(len(trees))]
    return Boosted(trees, outputs, np.broadcast_to(base, classes).copy())


def _xgboost_tree(left: Array, right: Array, feature: Array, conditions: Array, default_left: Array) -> Tree:
    values = conditions.astype(np.float32)
    return from_node_table(
        left.astype(np.int64),
        right.astype(np.int64),
        feature,
        values,
        default_left,
        values.astype(np.float64),
    )


def from_node_table(
    left: Array, right: Array, feature: Array, threshold: Array, missing_left: Array, values: Array
) -> Tree:
    """Make a tree of tables in which a leaf is a row too, one whose left child is -1."""
    is_leaf = left < 0
    if is_leaf[0]:
        return leaf(float(values[0]))
    inner = ~is_leaf
    place = np.where(is_leaf, ~(np.cumsum(is_leaf) - 1), np.cumsum(inner) - 1)
    return Tree(
        feature[inner].astype(np.int64),
        threshold[inner],
        missing_left[inner].astype(bool),
        place[left[inner]],
        place[right[inner]],
        np.asarray(values[is_leaf], dtype=np.float64),
    )


def hist_boosting(estimator: Any, columns: Columns) -> Boosted:
    """Read the trees of scikit-learn's histogram boosting."""
    trees: list[Tree] = []
    outputs: list[int] = []
    for group in estimator._predictors:
        for output, predictor in enumerate(group):
            nodes = predictor.nodes
            if nodes["is_categorical"].any():
                raise ValueError("histogram boosting's own splits of categories are not known")
            is_leaf = nodes["is_leaf"].astype(bool)
            trees.append(
                columns.tree(
                    from_node_table(
                        np.where(is_leaf, -1, nodes["left"].astype(np.int64)),
                        nodes["right"].astype(np.int64),
                        nodes["feature_idx"],
                        nodes["num_threshold"],
                        nodes["missing_go_to_left"],
                        nodes["value"],
                    )
                )
            )
            outputs.append(output)
    start = np.asarray(estimator._baseline_prediction, dtype=np.float64).ravel()
    return Boosted(trees, outputs, start)


BOOSTED: dict[str, Callable[[Any, Columns], Boosted]] = {
    "LGBMClassifier": lightgbm,
    "LGBMRegressor": lightgbm,
    "XGBClassifier": xgboost,
    "XGBRegressor": xgboost,
    "HistGradientBoostingClassifier": hist_boosting,
    "HistGradientBoostingRegressor": hist_boosting,
}
