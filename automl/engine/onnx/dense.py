"""Models that add up their inputs, linear ones, kernels and networks, with all that comes before them.

The folds of a member are computed side by side: a step of one is a step of all, on blocks of shape
(folds, rows, columns).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from automl.engine.inference import FittedModel
from automl.engine.inference.word_weights import parted
from automl.engine.onnx.features import Inputs, code_tables
from automl.engine.onnx.graph import DOUBLE, FLOAT, Unsupported
from automl.engine.onnx.scaling import Spread, add_numbers
from automl.engine.onnx.words import add_words

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]

ACTIVATIONS = {"relu": "Relu", "tanh": "Tanh", "logistic": "Sigmoid", "cos": "Cos"}


@dataclass(slots=True)
class Layers:
    """Weights and biases in order; `activation` is that of the hidden layers."""

    weights: list[Array]
    biases: list[Array]
    activation: str = "identity"

    @property
    def is_network(self) -> bool:
        """Whether the weights before the last were trained; waves are drawn."""
        return len(self.weights) > 1 and self.activation != "cos"


def add_dense(inputs: Inputs, models: Sequence[FittedModel]) -> tuple[str, list[int]]:
    """Add what the models compute last, as float64 side by side; and how many outputs each has."""
    folds = [_layers(model.estimator) for model in models]
    # Waves of all folds at once would take the memory of thousands of columns each.
    is_wide = len(folds) > 1 and folds[0].activation == "cos"
    if is_wide or len({fold.biases[-1].shape for fold in folds}) > 1:
        # Some have not seen all classes, so that their blocks are of other shapes.
        alone = [add_dense(inputs, [model]) for model in models]
        return inputs.graph.concat([found for found, _ in alone]), [count for _, (count,) in alone]
    # Networks are trained in 32 bits; the others lose digits with them where numbers are large.
    kind = FLOAT if folds[0].is_network else DOUBLE
    graph = inputs.graph
    found = _First(inputs, models, folds, kind).add()
    for layer in range(1, len(folds[0].weights)):
        if folds[0].activation != "identity":
            found = graph.add(ACTIVATIONS[folds[0].activation], found)
        weights = np.stack([fold.weights[layer] for fold in folds])
        biases = np.stack([fold.biases[layer] for fold in folds])[:, None, :]
        found = graph.add("MatMul", found, graph.constant(weights, _dtype(kind)))
        found = graph.add("Add", found, graph.constant(biases, _dtype(kind)))
    outputs = folds[0].weights[-1].shape[1]
    rows_first = graph.add("Transpose", found, perm=[1, 0, 2])
    found = graph.reshape(rows_first, 0, len(folds) * outputs)
    return graph.cast(found, DOUBLE), [outputs] * len(folds)


def _dtype(kind: int) -> Any:
    return np.float32 if kind == FLOAT else np.float64


def _layers(estimator: Any) -> Layers:
    name = type(estimator).__name__
    if name in ("MLPClassifier", "MLPRegressor"):
        return Layers(list(estimator.coefs_), list(estimator.intercepts_), estimator.activation)
    if name == "Pipeline":
        waves, last = (step for _, step in estimator.steps)
        found = _layers(last)
        # What scikit-learn scales waves by.
        scale = math.sqrt(2.0 / waves.n_components)
        return Layers(
            [waves.random_weights_, found.weights[0] * scale], [waves.random_offset_, *found.biases], "cos"
        )
    if name == "TransformedTargetRegressor":
        inner, scaler = estimator.regressor_, estimator.transformer_
        factor, start = float(scaler.scale_[0]), float(scaler.mean_[0])
        found = _layers(inner)
        return Layers([found.weights[0] * factor], [found.biases[0] * factor + start])
    if name in ("LogisticRegression", "Ridge", "ElasticNet"):
        weights = np.atleast_2d(np.asarray(estimator.coef_, dtype=np.float64)).T
        return Layers([weights], [np.atleast_1d(np.asarray(estimator.intercept_, dtype=np.float64))])
    raise Unsupported(f"{name} is not known")


class _First:
    """The preprocessing of all folds and the first layer of weights.

    Columns of one-hot encodings are never made: a row of a table of weights is taken for each level.
    """

    def __init__(
        self, inputs: Inputs, models: Sequence[FittedModel], folds: Sequence[Layers], kind: int
    ) -> None:
        self.inputs = inputs
        self.graph = inputs.graph
        made = [parted(model.preprocess) for model in models]
        self.told = [told for _, told in made]
        self.steps = [_steps(columns) for columns, _ in made]
        self.weights = [np.asarray(fold.weights[0], dtype=np.float64) for fold in folds]
        self.biases = [np.asarray(fold.biases[0], dtype=np.float64) for fold in folds]
        self.slices = [getattr(columns, "output_indices_", {}) for columns, _ in made]
        self.kind = kind

    def add(self) -> str:
        """The first layer's result, of shape (folds, rows, outputs)."""
        graph = self.graph
        blocks: list[str] = []
        weights: list[Array] = []
        if "numeric" in self.steps[0]:
            self._add_numbers(blocks, weights)
        if "target" in self.steps[0]:
            self._add_encoded(blocks, weights)
        start = graph.constant(np.stack(self.biases)[:, None, :], _dtype(self.kind))
        parts: list[str] = []
        if blocks:
            joined = graph.cast(graph.concat(blocks, axis=2), self.kind)
            weighted = graph.constant(np.concatenate(weights, axis=1), _dtype(self.kind))
            folds_first = graph.add("Transpose", joined, perm=[1, 0, 2])
            parts.append(graph.add("MatMul", folds_first, weighted))
        if "words" in self.steps[0]:
            parts.append(self._words())
        if "one_hot" in self.steps[0]:
            parts.append(self._one_hot())
        if self.told[0] is not None:
            tables = [told for told in self.told if told is not None]
            parts.append(graph.cast(add_words(self.inputs, tables, self.weights), self.kind))
        total = parts[0]
        for part in parts[1:]:
            total = graph.add("Add", total, part)
        return graph.add("Add", total, start)

    def _part(self, fold: int, name: str) -> Array:
        """The weights of a step's columns."""
        return np.asarray(self.weights[fold][self.slices[fold][name]])

    def _add_numbers(self, blocks: list[str], weights: list[Array]) -> None:
        columns = [int(column) for column in self.steps[0]["numeric"][1]]
        pipelines = [steps["numeric"][0] for steps in self.steps]
        spread: Spread = add_numbers(self.inputs, pipelines, columns)
        blocks.append(spread.values)
        weights.append(np.stack([self._part(fold, "numeric") for fold in range(len(self.steps))]))
        if any("missing" in steps for steps in self.steps):
            blocks.append(spread.missing)
            found = np.zeros((len(self.steps), len(columns), weights[0].shape[2]))
            for fold, steps in enumerate(self.steps):
                if "missing" in steps:
                    found[fold][np.asarray(steps["missing"][0].features_)] = self._part(fold, "missing")
            weights.append(found)

    def _add_encoded(self, blocks: list[str], weights: list[Array]) -> None:
        """Encoded categories as numbers: shape (rows, folds, columns)."""
        columns = [int(column) for column in self.steps[0]["target"][1]]
        levels = [self.inputs.levels[column] for column in columns]
        tables = [code_tables(steps["target"][0], levels) for steps in self.steps]
        for place, column in enumerate(columns):
            values = np.stack([table[place] for table in tables], axis=1)
            found = self.inputs.look_up(column, values.astype(np.float64).reshape(len(values), -1))
            blocks.append(self.graph.reshape(found, 0, *values.shape[1:]))
        weights.append(np.stack([self._part(fold, "target") for fold in range(len(self.steps))]))

    def _words(self) -> str:
        """What the components of texts add: shape (folds, rows, outputs)."""
        graph = self.graph
        columns = [int(column) for column in self.steps[0]["words"][1]]
        values = graph.take(self.inputs.matrix, columns)
        alike = graph.add("Unsqueeze", values, graph.constant([0], np.int64))
        # What scikit-learn rounds to 32 bits is rounded here as well.
        means = np.stack([steps["words"][0].mean_ for steps in self.steps])[:, None, :]
        centred = graph.cast(graph.add("Sub", alike, graph.constant(means, np.float32)), self.kind)
        weights = np.stack([self._part(fold, "words") for fold in range(len(self.steps))])
        return graph.add("MatMul", centred, graph.constant(weights, _dtype(self.kind)))

    def _one_hot(self) -> str:
        """What the levels of a row add: shape (folds, rows, outputs)."""
        graph, columns = self.graph, [int(column) for column in self.steps[0]["one_hot"][1]]
        levels = [self.inputs.levels[column] for column in columns]
        folds = []
        for fold, steps in enumerate(self.steps):
            weights, place, found = self._part(fold, "one_hot"), 0, []
            for table in code_tables(steps["one_hot"][0], levels):
                found.append(table @ weights[place : place + table.shape[1]])
                place += table.shape[1]
            folds.append(np.concatenate(found))
        table = np.stack(folds, axis=1)
        first = np.cumsum([0, *(count + 1 for count in levels)])[:-1]
        codes = graph.take(self.inputs.codes(), [self.inputs.categories.index(column) for column in columns])
        places = graph.add("Add", codes, graph.constant(first, np.int64))
        flat = graph.constant(table.reshape(len(table), -1), _dtype(self.kind))
        chosen = graph.add("Gather", flat, places, axis=0)
        total = graph.add("ReduceSum", chosen, graph.constant([1], np.int64), keepdims=0)
        return graph.add("Transpose", graph.reshape(total, 0, *table.shape[1:]), perm=[1, 0, 2])


def _steps(preprocess: Any) -> dict[str, tuple[Any, Any]]:
    """The steps of a fold by name, and their columns."""
    known = {"numeric", "missing", "words", "one_hot", "target"}
    found = {name: (step, columns) for name, step, columns in preprocess.transformers_ if len(columns)}
    found.pop("remainder", None)
    if strange := set(found) - known:
        raise Unsupported(f"its preprocessing {', '.join(sorted(strange))} is not known")
    return found
