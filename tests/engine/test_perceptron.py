"""The training of networks: its slopes, what it hands over, and what its dials do."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import log_loss
from sklearn.neural_network import MLPClassifier, MLPRegressor

from automl.engine.learners.perceptron import Perceptron, calibrated_loss, shaped, training

ENDS = {"identity": 0, "logistic": 2, "softmax": 4}


def rows_of(ends_in, count=24, inputs=3):
    random = np.random.default_rng(0)
    X = random.standard_normal((count, inputs)).astype(np.float32)
    if ends_in == "identity":
        return X, X[:, 0] * X[:, 1]
    return X, random.integers(0, ENDS[ends_in], count).astype(
        np.float32 if ends_in == "logistic" else np.int64
    )


def network(ends_in, activation="relu", **settings):
    outputs = ENDS[ends_in] if ends_in == "softmax" else 1
    given = {"dropout": 0.0, "smoothing": np.zeros(max(outputs, 2)), "decay": 0.0, **settings}
    sizes = [3, 6, 5, outputs]
    return Perceptron(sizes, ends_in=ends_in, activation=activation, random=np.random.default_rng(1), **given)


@pytest.mark.parametrize("dropout", [0.0, 0.3])
@pytest.mark.parametrize("activation", ["relu", "tanh"])
@pytest.mark.parametrize("ends_in", ENDS)
def test_slopes_are_those_of_the_loss(ends_in, activation, dropout):
    X, y = rows_of(ends_in)
    learner = network(ends_in, activation, dropout=dropout)
    for _ in range(3):
        learner.step(X, y, 0.05)

    def loss():
        # The same units are left out each time.
        learner.random = np.random.default_rng(7)
        return learner.step(X, y, 0.0)

    loss()
    slopes, values, wide = learner.gradient.copy(), learner.values, 2e-3
    found = []
    for place in range(len(values)):
        kept = values[place]
        losses = []
        for move in (wide, -wide):
            values[place] = kept + move
            losses.append(loss())
        values[place] = kept
        found.append((losses[0] - losses[1]) / (2 * wide))
    # Single precision; and a unit of relu may bend in between.
    near = np.isclose(found, slopes, rtol=0.05, atol=2e-3)
    assert near.mean() > 0.95
    assert np.abs(slopes).max() > 0.01


def estimator_of(ends_in, **settings):
    kind = MLPRegressor if ends_in == "identity" else MLPClassifier
    given = {"hidden_layer_sizes": (16, 16), "batch_size": 32, "max_iter": 40, "learning_rate_init": 0.05}
    return kind(**{**given, "alpha": 1e-3, "random_state": 3, **settings})


def trained(ends_in, *, count=400, dropout=0.0, smoothing=0.0, **settings):
    X, y = rows_of(ends_in, count)
    if ends_in != "identity":
        # Which quarter of the plane a row is in.
        y = ((X[:, 0] > 0) * (2 if ends_in == "softmax" else 1) ^ (X[:, 1] > 0)).astype(y.dtype)
    estimator = estimator_of(ends_in, **settings)
    learner = shaped(estimator, X, y, ENDS[ends_in], dropout=dropout, smoothing=smoothing)
    losses = list(training(learner, estimator, X, y))
    estimator.coefs_, estimator.intercepts_ = learner.layers()
    return estimator, X, y, losses


@pytest.mark.parametrize("ends_in", ENDS)
def test_the_library_predicts_with_the_weights_what_was_learned(ends_in):
    estimator, X, y, losses = trained(ends_in)

    assert losses[-1] < 0.2 * losses[0]
    if ends_in == "identity":
        assert np.mean((estimator.predict(X) - y) ** 2) < 0.1 * np.var(y)
    else:
        assert estimator.score(X, y) > 0.95
        assert log_loss(y, estimator.predict_proba(X)) == pytest.approx(losses[-1], abs=0.05)


def test_the_same_seed_gives_the_same_weights():
    one, other, third = (trained("softmax", dropout=0.2, random_state=seed)[0] for seed in (3, 3, 4))

    assert all(np.array_equal(a, b) for a, b in zip(one.coefs_, other.coefs_, strict=True))
    assert not np.array_equal(one.coefs_[0], third.coefs_[0])


@pytest.mark.parametrize("ends_in", ["logistic", "softmax"])
def test_smoothed_labels_make_less_sure(ends_in):
    sure, smooth = (trained(ends_in, smoothing=each) for each in (0.0, 0.3))

    tops = [estimator.predict_proba(X).max(axis=1).mean() for estimator, X, _, _ in (sure, smooth)]
    # Of the share that is dealt out, one part of so many goes back to the class itself.
    expected = 1 - 0.3 * (1 - 1 / ENDS[ends_in])
    assert tops[0] > 0.95
    assert tops[1] == pytest.approx(expected, abs=0.03)
    assert smooth[0].score(smooth[1], smooth[2]) > 0.95


def test_smoothed_labels_leave_rare_ones_of_many_classes_as_rare_as_they_are():
    X, _ = rows_of("softmax", 600)
    y = (X[:, 0] > 1.7).astype(np.int64)
    estimator = estimator_of("softmax")
    learner = shaped(estimator, X, y, 4, dropout=0.0, smoothing=0.3)
    list(training(learner, estimator, X, y))
    estimator.coefs_, estimator.intercepts_ = learner.layers()

    found = estimator.predict_proba(X).mean(axis=0)

    assert found == pytest.approx(np.bincount(y, minlength=4) / len(y), abs=0.02)


def test_dropout_leaves_out_its_share_and_keeps_the_mean():
    kept = network("identity", dropout=0.25)._kept((400, 400))

    assert (kept == 0).mean() == pytest.approx(0.25, abs=0.01)
    assert kept.mean() == pytest.approx(1.0, abs=0.01)


def test_decay_keeps_noise_from_being_learned():
    X, y = rows_of("softmax", 200)
    losses = []
    for decay in (1e-4, 1.0):
        estimator = estimator_of("softmax", alpha=decay)
        learner = shaped(estimator, X, y, 4, dropout=0.0, smoothing=0.0)
        losses.append(list(training(learner, estimator, X, y))[-1])

    assert losses[0] < losses[1] - 0.1


@pytest.mark.parametrize("classes", [2, 6])
def test_a_loss_is_judged_at_its_best_temperature(classes):
    random = np.random.default_rng(5)
    logits = random.standard_normal((300, classes))
    y = (logits + random.gumbel(size=logits.shape)).argmax(axis=1)

    def probabilities(factor):
        powers = np.exp(factor * logits)
        return powers / powers.sum(axis=1, keepdims=True)

    best = min(log_loss(y, probabilities(factor)) for factor in np.linspace(0.3, 3, 200))
    for factor in (0.4, 1.0, 2.0):
        assert calibrated_loss(y, probabilities(factor)) == pytest.approx(best, abs=2e-3)
