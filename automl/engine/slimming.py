"""Takes from fitted models what prediction does not need, so that a bundle is small.

What remains predicts the same, bit by bit.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

# What LightGBM writes of each tree for reports only.
LIGHTGBM_REPORTS = re.compile(
    r"^(?:split_gain|leaf_weight|leaf_count|internal_value|internal_weight|internal_count)=.*\n", re.MULTILINE
)
FOREST_REPORTS = ("impurity", "n_node_samples", "weighted_n_node_samples")
HIST_REPORTS = ("count", "gain", "depth", "bin_threshold")


def slim(estimator: Any) -> None:
    """Drop, in place, what a fitted estimator holds for reports only."""
    for name, drop in SLIMMERS.items():
        if type(estimator).__name__.startswith(name):
            drop(estimator)


def _slim_lightgbm(estimator: Any) -> None:
    """Keep the rounds that predict, and of their trees what is needed for that."""
    import lightgbm

    booster = estimator.booster_
    text = booster.model_to_string(num_iteration=booster.best_iteration or -1)
    text = LIGHTGBM_REPORTS.sub("", text)
    slimmed = lightgbm.Booster(model_str=_resized(text))
    slimmed.best_iteration = booster.best_iteration
    estimator._Booster = slimmed


def _resized(text: str) -> str:
    """LightGBM finds trees by their sizes, which its text begins with."""
    head, trees, tail = re.split(r"(?=^Tree=0$)|(?=^end of trees$)", text, flags=re.MULTILINE)
    found = re.split(r"(?=^Tree=\d+$)", trees, flags=re.MULTILINE)
    sizes = " ".join(str(len(tree.encode())) for tree in found if tree)
    return re.sub(r"^tree_sizes=.*$", f"tree_sizes={sizes}", head, flags=re.MULTILINE) + trees + tail


def _slim_forest(estimator: Any) -> None:
    for tree in estimator.estimators_:
        state = tree.tree_.__getstate__()
        nodes = state["nodes"].copy()
        for name in FOREST_REPORTS:
            nodes[name] = 0
        inner = nodes["left_child"] >= 0
        values = state["values"].copy()
        values[inner] = 0.0
        tree.tree_.__setstate__({**state, "nodes": nodes, "values": values})


def _slim_hist_boosting(estimator: Any) -> None:
    for group in estimator._predictors:
        for predictor in group:
            for name in HIST_REPORTS:
                predictor.nodes[name] = 0
            inner = predictor.nodes["is_leaf"] == 0
            predictor.nodes["value"][inner] = 0.0


SLIMMERS: dict[str, Callable[[Any], None]] = {
    "LGBM": _slim_lightgbm,
    "RandomForest": _slim_forest,
    "ExtraTrees": _slim_forest,
    "HistGradientBoosting": _slim_hist_boosting,
}
