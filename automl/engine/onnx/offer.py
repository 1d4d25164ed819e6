"""The graph of a model for its bundle, if it has one that says the same."""

from __future__ import annotations

import json
import logging
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from automl.engine.inference import Model
from automl.engine.inference.onnx_model import OnnxModel, session_of
from automl.engine.onnx.columns import describe_inputs
from automl.engine.onnx.export import export
from automl.engine.onnx.graph import ML_OPSET, OPSET, Unsupported
from automl.engine.onnx.parity import SECONDS, TOLERANCE, Parity, compare_matrix, compare_raw

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]

log = logging.getLogger("automl.engine.onnx")


@dataclass(frozen=True, slots=True)
class Offer:
    """What a bundle gets of a graph.

    Attributes
    ----------
    files : dict of name to content
        `onnx.json`, and `model.onnx` if there is one.
    model : OnnxModel or None
        What predicts with it.
    """

    files: dict[str, bytes]
    model: OnnxModel | None = None


def offer(model: Model, X: Array, y: Array, *, seconds: float = SECONDS, excess: str | None = None) -> Offer:
    """Write a model as a graph and compare the two; what fails only means that no graph is offered.

    Parameters
    ----------
    model : Model
    X, y : arrays
        The encoded training table.
    seconds : float
        For comparing.
    excess : str or None
        Why no graph is to be written at all.
    """
    parity: Parity | None = None
    try:
        if excess:
            raise Unsupported(excess)
        exported = export(model, X)
        # One after the other: what runs a graph is several times as large as its file.
        found = compare_matrix(model, exported, X, y, seconds)
        data, outputs = exported.whole(), [port.name for port in exported.outputs]
        del exported
        graph = OnnxModel(model.encoder.schema, session_of(data))
        compare_raw(model, graph, X, y, parity=found)
        parity = found
    except Unsupported as error:
        reason: str | None = str(error)
    except Exception as error:
        # The bundle is whole without a graph: whatever went wrong is no reason to have none.
        log.warning("No graph of a model: %s", error, exc_info=True)
        reason = f"it could not be written ({type(error).__name__}: {str(error)[:300]})"
    else:
        reason = None if parity.holds else parity.complaint()
    described = {
        "offered": reason is None,
        "reason": reason,
        "inputs": describe_inputs(model.encoder.schema),
        "outputs": outputs if reason is None else [],
        "opset": {"": OPSET, "ai.onnx.ml": ML_OPSET},
        "parity": parity and {**asdict(parity), "tolerance": TOLERANCE},
    }
    files = {"onnx.json": json.dumps(described, ensure_ascii=False, indent=2, default=str).encode()}
    return Offer(files) if reason else Offer({"model.onnx": data, **files}, graph)
