"""Predicts with a trained model. Needs no service: a bundle holds this very file as `predict.py`.

    python predict.py input.csv output.csv

or, from Python::

    from predict import load
    model = load()
    model.predict(frame)          # what pandas.read_csv gives
    model.predict_proba(frame)    # classification; one column for each of model.classes_
"""

from __future__ import annotations

import argparse
import csv
import gzip
import hashlib
import io
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

CHUNK_ROWS = 50_000
LEAST_PROBABILITY = 1e-7
LARGEST = np.float32(3e38)
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
# Words that pandas.read_csv takes for an empty cell, though they may be a category of their own.
WORDS_READ_AS_MISSING = ("None", "NA", "N/A", "null", "NULL", "nan", "NaN", "n/a")


class InputError(ValueError):
    """The table can't be predicted on; the text says what is wrong and what to do."""


class Encoder:
    """Turns a table as it is written into a matrix of numbers.

    Parameters
    ----------
    schema : dict
        What `schema.json` holds: `columns`, `features`, `missing_values`, `decimal`.
    texts : sequence of transformers
        One for each text column, in order: words to a few components.
    """

    def __init__(self, schema: dict[str, Any], texts: Sequence[Any] = ()) -> None:
        self.schema = schema
        self.texts = list(texts)
        self._missing = frozenset(mark.strip() for mark in schema["missing_values"])
        self._lookups: dict[str, dict[str, int]] = {
            column["name"]: _codes_of(column["categories"])
            for column in schema["columns"]
            if "categories" in column
        }

    @property
    def columns(self) -> list[str]:
        """Names of the columns that a table must have."""
        return [column["name"] for column in self.schema["columns"]]

    def transform(self, frame: pd.DataFrame) -> np.ndarray[Any, Any]:
        """Encode a table.

        Parameters
        ----------
        frame : DataFrame
            Columns that are not needed are ignored.

        Returns
        -------
        array of float32, shape (rows, features)
            NaN is missing; categories are codes.

        Raises
        ------
        InputError
            If a column is missing.
        """
        absent = [name for name in self.columns if name not in frame.columns]
        if absent:
            raise InputError(
                f"The table lacks {len(absent)} of the {len(self.columns)} columns that the model needs: "
                f"{', '.join(map(repr, absent))}. It has: {', '.join(map(repr, list(frame.columns)[:50]))}."
            )
        blocks = [self._encode(frame[column["name"]], column) for column in self.schema["columns"]]
        if not blocks:
            return np.empty((len(frame), 0), dtype=np.float32)
        return np.ascontiguousarray(np.concatenate(blocks, axis=1), dtype=np.float32)

    def _encode(self, values: pd.Series, column: dict[str, Any]) -> np.ndarray[Any, Any]:
        kind = column["kind"]
        if kind == "numeric":
            return self.numbers(values).reshape(-1, 1)
        if kind == "datetime":
            return self._dates(values, column)
        if kind == "text":
            return self._text(values, column)
        return self._codes(values, column).reshape(-1, 1)

    def numbers(self, values: pd.Series) -> np.ndarray[Any, Any]:
        """Read a column of numbers, however they are written; NaN where there is none."""
        if not pd.api.types.is_numeric_dtype(values.dtype):
            text = values.astype("string").str.strip()
            if self.schema.get("decimal") == ",":
                text = text.str.replace(".", "", regex=False).str.replace(",", ".", regex=False)
            text = text.str.replace("(?<=\\d)[,\u00a0 ](?=\\d{3}(?!\\d))", "", regex=True)
            values = pd.to_numeric(text, errors="coerce")
        numbers = values.to_numpy(dtype=np.float64, na_value=np.nan)
        with np.errstate(over="ignore", invalid="ignore"):
            return np.clip(np.where(np.isfinite(numbers), numbers, np.nan), -LARGEST, LARGEST).astype(
                np.float32
            )

    def _codes(self, values: pd.Series, column: dict[str, Any]) -> np.ndarray[Any, Any]:
        lookup = self._lookups[column["name"]]
        codes, uniques = pd.factorize(values)
        table = np.full(len(uniques) + 1, np.nan, dtype=np.float32)
        for position, unique in enumerate(uniques):
            level = level_of(unique)
            code = lookup.get(level) if level is not None else None
            if code is not None and (level not in self._missing or level in lookup):
                table[position] = code
        table[-1] = self._code_of_missing(column)
        return table[codes]

    def _code_of_missing(self, column: dict[str, Any]) -> float:
        """An empty cell is missing, unless training knew no empty cells but a word that reads as one."""
        if column.get("missing", 0) == 0:
            for word in WORDS_READ_AS_MISSING:
                if word in self._lookups[column["name"]]:
                    return float(self._lookups[column["name"]][word])
        return float("nan")

    def _dates(self, values: pd.Series, column: dict[str, Any]) -> np.ndarray[Any, Any]:
        codes, uniques = pd.factorize(values)
        dates = parse_dates(pd.Series(uniques), column.get("format"))
        times: Any = pd.DatetimeIndex([*dates, pd.NaT])
        parts = {
            "days": (times - pd.Timestamp("1970-01-01")) / pd.Timedelta(days=1),
            "year": times.year,
            "month": times.month,
            "day": times.day,
            "weekday": times.day_of_week,
            "hour": times.hour + times.minute / 60,
        }
        table = np.column_stack([np.asarray(parts[name], dtype=np.float64) for name in column["parts"]])
        return table[codes].astype(np.float32)

    def _text(self, values: pd.Series, column: dict[str, Any]) -> np.ndarray[Any, Any]:
        texts = clean_texts(values)
        components = self.texts[column["text"]].transform(texts)
        lengths = np.array([[len(text), text.count(" ") + 1] for text in texts], dtype=np.float32)
        return np.column_stack([components, lengths]).astype(np.float32)


