"""TabICL, a network that was trained on made-up tables and reads the rows of a new one (Qu et al. 2025).

Its package brings PyTorch along, and its weights are downloaded apart: where either is missing the family is
not offered, and nothing of it is imported.
"""

from __future__ import annotations

import importlib.util
import os
import weakref
from contextlib import suppress
from pathlib import Path
from typing import Any

from automl.engine.learners.base import Cost, Fit, Learner
from automl.engine.learners.boosting_lightgbm import CODE_LEVELS
from automl.engine.learners.preprocessing import encoding_seconds, tree_matrix, tree_width
from automl.engine.schema import DataProfile
from automl.engine.space import Choice, Int, Space
from automl.engine.trial import Params, TaskType

# The folder of the weights; without it they are looked for where the package itself puts them.
FOLDER = "AUTOML_TABICL"
CLASSIFIER, REGRESSOR = "tabicl-classifier-v2-20260212.ckpt", "tabicl-regressor-v2-20260212.ckpt"
WEIGHTS = {
    TaskType.BINARY: CLASSIFIER,
    TaskType.MULTICLASS: CLASSIFIER,
    TaskType.REGRESSION: REGRESSOR,
}
# One network for all folds of a trial, for as long as one of them is there.
NETWORKS: weakref.WeakValueDictionary[str, Any] = weakref.WeakValueDictionary()
NORMS: dict[str, list[str]] = {"power": ["none", "power"], "quantile": ["none", "quantile"]}


class TabICL(Learner):
    """Predicts rows by reading the training rows beside them; nothing is fitted."""

    key = "tabicl"
    label = "TabICL"
    description = (
        "A large network that has seen millions of made-up tables, and reads the training rows each time it "
        "predicts. Often the best on a few thousand rows, slow on more. The model is the training rows, so "
        "it is no part of ensembles and bundles: it shows what could be reached."
    )
    keeps_rows = True

    # Reading takes seconds by the square of the rows: of so many, half a minute each.
    most_rows = 5_000

    def __init__(self) -> None:
        has_package = importlib.util.find_spec("tabicl") is not None
        self._weights = {
            task_type: path
            for task_type, name in WEIGHTS.items()
            if has_package and (path := find_weights(name)) is not None
        }

    def is_installed(self, task_type: TaskType) -> bool:
        return task_type in self._weights

    def dials(self, data: DataProfile) -> Space:
        return Space(
            {
                "n_estimators": Int(
                    1,
                    32,
                    8,
                    log=True,
                    effect="How often the table is read, columns and classes in another order each time: "
                    "more is steadier and takes as many times longer.",
                ),
                "numeric": Choice(
                    tuple(NORMS),
                    "power",
                    effect="How numbers are spread in every other reading: power straightens skewed ones, "
                    "quantile goes by rank, so outliers lose their pull.",
                ),
            }
        )

    def first(self, data: DataProfile) -> Params:
        return self.space(data).validate({"n_estimators": 2})

    def cost(self, data: DataProfile, params: Params) -> Cost:
        readings = float(params["n_estimators"] or 1)
        cells = float(data.rows) * tree_width(data, CODE_LEVELS)
        # Measured with weights of chance, which take as long, on tables of 300 to 6,000 rows.
        reading = 7.3e-5 * cells + 7.5e-4 * data.rows + 6e-7 * data.rows**2
        # Importing the package takes some seconds, once a trial.
        seconds = 0.9 + encoding_seconds(data, CODE_LEVELS) + readings * reading
        return Cost(seconds, 750_000_000 + int(8_000 * cells))

    def preprocess(self, data: DataProfile, params: Params) -> Any | None:
        return tree_matrix(data, CODE_LEVELS)[0]

    def build(self, data: DataProfile, params: Params, *, seed: int, threads: int) -> Any:
        from tabicl import TabICLClassifier, TabICLRegressor

        kind = TabICLRegressor if data.task_type is TaskType.REGRESSION else TabICLClassifier
        return kind(
            n_estimators=params["n_estimators"],
            norm_methods=NORMS[str(params["numeric"])],
            # One reading after the other: several at once take as many times the memory.
            batch_size=1,
            model_path=str(self._weights[data.task_type]),
            allow_auto_download=False,
            device="cpu",
            random_state=seed,
            n_jobs=threads,
        )

    def fit(
        self,
        estimator: Any,
        X: Any,
        y: Any,
        X_valid: Any,
        y_valid: Any,
        *,
        data: DataProfile,
        deadline: float | None,
    ) -> Fit:
        fit = super().fit(estimator, X, y, X_valid, y_valid, data=data, deadline=deadline)
        estimator.model_ = NETWORKS.setdefault(estimator.model_path, estimator.model_)
        return fit

    def learned(self, estimator: Any) -> dict[str, Any]:
        return {"rows": int(estimator.n_samples_in_), "columns": int(estimator.n_features_in_)}


def find_weights(name: str) -> Path | None:
    """Find a file of weights: in the folder that `FOLDER` names, or else where the package puts them."""
    if folder := os.environ.get(FOLDER):
        place, pattern = folder, name
    else:
        cache = os.environ.get("XDG_CACHE_HOME", "~/.cache")
        home = os.environ.get("HF_HOME", f"{cache}/huggingface")
        place = os.environ.get("HF_HUB_CACHE", f"{home}/hub")
        pattern = f"models--jingang--TabICL/snapshots/*/{name}"
    # Whoever lists the families comes by here: a folder that may not be looked into holds none.
    with suppress(OSError, RuntimeError):
        return max((path for path in Path(place).expanduser().glob(pattern) if path.is_file()), default=None)
    return None
