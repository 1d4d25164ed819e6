"""Builds an ONNX graph node by node."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto, helper, numpy_helper

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


@dataclass(frozen=True, slots=True)
class _Node:
    """A node as it is written: as an object, one of a forest's takes five times the room."""

    inputs: frozenset[str]
    output: str
    data: bytes


class Graph:
    """Nodes and constants of a graph; every result is known by its name."""

    def __init__(self) -> None:
        self._nodes: list[_Node] = []
        self._constants: dict[tuple[str, tuple[int, ...], bytes], TensorProto] = {}
        self._count = 0
        self.size = 0

    def constant(self, value: Any, kind: Any = None) -> str:
        """Give the name of a constant; the same value is stored once."""
        array = np.asarray(value, dtype=kind)
        data = array.tobytes() if array.dtype.kind not in "OU" else repr(array.tolist()).encode()
        key = (array.dtype.str, array.shape, hashlib.sha256(data).digest())
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
        self._append(node)
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
        self._append(helper.make_node("Identity", [value], [name]))

    def written(self, inputs: Sequence[Port], outputs: Sequence[Port]) -> bytes:
        """Write the model of those nodes that the outputs need.

        Messages are put together from their parts as bytes, which is what Protocol Buffers promise to read
        as one: built as objects, a graph would be copied twice.
        """
        needed, given = {port.name for port in outputs}, {port.name for port in inputs}
        parts: list[bytes] = []
        for node in reversed(self._nodes):
            if node.output in needed:
                parts += [node.data, _head(GraphProto.NODE_FIELD_NUMBER, len(node.data))]
                needed |= node.inputs - given
        rest = helper.make_graph(
            [],
            "bakeoff",
            [_info(port) for port in inputs],
            [_info(port) for port in outputs],
            [constant for constant in self._constants.values() if constant.name in needed],
        )
        imports = [helper.make_opsetid("", OPSET), helper.make_opsetid(ML, ML_OPSET)]
        model = ModelProto(ir_version=IR_VERSION, producer_name="bakeoff", opset_import=imports)
        parts = [*parts[::-1], rest.SerializeToString()]
        head = _head(ModelProto.GRAPH_FIELD_NUMBER, sum(map(len, parts)))
        return b"".join([model.SerializeToString(), head, *parts])

    def _append(self, node: NodeProto) -> None:
        self._nodes.append(_Node(frozenset(node.input), node.output[0], node.SerializeToString()))

    def _grow(self, count: int) -> None:
        self.size += count
        if self.size > MOST_BYTES:
            raise Unsupported(f"its graph would be over {MOST_BYTES >> 20} MB")


def _head(number: int, length: int) -> bytes:
    """What comes before a message that is a field of another, of a number under 16: its tag and length."""
    head = bytearray([number << 3 | 2])
    while length > 0x7F:
        head.append(length & 0x7F | 0x80)
        length >>= 7
    return bytes([*head, length])


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
