"""A bundle's files: held against their checksums, and loaded without running any of them."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from .encoder import Encoder
from .errors import InputError
from .model import FittedModel, Member, Model
from .uncertainty import Uncertainty

RUNTIMES = ("auto", "skops")
# Types that a stored model may hold: all of them are data structures of these libraries.
TRUSTED_PREFIXES = (
    "sklearn.",
    "numpy.",
    "scipy.",
    "lightgbm.",
    "xgboost.",
    "catboost.",
    "_catboost.",
    "collections.",
)


def load(folder: str | Path | None = None, *, runtime: str = "auto") -> Model:
    """Load the model of a bundle; nothing in it is run as code.

    Parameters
    ----------
    folder : path, optional
        The unpacked bundle; by default the one that this code lies in.
    runtime : {"auto", "skops"}
        What predicts: the pipelines as they were trained, or the best that the bundle has.

    Raises
    ------
    InputError
        If a file is not the one that was packaged, or holds a type that does not belong in a model.
    """
    if runtime not in RUNTIMES:
        raise InputError(f"There is no runtime {runtime!r}. Choose one of: {', '.join(RUNTIMES)}.")
    place = Path(folder) if folder is not None else Path(__file__).resolve().parents[1]
    check_files(place)
    schema = json.loads((place / "schema.json").read_text(encoding="utf-8"))
    model = _stored_model(schema, _load_skops(place / "model.skops"))
    if (place / "conformal.json").exists():
        model.uncertainty = Uncertainty(json.loads((place / "conformal.json").read_text(encoding="utf-8")))
    return model


def _stored_model(schema: dict[str, Any], stored: dict[str, Any]) -> Model:
    members = [
        Member(
            float(member["weight"]),
            [
                FittedModel(model["preprocess"], model["estimator"], member["layout"], model["log_bounds"])
                for model in member["models"]
            ],
            float(member["temperature"]),
            float(member["factor"]),
        )
        for member in stored["members"]
    ]
    return Model(Encoder(schema, stored["texts"]), members, float(stored["temperature"]))


def _load_skops(path: Path) -> Any:
    from skops.io import get_untrusted_types
    from skops.io import load as load_skops

    types = get_untrusted_types(file=path)
    strange = [name for name in types if not name.startswith(TRUSTED_PREFIXES)]
    if strange:
        raise InputError(f"{path.name} holds types that do not belong in a model: {', '.join(strange)}.")
    return load_skops(path, trusted=types)


def check_files(folder: Path) -> None:
    """Compare every file with its checksum."""
    sums = folder / "SHA256SUMS"
    if not sums.exists():
        raise InputError(f"{folder} is no bundle: it has no file SHA256SUMS. Unpack the whole ZIP.")
    for line in sums.read_text(encoding="utf-8").splitlines():
        digest, _, name = line.partition("  ")
        path = folder / name
        if not path.exists():
            raise InputError(f"The bundle lacks {name}. Unpack the whole ZIP.")
        with path.open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != digest:
                raise InputError(f"{name} is not the file that was packaged. Download the bundle again.")
