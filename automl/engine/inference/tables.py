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


def predictions_frame(model: Model, frame: pd.DataFrame) -> pd.DataFrame:
    """A column `prediction`, and for classification a column `probability_CLASS` for each class."""
    if model.task_type == "regression":
        return pd.DataFrame({"prediction": model.predict(frame)})
    probabilities = model.predict_proba(frame)
    columns: dict[str, Any] = {"prediction": model.classes_[probabilities.argmax(axis=1)]}
    for position, label in enumerate(model.classes_):
        columns[f"probability_{label}"] = probabilities[:, position]
    return pd.DataFrame(columns)
