"""Tables that come in and predictions that go out, as files."""

from __future__ import annotations

import csv
import gzip
import io
from pathlib import Path
from typing import Any

import pandas as pd

from .errors import InputError
from .model import Model

SEPARATOR = " | "


def read_table(path: Path, schema: dict[str, Any]) -> pd.DataFrame:
    """Read a CSV (also gzipped) or Parquet file with the columns that the schema needs."""
    if path.suffix.lower() in (".parquet", ".pq"):
        return pd.read_parquet(path)
    needed = {column["name"] for column in schema["columns"]}
    data = path.read_bytes()
    if data[:2] == b"\x1f\x8b":
        data = gzip.decompress(data)
    text = _decode(data, schema.get("dialect", {}).get("encoding"))
    known = schema.get("dialect", {}).get("delimiter") or ","
    header = text.lstrip("\ufeff\r\n").split("\n", 1)[0]
    delimiter = known
    for candidate in dict.fromkeys([known, ",", ";", "\t", "|"]):
        names = {name.strip() for name in next(csv.reader([header.rstrip("\r")], delimiter=candidate), [])}
        if needed <= names:
            delimiter = candidate
            break
    # Everything as text: the encoder reads numbers and missing marks as training did.
    frame = pd.read_csv(
        io.StringIO(text),
        sep=delimiter,
        dtype=str,
        keep_default_na=False,
        na_values=[""],
        skipinitialspace=True,
    )
    frame.columns = [str(name).strip() for name in frame.columns]
    return frame


def _decode(data: bytes, known: str | None) -> str:
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return data.decode("utf-16")
    for encoding in dict.fromkeys(filter(None, ["utf-8-sig", known, "cp1252", "latin-1"])):
        try:
            return data.decode(encoding)
        except (UnicodeDecodeError, LookupError):
            continue
    raise InputError("The file's encoding is unknown. Save it as UTF-8.")


def predictions_frame(model: Model, frame: pd.DataFrame, *, level: float | None = None) -> pd.DataFrame:
    """A column `prediction`, and for classification a column `probability_CLASS` for each class.

    With a level also the columns `prediction_low` and `prediction_high`, or for classification
    `prediction_set`, in which the plausible classes are joined by `SEPARATOR`.
    """
    if level is not None and model.uncertainty is None:
        raise InputError("This model was packaged without intervals and sets. Package it again.")
    if model.task_type == "regression":
        numbers = model.predict(frame)
        columns: dict[str, Any] = {"prediction": numbers}
        if level is not None and model.uncertainty is not None:
            bounds = model.uncertainty.intervals(numbers, level)
            columns |= {"prediction_low": bounds[:, 0], "prediction_high": bounds[:, 1]}
        return pd.DataFrame(columns)
    probabilities = model.predict_proba(frame)
    columns = {"prediction": model.classes_[probabilities.argmax(axis=1)]}
    if level is not None and model.uncertainty is not None:
        labels = [str(label) for label in model.classes_]
        columns["prediction_set"] = [
            SEPARATOR.join(label for label, is_in in zip(labels, row, strict=True) if is_in)
            for row in model.uncertainty.sets(probabilities, level)
        ]
    for position, label in enumerate(model.classes_):
        columns[f"probability_{label}"] = probabilities[:, position]
    return pd.DataFrame(columns)
