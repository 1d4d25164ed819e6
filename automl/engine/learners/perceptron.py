"""Trains the weights of a multi-layer perceptron, with dropout and steps that fit each layer.

scikit-learn's own training has no dropout and one step size for everything. Here weights are learned in the
neural tangent parametrisation, behind a factor for each input, with the step sizes that Holzmüller,
Grinsztajn and Steinwart 2024 ("Better by default", RealMLP) found for tables. What is learned are plain
weights and biases, as scikit-learn's estimators hold them. Needs nothing but NumPy, so that a training script
can hold this source.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

LEAST_PROBABILITY = 1e-7
# For the temperature by which an epoch is judged.
NEWTON_STEPS, HIGHEST_FACTOR = 5, 4.0


class Perceptron:
    """A network in training.

    Parameters
    ----------
    sizes : sequence of int
        Units of each layer, from the inputs to the outputs.
    ends_in : {"softmax", "logistic", "identity"}
        What becomes of the outputs; it also says which loss is learned by.
    activation : {"relu", "tanh"}
        The bend of hidden units.
    dropout : float
        The share of hidden units that each step leaves out, in steps of 1/256.
    smoothing : array of shape (classes,)
        The share of each label that is dealt out to each class; for classes only.
    decay : float
        The share of a weight that is lost in a step of size 1.
    random : numpy.random.Generator
    """

    SCALE_STEP, BIAS_STEP = 6.0, 0.1
    BETA_1, BETA_2, LEAST = 0.9, 0.95, 1e-8

    def __init__(
        self,
        sizes: Sequence[int],
        *,
        ends_in: str,
        activation: str,
        dropout: float,
        smoothing: Any,
        decay: float,
        random: Any,
    ) -> None:
        self.ends_in, self.activation, self.random = ends_in, activation, random
        self.dealt = np.asarray(smoothing, np.float32)
        self.own = 1 - self.dealt.sum()
        self.dropped = round(256 * dropout)
        self.kept_factor = np.float32(256 / (256 - self.dropped))
        self.factors = [np.float32(1 / math.sqrt(size)) for size in sizes[:-1]]
        shapes: list[tuple[int, ...]] = [(sizes[0],)]
        for place, after in enumerate(sizes[1:]):
            shapes += [(sizes[place], after), (after,)]
        ends = np.cumsum([0, *(math.prod(shape) for shape in shapes)])
        # All of them lie in one array: a step is the same few sums over it, however many layers there are.
        arrays = [np.zeros(ends[-1], np.float32) for _ in range(6)]
        self.values, self.gradient, self.mean, self.square, self.step_sizes, self.decays = arrays

        def parts(array: Any) -> list[Any]:
            cut = zip(ends[:-1], ends[1:], shapes, strict=True)
            return [array[start:end].reshape(shape) for start, end, shape in cut]

        (self.scale, *layers), sizes_of_steps = parts(self.values), parts(self.step_sizes)
        self.weights, self.biases = layers[::2], layers[1::2]
        self.scale_gradient, *gradients = parts(self.gradient)
        self.weight_gradients, self.bias_gradients = gradients[::2], gradients[1::2]
        self.scale[:], sizes_of_steps[0][:] = 1, self.SCALE_STEP
        for part in sizes_of_steps[1::2]:
            part[:] = 1
        for part in sizes_of_steps[2::2]:
            part[:] = self.BIAS_STEP
        for part in parts(self.decays)[1::2]:
            part[:] = decay
        # The last layer starts at nothing.
        for weights, biases in zip(self.weights[:-1], self.biases[:-1], strict=True):
            weights[:] = random.standard_normal(weights.shape, np.float32)
            biases[:] = random.standard_normal(biases.shape, np.float32)
        self.steps = 0

    def layers(self) -> tuple[list[Any], list[Any]]:
        """Give copies of weights and biases as a plain network has them."""
        weights = [each * factor for each, factor in zip(self.weights, self.factors, strict=True)]
        weights[0] *= self.scale[:, None]
        return weights, [each.copy() for each in self.biases]

    def step(self, X: Any, y: Any, size: float) -> float:
        """Learn from some rows; the loss that they had."""
        with np.errstate(over="ignore", invalid="ignore"):
            inputs, slopes = [X * self.scale], []
            last = len(self.weights) - 1
            for place, (weights, biases) in enumerate(zip(self.weights, self.biases, strict=True)):
                found = inputs[-1] @ weights
                found *= self.factors[place]
                found += biases
                if place < last:
                    slope = self._slope(found)
                    if self.dropped:
                        kept = self._kept(found.shape)
                        found *= kept
                        slope *= kept
                    slopes.append(slope)
                    inputs.append(found)
            loss, error = self._error(found, y)
            for place in range(last, -1, -1):
                np.dot(inputs[place].T, error, out=self.weight_gradients[place])
                self.weight_gradients[place] *= self.factors[place]
                error.sum(axis=0, out=self.bias_gradients[place])
                error = error @ self.weights[place].T
                error *= self.factors[place]
                if place:
                    error *= slopes[place - 1]
            (error * X).sum(axis=0, out=self.scale_gradient)
            self._move(size)
        return loss

    def _slope(self, found: Any) -> Any:
        """Bend units in place; how much each still passes on."""
        if self.activation == "tanh":
            np.tanh(found, out=found)
            return 1 - found * found
        np.maximum(found, 0, out=found)
        return (found > 0).astype(np.float32)

    def _kept(self, shape: tuple[int, ...]) -> Any:
        drawn = np.frombuffer(self.random.bytes(math.prod(shape)), np.uint8).reshape(shape)
        return (drawn >= self.dropped) * self.kept_factor

    def _error(self, found: Any, y: Any) -> tuple[float, Any]:
        """The mean loss, and its slope at each output."""
        rows = np.float32(len(y))
        if self.ends_in == "identity":
            error = found - y[:, None]
            return float((error * error).mean()) / 2, error / rows
        if self.ends_in == "logistic":
            error = 1 / (1 + np.exp(-found[:, 0]))
            loss = -float(np.log(np.maximum(np.where(y > 0, error, 1 - error), LEAST_PROBABILITY)).mean())
            error -= self.own * y + self.dealt[1]
            return loss, error[:, None] / rows
        error = np.exp(found - found.max(axis=1, keepdims=True))
        error /= error.sum(axis=1, keepdims=True)
        place = np.arange(len(y)), y
        loss = -float(np.log(np.maximum(error[place], LEAST_PROBABILITY)).mean())
        error[place] -= self.own
        error -= self.dealt
        return loss, error / rows

    def _move(self, size: float) -> None:
        """AdamW (Loshchilov and Hutter 2019), a part of its own step size to each part."""
        self.steps += 1
        self.mean += (self.gradient - self.mean) * np.float32(1 - self.BETA_1)
        self.square += (self.gradient * self.gradient - self.square) * np.float32(1 - self.BETA_2)
        spread = np.sqrt(self.square * np.float32(1 / (1 - self.BETA_2**self.steps)))
        spread += np.float32(self.LEAST)
        move = self.mean / spread
        move *= np.float32(1 / (1 - self.BETA_1**self.steps))
        move *= self.step_sizes
        move += self.values * self.decays
        move *= np.float32(size)
        self.values -= move


def shaped(estimator: Any, X: Any, y: Any, classes: int, *, dropout: float, smoothing: float) -> Perceptron:
    """Make a network for one of scikit-learn's, and give that one its shape.

    Parameters
    ----------
    estimator : MLPClassifier or MLPRegressor
        Not fitted; `alpha` is the decay of weights.
    X, y : array
        As for `training`; the first rows are looked at.
    classes : int
        0 for numbers.
    dropout, smoothing : float
        Of each label so much is dealt out to all classes; to more than two by how frequent they are, as no
        temperature takes back what rare ones would get of even parts.

    Returns
    -------
    Perceptron
    """
    # A step of its own makes all that it needs to predict.
    few = slice(estimator.batch_size)
    estimator.partial_fit(X[few], y[few], **({"classes": np.arange(classes)} if classes else {}))
    # What only its own training needs, and what this step came to, is not kept.
    for name in ("_optimizer", "loss_", "best_loss_", "loss_curve_", "n_iter_", "t_"):
        delattr(estimator, name)
    estimator._best_coefs = estimator._best_intercepts = None
    estimator._random_state = estimator.random_state
    shares = np.bincount(y, minlength=classes) / len(y) if classes > 2 else np.full(2, 0.5)
    return Perceptron(
        [X.shape[1], *estimator.hidden_layer_sizes, estimator.n_outputs_],
        ends_in=estimator.out_activation_,
        activation=estimator.activation,
        dropout=dropout,
        smoothing=smoothing * shares,
        decay=estimator.alpha,
        random=np.random.default_rng(estimator.random_state),
    )


def training(network: Perceptron, estimator: Any, X: Any, y: Any) -> Iterator[float]:
    """Train a network pass by pass, in steps that grow for a twentieth of the way, then shrink.

    Parameters
    ----------
    network : Perceptron
    estimator : MLPClassifier or MLPRegressor
        It says how many passes of which steps.
    X : array of float32, shape (rows, inputs)
    y : array of shape (rows,)
        Numbers, or the codes of classes.

    Yields
    ------
    float
        The mean loss of each pass.
    """
    y = y.astype(np.int64 if network.ends_in == "softmax" else np.float32)
    epochs, batch = estimator.max_iter, estimator.batch_size
    steps = max(len(X) // batch, 1)
    for epoch in range(epochs):
        order = network.random.permutation(len(X))
        total = 0.0
        for step in range(steps):
            rows = order[step * batch : (step + 1) * batch]
            way = (epoch * steps + step) / (epochs * steps)
            share = min(20 * way, 1.0) * (1 + math.cos(math.pi * way)) / 2
            total += network.step(X[rows], y[rows], share * estimator.learning_rate_init)
        yield total / steps


def calibrated_loss(y: Any, probabilities: Any) -> float:
    """Give the log loss that is left once a temperature is fitted: smoothed labels make too cautious.

    Parameters
    ----------
    y : array of int, shape (rows,)
    probabilities : array of shape (rows, classes)
    """
    logs = np.log(np.maximum(probabilities, LEAST_PROBABILITY))
    logs -= logs.max(axis=1, keepdims=True)
    own = logs[np.arange(len(y)), y]
    factor, losses = 1.0, []
    for _ in range(NEWTON_STEPS):
        powers = np.exp(factor * logs)
        sums = powers.sum(axis=1, keepdims=True)
        losses.append(float((np.log(sums[:, 0]) - factor * own).mean()))
        powers /= sums
        means = (powers * logs).sum(axis=1)
        curvature = float(((powers * logs * logs).sum(axis=1) - means**2).mean())
        step = float((means - own).mean()) / max(curvature, LEAST_PROBABILITY)
        factor = min(max(factor - step, factor / 2), HIGHEST_FACTOR)
    return min(losses)
