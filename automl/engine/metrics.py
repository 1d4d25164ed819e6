"""How predictions are judged. Every metric has a value, in its own unit, and a score: higher is better.

scikit-learn is imported where a value is computed: the web process lists the metrics.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from automl.engine.trial import TaskType

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]

# A class that was given no chance at all costs this much, and not infinity.
LEAST_PROBABILITY = 1e-15
CLASSES = frozenset({TaskType.BINARY, TaskType.MULTICLASS})
BINARY = frozenset({TaskType.BINARY})
NUMBERS = frozenset({TaskType.REGRESSION})


@dataclass(frozen=True, slots=True)
class Metric:
    """A way to judge predictions.

    Attributes
    ----------
    name, label, description : str
        In the API, on the page, and one sentence for people.
    task_types : frozenset of TaskType
    higher_is_better : bool
    needs : {"probabilities", "labels", "numbers"}
        What is compared with y. Labels are taken from probabilities: the likeliest class, or where
        `automl.engine.labels` has multiplied these, the largest product.
    """

    name: str
    label: str
    description: str
    task_types: frozenset[TaskType]
    higher_is_better: bool
    needs: Literal["probabilities", "labels", "numbers"]
    _compute: Callable[[Any, Any], float]

    @property
    def bounds(self) -> tuple[float, float]:
        """The least and the most that it can be, in its own unit."""
        if self.name in ("mcc", "r2"):
            return (-1.0 if self.name == "mcc" else -math.inf), 1.0
        return 0.0, (1.0 if self.higher_is_better else math.inf)

    @property
    def direction(self) -> Literal["maximize", "minimize"]:
        return "maximize" if self.higher_is_better else "minimize"

    def value(self, y: Array, prediction: Array) -> float:
        """Judge predictions in the metric's own unit.

        Parameters
        ----------
        y : array of shape (rows,)
            Class codes 0..k-1, or numbers.
        prediction : array of shape (rows, k) or (rows,)
            Probabilities of the classes, or numbers.
        """
        if self.needs == "labels":
            return float(self._compute(confusion(y, prediction), None))
        return float(self._compute(y, prediction))

    def value_of_counts(self, counts: Array) -> float:
        """Judge a confusion matrix; only for metrics of labels."""
        return float(self._compute(counts, None))

    def score(self, y: Array, prediction: Array) -> float:
        """Judge predictions so that higher is better."""
        return self.score_of(self.value(y, prediction))

    def score_of(self, value: float) -> float:
        """Turn a value into a score, or a score into a value."""
        return value if self.higher_is_better else -value


def normalised(probabilities: Array) -> Array:
    """Clip probabilities away from 0 and make each row sum to 1."""
    import numpy as np

    clipped = np.clip(np.asarray(probabilities, dtype=np.float64), LEAST_PROBABILITY, None)
    return np.asarray(clipped / clipped.sum(axis=1, keepdims=True))


def _roc_auc(y: Array, p: Array) -> float:
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(y, p[:, 1]))


def _average_precision(y: Array, p: Array) -> float:
    from sklearn.metrics import average_precision_score

    return float(average_precision_score(y, p[:, 1]))


def log_losses(y: Array, p: Array) -> Array:
    """The loss of every row."""
    import numpy as np

    return np.asarray(-np.log(normalised(p)[np.arange(len(y)), y]))


def brier_losses(y: Array, p: Array) -> Array:
    """The squared distance of every row's probabilities from what happened."""
    import numpy as np

    truth = np.zeros_like(p, dtype=np.float64)
    truth[np.arange(len(y)), y] = 1.0
    return np.asarray(((p - truth) ** 2).sum(axis=1))


def confusion(y: Array, p: Array) -> Array:
    """How often class i (rows) was called class j (columns)."""
    import numpy as np

    classes = p.shape[1]
    return np.bincount(np.asarray(y) * classes + p.argmax(axis=1), minlength=classes**2).reshape(
        classes, classes
    )


def _share(part: Array, whole: Array) -> Array:
    """A ratio; 0 where there is nothing to count."""
    import numpy as np

    return np.divide(part, whole, out=np.zeros(np.shape(whole)), where=np.asarray(whole) > 0)


def _accuracy(counts: Array, _: None) -> float:
    return float(counts.trace() / max(counts.sum(), 1))


def _balanced_accuracy(counts: Array, _: None) -> float:
    members = counts.sum(axis=1)
    return float(_share(counts.diagonal(), members)[members > 0].mean())


def _precision(counts: Array, _: None) -> float:
    return float(_share(counts.diagonal(), counts.sum(axis=0))[1])


def _recall(counts: Array, _: None) -> float:
    return float(_share(counts.diagonal(), counts.sum(axis=1))[1])


def _f1_by_class(counts: Array) -> Array:
    return _share(2.0 * counts.diagonal(), counts.sum(axis=0) + counts.sum(axis=1))


def _f1(counts: Array, _: None) -> float:
    return float(_f1_by_class(counts)[1])


def _f1_macro(counts: Array, _: None) -> float:
    there = counts.sum(axis=0) + counts.sum(axis=1) > 0
    return float(_f1_by_class(counts)[there].mean())


