import numpy as np
import pytest
import sklearn.metrics as reference

from automl.engine.intervals import interval, is_tie, metrics_with_intervals
from automl.engine.metrics import METRICS, default_metric, metrics_for
from automl.engine.trial import TaskType

CHANCE = np.random.default_rng(0)
Y2 = CHANCE.integers(0, 2, 400)
P2 = np.clip(0.3 * Y2 + 0.7 * CHANCE.random(400), 0.01, 0.99)
BINARY = np.column_stack([1 - P2, P2])
Y3 = CHANCE.integers(0, 3, 400)
MULTI = CHANCE.dirichlet([1, 1, 1], 400) * 0.6 + 0.4 * np.eye(3)[Y3]
YR = CHANCE.gamma(2, 10, 400)
PR = YR + CHANCE.normal(0, 3, 400)

EXPECTED = {
    "roc_auc": lambda: reference.roc_auc_score(Y2, P2),
    "log_loss": lambda: reference.log_loss(Y2, BINARY),
    "accuracy": lambda: reference.accuracy_score(Y2, P2 > 0.5),
    "balanced_accuracy": lambda: reference.balanced_accuracy_score(Y2, P2 > 0.5),
    "f1": lambda: reference.f1_score(Y2, P2 > 0.5),
    "precision": lambda: reference.precision_score(Y2, P2 > 0.5),
    "recall": lambda: reference.recall_score(Y2, P2 > 0.5),
    "average_precision": lambda: reference.average_precision_score(Y2, P2),
    "f1_macro": lambda: reference.f1_score(Y2, P2 > 0.5, average="macro"),
    "mcc": lambda: reference.matthews_corrcoef(Y2, P2 > 0.5),
    "brier": lambda: 2 * reference.brier_score_loss(Y2, P2),
    "rmse": lambda: reference.root_mean_squared_error(YR, PR),
    "mae": lambda: reference.mean_absolute_error(YR, PR),
    "median_absolute_error": lambda: reference.median_absolute_error(YR, PR),
    "r2": lambda: reference.r2_score(YR, PR),
    "mape": lambda: reference.mean_absolute_percentage_error(YR, PR),
    "rmsle": lambda: reference.root_mean_squared_log_error(YR, np.clip(PR, 0, None)),
}


@pytest.mark.parametrize("name", sorted(METRICS))
def test_values_agree_with_scikit_learn(name):
    y, prediction = (YR, PR) if METRICS[name].needs == "numbers" else (Y2, BINARY)

    assert METRICS[name].value(y, prediction) == pytest.approx(EXPECTED[name](), rel=1e-9)


@pytest.mark.parametrize("name", ["log_loss", "accuracy", "balanced_accuracy", "f1_macro", "mcc"])
def test_values_of_three_classes_agree_with_scikit_learn(name):
    called = MULTI.argmax(axis=1)
    expected = {
        "log_loss": lambda: reference.log_loss(Y3, MULTI),
        "accuracy": lambda: reference.accuracy_score(Y3, called),
        "balanced_accuracy": lambda: reference.balanced_accuracy_score(Y3, called),
        "f1_macro": lambda: reference.f1_score(Y3, called, average="macro"),
        "mcc": lambda: reference.matthews_corrcoef(Y3, called),
    }[name]()

    assert METRICS[name].value(Y3, MULTI) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("name", sorted(METRICS))
def test_a_score_is_higher_where_predictions_are_better(name):
    metric = METRICS[name]
    y, prediction = (YR, PR) if metric.needs == "numbers" else (Y2, BINARY)
    worse = prediction[::-1].copy()

    assert metric.score(y, prediction) > metric.score(y, worse)


def test_a_class_given_no_chance_costs_much_but_not_everything():
    certain = np.array([[1.0, 0.0]])

    assert 30 < METRICS["log_loss"].value(np.array([1]), certain) < 40


@pytest.mark.parametrize("task_type", list(TaskType))
def test_the_default_comes_first_among_the_fitting_metrics(task_type):
    assert metrics_for(task_type)[0] == default_metric(task_type)
    assert all(task_type in metric.task_types for metric in metrics_for(task_type))


@pytest.mark.parametrize(
    "name", ["roc_auc", "log_loss", "accuracy", "f1", "average_precision", "rmse", "mae", "r2"]
)
def test_an_interval_holds_the_truth_about_as_often_as_it_says(name):
    metric = METRICS[name]
    chance = np.random.default_rng(1)
    if metric.needs == "numbers":
        y = chance.normal(0, 5, 40_000)
        prediction = y + chance.normal(0, 2, 40_000)
    else:
        p = chance.beta(2, 2, 40_000)
        y = (chance.random(40_000) < p).astype(int)
        prediction = np.column_stack([1 - p, p])
    truth = metric.value(y, prediction)

    held = 0
    for start in range(0, 40_000, 400):
        part = slice(start, start + 400)
        _, low, high = interval(metric, y[part], prediction[part])
        held += low <= truth <= high

    assert 86 <= held <= 100


@pytest.mark.parametrize("name", ["mcc", "r2", "accuracy", "rmse"])
def test_no_interval_goes_beyond_what_a_metric_can_be(name):
    y = np.array([0, 1] * 20)
    chances = np.where(y == 1, 0.9, 0.1)
    chances[:3] = 0.9
    prediction = y + 0.001 * chances if name in ("r2", "rmse") else np.column_stack([1 - chances, chances])
    prediction[0] += 0.2

    value, low, high = interval(METRICS[name], y, prediction)

    least, most = METRICS[name].bounds
    assert least <= low < value < high <= most


def test_the_same_predictions_are_a_tie_and_much_better_ones_are_not():
    noise = np.random.default_rng(2).random((400, 2))
    noise /= noise.sum(axis=1, keepdims=True)
    for name in ("roc_auc", "log_loss", "accuracy", "average_precision"):
        assert is_tie(METRICS[name], Y2, BINARY, BINARY)
        assert not is_tie(METRICS[name], Y2, BINARY, noise)


def test_intervals_of_all_metrics_are_json_numbers():
    names = [metric.name for metric in metrics_for(TaskType.BINARY)]

    found = metrics_with_intervals(names, Y2, BINARY)

    assert set(found) == set(names)
    assert all(row["low"] <= row["value"] <= row["high"] for row in found.values())
