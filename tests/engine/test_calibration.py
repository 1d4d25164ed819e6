"""Temperatures make probabilities as sure as they are right, and leave the order of rows alone."""

import numpy as np
import pytest

from automl.engine.calibration import HOTTEST, fit_temperature, number_factor
from automl.engine.inference import temper
from automl.engine.metrics import METRICS

ROWS = 4_000


def drawn(sureness):
    """Class codes, the chances they were drawn with, and those chances made surer or less sure."""
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(ROWS, 3))
    chances = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    y = np.array([rng.choice(3, p=row) for row in chances])
    told = np.exp(sureness * logits)
    return y, chances, told / told.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("sureness", [0.5, 2.0])
def test_what_was_made_too_sure_or_too_cautious_is_found_and_undone(sureness):
    y, chances, told = drawn(sureness)

    temperature = fit_temperature(y, told)

    assert temperature == pytest.approx(sureness, rel=0.1)
    assert np.abs(temper(told, temperature) - chances).max() < 0.05
    assert METRICS["log_loss"].value(y, temper(told, temperature)) < METRICS["log_loss"].value(y, told)


def test_probabilities_that_are_right_stay_nearly_as_they_are():
    y, chances, _ = drawn(1.0)

    assert fit_temperature(y, chances) == pytest.approx(1.0, abs=0.08)


def test_rows_that_are_all_wrong_cannot_push_it_out_of_bounds():
    sure = np.array([[0.9, 0.1], [0.1, 0.9]])

    assert fit_temperature(np.array([1, 0]), sure) == pytest.approx(HOTTEST, rel=0.01)


@pytest.mark.parametrize("rows", [20, 100, 1_000])
def test_few_rows_that_are_all_right_leave_some_doubt(rows):
    y = np.arange(rows) % 2
    told = np.where(y[:, None] == np.arange(2), 0.9, 0.1)

    sure = temper(told, fit_temperature(y, told))[np.arange(rows), y]

    assert np.all(1 - 1 / rows < sure)
    assert np.all(sure < 1 - 0.2 / rows)


def test_the_order_of_rows_and_the_likeliest_class_stay():
    _, chances, _ = drawn(1.0)
    sharp = temper(chances, 0.5)

    assert np.array_equal(sharp.argmax(axis=1), chances.argmax(axis=1))
    pair = np.column_stack([chances[:, 0], 1 - chances[:, 0]])
    assert np.array_equal(np.argsort(temper(pair, 0.5)[:, 0]), np.argsort(pair[:, 0]))
    assert sharp.sum(axis=1) == pytest.approx(1.0)


def test_no_other_factor_makes_errors_as_shares_less():
    rng = np.random.default_rng(0)
    predicted = rng.uniform(1, 50, ROWS)
    y = predicted * rng.exponential(size=ROWS)
    y[:40] = 0.0
    mape = METRICS["mape"]

    factor = number_factor("mape", y, predicted, is_log=False)

    least = mape.value(y[40:], factor * predicted[40:])
    assert 0.5 <= factor < 1.0
    assert least <= min(mape.value(y[40:], other * predicted[40:]) for other in np.linspace(0.5, 2, 50))
    assert number_factor("mape", -y, -predicted, is_log=False) == factor
    assert number_factor("mape", 0 * y, predicted, is_log=False) == 1.0


def test_means_are_taken_to_medians_where_errors_count_by_their_size():
    rng = np.random.default_rng(0)
    predicted = rng.uniform(1, 50, ROWS)
    y = predicted * rng.exponential(size=ROWS)
    mae = METRICS["mae"]

    factor = number_factor("mae", y, predicted, is_log=False)

    least = mae.value(y, factor * predicted)
    assert np.log(2) == pytest.approx(factor, abs=0.06)
    assert least <= 1.001 * min(mae.value(y, other * predicted) for other in np.linspace(0.5, 2, 50))
    # Too few rows to tell it from 1, and numbers below 0, of which there may be no share.
    assert number_factor("mae", y[:12], predicted[:12], is_log=False) == 1.0
    assert number_factor("mae", y - 1.0, predicted, is_log=False) == 1.0
    assert number_factor("mae", y, 0 * predicted, is_log=False) == 1.0


@pytest.mark.parametrize(
    ("metric", "is_log"), [("rmse", False), ("median_absolute_error", True), ("rmsle", True)]
)
def test_numbers_that_are_the_best_answer_are_not_multiplied(metric, is_log):
    rng = np.random.default_rng(0)

    assert number_factor(metric, rng.exponential(size=99), rng.exponential(size=99), is_log=is_log) == 1.0