def _mcc(counts: Array, _: None) -> float:
    total, right = float(counts.sum()), float(counts.trace())
    true, called = counts.sum(axis=1).astype(float), counts.sum(axis=0).astype(float)
    spread = (total**2 - called @ called) * (total**2 - true @ true)
    return float((right * total - true @ called) / spread**0.5) if spread > 0 else 0.0


def _mae(y: Array, p: Array) -> float:
    import numpy as np

    return float(np.abs(p - y).mean())


def _median_absolute_error(y: Array, p: Array) -> float:
    import numpy as np

    return float(np.median(np.abs(p - y)))


def _r2(y: Array, p: Array) -> float:
    import numpy as np

    spread = float(np.sum((y - y.mean()) ** 2))
    return 1.0 - float(np.sum((y - p) ** 2)) / spread if spread > 0 else 0.0


def _rmsle(y: Array, p: Array) -> float:
    import numpy as np

    return float(np.sqrt(np.mean((np.log1p(np.clip(p, 0, None)) - np.log1p(np.clip(y, 0, None))) ** 2)))


def _mape(y: Array, p: Array) -> float:
    import numpy as np

    return float(np.mean(np.abs(p - y) / np.maximum(np.abs(y), 1e-9)))


def _rmse(y: Array, p: Array) -> float:
    import numpy as np

    return float(np.sqrt(np.mean((p - y) ** 2)))


METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric(
            "roc_auc",
            "ROC AUC",
            "How often a random positive row is ranked above a random negative one; 0.5 is chance.",
            BINARY,
            True,
            "probabilities",
            _roc_auc,
        ),
        Metric(
            "log_loss",
            "Log loss",
            "How surprised the probabilities are by what happened; confident mistakes cost most.",
            CLASSES,
            False,
            "probabilities",
            lambda y, p: float(log_losses(y, p).mean()),
        ),
        Metric(
            "accuracy",
            "Accuracy",
            "The share of rows whose likeliest class is the right one.",
            CLASSES,
            True,
            "labels",
            _accuracy,
        ),
        Metric(
            "balanced_accuracy",
            "Balanced accuracy",
            "Accuracy within each class, averaged: rare classes count as much as common ones.",
            CLASSES,
            True,
            "labels",
            _balanced_accuracy,
        ),
        Metric(
            "f1",
            "F1",
            "The harmonic mean of precision and recall of the positive class.",
            BINARY,
            True,
            "labels",
            _f1,
        ),
        Metric(
            "precision",
            "Precision",
            "Of the rows called positive, the share that are.",
            BINARY,
            True,
            "labels",
            _precision,
        ),
        Metric(
            "recall",
            "Recall",
            "Of the positive rows, the share that is found.",
            BINARY,
            True,
            "labels",
            _recall,
        ),
        Metric(
            "average_precision",
            "Average precision",
            "The area under the precision-recall curve; tells more than ROC AUC where positives are rare.",
            BINARY,
            True,
            "probabilities",
            _average_precision,
        ),
        Metric(
            "brier",
            "Brier score",
            "The squared error of the probabilities.",
            CLASSES,
            False,
            "probabilities",
            lambda y, p: float(brier_losses(y, p).mean()),
        ),
        Metric(
            "f1_macro",
            "Macro F1",
            "F1 of each class, averaged: rare classes count as much as common ones.",
            CLASSES,
            True,
            "labels",
            _f1_macro,
        ),
        Metric(
            "mcc",
            "Matthews correlation",
            "Correlation of predicted and true classes; 0 is chance, 1 is perfect.",
            CLASSES,
            True,
            "labels",
            _mcc,
        ),
        Metric(
            "rmse",
            "RMSE",
            "The typical error in the target's unit; large errors weigh most.",
            NUMBERS,
            False,
            "numbers",
            _rmse,
        ),
        Metric(
            "mae",
            "MAE",
            "The mean error in the target's unit, whatever its sign.",
            NUMBERS,
            False,
            "numbers",
            _mae,
        ),
        Metric(
            "median_absolute_error",
            "Median absolute error",
            "Half of the errors are smaller than this.",
            NUMBERS,
            False,
            "numbers",
            _median_absolute_error,
        ),
        Metric(
            "r2",
            "R²",
            "The share of the target's variance that is explained; 0 is as good as its mean.",
            NUMBERS,
            True,
            "numbers",
            _r2,
        ),
        Metric(
            "mape",
            "MAPE",
            "The mean error as a share of the true value; of no use where the target is near 0.",
            NUMBERS,
            False,
            "numbers",
            _mape,
        ),
        Metric(
            "rmsle",
            "RMSLE",
            "The typical error of the logarithm: relative errors of small and large values weigh the same.",
            NUMBERS,
            False,
            "numbers",
            _rmsle,
        ),
    )
}

_DEFAULTS = {TaskType.BINARY: "roc_auc", TaskType.MULTICLASS: "log_loss", TaskType.REGRESSION: "rmse"}


def default_metric(task_type: TaskType) -> Metric:
    """What `auto` stands for."""
    return METRICS[_DEFAULTS[task_type]]


def metrics_for(task_type: TaskType) -> list[Metric]:
    """The metrics that can judge a task type; its default first."""
    fitting = [metric for metric in METRICS.values() if task_type in metric.task_types]
    return sorted(fitting, key=lambda metric: metric.name != _DEFAULTS[task_type])
