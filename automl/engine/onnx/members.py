"""The fold models of one trial as a part of a graph: their mean prediction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from automl.engine.inference import LEAST_POOLED, FittedModel, Member
from automl.engine.inference.encoder import LARGEST
from automl.engine.onnx.boosting import BOOSTED, Boosted, from_node_table
from automl.engine.onnx.catboost import add_catboost
from automl.engine.onnx.dense import add_dense
from automl.engine.onnx.features import Columns, Inputs, Source, TreeMatrix, number_categories, tree_sources
from automl.engine.onnx.graph import DOUBLE, FLOAT, INT64, Unsupported
from automl.engine.onnx.heads import (
    Fold,
    both_chances,
    finish_probabilities,
    logarithm,
    mean_number,
    mean_probability,
    scale,
    temper,
    total_of,
)
from automl.engine.onnx.trees import Tree, ensemble

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]

NARROW = ("XGB", "RandomForest", "ExtraTrees")
SPLIT_POINTS = 20_000
# Some ten bytes each: more would be over what a graph may have, and take long to read.
MOST_NODES = {"rows": 2_000_000, "numbers": 5_000_000}


@dataclass(frozen=True, slots=True)
class Task:
    """What is predicted: the number of classes, 0 for numbers."""

    classes: int


@dataclass(frozen=True, slots=True)
class Base:
    """What a trial predicts that others are based on: the mean, and each fold's as columns of float32."""

    mean: str
    columns: Sequence[str]


def add_member(
    inputs: Inputs,
    member: Member,
    task: Task,
    thresholds: list[tuple[int, float]],
    known: Mapping[int, Base],
) -> str:
    """Add a member: numbers of shape (rows, 1), or probabilities of shape (rows, classes).

    Parameters
    ----------
    thresholds : list
        Is extended by the columns of the matrix and the values at which trees split them.
    known : mapping
        By key what is in the graph already, among it all that the member is based on.
    """
    if member.key in known:
        return known[member.key].mean
    if not member.bases:
        return _scaled(inputs, member, _add_models(inputs, member.models, task, thresholds), task)
    each = task.classes if task.classes > 2 else 1
    folds = []
    for fold, model in enumerate(member.models):
        columns = [known[base.key].columns[fold] for base in member.bases]
        folds.append(_add_models(inputs.widened(columns, each * len(columns)), [model], task, thresholds))
    return _scaled(inputs, member, _mean_of(inputs, folds), task)


def add_base(inputs: Inputs, member: Member, task: Task, thresholds: list[tuple[int, float]]) -> Base:
    """Add what others are based on."""
    graph = inputs.graph
    folds = [_add_models(inputs, [model], task, thresholds) for model in member.models]
    columns = []
    for found in folds:
        value = _scaled(inputs, member, found, task)
        if task.classes:
            value = logarithm(graph, value, LEAST_POOLED)
        else:
            most = graph.constant(float(LARGEST), np.float64)
            value = graph.add("Max", graph.add("Min", value, most), graph.add("Neg", most))
        if task.classes == 2:
            value = graph.add("Sub", graph.take(value, [1]), graph.take(value, [0]))
        columns.append(graph.cast(value, FLOAT))
    return Base(_scaled(inputs, member, _mean_of(inputs, folds), task), columns)


def _mean_of(inputs: Inputs, folds: Sequence[str]) -> str:
    return scale(inputs.graph, total_of(inputs.graph, folds), 1.0 / len(folds))


def _scaled(inputs: Inputs, member: Member, found: str, task: Task) -> str:
    graph = inputs.graph
    found = scale(graph, found, member.factor)
    if member.temperature == 1.0:
        return found
    return temper(graph, finish_probabilities(graph, found), member.temperature)


def _add_models(
    inputs: Inputs, models: Sequence[FittedModel], task: Task, thresholds: list[tuple[int, float]]
) -> str:
    """Add the mean of what fold models predict."""
    kind = type(models[0].estimator).__name__
    if kind in BOOSTED:
        return _add_boosted(inputs, models, task, thresholds)
    if kind.startswith(("RandomForest", "ExtraTrees")):
        return _add_forest(inputs, models, task, thresholds)
    if kind.startswith("CatBoost"):
        return _finish(inputs, *add_catboost(inputs, models, thresholds), models, task)
    if kind.startswith("Dummy"):
        return _add_constant(inputs, models, task)
    return _finish(inputs, *add_dense(inputs, models), models, task)


