"""What the boosting libraries have in common: metrics to stop by, patience, curves."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from automl.engine.learners.base import LearningCurve, asks_median
from automl.engine.schema import DataProfile
from automl.engine.space import Condition, Float, Int
from automl.engine.trial import TaskType

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]

# Metrics by which every library can stop; any other one is noisier than the loss and falls back to it.
STOPPING_METRICS = {
    TaskType.BINARY: ("roc_auc", "log_loss"),
    TaskType.MULTICLASS: ("log_loss",),
    TaskType.REGRESSION: ("rmse", "mae"),
}

# With fewer rows of a class a fold ranks so few of them that the best AUC is luck, often of a round or two,
# however many there are of the other: docs/decisions/037.
FEW_OF_A_CLASS = 500

# How many rounds a fit takes, as a multiple of what a class of two takes: a number has no ceiling.
ROUNDS = {TaskType.BINARY: 1.0, TaskType.MULTICLASS: 1.2, TaskType.REGRESSION: 3.0}

# Past this many classes a round is so many trees that fewer and larger steps are the better use of time.
MANY_CLASSES = 10

# So many rows of the training part say how well it is fitted: all of them would cost as much as the fit.
TRAINING_ROWS = 1_000


def stopping_metric(data: DataProfile) -> str:
    """Name the metric by which rounds are chosen: the experiment's own where the libraries have it."""
    known = STOPPING_METRICS[data.task_type]
    # Tables that were prepared before don't say how many there are.
    is_luck = (data.rarest or data.rows // 2) < FEW_OF_A_CLASS
    if data.metric in known and not (data.metric == "roc_auc" and is_luck):
        return data.metric
    if asks_median(data):
        return "mae"
    return "rmse" if data.task_type is TaskType.REGRESSION else "log_loss"


def patience(learning_rate: float) -> int:
    """Give the rounds without improvement after which a fit stops: small steps need more of them."""
    return round(min(max(2.0 / learning_rate, 20), 80))


def expected_rounds(data: DataProfile, limit: int, learning_rate: float) -> float:
    """Guess after how many rounds early stopping ends a fit; measured on tables of 200 to 50,000 rows."""
    needed = ROUNDS[data.task_type] * (5.0 + 3.6 * math.log10(max(data.rows / 200, 1.0)))
    return min(float(limit), needed / learning_rate + patience(learning_rate))


def is_late(deadline: float | None) -> bool:
    """Tell whether a fit has to stop now."""
    return deadline is not None and time.monotonic() >= deadline


def small_leaf(data: DataProfile, usual: int = 20) -> int:
    """Give a leaf size that leaves a small table room for splits."""
    return max(2, min(usual, data.rows // 40))


def learning_rate_dial(default: float) -> Float:
    """Give the dial that all boosting libraries share."""
    return Float(
        0.005,
        0.4,
        default,
        log=True,
        effect="How much each tree corrects: higher learns faster and overshoots, too high diverges; "
        "lower is more exact and needs more rounds and time.",
    )


def rounds_dial(default: int, high: int = 2_000, condition: Condition | None = None) -> Int:
    """Give the dial for the most trees; early stopping usually ends before."""
    return Int(
        20,
        high,
        default,
        log=True,
        condition=condition,
        effect="The most rounds of trees: more helps only while validation improves, as training stops "
        "early by itself; too few leaves a small learning rate unfinished.",
    )


def class_trees(data: DataProfile) -> int:
    """Count the trees of one round: one for each class past two."""
    return data.classes if data.task_type is TaskType.MULTICLASS else 1


def importance_top(values: Any, count: int = 200) -> list[list[float]]:
    """Give the most used inputs of an estimator as [position, share] pairs, largest first."""
    total = float(sum(values))
    if total <= 0.0:
        return []
    order = sorted(range(len(values)), key=lambda i: (-values[i], i))[:count]
    return [[i, round(float(values[i]) / total, 5)] for i in order if values[i] > 0]


def training_sample(X: Any, y: Array) -> tuple[Any, Array]:
    """Give the rows by which the fit of the training part is told, from all over it."""
    import numpy as np

    rows = np.linspace(0, len(y) - 1, min(len(y), TRAINING_ROWS)).round().astype(int)
    return X[rows], y[rows]


def add_training(curve: LearningCurve, margins: Iterable[Array], y: Array, *, rows: int) -> None:
    """Add the training line to a curve.

    Parameters
    ----------
    curve : LearningCurve
    margins : iterable of array
        What the model says of a part of the training rows at each `x`, before any link.
    y : array
        The target of that part.
    rows : int
        How many training rows there are.
    """
    losses = [_loss(curve["metric"], margin, y) for margin in margins]
    if not all(map(math.isfinite, losses)):
        return
    curve["train_metric"] = curve["metric"]
    curve["train"] = [float(f"{loss:.6g}") for loss in losses]
    if len(y) < rows:
        curve["train_rows"] = len(y)


def _loss(metric: str, margin: Array, y: Array) -> float:
    """Judge by a stopping metric; much quicker than a metric that has to check what it is given."""
    import numpy as np

    if metric == "rmse":
        return float(np.sqrt(np.mean((margin - y) ** 2)))
    if metric == "mae":
        return float(np.mean(np.abs(margin - y)))
    if metric == "log_loss" and margin.ndim == 2:
        top = margin.max(axis=1)
        total = top + np.log(np.exp(margin - top[:, None]).sum(axis=1))
        return float(np.mean(total - margin[np.arange(len(y)), y.astype(int)]))
    if metric == "log_loss":
        return float(np.mean(np.logaddexp(0.0, margin) - y * margin))
    return _area(margin, y)


def _area(margin: Array, y: Array) -> float:
    """The area under the ROC curve, from ranks; nothing where there is one class only."""
    from scipy.stats import rankdata

    positive = int(y.sum())
    negative = len(y) - positive
    if not positive or not negative:
        return math.nan
    above = float(rankdata(margin)[y > 0].sum()) - positive * (positive + 1) / 2
    return above / (positive * negative)


def deepest(left: Array, right: Array, roots: Array) -> int:
    """Give the most questions in a row that a forest asks.

    Parameters
    ----------
    left, right : array
        For every node that asks, in which position its two children are; a leaf is negative.
    roots : array
        The positions of the trees' first questions.
    """
    import numpy as np

    depth, nodes = 0, roots
    while len(nodes):
        depth += 1
        children = np.concatenate([left[nodes], right[nodes]])
        nodes = children[children >= 0]
    return depth
