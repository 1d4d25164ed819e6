"""scikit-learn's multi-layer perceptron, trained by epochs with early stopping."""

from __future__ import annotations

import math
from typing import Any

from automl.engine.learners.base import Cost, Fit, Learner, thin_curve
from automl.engine.learners.boosting import MANY_CLASSES, class_trees, is_late, stopping_metric
from automl.engine.learners.preprocessing import dense_matrix, dense_seconds, dense_width, numeric_dial
from automl.engine.schema import DataProfile
from automl.engine.space import Choice, Float, Int, Space
from automl.engine.trial import Params, TaskType

# The learning rate falls along half a cosine to this share of its start.
LAST_RATE = 0.02
PATIENCE = 12
# Under so many rows a wide network overfits before it has learned.
WIDE_ROWS = 4_000


class NeuralNetwork(Learner):
    """A small dense network."""

    key = "neural_network"
    label = "Neural network"
    description = (
        "A small network of dense layers on scaled and one-hot encoded columns. "
        "It bends where trees make steps, so it helps an ensemble even when it is not the best alone."
    )

    def dials(self, data: DataProfile) -> Space:
        return Space(
            {
                "width": Int(
                    16,
                    512,
                    64 if data.rows < 2_000 else 128,
                    log=True,
                    effect="How many units a layer has: wider learns more detail, takes longer and overfits "
                    "small tables.",
                ),
                "layers": Int(
                    1, 3, 2, effect="How many layers: more finds deeper patterns and is harder to train."
                ),
                "learning_rate": Float(
                    2e-4,
                    2e-2,
                    1.5e-3,
                    log=True,
                    effect="How large each step is: higher trains faster, too high diverges, too low crawls.",
                ),
                "alpha": Float(
                    1e-6,
                    3.0,
                    0.5,
                    log=True,
                    effect="How strongly weights are kept small: higher smooths, too high predicts the mean.",
                ),
                "epochs": Int(
                    5,
                    100,
                    20 if data.rows > 25_000 else 40 if data.rows > 5_000 else 60,
                    log=True,
                    effect="The most passes over the rows: more helps only while validation improves.",
                ),
                "batch_size": Choice(
                    (64, 256, 512),
                    256 if data.rows > 2_000 else 64,
                    effect="Rows in one step: larger is faster for each pass but takes fewer steps.",
                ),
                "activation": Choice(
                    ("relu", "tanh"),
                    "relu",
                    effect="The bend of each unit: relu is sharp and fast, tanh smooth.",
                ),
                "numeric": numeric_dial("splines"),
            }
        )

    def first(self, data: DataProfile) -> Params:
        return self.space(data).validate(
            {"width": 32, "layers": 1, "epochs": 10, "learning_rate": 5e-3, "numeric": "standard"}
        )

    def portfolio(self, data: DataProfile) -> list[Params]:
        # The wide ones, with large steps, are our own finding: on tables of more than a few thousand rows
        # they err a tenth less than the default.
        space = self.space(data)
        wide = {"width": 256, "learning_rate": 4e-3, "alpha": 0.1}
        tanh = {
            "width": 48,
            "learning_rate": 4.5e-3,
            "alpha": 1e-5,
            "epochs": 25,
            "batch_size": 64,
            "activation": "tanh",
            "numeric": "standard",
        }
        steep = {**wide, "learning_rate": 8e-3, "numeric": "standard"}
        quantile = {"numeric": "quantile", "learning_rate": 2e-3, "alpha": 1e-2}
        damped = {"numeric": "standard", "learning_rate": 3e-3, "alpha": 1.0}
        chosen: list[dict[str, Any]]
        if data.rows < WIDE_ROWS:
            chosen = [{}, tanh, steep, quantile, damped]
        elif data.classes > MANY_CLASSES:
            # Cheaper than the wide ones, and better with that many classes; our own finding too.
            most = int(space.default()["epochs"] or 0)
            flat = {**steep, "width": 384, "layers": 1, "learning_rate": 1e-2, "alpha": 3e-3}
            light = {**steep, "learning_rate": 6e-3, "alpha": 1e-2, "epochs": min(25, most)}
            flat["epochs"] = min(30, most)
            chosen = [flat, light, steep, wide, {}, tanh, quantile]
        else:
            chosen = [wide, steep, {}, tanh, quantile]
        return [space.validate(params) for params in chosen]

    def cost(self, data: DataProfile, params: Params) -> Cost:
        inputs, width = dense_width(data, str(params["numeric"])), int(params["width"] or 0)
        layers, outputs = int(params["layers"] or 1), class_trees(data)
        weights = inputs * width + (layers - 1) * width**2 + width * outputs
        steps = data.rows / int(params["batch_size"] or 1)
        epoch = data.rows * (weights * 8e-11 + (width * layers + outputs) * 8e-10 + 4e-7)
        epoch += steps * (8e-5 * layers + weights * 2e-9)
        preparing = dense_seconds(data, str(params["numeric"]))
        epochs = 0.9 * int(params["epochs"] or 0)
        return Cost(0.02 + preparing + epochs * epoch, data.rows * inputs * 16 + weights * 24)

    def preprocess(self, data: DataProfile, params: Params) -> Any | None:
        return dense_matrix(data, str(params["numeric"]))

    def build(self, data: DataProfile, params: Params, *, seed: int, threads: int) -> Any:
        from sklearn.neural_network import MLPClassifier, MLPRegressor

        kind = MLPRegressor if data.task_type is TaskType.REGRESSION else MLPClassifier
        return kind(
            hidden_layer_sizes=(params["width"],) * int(params["layers"] or 1),
            activation=params["activation"],
            alpha=params["alpha"],
            batch_size=min(int(params["batch_size"] or 1), max(data.rows // 4, 1)),
            learning_rate_init=params["learning_rate"],
            max_iter=params["epochs"],
            random_state=seed,
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
        import numpy as np

        X, X_valid = np.asarray(X, np.float32), np.asarray(X_valid, np.float32)
        centre, scale = 0.0, 1.0
        if data.task_type is TaskType.REGRESSION:
            # Without it the first epochs would go into learning the target's mean.
            centre, scale = float(np.mean(y)), float(np.std(y)) or 1.0
            y, y_valid = (y - centre) / scale, (y_valid - centre) / scale
        train, valid, best = _train(estimator, X, y, X_valid, y_valid, data, deadline)
        if data.task_type is TaskType.REGRESSION:
            # The last layer is linear: it can take the scale back in, and no wrapper has to be stored.
            estimator.coefs_[-1] *= scale
            estimator.intercepts_[-1] *= scale
            estimator.intercepts_[-1] += centre
            valid = [value * scale for value in valid]
        metric = _watched(data)
        learned = {
            "epochs": best,
            "layers": [list(weights.shape) for weights in estimator.coefs_],
            "weights": int(sum(weights.size for weights in estimator.coefs_)),
        }
        curve = thin_curve("epochs", metric, train, valid, best)
        # It trains by its loss, whatever it is judged by.
        curve["train_metric"] = "log_loss" if data.classes else "half_squared_error"
        return Fit(estimator, curve, learned)

    def thin(self, estimator: Any, *, models: int) -> None:
        # Its own copy of the best weights is not ours, and as large as the weights.
        estimator._best_coefs = estimator._best_intercepts = None


def _watched(data: DataProfile) -> str:
    metric = stopping_metric(data)
    return "rmse" if metric == "mae" else metric


def _train(
    estimator: Any, X: Any, y: Any, X_valid: Any, y_valid: Any, data: DataProfile, deadline: float | None
) -> tuple[list[float], list[float], int]:
    """Train epoch by epoch and leave the best epoch's weights in the estimator.

    MLP's own early stopping splits off rows with stratification, which fails when a class has one
    member; and with an integer seed every `partial_fit` would shuffle the rows in the same way.
    """
    import numpy as np

    seed, epochs = estimator.random_state, estimator.max_iter
    estimator.random_state = np.random.RandomState(seed)
    arguments = {"classes": np.arange(data.classes)} if data.classes else {}
    train: list[float] = []
    valid: list[float] = []
    best, kept = 0, None
    for epoch in range(epochs):
        rate = LAST_RATE + (1 - LAST_RATE) * 0.5 * (1 + math.cos(math.pi * epoch / epochs))
        if epoch:
            estimator._optimizer.learning_rate_init = rate * estimator.learning_rate_init
        estimator.partial_fit(X, y, **(arguments if not epoch else {}))
        train.append(float(estimator.loss_))
        valid.append(_loss(estimator, X_valid, y_valid, data))
        if kept is None or _better(valid[-1], valid[best - 1], data):
            best = epoch + 1
            kept = ([w.copy() for w in estimator.coefs_], [w.copy() for w in estimator.intercepts_])
        if epoch + 1 - best >= PATIENCE or is_late(deadline):
            break
    if kept is not None:
        estimator.coefs_, estimator.intercepts_ = kept
    # The optimiser holds two more copies of the weights and is of no use to a finished model.
    del estimator._optimizer
    estimator.random_state = estimator._random_state = seed
    return train, valid, best


def _better(value: float, than: float, data: DataProfile) -> bool:
    return value > than if _watched(data) == "roc_auc" else value < than


def _loss(estimator: Any, X: Any, y: Any, data: DataProfile) -> float:
    import numpy as np
    from sklearn.metrics import log_loss, roc_auc_score

    if data.task_type is TaskType.REGRESSION:
        return float(np.sqrt(np.mean((estimator.predict(X) - y) ** 2)))
    probabilities = estimator.predict_proba(X)
    if _watched(data) == "roc_auc":
        return float(roc_auc_score(y, probabilities[:, 1])) if len(np.unique(y)) == 2 else 0.5
    return float(log_loss(y, probabilities, labels=np.arange(data.classes)))