def _finish(
    inputs: Inputs, raw: str, outputs: Sequence[int], models: Sequence[FittedModel], task: Task
) -> str:
    """From what each fold gives, as float64 side by side, to the mean prediction."""
    folds = [_fold(model, task, count) for model, count in zip(models, outputs, strict=True)]
    if not task.classes:
        return mean_number(inputs.graph, raw, folds)
    return mean_probability(inputs.graph, raw, folds, task.classes)


def _fold(model: FittedModel, task: Task, outputs: int = 1) -> Fold:
    if not task.classes:
        return Fold(log_bounds=model.log_bounds, log_offset=model.log_offset, bounds=model.bounds)
    return Fold(outputs, tuple(int(code) for code in np.asarray(model.estimator.classes_).ravel()))


def _sources(inputs: Inputs, model: FittedModel) -> list[Source]:
    """A fold's columns; some libraries read them as 32-bit numbers."""
    found = tree_sources(model.preprocess, inputs)
    if not type(model.estimator).__name__.startswith(NARROW):
        return found
    return [
        Source(source.column, None if source.values is None else source.values.astype(np.float32))
        for source in found
    ]


def _add_boosted(
    inputs: Inputs, models: Sequence[FittedModel], task: Task, thresholds: list[tuple[int, float]]
) -> str:
    graph, shared = inputs.graph, TreeMatrix(inputs)
    folds: list[Boosted] = []
    for model in models:
        read = BOOSTED[type(model.estimator).__name__]
        folds.append(read(model.estimator, Columns(shared, _sources(inputs, model))))
    number_categories(shared, [tree for fold in folds for tree in fold.trees])
    matrix = shared.name()
    sums: list[str] = []
    starts: list[Array] = []
    for fold in folds:
        trees, outputs, start = _without_constants(fold)
        _note(thresholds, trees, inputs.own)
        sums.append(_sum_up(inputs, matrix, trees, outputs, len(start)))
        starts.append(start)
    raw = graph.add("Add", graph.concat(sums), graph.constant(np.concatenate(starts)))
    return _finish(inputs, raw, [len(start) for start in starts], models, task)


def _without_constants(fold: Boosted) -> tuple[list[Tree], list[int], Array]:
    """The trees that ask something, their outputs, and what is added to each output."""
    start = fold.start.copy()
    trees: list[Tree] = []
    outputs: list[int] = []
    for tree, output in zip(fold.trees, fold.outputs, strict=True):
        if tree.is_constant:
            start[output] += tree.leaves[0]
        else:
            trees.append(tree)
            outputs.append(output)
    return trees, outputs, start


def _sum_up(inputs: Inputs, matrix: str, trees: list[Tree], outputs: list[int], width: int) -> str:
    """Sums of trees by output, as float64 of shape (rows, width)."""
    if trees:
        return ensemble(inputs.graph, matrix, trees, outputs, width)
    return inputs.graph.add("Expand", inputs.graph.constant(np.zeros((1, width))), _shape(inputs, width))


def _note(thresholds: list[tuple[int, float]], trees: Sequence[Tree], width: int) -> None:
    """Remember where trees split the columns of the table."""
    room = SPLIT_POINTS - len(thresholds)
    for tree in trees:
        for node in np.flatnonzero(tree.feature < width):
            if room <= 0:
                return
            if node not in tree.members:
                thresholds.append((int(tree.feature[node]), float(tree.threshold[node])))
                room -= 1


def _add_forest(
    inputs: Inputs, models: Sequence[FittedModel], task: Task, thresholds: list[tuple[int, float]]
) -> str:
    """Add forests."""
    shared = TreeMatrix(inputs)
    count = sum(tree.tree_.node_count for model in models for tree in model.estimator.estimators_)
    if count > MOST_NODES["rows" if task.classes > 2 else "numbers"]:
        raise Unsupported(f"its trees have {count:,} nodes, which would make too large a graph")
    forests: list[list[Tree]] = []
    tables: list[Array] = []
    for model in models:
        columns, codes = Columns(shared, _sources(inputs, model)), _fold(model, task).classes
        found = [_forest_tree(each.tree_, codes, task, tables) for each in model.estimator.estimators_]
        forests.append([columns.tree(tree) for tree in found])
    matrix = shared.name()
    for forest in forests:
        _note(thresholds, forest, inputs.own)
    if task.classes > 2:
        return _mean_rows(inputs, matrix, forests, tables)
    numbers = mean_number(
        inputs.graph, _mean_leaves(inputs, matrix, forests), [_fold(model, task) for model in models]
    )
    return both_chances(inputs.graph, numbers) if task.classes else numbers


