"""Predicts with the graph of a model, `model.onnx`, through ONNX Runtime."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from .encoder import (
    Encoder,
    clean_texts,
    is_code,
    known_names,
    parse_dates,
    tells_lengths,
    told_apart,
    with_known_names,
)
from .errors import InputError, WrongVersion
from .model import Model
from .words import with_lengths

# A graph's cells in between take memory for each row, and for each thread.
MOST_CHUNK_ROWS, LEAST_CHUNK_ROWS, MOST_THREADS = 5_000, 500, 8
# Where words are told one by one there are thousands of them.
WORDS_CHUNK_ROWS = 1_000
# Words are padded to those of the longest text: one of 50,000 words would make so many of each row.
MOST_WORDS, LEAST_WORD_SIGNS = 2_000_000, 3
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
MOMENT = re.compile(r"\d{4}-\d\d-\d\d([ T]\d\d:\d\d(:\d\d)?)?")
WORD = re.compile(r"(?u)\b\w\w+\b")
DAY_SECONDS = 86_400
LARGEST = 10**300
# No level: a cell of blanks is not a missing one.
BLANK = " "
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def session_of(model: bytes | str) -> Any:
    """Open a graph, to be run by one thread: many rows are shared out among threads as chunks.

    Raises
    ------
    ImportError
        If ONNX Runtime is not installed.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


