"""Loads the model of a bundle."""

from __future__ import annotations

import importlib.util
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from .encoder import Encoder
from .errors import InputError
from .joined import restore
from .model import FittedModel, Member, Model
from .onnx_model import is_offered, load_onnx
from .safe import load_skops
from .seal import check_files
from .uncertainty import Uncertainty

RUNTIMES = ("auto", "onnx", "skops")


def load(folder: str | Path | None = None, *, runtime: str = "auto") -> Model:
    """Load the model of a bundle; nothing in it is run as code.

    Parameters
    ----------
    folder : path, optional
        The unpacked bundle; by default the one that this code lies in.
    runtime : {"auto", "onnx", "skops"}
        What predicts: the graph, which is quick and the same to 1e-5; the pipelines as they were trained; or
        the graph where the bundle has one and ONNX Runtime is installed.

    Raises
    ------
    Damaged
        If a file is not the one that was packaged, or holds a type that does not belong in a model.
    WrongVersion
        If the installed libraries can't load it.
    """
    if runtime not in RUNTIMES:
        raise InputError(f"There is no runtime {runtime!r}. Choose one of: {', '.join(RUNTIMES)}.")
    place = Path(folder) if folder is not None else Path(__file__).resolve().parents[1]
    check_files(place)
    schema = json.loads((place / "schema.json").read_text(encoding="utf-8"))
    if runtime == "auto":
        has_runtime = importlib.util.find_spec("onnxruntime") is not None
        runtime = "onnx" if has_runtime and is_offered(place) else "skops"
    model = (
        load_onnx(place, schema)
        if runtime == "onnx"
        else _stored_model(schema, load_skops(place / "model.skops"))
    )
    if (place / "conformal.json").exists():
        model.uncertainty = Uncertainty(json.loads((place / "conformal.json").read_text(encoding="utf-8")))
    return model


def _stored_model(schema: dict[str, Any], stored: dict[str, Any]) -> Model:
    found = [_member(member) for member in stored["members"]]
    members = [
        replace(member, bases=[found[place] for place in told.get("bases", ())])
        for member, told in zip(found, stored["members"], strict=True)
        # The others are there for what is based on them.
        if member.weight or member.power
    ]
    return Model(Encoder(schema, stored["texts"]), members, float(stored["temperature"]))


def _with_words(columns: Any, told: dict[str, Any] | None) -> Any:
    if told is None:
        return columns
    # What runs a graph has no SciPy.
    from .word_weights import WithWords

    return WithWords(columns, told["texts"], told["buckets"], told["idf"])


def _member(stored: dict[str, Any]) -> Member:
    models = [
        FittedModel(
            _with_words(model["preprocess"], model.get("words")),
            restore(model["estimator"], model.get("trees")),
            stored["layout"],
            model["log_bounds"],
            float(model.get("log_offset", 0.0)),  # bundles of before knew none
            model.get("bounds"),
        )
        for model in stored["models"]
    ]
    return Member(
        float(stored["weight"]),
        models,
        float(stored["temperature"]),
        float(stored["factor"]),
        float(stored.get("power", 0.0)),  # bundles of before there were powers
    )
