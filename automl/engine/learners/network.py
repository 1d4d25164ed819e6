"""A multi-layer perceptron: scikit-learn's, with weights that are trained by `perceptron`."""

from __future__ import annotations

import math
from typing import Any

from automl.engine.learners.base import Cost, Fit, Learner, thin_curve
from automl.engine.learners.boosting import MANY_CLASSES, class_trees, is_late, stopping_metric
from automl.engine.learners.preprocessing import dense_matrix, dense_seconds, dense_width, numeric_dial
from automl.engine.schema import DataProfile
from automl.engine.space import Choice, Float, Int, Space
from automl.engine.trial import Params, TaskType

PATIENCE = 12
# Under so many rows a network takes smaller steps, of fewer rows.
FEW_ROWS = 4_000
# Under so many rows which epoch is the best one is luck.
LUCKY_ROWS = 2_000
# Under so many rows bent columns are too many for them, and of wide tables they make large bundles.
SPLINE_ROWS = 1_000
# Under so many rows a small network of many classes takes some seconds: short searches have time for it.
SHORT_ROWS = 20_000


class NeuralNetwork(Learner):
    """A small dense network."""

    key = "neural_network"
    ends_in_time = True
    # Before 2 the library trained the weights; before 3 ranks and smoothed labels were dealt out otherwise.
    training = 3
    label = "Neural network"
    description = (
        "A small network of dense layers on scaled and one-hot encoded columns. "
        "It bends where trees make steps, so it helps an ensemble even when it is not the best alone."
    )
    goes_beyond = True

    def dials(self, data: DataProfile) -> Space:
        smoothing = Float(
            0.0,
            0.4,
            0.1,
            effect="The share of each label that is dealt out to all classes: higher is less sure of single "
            "rows, too high learns little.",
        )
        return Space(
            {
                "width": Int(
                    16,
                    512,
                    128 if data.rows < FEW_ROWS else 256,
                    log=True,
                    effect="How many units a layer has: wider learns more detail, takes longer and overfits "
                    "small tables.",
                ),
                "layers": Int(
                    1, 4, 2, effect="How many layers: more finds deeper patterns and is harder to train."
                ),
                "learning_rate": Float(
                    2e-4,
                    0.5,
                    0.04 if data.rows < FEW_ROWS else 0.1,
                    log=True,
                    effect="How large each step is: higher trains faster, too high diverges, too low crawls.",
                ),
                "dropout": Float(
                    0.0,
                    0.6,
                    0.1,
                    effect="The share of units that each step leaves out: higher leans less on single units, "
                    "too high learns little.",
                ),
                **({"label_smoothing": smoothing} if data.classes else {}),
                "alpha": Float(
                    1e-6,
                    3.0,
                    0.02,
                    log=True,
                    effect="How much of its weights a step forgets: higher smooths, too high predicts the "
                    "mean.",
                ),
                "epochs": Int(
                    5,
                    100,
                    15 if data.rows > 5_000 else 30,
                    log=True,
                    effect="The most passes over the rows: more helps only while validation improves.",
                ),
                "batch_size": Choice(
                    (64, 128, 256, 512),
                    256 if data.rows > FEW_ROWS else 64,
                    effect="Rows in one step: larger is faster for each pass but takes fewer steps.",
                ),
                "activation": Choice(
                    ("relu", "tanh"),
                    "relu",
                    effect="The bend of each unit: relu is sharp and fast, tanh smooth.",
                ),
                "numeric": numeric_dial(data, "splines" if data.rows >= SPLINE_ROWS else "standard"),
            }
        )

    def first(self, data: DataProfile) -> Params:
        return self.space(data).validate({"width": 64, "layers": 1, "epochs": 10, "numeric": "standard"})

    def portfolio(self, data: DataProfile) -> list[Params]:
        space = self.space(data)
        # Our own finding, on parts of the public tables: where rows say it clearly the sharp ones are best,
        # where they are noisy the damped ones, by a tenth either way.
        deep = {"numeric": "standard", "layers": 3}
        damped = {"learning_rate": 0.02, "dropout": 0.3, "alpha": 0.4, "label_smoothing": 0.0,
                  "width": 128, "epochs": 15}  # fmt: skip
        dropping = {**damped, "dropout": 0.5, "width": 256, "epochs": 20}
        bent = {
            "activation": "tanh",
            "learning_rate": 0.05,
            "dropout": 0.05,
            "alpha": 0.1,
            "epochs": 25,
        }
        chosen: list[dict[str, Any]]
        if data.rows < FEW_ROWS:
            small = {**deep, "learning_rate": 0.06, "dropout": 0.2, "alpha": 0.1, "epochs": 60}
            soft = {**bent, "learning_rate": 0.04, "dropout": 0.2, "epochs": 60}
            few = {
                "numeric": "standard",
                "width": 64,
                "learning_rate": 0.1,
                "label_smoothing": 0.0,
                "epochs": 60,
            }
            chosen = [small, {}, soft, damped, few]
        elif not data.classes:
            chosen = [{}, bent, {**deep, "epochs": 25}, damped, {"numeric": "quantile"}]
        elif data.classes > MANY_CLASSES:
            flat = {"numeric": "standard", "epochs": 20}
            chosen = [flat, damped, {**deep, "epochs": 25, "dropout": 0.05}, dropping, {**flat, "width": 384}]
            if data.rows < SHORT_ROWS:
                chosen.insert(0, {**flat, "width": 192, "epochs": 8})
        else:
            sharp = {"numeric": "standard", "label_smoothing": 0.0, "epochs": 20}
            chosen = [damped, sharp, dropping, {}, deep, {**damped, "numeric": "quantile"}]
        if not data.classes:
            chosen = [{key: each[key] for key in each if key != "label_smoothing"} for each in chosen]
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
        return Cost(0.02 + preparing + epochs * epoch, data.rows * inputs * 16 + weights * 48)

    def preprocess(self, data: DataProfile, params: Params) -> Any | None:
        return dense_matrix(data, str(params["numeric"]))

    def build(self, data: DataProfile, params: Params, *, seed: int, threads: int) -> Any:
        from sklearn.neural_network import MLPClassifier, MLPRegressor

        kind = MLPRegressor if data.task_type is TaskType.REGRESSION else MLPClassifier
        estimator = kind(
            hidden_layer_sizes=(params["width"],) * int(params["layers"] or 1),
            activation=params["activation"],
            alpha=params["alpha"],
            batch_size=min(int(params["batch_size"] or 1), max(data.rows // 4, 1)),
            learning_rate_init=params["learning_rate"],
            max_iter=params["epochs"],
            random_state=seed,
        )
        # It has no place for these; `fit` takes them away again.
        estimator.dropout, estimator.smoothing = params["dropout"], params.get("label_smoothing", 0)
        return estimator

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
        # It trains by its loss, with units left out, whatever it is judged by, and no temperature.
        curve["train_metric"] = "training_log_loss" if data.classes else "half_squared_error"
        return Fit(estimator, curve, learned)


def _watched(data: DataProfile) -> str:
    metric = stopping_metric(data)
    return "rmse" if metric == "mae" else metric


def _train(
    estimator: Any, X: Any, y: Any, X_valid: Any, y_valid: Any, data: DataProfile, deadline: float | None
) -> tuple[list[float], list[float], int]:
    """Train epoch by epoch and leave the best epoch's weights in the estimator; of few rows the last's."""
    from automl.engine.learners.perceptron import shaped, training

    train: list[float] = []
    valid: list[float] = []
    best, kept = 0, None
    extra = {name: estimator.__dict__.pop(name) for name in ("dropout", "smoothing")}
    network = shaped(estimator, X, y, data.classes, **extra)
    for loss in training(network, estimator, X, y):
        estimator.coefs_, estimator.intercepts_ = network.layers()
        if not math.isfinite(loss):
            # What is no number can't be stored; the weights of before are kept.
            break
        train.append(loss)
        valid.append(_loss(estimator, X_valid, y_valid, data))
        if kept is None or keeps_last(data) or _better(valid[-1], valid[best - 1], data):
            best, kept = len(valid), (estimator.coefs_, estimator.intercepts_)
        if len(valid) - best >= PATIENCE or is_late(deadline):
            break
    if kept is not None:
        estimator.coefs_, estimator.intercepts_ = kept
    return train, valid, best


def keeps_last(data: DataProfile) -> bool:
    """Whether the last epoch's weights are kept: the best of them by a few rows would be luck."""
    return data.rows < LUCKY_ROWS


def _better(value: float, than: float, data: DataProfile) -> bool:
    return value > than if _watched(data) == "roc_auc" else value < than


def _loss(estimator: Any, X: Any, y: Any, data: DataProfile) -> float:
    import numpy as np
    from sklearn.metrics import roc_auc_score

    from automl.engine.learners.perceptron import calibrated_loss

    if data.task_type is TaskType.REGRESSION:
        return float(np.sqrt(np.mean((estimator.predict(X) - y) ** 2)))
    probabilities = estimator.predict_proba(X)
    if _watched(data) == "roc_auc":
        return float(roc_auc_score(y, probabilities[:, 1])) if len(np.unique(y)) == 2 else 0.5
    return calibrated_loss(y.astype(int), probabilities)
