"""Learning curves in words: first drawn ones, then those of real fits."""

from __future__ import annotations

import math

import numpy as np
import pytest

from automl.engine.diagnosis import diagnose, tag_of
from automl.engine.learners import get_learner
from automl.engine.schema import DataProfile
from automl.engine.trial import TaskType


def curve(valid, *, train=None, best=None, metric="log_loss", unit="rounds", x=None):
    valid = [float(value) for value in valid]
    x = list(x or range(1, len(valid) + 1))
    pick = max if metric in ("roc_auc", "accuracy") else min
    return {
        "unit": unit,
        "x": x,
        "train": list(train or []),
        "valid": valid,
        "best": best or x[valid.index(pick(valid))],
        "metric": metric,
    }


ROUNDS = np.arange(1, 101)


@pytest.mark.parametrize(
    ("name", "valid", "params", "tag"),
    [
        ("a plateau", 0.3 + 0.4 * 0.9**ROUNDS, {}, "Converged"),
        ("best before the end", 0.3 + 0.4 * 0.9**ROUNDS + 1e-6 * (ROUNDS - 70) ** 2, {}, "Converged"),
        (
            "back up",
            0.3 + 0.4 * 0.85**ROUNDS + 2e-3 * np.maximum(ROUNDS - 40, 0),
            {},
            "Overfits from round 4",
        ),
        ("a steady fall", 0.7 - 0.003 * ROUNDS, {"learning_rate": 0.005}, "Crawls"),
        ("still falling", 0.3 + 0.4 * 0.97**ROUNDS, {"learning_rate": 0.05}, "Still improving at the end"),
        ("up at once", 0.7 + 0.01 * ROUNDS, {"learning_rate": 0.4}, "Diverged"),
        ("no number", [0.7, 0.6, math.nan, math.nan], {"learning_rate": 0.4}, "Diverged"),
    ],
)
def test_drawn_curves(name, valid, params, tag):
    assert tag_of(diagnose(curve(valid, best=1 if name == "no number" else None), params)).startswith(tag), (
        name
    )


def test_the_same_with_a_metric_that_rises():
    rising = 0.9 - 0.4 * 0.9**ROUNDS
    assert tag_of(diagnose(curve(rising, metric="roc_auc"), {})) == "Converged"
    falling = rising - 2e-3 * np.maximum(ROUNDS - 40, 0)
    assert tag_of(diagnose(curve(falling, metric="roc_auc"), {})).startswith("Overfits from round")


def test_training_that_gets_worse_itself_has_diverged():
    valid = 0.5 + 0.02 * np.sin(ROUNDS) + 0.001 * ROUNDS
    train = 0.7 - 0.3 * np.exp(-(((ROUNDS - 5) / 5.0) ** 2))
    words = diagnose(curve(valid, train=list(train)), {"learning_rate": 0.02})
    assert words == "Diverged. Its training loss rises from round 5: the learning rate of 0.02 is too high."


@pytest.mark.parametrize("best", [None, 0])
def test_a_curve_that_does_not_say_which_point_was_kept_is_read_to_its_end(best):
    falling = list(0.3 + 0.4 * 0.9**ROUNDS)
    assert tag_of(diagnose({**curve(falling), "best": best}, {})) == "Converged"


def test_training_that_is_told_as_a_rising_metric_has_not_diverged():
    rising = 0.9 - 0.4 * 0.9**ROUNDS
    told = curve(rising, metric="roc_auc", train=list(rising + 0.05))
    assert tag_of(diagnose({**told, "train_metric": "roc_auc"}, {})) == "Converged"
    # As if it were a loss.
    assert tag_of(diagnose(told, {"learning_rate": 0.02})) == "Diverged"


def test_a_little_noise_is_not_overfitting():
    rng = np.random.default_rng(0)
    for _ in range(20):
        valid = 0.3 + 0.4 * 0.9**ROUNDS + rng.normal(0, 0.004, 100)
        assert tag_of(diagnose(curve(valid), {})) == "Converged"


def test_the_advice_names_what_the_family_has():
    valid = 0.3 + 0.4 * 0.85**ROUNDS + 2e-3 * np.maximum(ROUNDS - 40, 0)
    words = diagnose(curve(valid), {"num_leaves": 31, "learning_rate": 0.1})
    assert "Fewer leaves or a lower learning rate" in words
    words = diagnose(curve(valid), {"num_leaves": 31, "min_child_samples": 20, "learning_rate": 0.1})
    assert "Fewer leaves, larger leaves or a lower learning rate" in words
    assert "epoch" in diagnose(curve(valid, unit="epochs"), {"alpha": 0.1})


def test_a_fit_that_ran_out_of_time_is_told_apart_from_one_at_its_limit():
    valid = 0.3 + 0.4 * 0.97**ROUNDS
    assert "Time ran out after 100 rounds of 600" in diagnose(curve(valid), {"n_estimators": 600})
    assert "limit of 100 rounds" in diagnose(curve(valid), {"n_estimators": 100})


@pytest.mark.parametrize("given", [None, {}, curve([0.5, 0.4]), {"x": [1, 2], "valid": [1.0], "best": 1}])
def test_without_a_curve_there_is_nothing_to_say(given):
    assert diagnose(given, {}) is None


def table(rows=600, noise=0.6, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(rows, 6)).astype(np.float32)
    signal = X[:, 0] + X[:, 1] * X[:, 2] + rng.normal(0, noise, rows)
    return X, (signal > 0).astype(int)


def trained(family, rows=600, noise=0.6, **params):
    """What is said of a real fit on half of a small table."""
    X, y = table(rows, noise)
    data = DataProfile(rows // 2, 6, TaskType.BINARY, 2, metric="log_loss")
    learner = get_learner(family)
    params = learner.space(data).validate(params)
    half = rows // 2
    preprocess = learner.preprocess(data, params)
    X_train, X_valid = X[:half], X[half:]
    if preprocess is not None:
        X_train, X_valid = preprocess.fit_transform(X_train, y[:half]), preprocess.transform(X_valid)
    estimator = learner.build(data, params, seed=0, threads=1)
    fit = learner.fit(estimator, X_train, y[:half], X_valid, y[half:], data=data, deadline=None)
    learner.describe(fit, X_train, y[:half], data=data)
    return diagnose(fit.learning_curve, params)


ROUND_DIALS = {
    "lightgbm": "n_estimators",
    "xgboost": "n_estimators",
    "catboost": "iterations",
    "hist_boosting": "max_iter",
}


@pytest.mark.parametrize("family", list(ROUND_DIALS))
def test_real_fits_with_tiny_steps_crawl(family):
    words = trained(family, learning_rate=0.005, **{ROUND_DIALS[family]: 40})
    assert tag_of(words) == "Crawls", words


@pytest.mark.parametrize("family", list(ROUND_DIALS))
def test_real_fits_with_large_steps_overfit_or_diverge(family):
    words = trained(family, rows=200, noise=2.0, learning_rate=0.4, **{ROUND_DIALS[family]: 200})
    assert tag_of(words).startswith(("Overfits from round", "Diverged", "Learns nothing")), words


def test_a_real_network_on_noise_that_drops_nothing_overfits():
    words = trained(
        "neural_network", rows=4_400, noise=2.0, learning_rate=0.05, dropout=0.0, epochs=40, width=128
    )
    assert tag_of(words).startswith("Overfits"), words
    assert "dropout" in words


def test_a_real_network_with_tiny_steps_crawls_or_goes_on():
    words = trained("neural_network", learning_rate=0.002, epochs=12, width=64)
    assert tag_of(words) in ("Crawls", "Still improving at the end"), words
