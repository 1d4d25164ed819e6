"""A whole model as one ONNX graph: columns in, probabilities or numbers out."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from onnx import TensorProto

from automl.engine.inference import LEAST_POOLED, Model, bases_of
from automl.engine.onnx.columns import ROWS, add_columns, input_ports
from automl.engine.onnx.features import Inputs
from automl.engine.onnx.graph import DOUBLE, FLOAT, INT64, STRING, Graph, Port
from automl.engine.onnx.heads import finish_probabilities, keep_sign, logarithm, scale, temper, total_of
from automl.engine.onnx.members import Task, add_base, add_member

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]

MATRIX = "/matrix"
LABEL_KINDS = {bool: (TensorProto.BOOL, np.bool_), int: (INT64, np.int64), float: (DOUBLE, np.float64)}


@dataclass(slots=True)
class Exported:
    """A model as a graph, written when asked for: each is as large as the model.

    Attributes
    ----------
    graph : Graph
    columns : list of Port
        The table's columns.
    matrix : Port
        What trials were fitted on.
    outputs : list of Port
        The first of them is what is predicted.
    thresholds : list
        Columns of the matrix, and values at which trees split them.
    """

    graph: Graph
    columns: list[Port]
    matrix: Port
    outputs: list[Port]
    thresholds: list[tuple[int, float]] = field(default_factory=list)

    def whole(self) -> bytes:
        """Write the graph from the table's columns to all outputs."""
        return self.graph.written(self.columns, self.outputs)

    def core(self) -> bytes:
        """Write the graph from the encoded matrix to what is predicted."""
        return self.graph.written([self.matrix], self.outputs[:1])


def export(model: Model, X: Array | None = None) -> Exported:
    """Write a model as a graph.

    Parameters
    ----------
    model : Model
    X : array, optional
        The encoded training table. Without it combinations of many levels can't be written.

    Raises
    ------
    Unsupported
        If a part of it can't be written so, or the graph would be too large.
    """
    schema = model.encoder.schema
    graph = Graph()
    matrix = add_columns(graph, model.encoder)
    graph.rename(matrix, MATRIX)
    thresholds: list[tuple[int, float]] = []
    outputs = _add_model(graph, model, thresholds, X)
    return Exported(
        graph,
        input_ports(schema),
        Port(MATRIX, FLOAT, (ROWS, len(schema["features"]))),
        [Port(name, kind, (ROWS, *shape)) for name, kind, shape in outputs],
        thresholds,
    )


def _add_model(
    graph: Graph, model: Model, thresholds: list[tuple[int, float]], X: Array | None
) -> list[tuple[str, int, tuple[int, ...]]]:
    """Add members and what is made of them; the outputs, the first of them what is predicted."""
    schema = model.encoder.schema
    classes = len(schema.get("classes") or [])
    tell_unknown = {column["name"] for column in schema["columns"] if column.get("tells_unknown")}
    levels = {
        place: int(feature["levels"]) + (feature["column"] in tell_unknown)
        for place, feature in enumerate(schema["features"])
        if feature["kind"] == "category"
    }
    inputs = Inputs(graph, MATRIX, levels, len(schema["features"]), rows=X)
    known = {base.key: add_base(inputs, base, Task(classes), thresholds) for base in bases_of(model.members)}
    parts, logs, bounds = [], [], []
    for member in model.members:
        found = add_member(inputs, member, Task(classes), thresholds, known)
        if member.power:
            logs.append(scale(graph, logarithm(graph, found, LEAST_POOLED), member.power))
        if member.weight:
            bounds.append(found)
            parts.append(scale(graph, found, member.weight))
    total = total_of(graph, parts)
    if min(member.weight for member in model.members) < 0:
        total = keep_sign(graph, total, bounds)
    if logs:
        total = graph.add("Softmax", total_of(graph, [*logs, logarithm(graph, total)]), axis=1)
    if not classes:
        graph.rename(total, "prediction")
        return [("prediction", DOUBLE, (1,))]
    finished = temper(graph, finish_probabilities(graph, total), model.temperature)
    graph.rename(finished, "probabilities")
    kind, labels = _labels(schema["classes"])
    weighed = "probabilities"
    if model.label_factors is not None:
        weighed = graph.add("Mul", weighed, graph.constant(model.label_factors))
    place = graph.add("ArgMax", weighed, axis=1, keepdims=0)
    graph.rename(graph.add("Gather", graph.constant(labels), place, axis=0), "label")
    return [("probabilities", DOUBLE, (classes,)), ("label", kind, ())]


def _labels(labels: list[Any]) -> tuple[int, Array]:
    """Labels as training had them; as text where they are of several types."""
    kinds = {type(label) for label in labels}
    if len(kinds) == 1 and (found := LABEL_KINDS.get(kinds.pop())):
        return found[0], np.array(labels, dtype=found[1])
    return STRING, np.array([str(label) for label in labels])
