"""Takes from fitted models what a bundle need not hold, so that it is small and soon written.

A LightGBM loses what only reports need, as other libraries' trees do when they become columns, see
`automl.engine.joining`, and positions of columns become arrays: what remains predicts the same, bit by bit.
Weights of thousands of words lose half their digits, and with them predictions those past the sixth.
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
# Lists of numbers, each of which would be stored as an array of its own.
CATBOOST_REPORTS = ("_prediction_values_change", "_loss_value_change")
TREE, LAST = "\nTree=", "\nend of trees\n"


def slim(estimator: Any) -> None:
    """Keep, in place, the rounds that predict, and of their trees what is needed for that."""
    if type(estimator).__name__.startswith("CatBoost"):
        for name in CATBOOST_REPORTS:
            if isinstance(found := getattr(estimator, name, None), list):
                setattr(estimator, name, np.asarray(found))
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


def slim_columns(preprocess: Any) -> None:
    """Keep, in place, the positions of columns as arrays: a stored list has an entry for each of them.

    Parameters
    ----------
    preprocess : transformer or None
        A fitted ColumnTransformer; what else there is stays as it is.
    """
    columns = getattr(preprocess, "columns", preprocess)  # of one with words, see `inference.word_weights`
    if type(columns).__name__ != "ColumnTransformer":
        return
    for name in ("transformers", "transformers_"):
        steps = getattr(columns, name)
        setattr(columns, name, [(step, made, np.asarray(places, dtype=int)) for step, made, places in steps])
    columns._columns = [np.asarray(places, dtype=int) for places in columns._columns]
    indices = columns._transformer_to_input_indices
    columns._transformer_to_input_indices = {
        name: np.asarray(places, dtype=int) for name, places in indices.items()
    }
    name, made, places = columns._remainder
    columns._remainder = (name, made, np.asarray(places, dtype=int))


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
