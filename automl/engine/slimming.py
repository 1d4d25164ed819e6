"""Takes from a fitted LightGBM what only reports need, so that a bundle is small.

What remains predicts the same, bit by bit. Other libraries' trees lose it when they become columns, see
`automl.engine.joining`.
"""

from __future__ import annotations

import re
from typing import Any

REPORTS = re.compile(
    r"^(?:split_gain|leaf_weight|leaf_count|internal_value|internal_weight|internal_count)=.*\n", re.MULTILINE
)


def slim(estimator: Any) -> None:
    """Keep, in place, the rounds that predict, and of their trees what is needed for that."""
    if not type(estimator).__name__.startswith("LGBM"):
        return
    import lightgbm

    booster = estimator.booster_
    text = booster.model_to_string(num_iteration=booster.best_iteration or -1)
    slimmed = lightgbm.Booster(model_str=_resized(REPORTS.sub("", text)))
    slimmed.best_iteration = booster.best_iteration
    estimator._Booster = slimmed


def _resized(text: str) -> str:
    """LightGBM finds trees by their sizes, which its text begins with."""
    head, trees, tail = re.split(r"(?=^Tree=0$)|(?=^end of trees$)", text, flags=re.MULTILINE)
    found = re.split(r"(?=^Tree=\d+$)", trees, flags=re.MULTILINE)
    sizes = " ".join(str(len(tree.encode())) for tree in found if tree)
    return re.sub(r"^tree_sizes=.*$", f"tree_sizes={sizes}", head, flags=re.MULTILINE) + trees + tail
