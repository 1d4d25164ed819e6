"""Takes from fitted models what a bundle need not hold, so that it is small.

A LightGBM loses what only reports need, as other libraries' trees do when they become columns, see
`automl.engine.joining`: what remains predicts the same, bit by bit. Weights of thousands of words lose half
their digits, and with them predictions those past the sixth.
"""

from __future__ import annotations

import re
import weakref
from functools import partial
from typing import Any

import numpy as np

REPORTS = (
    "split_gain=",
    "leaf_weight=",
    "leaf_count=",
    "internal_value=",
    "internal_weight=",
    "internal_count=",
)
TREE, LAST = "\nTree=", "\nend of trees\n"


def slim(estimator: Any) -> None:
    """Keep, in place, the rounds that predict, and of their trees what is needed for that."""
    if not type(estimator).__name__.startswith("LGBM"):
        return
    import lightgbm

    booster = estimator.booster_
    text = _resized(_without_reports(booster.model_to_string(num_iteration=booster.best_iteration or -1)))
    slimmed = lightgbm.Booster(model_str=text)
    slimmed.best_iteration = booster.best_iteration
    # Asked what it holds it would write its text again, each time; of many trees in a tenth of a second.
    vars(slimmed)["__getstate__"] = partial(_state, weakref.proxy(slimmed), text)
    estimator._Booster = slimmed


def halve_weights(estimator: Any) -> None:
    """Keep, in place, 32 bits of the weights that a linear model has for words."""
    estimator.coef_ = estimator.coef_.astype(np.float32)


def _state(booster: Any, text: str) -> dict[str, Any]:
    kept = {name: value for name, value in vars(booster).items() if name != "__getstate__"}
    return {**kept, "_handle": text}


def _without_reports(text: str) -> str:
    return "\n".join(line for line in text.split("\n") if not line.startswith(REPORTS))


def _resized(text: str) -> str:
    """LightGBM finds trees by their sizes, which its text begins with."""
    start, end = text.index(f"{TREE}0\n") + 1, text.index(LAST) + 1
    trees = [f"Tree={part}\n" for part in text[start - 1 : end - 1].split(TREE)[1:]]
    sizes = " ".join(str(len(tree.encode())) for tree in trees)
    return re.sub(r"^tree_sizes=.*$", f"tree_sizes={sizes}", text[:start], flags=re.MULTILINE) + text[start:]
