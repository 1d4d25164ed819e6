"""Kernel machines: ridge and logistic regression on random Fourier features."""

from __future__ import annotations

from typing import Any

from automl.engine.learners.base import Cost, Fit, Learner
from automl.engine.learners.boosting import class_trees
from automl.engine.learners.linear import fit_briefly
from automl.engine.learners.preprocessing import dense_matrix, dense_seconds, dense_width
from automl.engine.schema import DataProfile
from automl.engine.space import Choice, Float, Int, Space
from automl.engine.trial import Params, TaskType

FEW_ROWS = 2_000
# Rows of so many columns are all about as far apart, and waves of them make large models.
MOST_WIDTH = 200
# L-BFGS has learned what there is by then; its last steps are for single rows.
STEPS = 100


class Kernel(Learner):
    """Adds up waves in random directions, which stand for a Gaussian kernel (Rahimi and Recht 2007)."""

    key = "kernel"
    label = "Kernel machine"
    description = (
        "Ridge or logistic regression on waves in random directions, which stand for a Gaussian kernel: "
        "rows that are alike get alike answers. Strong where the truth is smooth in the numbers, most of all "
        "on few rows; unlike other kernel machines it holds none of them."
    )
    most_rows = 10_000
    goes_beyond = True

    def dials(self, data: DataProfile) -> Space:
        return Space(
            {
                "length_scale": Float(
                    0.1,
                    10.0,
                    0.7 if data.rows <= FEW_ROWS else 1.0,
                    log=True,
                    effect="How far rows may be apart, in usual distances, to be alike: higher is smoother, "
                    "in the end a straight line, lower bends more and can overfit.",
                ),
                "strength": Float(
                    1e-7,
                    0.1,
                    1e-4,
                    log=True,
                    effect="How strongly weights are pulled to zero, per row: higher is smoother, "
                    "too low copies the noise of single rows.",
                ),
                "n_components": Int(
                    200,
                    3_000,
                    1_000,
                    log=True,
                    effect="How many waves there are: more come closer to the kernel, take longer and make a "
                    "larger model.",
                ),
                "numeric": Choice(
                    ("standard", "quantile"),
                    "standard",
                    effect="How numbers are scaled: quantile goes by rank, so outliers lose their pull.",
                ),
            }
        )

    def suits(self, data: DataProfile) -> bool:
        return super().suits(data) and dense_width(data, "standard") <= MOST_WIDTH

    def first(self, data: DataProfile) -> Params:
        return self.space(data).validate({"n_components": 500})

    def portfolio(self, data: DataProfile) -> list[Params]:
        space = self.space(data)
        # Our own finding, on parts of tables of 150 to 15,000 rows: of many a weak pull shows what is sharp.
        weak = 1e-6 if data.classes else 1e-4
        chosen: list[dict[str, Any]] = [
            {},
            {"numeric": "quantile", "length_scale": 1.3},
            {"length_scale": 2.2, "strength": 1e-4 if data.classes else 1e-6},
            {"length_scale": 0.4, "strength": 1e-5 if data.classes else 1e-4},
        ]
        if data.rows > FEW_ROWS:
            chosen[:1] = [{"strength": weak}, {"strength": weak, "n_components": 2_500}]
        return [space.validate(params) for params in chosen]

    def cost(self, data: DataProfile, params: Params) -> Cost:
        how, waves = str(params["numeric"]), int(params["n_components"] or 1)
        cells = data.rows * waves
        making = cells * (dense_width(data, how) * 6e-11 + 7e-9)
        if data.classes:
            solving = STEPS * cells * class_trees(data) * 3.5e-10
        else:
            solving = cells * min(waves, data.rows) * 2.7e-11
        return Cost(0.02 + dense_seconds(data, how) + making + solving, cells * 24 + waves**2 * 8)

    def preprocess(self, data: DataProfile, params: Params) -> Any | None:
        # Far from all rows a wave says nothing any more, and what it says is not to be told from rounding.
        return dense_matrix(data, "quantile" if params["numeric"] == "quantile" else "bounded")

    def build(self, data: DataProfile, params: Params, *, seed: int, threads: int) -> Any:
        from sklearn.kernel_approximation import RBFSampler
        from sklearn.linear_model import LogisticRegression, Ridge
        from sklearn.pipeline import make_pipeline

        strength = float(params["strength"])  # type: ignore[arg-type]
        waves = RBFSampler(gamma=_gamma(data, params), n_components=params["n_components"], random_state=seed)
        # Their penalties are for the sum over rows; ours is per row, and means the same on every table.
        if data.task_type is TaskType.REGRESSION:
            return make_pipeline(waves, Ridge(alpha=strength * data.rows, copy_X=False))
        return make_pipeline(waves, LogisticRegression(C=1.0 / (strength * data.rows), max_iter=STEPS))

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
        import numpy as np

        # In 32 bits so weak a penalty is lost.
        fit_briefly(estimator, np.asarray(X, np.float64), y)
        return Fit(estimator, learned=self.learned(estimator))

    def learned(self, estimator: Any) -> dict[str, Any]:
        """Summarise as JSON what training found."""
        waves, model = (step for _, step in estimator.steps)
        return {"waves": int(waves.n_components), "weights": int(model.coef_.size)}


def _gamma(data: DataProfile, params: Params) -> float:
    """The kernel's parameter: distances grow with the root of the number of columns."""
    scale = float(params["length_scale"] or 1.0)
    return 0.5 / (scale**2 * dense_width(data, str(params["numeric"])))
