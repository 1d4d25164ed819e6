"""Nearest neighbours."""

from __future__ import annotations

from typing import Any

from automl.engine.learners.base import Cost, Learner
from automl.engine.learners.preprocessing import dense_matrix, dense_seconds, dense_width
from automl.engine.schema import DataProfile
from automl.engine.space import Choice, Int, Space
from automl.engine.trial import Params, TaskType

# Up to this many columns a tree finds neighbours faster than comparing with every row.
TREE_WIDTH = 8


class Neighbors(Learner):
    """Looks up the most similar training rows."""

    key = "neighbors"
    label = "Nearest neighbours"
    description = (
        "Predicts from the most similar training rows. Strong where likeness means the same answer; "
        "slow to predict on large tables, and the model has to carry the training rows with it."
    )
    keeps_rows = True

    def dials(self, data: DataProfile) -> Space:
        most = max(2, min(200, data.rows // 4))
        return Space(
            {
                "n_neighbors": Int(
                    1,
                    most,
                    min(25 if data.rows > 1_000 else 10, most),
                    log=True,
                    effect="How many similar rows vote: more smooths and gives steadier probabilities, "
                    "too many blur the classes; one alone copies noise.",
                ),
                "weights": Choice(
                    ("uniform", "distance"),
                    "distance",
                    effect="Whether nearer rows count more (distance) or all the same (uniform).",
                ),
                "p": Choice(
                    (1, 2),
                    2,
                    effect="How distance is added up over columns: 1 is less moved by a single odd column.",
                ),
                "numeric": Choice(
                    ("standard", "quantile"),
                    "quantile",
                    effect="How numbers are scaled: quantile goes by rank, so outliers lose their pull.",
                ),
            }
        )

    def first(self, data: DataProfile) -> Params:
        return self.space(data).default()

    def portfolio(self, data: DataProfile) -> list[Params]:
        space = self.space(data)
        few = min(7, max(2, data.rows // 4))
        return [
            space.default(),
            space.validate({"n_neighbors": few, "p": 1, "numeric": "standard"}),
        ]

    def cost(self, data: DataProfile, params: Params) -> Cost:
        how, neighbors = str(params["numeric"]), float(params["n_neighbors"] or 1)
        width = dense_width(data, how)
        pairs = 0.16 * data.rows**2
        # The blocked search of scikit-learn is one matrix product for p = 2 only.
        searching = pairs * (1.3e-9 + width * 4e-11 if params["p"] == 2 else 2.2e-9 + width * 3e-10)
        if width <= TREE_WIDTH:
            searching = data.rows * (1e-5 + width * 2e-6)
        seconds = 0.01 + dense_seconds(data, how) + searching + data.rows * neighbors * 4e-8
        return Cost(seconds, data.rows * width * 16 + 50_000_000)

    def preprocess(self, data: DataProfile, params: Params) -> Any | None:
        return dense_matrix(data, str(params["numeric"]))

    def build(self, data: DataProfile, params: Params, *, seed: int, threads: int) -> Any:
        from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor

        kind = KNeighborsRegressor if data.task_type is TaskType.REGRESSION else KNeighborsClassifier
        narrow = dense_width(data, str(params["numeric"])) <= TREE_WIDTH
        return kind(
            n_neighbors=params["n_neighbors"],
            weights=params["weights"],
            p=params["p"],
            algorithm="kd_tree" if narrow else "brute",
            n_jobs=threads,
        )

    def learned(self, estimator: Any) -> dict[str, Any]:
        return {"rows": int(estimator.n_samples_fit_), "columns": int(estimator.n_features_in_)}
