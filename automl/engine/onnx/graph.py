"""Builds an ONNX graph node by node."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from onnx import AttributeProto, ModelProto, NodeProto, TensorProto, helper, numpy_helper

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]

OPSET, ML_OPSET, IR_VERSION = 21, 5, 10
ML = "ai.onnx.ml"
FLOAT, DOUBLE, INT64, STRING = TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.INT64, TensorProto.STRING
# A graph that is larger helps nobody: it takes longer to load than the model that it stands for.
MOST_BYTES = 100 << 20


class Unsupported(Exception):
    """A model that can't be written as a graph; the text says why."""


@dataclass(frozen=True, slots=True)
class Port:
    """An input or output of a graph."""

    name: str
    kind: int
    shape: tuple[str | int, ...]


class Graph:
    """Nodes and constants of a graph; every result is known by its name."""

    def __init__(self) -> None:
        self._nodes: list[NodeProto] = []
        self._constants: dict[tuple[str, tuple[int, ...], bytes], TensorProto] = {}
        self._count = 0
        self.size = 0

    def constant(self, value: Any, kind: Any = None) -> str:
        """Give the name of a constant; the same value is stored once."""
        array = np.asarray(value, dtype=kind)
        data = array.tobytes() if array.dtype.kind not in "OU" else repr(array.tolist()).encode()
        key = (array.dtype.str, array.shape, data)
        if key not in self._constants:
            self._grow(len(data))
            name = f"/c{len(self._constants)}"
            self._constants[key] = numpy_helper.from_array(_plain(array), name)
        return self._constants[key].name

    def add(self, operator: str, *inputs: str, domain: str = "", **attributes: Any) -> str:
        """Add a node with one output and give the output's name."""
        found = f"/n{self._count}"
        self._count += 1
        node = helper.make_node(operator, list(inputs), [found], domain=domain)
        node.attribute.extend(_attribute(name, value) for name, value in attributes.items())
        self._grow(node.ByteSize())
        self._nodes.append(node)
        return found

    def cast(self, value: str, kind: int) -> str:
        """Cast a value."""
        return self.add("Cast", value, to=kind)

    def concat(self, parts: Sequence[str], axis: int = 1) -> str:
        """Join values along an axis."""
        return parts[0] if len(parts) == 1 else self.add("Concat", *parts, axis=axis)

    def reshape(self, value: str, *shape: int) -> str:
        """Give a value another shape; 0 keeps a dimension, -1 is what is left."""
        return self.add("Reshape", value, self.constant(shape, np.int64))

    def take(self, value: str, positions: Sequence[int], axis: int = 1) -> str:
        """Choose positions along an axis."""
        return self.add("Gather", value, self.constant(positions, np.int64), axis=axis)

    def rename(self, value: str, name: str) -> None:
        """Give a value a name that users see."""
        self._nodes.append(helper.make_node("Identity", [value], [name]))

    def model(self, inputs: Sequence[Port], outputs: Sequence[Port]) -> ModelProto:
        """Make the model of those nodes that the outputs need."""
        needed, given = {port.name for port in outputs}, {port.name for port in inputs}
        nodes: list[NodeProto] = []
        for node in reversed(self._nodes):
            if needed & set(node.output):
                nodes.append(node)
                needed |= set(node.input) - given
        graph = helper.make_graph(
            nodes[::-1],
            "bakeoff",
            [_info(port) for port in inputs],
            [_info(port) for port in outputs],
            [constant for constant in self._constants.values() if constant.name in needed],
        )
        imports = [helper.make_opsetid("", OPSET), helper.make_opsetid(ML, ML_OPSET)]
        model = helper.make_model(graph, opset_imports=imports, ir_version=IR_VERSION)
        model.producer_name = "bakeoff"
        return model

    def _grow(self, count: int) -> None:
        self.size += count
        if self.size > MOST_BYTES:
            raise Unsupported(f"its graph would be over {MOST_BYTES >> 20} MB")


def _info(port: Port) -> Any:
    return helper.make_tensor_value_info(port.name, port.kind, list(port.shape))


def _plain(array: Array) -> Array:
    return (
        array.astype(object) if array.dtype.kind == "U" else np.ascontiguousarray(array).reshape(array.shape)
    )


def _attribute(name: str, value: Any) -> AttributeProto:
    """Make an attribute; arrays of integers are lists, which ONNX's own helper takes long to check."""
    if isinstance(value, np.ndarray) and value.dtype == np.int64:
        attribute = AttributeProto(name=name, type=AttributeProto.INTS)
        attribute.ints.extend(value.tolist())
        return attribute
    if isinstance(value, np.ndarray):
        value = numpy_helper.from_array(value, name)
    return helper.make_attribute(name, value)