def _codes_of(levels: Sequence[str]) -> dict[str, int]:
    """Codes of a column's levels; true and false however they are written, as training read them."""
    codes = {level: code for code, level in enumerate(levels)}
    if codes.keys() <= {"True", "False"}:
        for level, code in list(codes.items()):
            codes |= {level.lower(): code, level.upper(): code}
    return codes


def level_of(value: Any) -> str | None:
    """The canonical text of a category, so that 5, 5.0 and "5" are the same; None if it is missing."""
    if value is None or (isinstance(value, float) and np.isnan(value)):
        return None
    if isinstance(value, float | np.floating) and float(value).is_integer() and abs(float(value)) < 1e15:
        return str(int(value))
    text = str(value).strip()
    if text[-2:] == ".0" and text[:-2].lstrip("-").isdigit():
        return text[:-2]
    return text or None


def clean_texts(values: pd.Series) -> list[str]:
    """Texts with nothing missing: an empty cell is an empty text."""
    return [str(text) for text in values.astype("string").fillna("")]


def parse_dates(values: pd.Series, date_format: str | None) -> pd.Series:
    """Read dates as training did; NaT where that fails."""
    if not pd.api.types.is_datetime64_any_dtype(values.dtype):
        text = values.astype("string").str.strip()
        values = pd.to_datetime(
            text, format=date_format or "ISO8601", errors="coerce", utc=date_format in (None, "ISO8601")
        )
    if getattr(values.dtype, "tz", None) is not None:
        values = values.dt.tz_convert("UTC").dt.tz_localize(None)
    return values


@dataclass(frozen=True)
class FittedModel:
    """A fitted pipeline: preprocessing and estimator, and the layout in which they take the matrix.

    With `log_bounds` the estimator predicts logarithms; beyond the bounds it guesses, and is held there.
    """

    preprocess: Any | None
    estimator: Any
    layout: str = "array"
    log_bounds: tuple[float, float] | None = None

    def predict(
        self, X: np.ndarray[Any, Any], *, classes: int, categorical: Sequence[int]
    ) -> np.ndarray[Any, Any]:
        """Probabilities of shape (rows, classes), or numbers of shape (rows,) where there are no classes."""
        matrix = as_frame(X, categorical) if self.layout == "frame" else X
        if self.preprocess is not None:
            matrix = self.preprocess.transform(matrix)
        if classes == 0:
            numbers = np.asarray(self.estimator.predict(matrix), dtype=np.float64).reshape(len(X))
            return numbers if self.log_bounds is None else np.exp(np.clip(numbers, *self.log_bounds))
        found = np.asarray(self.estimator.predict_proba(matrix), dtype=np.float64)
        codes = np.asarray(self.estimator.classes_).astype(int).ravel()
        if found.shape[1] == classes and np.array_equal(codes, np.arange(classes)):
            return found
        aligned = np.zeros((len(X), classes))
        aligned[:, codes] = found
        return aligned


def as_frame(X: np.ndarray[Any, Any], categorical: Sequence[int]) -> pd.DataFrame:
    """The matrix as a frame: columns f0, f1, ...; categories are int32 codes, -1 where missing."""
    chosen = set(categorical)
    return pd.DataFrame(
        {
            f"f{position}": np.nan_to_num(X[:, position], nan=-1.0).astype(np.int32)
            if position in chosen
            else X[:, position]
            for position in range(X.shape[1])
        }
    )