class OnnxModel(Model):
    """A trained model as a graph: no library that trained it is needed.

    Many rows are predicted by as many threads as OMP_NUM_THREADS says, or as there are cores.

    Parameters
    ----------
    schema : dict
        What `schema.json` holds.
    session : InferenceSession
        See `session_of`.
    """

    runtime = "onnx"

    def __init__(self, schema: dict[str, Any], session: Any) -> None:
        super().__init__(Encoder(schema), [])
        self.session = session
        wanted = int(os.environ.get("OMP_NUM_THREADS", "0")) or os.cpu_count() or 1
        self._threads = min(wanted, MOST_THREADS)
        names = [port.name for port in session.get_inputs()]
        self._columns = [
            _Column(name, column, self.encoder)
            for name, column in zip(names, _in_order(schema, names), strict=True)
        ]
        self._with_lengths = {column.input for column in self._columns if column.tells_lengths}

    @property
    def _most_rows(self) -> int:
        """How many rows the graph gets at once."""
        return WORDS_CHUNK_ROWS if self.encoder.tells_words else MOST_CHUNK_ROWS

    def predict_raw(self, frame: pd.DataFrame) -> np.ndarray[Any, Any]:
        """Predict probabilities, or numbers, whichever the task is."""
        frame = with_known_names(frame, self.feature_names_in_)
        if not len(frame):
            return np.empty((0, len(self.classes_)) if self.task_type != "regression" else 0)
        # Read as a whole: levels are looked up once for each column.
        numbers = self.encoder.numbers_of(frame)
        feed = {
            column.input: numbers.pop(column.name).astype(np.float64).reshape(-1, 1)
            if column.name in numbers
            else column.values(frame[column.name])
            for column in self._columns
        }
        waves = -(-len(frame) // (self._threads * self._most_rows))
        rows = max(-(-len(frame) // (self._threads * waves)), LEAST_CHUNK_ROWS)
        chunks = [
            {name: cells[start : start + rows] for name, cells in feed.items()}
            for start in range(0, len(frame), rows)
        ]
        if len(chunks) == 1 or self._threads == 1:
            return np.concatenate([self._run(chunk) for chunk in chunks])
        with ThreadPoolExecutor(self._threads) as pool:
            return np.concatenate(list(pool.map(self._run, chunks)))

    def _predict_rows(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """Quick for a few, as no frame is made."""
        if not rows:
            return self._answer(self.predict_raw(pd.DataFrame(columns=self.feature_names_in_)))
        if len(rows) > 1 or not all(name in rows[0] for name in self.feature_names_in_):
            names = list(dict.fromkeys(name for row in rows for name in row))
            found = known_names(self.feature_names_in_, names)
            if found != names:
                known = dict(zip(names, found, strict=True))
                rows = [{known[name]: value for name, value in row.items()} for row in rows]
        parts = [
            self._run(
                {
                    column.input: column.cells([row.get(column.name) for row in part])
                    for column in self._columns
                }
            )
            for start in range(0, len(rows), self._most_rows)
            for part in [rows[start : start + self._most_rows]]
        ]
        return self._answer(parts[0] if len(parts) == 1 else np.concatenate(parts))

    def _run(self, cells: Mapping[str, Any]) -> np.ndarray[Any, Any]:
        texts = [values for values in cells.values() if isinstance(values, list)]
        parts = narrow_parts(texts) if texts else []
        if len(parts) < 2:
            return self._run_part(cells)
        found = [
            self._run_part(
                {
                    name: [values[row] for row in rows] if isinstance(values, list) else values[rows]
                    for name, values in cells.items()
                }
            )
            for rows in parts
        ]
        result: np.ndarray[Any, Any] = np.concatenate(found)[np.argsort(np.concatenate(parts))]
        return result

    def _run_part(self, cells: Mapping[str, Any]) -> np.ndarray[Any, Any]:
        # Texts are split here: a row is as wide as the longest text of its part.
        feed = {
            name: split_texts(values, lengths=name in self._with_lengths)
            if isinstance(values, list)
            else values
            for name, values in cells.items()
        }
        name = "prediction" if self.task_type == "regression" else "probabilities"
        found: np.ndarray[Any, Any] = self.session.run([name], feed)[0]
        return found.reshape(-1) if self.task_type == "regression" else found


def _in_order(schema: dict[str, Any], names: Sequence[str]) -> list[dict[str, Any]]:
    """The columns of the graph's inputs; a graph names an input other than its column only where it must."""
    columns = {column["name"]: column for column in schema["columns"]}
    return [columns[name] if name in columns else columns[name.removeprefix("column ")] for name in names]


class _Column:
    """Makes what the graph takes of the cells of a column."""

    def __init__(self, name: str, column: dict[str, Any], encoder: Encoder) -> None:
        self.input = name
        self.name: str = column["name"]
        self._column = column
        self._encoder = encoder
        self._kind: str = column["kind"]
        self._is_plain = encoder.schema.get("decimal") != ","
        self.tells_lengths = tells_lengths(column)
        self._is_iso = column.get("format") in (None, "ISO8601")

    def values(self, series: pd.Series) -> np.ndarray[Any, Any] | list[str]:
        """The input for a column of a frame; of texts a list, for `split_texts`."""
        if self._kind == "numeric":
            return self._encoder.numbers(series).astype(np.float64).reshape(-1, 1)
        if self._kind == "datetime":
            codes, uniques = pd.factorize(series)
            return np.append(self._days(pd.Series(uniques)), np.nan)[codes].reshape(-1, 1)
        if self._kind == "text":
            return [self._encoder.text(text) for text in clean_texts(series)]
        codes, uniques = pd.factorize(told_apart(series))
        return self._levels([*uniques, None])[codes]

    def cells(self, cells: Sequence[Any]) -> np.ndarray[Any, Any] | list[str]:
        """The input for cells as JSON has them."""
        if self._kind == "numeric":
            numbers = [self._number(cell) for cell in cells]
            if None in numbers:
                return self.values(pd.Series(cells))
            return np.array(numbers, dtype=np.float64).reshape(-1, 1)
        if self._kind == "datetime":
            days = [self._day(cell) for cell in cells]
            if None in days:
                return self.values(pd.Series(cells))
            return np.array(days, dtype=np.float64).reshape(-1, 1)
        if self._kind == "text":
            return ["" if cell is None else self._encoder.text(str(cell)) for cell in cells]
        return self._levels(cells)

    def _levels(self, cells: Sequence[Any]) -> np.ndarray[Any, Any]:
        """Levels, an empty one for what is missing; perhaps with what else they are told by."""
        levels = ["" if pd.isna(cell) else self._encoder.level(cell, self.name) or BLANK for cell in cells]
        if not is_code(self._column):
            return np.array(levels, dtype=object).reshape(-1, 1)
        word = self._encoder.word_of_missing(self._column)
        rows = []
        for cell, level in zip(cells, levels, strict=True):
            numbers, labels = self._encoder.parts(cell if level else word, self._column)
            rows.append([level, *labels, *map(repr, numbers)])
        return np.array(rows, dtype=object).reshape(len(rows), -1)

    def _number(self, cell: Any) -> float | None:
        """A number that needs no thought; None where it does."""
        kind = type(cell)
        if kind is float or (kind is int and abs(cell) < LARGEST):
            return float(cell)
        if cell is None:
            return float("nan")
        if kind is str and self._is_plain and NUMBER.fullmatch(cell):
            return float(cell)
        return None

    def _day(self, cell: Any) -> float | None:
        """A date that needs no thought, as days since 1970; None where it does."""
        if cell is None:
            return float("nan")
        if not self._is_iso or type(cell) is not str or not MOMENT.fullmatch(cell):
            return None
        try:
            moment = datetime.fromisoformat(cell)
        except ValueError:
            return None
        return (moment.replace(tzinfo=UTC) - EPOCH).total_seconds() / DAY_SECONDS

    def _days(self, values: pd.Series) -> np.ndarray[Any, Any]:
        dates: Any = pd.DatetimeIndex(parse_dates(values, self._column.get("format")))
        return np.asarray((dates - pd.Timestamp("1970-01-01")) / pd.Timedelta(days=1), dtype=np.float64)


def narrow_parts(texts: Sequence[Sequence[str]]) -> list[np.ndarray[Any, Any]]:
    """Part rows so that no part has too many words once they are padded; the longest texts come last.

    Parameters
    ----------
    texts : sequence of sequence of str
        By column.

    Returns
    -------
    list of array
        Places of rows; one array where nothing needs to be parted.
    """
    # At the most: a word has two signs, and one before the next.
    words = np.array([[len(text) // LEAST_WORD_SIGNS + 1 for text in column] for column in texts])
    count = words.shape[1]
    if count * words.max(axis=1, initial=0).sum() <= MOST_WORDS:
        return [np.arange(count)]
    order = np.argsort(words.sum(axis=0), kind="stable")
    starts, begun, widest = [], 0, np.zeros(len(texts), dtype=int)
    for place, row in enumerate(order):
        widest = np.maximum(widest, words[:, row])
        if place > begun and (place + 1 - begun) * widest.sum() > MOST_WORDS:
            starts.append(place)
            begun, widest = place, words[:, row]
    return np.split(order, starts)


def split_texts(texts: Sequence[str], *, lengths: bool = False) -> np.ndarray[Any, Any]:
    """Words of texts, perhaps with lengths of numbers; behind them the texts' own, as in the encoder."""
    words = [WORD.findall((with_lengths(text) if lengths else text).lower()) for text in texts]
    width = max(1, max(map(len, words), default=1))
    rows = [
        [*found, *[""] * (width - len(found)), str(len(text)), str(text.count(" ") + 1)]
        for found, text in zip(words, texts, strict=True)
    ]
    return np.array(rows, dtype=object).reshape(len(texts), width + 2)


def is_offered(folder: Path) -> bool:
    """Whether a bundle has a graph."""
    return bool(_described(folder).get("offered"))


def _described(folder: Path) -> dict[str, Any]:
    """What `onnx.json` says; nothing where an earlier release made the bundle."""
    path = folder / "onnx.json"
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return found


def load_onnx(folder: Path, schema: dict[str, Any]) -> OnnxModel:
    """Load the graph of a bundle.

    Raises
    ------
    InputError
        If the bundle has none.
    WrongVersion
        If ONNX Runtime is not installed.
    """
    found = _described(folder)
    if not found.get("offered"):
        reason = found.get("reason") or "it was made by an earlier version"
        raise InputError(f"This bundle has no ONNX model: {reason}. Use the runtime 'skops'.")
    try:
        return OnnxModel(schema, session_of(str(folder / "model.onnx")))
    except ImportError:
        raise WrongVersion("onnxruntime is not installed. Run: pip install -r requirements.txt") from None