def _mean_leaves(inputs: Inputs, matrix: str, forests: Sequence[Sequence[Tree]]) -> str:
    """The mean of each forest's leaves: float64 of shape (rows, forests)."""
    parts: list[str] = []
    starts: list[Array] = []
    for forest in forests:
        for tree in forest:
            tree.leaves = tree.leaves / len(forest)
        trees, outputs, start = _without_constants(Boosted(list(forest), [0] * len(forest), np.zeros(1)))
        parts.append(_sum_up(inputs, matrix, trees, outputs, 1))
        starts.append(start)
    return inputs.graph.add("Add", inputs.graph.concat(parts), inputs.graph.constant(np.concatenate(starts)))


def _forest_tree(found: Any, codes: Sequence[int], task: Task, tables: list[Array]) -> Tree:
    """A tree whose leaves hold a number, the chance of the second class, or a row of the tables."""
    values = found.value[:, 0, :]
    if task.classes > 2:
        rows = np.zeros((len(values), task.classes), dtype=np.float32)
        rows[:, list(codes)] = values
        leaves = found.children_left < 0
        unique, numbers = np.unique(rows[leaves], axis=0, return_inverse=True)
        values = np.zeros(len(rows))
        values[leaves] = numbers.ravel() + sum(len(table) for table in tables)
        tables.append(unique)
    elif task.classes:
        values = values[:, list(codes).index(1)] if 1 in codes else np.zeros(len(values))
    else:
        values = values[:, 0]
    return from_node_table(
        found.children_left,
        found.children_right,
        found.feature,
        found.threshold,
        found.missing_go_to_left,
        values,
    )


def _mean_rows(inputs: Inputs, matrix: str, forests: Sequence[Sequence[Tree]], tables: list[Array]) -> str:
    """The mean of the rows of the tables that the leaves of trees name."""
    graph = inputs.graph
    rows, numbers = np.unique(np.concatenate(tables), axis=0, return_inverse=True)
    numbers = numbers.ravel()
    if len(rows) >= 1 << 24:
        raise Unsupported("its leaves are too many")
    growing: list[Tree] = []
    start = np.zeros(rows.shape[1])
    chosen: list[float] = []
    weighted = [(tree, 1.0 / (len(forest) * len(forests))) for forest in forests for tree in forest]
    for tree, weight in weighted:
        tree.leaves = numbers[tree.leaves.astype(np.int64)].astype(np.float64)
        if tree.is_constant:
            start += weight * rows[int(tree.leaves[0])]
        else:
            growing.append(tree)
            chosen.append(float(weight))
    if not growing:
        return graph.add("Expand", graph.constant(start[None, :], np.float64), _shape(inputs, len(start)))
    named = graph.cast(ensemble(graph, matrix, growing, range(len(growing)), len(growing)), INT64)
    found = graph.add("Gather", graph.constant(rows), named, axis=0)
    shares = graph.constant(np.array(chosen, dtype=np.float32)[:, None])
    total = graph.add("ReduceSum", graph.add("Mul", found, shares), graph.constant([1], np.int64), keepdims=0)
    return graph.add("Add", graph.cast(total, DOUBLE), graph.constant(start))


def _shape(inputs: Inputs, width: int) -> str:
    graph = inputs.graph
    rows = graph.add("Shape", inputs.matrix, start=0, end=1)
    return graph.concat([rows, graph.constant([width], np.int64)], axis=0)


def _add_constant(inputs: Inputs, models: Sequence[FittedModel], task: Task) -> str:
    """Add what the baseline says of every row."""
    nothing = np.zeros((1, inputs.width), dtype=np.float32)
    found = [
        np.atleast_2d(model.predict(nothing, classes=task.classes, categorical=()).reshape(1, -1))
        for model in models
    ]
    values = np.mean(np.concatenate(found), axis=0, keepdims=True)
    graph = inputs.graph
    return graph.add("Expand", graph.constant(values, np.float64), _shape(inputs, values.shape[1]))