@dataclass(frozen=True)
class Member:
    """The fold models of one trial: their mean, calibrated, and what it weighs in the whole.

    `temperature` is for probabilities. `factor` is for numbers that were learned as logarithms: the
    exponential of a mean logarithm is less than the mean.
    """

    weight: float
    models: Sequence[FittedModel]
    temperature: float = 1.0
    factor: float = 1.0

    def predict(
        self, X: np.ndarray[Any, Any], *, classes: int, categorical: Sequence[int]
    ) -> np.ndarray[Any, Any]:
        """As `FittedModel.predict`."""
        total = sum(model.predict(X, classes=classes, categorical=categorical) for model in self.models)
        mean = np.asarray(total) / len(self.models) * self.factor
        return mean if self.temperature == 1.0 else temper(finish_probabilities(mean), self.temperature)


class Model:
    """A trained model: an encoder and one or more weighted members.

    Attributes
    ----------
    classes_ : array
        Labels as training had them, in the order of the columns of `predict_proba`.
    temperature : float
        See `temper`.
    feature_names_in_ : list of str
    """

    def __init__(
        self,
        encoder: Encoder,
        members: Sequence[Member],
        temperature: float = 1.0,
    ) -> None:
        self.encoder = encoder
        self.members = list(members)
        self.temperature = temperature
        self.task_type: str = encoder.schema["task_type"]
        labels = encoder.schema.get("classes") or []
        if labels:
            self.classes_ = np.array(labels, dtype=object if _are_mixed(labels) else None)
        self.feature_names_in_ = encoder.columns

    def predict(self, frame: pd.DataFrame) -> np.ndarray[Any, Any]:
        """Predict labels, or numbers; one for each row of the frame."""
        if self.task_type == "regression":
            return self._combine(frame)
        return np.asarray(self.classes_[self.predict_proba(frame).argmax(axis=1)])

    def predict_proba(self, frame: pd.DataFrame) -> np.ndarray[Any, Any]:
        """Predict the probability of each class; rows sum to 1."""
        if self.task_type == "regression":
            raise AttributeError("A regression model has no probabilities; use predict.")
        return temper(finish_probabilities(self._combine(frame)), self.temperature)

    def _combine(self, frame: pd.DataFrame) -> np.ndarray[Any, Any]:
        parts = [
            self._combine_chunk(frame.iloc[start : start + CHUNK_ROWS])
            for start in range(0, max(len(frame), 1), CHUNK_ROWS)
        ]
        return np.concatenate(parts)

    def _combine_chunk(self, frame: pd.DataFrame) -> np.ndarray[Any, Any]:
        count = len(self.encoder.schema.get("classes") or [])
        if not len(frame):
            return np.empty((0, count) if count else 0)
        X = self.encoder.transform(frame)
        categorical = categorical_positions(self.encoder.schema)
        parts = (
            member.weight * member.predict(X, classes=count, categorical=categorical)
            for member in self.members
        )
        return np.asarray(sum(parts))


def finish_probabilities(raw: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """No class is impossible, and every row sums to 1."""
    clipped = np.clip(raw, LEAST_PROBABILITY, None)
    return np.asarray(clipped / clipped.sum(axis=1, keepdims=True))


def temper(probabilities: np.ndarray[Any, Any], temperature: float) -> np.ndarray[Any, Any]:
    """Probabilities raised to 1 / temperature: surer below 1, more cautious above it."""
    if temperature == 1.0:
        return probabilities
    logs = np.log(probabilities) / temperature
    return finish_probabilities(np.exp(logs - logs.max(axis=1, keepdims=True)))


def categorical_positions(schema: dict[str, Any]) -> list[int]:
    """Positions in the matrix that hold codes."""
    return [position for position, feature in enumerate(schema["features"]) if feature["kind"] == "category"]


def _are_mixed(labels: Sequence[Any]) -> bool:
    return len({type(label) for label in labels}) > 1


def load(folder: str | Path | None = None) -> Model:
    """Load the model of a bundle; nothing in it is run as code.

    Parameters
    ----------
    folder : path, optional
        The unpacked bundle; by default the folder of this file.

    Raises
    ------
    InputError
        If a file is not the one that was packaged, or holds a type that does not belong in a model.
    """
    place = Path(folder) if folder is not None else Path(__file__).resolve().parent
    check_files(place)
    schema = json.loads((place / "schema.json").read_text(encoding="utf-8"))
    stored = _load_skops(place / "model.skops")
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


def main(arguments: Sequence[str] | None = None, say: Callable[[str], Any] = sys.stderr.write) -> int:
    """Run the command line: read a table, write predictions in the same order."""
    parser = argparse.ArgumentParser(description="Predicts with the model in this folder.")
    parser.add_argument("input", type=Path, help="a CSV (also gzipped) or Parquet file")
    parser.add_argument("output", type=Path, help="the CSV file to write")
    given = parser.parse_args(arguments)
    try:
        model = load()
        frame = read_table(given.input, model.encoder.schema)
        predictions_frame(model, frame).to_csv(given.output, index=False)
    except (InputError, OSError) as error:
        say(f"{error}\n")
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
