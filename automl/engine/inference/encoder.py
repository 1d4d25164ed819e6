"""Turns a table as it is written into the matrix of numbers that models take."""

from __future__ import annotations

import functools
import re
from collections import Counter
from collections.abc import Mapping, Sequence, Sized
from contextlib import suppress
from typing import Any

import numpy as np
import pandas as pd

from .codes import LABELS, numbers_in
from .errors import InputError
from .words import places_of_words, with_lengths

LARGEST = np.float32(3e38)
# By the decimal sign: a number in groups of three digits, which no zero begins, and what is between them.
GROUPED = {
    ".": (r"[+-]?[1-9]\d{0,2}([,\xa0 ]\d{3})+(\.\d+)?", r"[,\xa0 ]"),
    ",": (r"[+-]?[1-9]\d{0,2}([.\xa0 ]\d{3})+(,\d+)?", r"[.\xa0 ]"),
}
# To read a column of text takes a thousandth of a second, however few its cells.
MANY_COLUMNS, MOST_CELLS = 50, 600_000
HALF_CHARACTER = re.compile(r"[\ud800-\udfff]")
NUMBER_LEVEL = re.compile(r"-?\d+(\.\d+)?(e[+-]?\d+)?")
# The format of days that are whole numbers, and how they are written where a column has fractions.
DAY_NUMBER, DAY_FRACTION = "%Y%m%d", r"^([0-9]{8})[.,]0+$"
# How truth values are written, and what they are as numbers.
TRUTH = (("True", "true", "TRUE", "1"), ("False", "false", "FALSE", "0"))
# Words that pandas.read_csv takes for an empty cell, though they may be a category of their own.
WORDS_READ_AS_MISSING = ("None", "NA", "N/A", "null", "NULL", "nan", "NaN", "n/a")
# What pandas.read_csv calls a column without a name, by its place, and one with the name of another.
UNNAMED, REPEATED = re.compile(r"Unnamed: ([0-9]{1,6})"), re.compile(r"(.+)\.[1-9][0-9]*")


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
        self._labels: dict[str, dict[str, dict[str, int]]] = {
            column["name"]: {
                part: {label: code for code, label in enumerate(labels)}
                for part, labels in column["labels"].items()
            }
            for column in schema["columns"]
            if "labels" in column
        }
        self._decimal = "," if schema.get("decimal") == "," else "."
        # Training read them as numbers, so that 01, 1.0 and 1 are the same to it.
        self._numbered = {
            column["name"] for column in schema["columns"] if "categories" in column and has_numbers(column)
        }

    @property
    def columns(self) -> list[str]:
        """Names of the columns that a table must have."""
        return [column["name"] for column in self.schema["columns"]]

    @property
    def tells_words(self) -> bool:
        """Whether the matrix has the words of a text one by one."""
        return any(column.get("places") for column in self.schema["columns"])

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
        frame = with_known_names(frame, self.columns)
        numbers = self.numbers_of(frame)
        blocks = [
            numbers[column["name"]].reshape(-1, 1)
            if column["name"] in numbers
            else self._encode(frame[column["name"]], column)
            for column in self.schema["columns"]
        ]
        if not blocks:
            return np.empty((len(frame), 0), dtype=np.float32)
        return np.ascontiguousarray(np.concatenate(blocks, axis=1), dtype=np.float32)

    def _encode(self, values: pd.Series, column: dict[str, Any]) -> np.ndarray[Any, Any]:
        kind = column["kind"]
        if kind == "datetime":
            return self._dates(values, column)
        if kind == "text":
            return self._text(values, column)
        return self._codes(values, column)

    def numbers_of(self, frame: pd.DataFrame) -> dict[str, np.ndarray[Any, Any]]:
        """Read all columns of numbers, see `numbers`, by their names; many that are text are read at once."""
        names = [column["name"] for column in self.schema["columns"] if column["kind"] == "numeric"]
        if len(names) < MANY_COLUMNS or len(names) * len(frame) > MOST_CELLS or not frame.columns.is_unique:
            return {name: self.numbers(frame[name]) for name in names}
        part = frame[names].infer_objects()
        is_text = [kind == object or isinstance(kind, pd.StringDtype) for kind in part.dtypes]  # noqa: E721
        texts = part.loc[:, is_text]
        found = {
            name: self.numbers(part[name]) for name, is_one in zip(names, is_text, strict=True) if not is_one
        }
        numbers = self.numbers(pd.Series(texts.to_numpy(dtype=object).ravel(order="F"), dtype=object))
        return found | dict(zip(texts.columns, numbers.reshape(texts.shape[::-1]), strict=True))

    def numbers(self, values: pd.Series) -> np.ndarray[Any, Any]:
        """Read a column of numbers, however they are written; NaN where there is none."""
        values = values.infer_objects()
        if pd.api.types.is_timedelta64_dtype(values.dtype):  # microseconds, as of a file
            values = values.dt.total_seconds() * 1e6
        if not pd.api.types.is_numeric_dtype(values.dtype):
            values = pd.to_numeric(self._as_in_code(values), errors="coerce")
        numbers = values.to_numpy(dtype=np.float64, na_value=np.nan)
        with np.errstate(over="ignore", invalid="ignore"):
            return np.clip(np.where(np.isfinite(numbers), numbers, np.nan), -LARGEST, LARGEST).astype(
                np.float32
            )

    def _as_in_code(self, values: pd.Series) -> pd.Series:
        """Numbers that are text as programs write them; what is a number already stays one."""
        if values.dtype == object:  # truth values beside others, which are numbers where they are alone
            values = values.map(lambda cell: float(cell) if isinstance(cell, bool | np.bool_) else cell)
        if self._decimal == ",":
            # Whole numbers too: those of hundreds of digits are none otherwise.
            return values.map(
                lambda cell: number_as_in_code(str(cell), ",") if isinstance(cell, str | int) else cell
            )
        texts = values.astype("string").str.strip()
        number, between = GROUPED["."]
        grouped = texts.str.fullmatch(number, na=False)
        return texts.mask(grouped, texts.str.replace(between, "", regex=True)) if grouped.any() else texts

    def largest(self, frame: pd.DataFrame) -> tuple[str, Any] | None:
        """Give the column that has the number of the largest size, and its cell; None if there is none."""
        frame = with_known_names(frame, self.columns)
        found: tuple[str, Any] | None = None
        most = 0.0
        for column in self.schema["columns"]:
            if column["kind"] != "numeric":
                continue
            sizes = np.nan_to_num(np.abs(self.numbers(frame[column["name"]])))
            if (size := sizes.max(initial=0.0)) > most:
                most, found = size, (column["name"], frame[column["name"]].iloc[int(sizes.argmax())])
        return found

    def level(self, value: Any, column: str) -> str | None:
        """The level of a cell, see `level_of`; of numbers that of the number, however it is written."""
        level = level_of(value)
        lookup = self._lookups[column]
        if level is None or level in lookup or column not in self._numbered:
            return level
        found = _levels_of_number(number_as_in_code(level, self._decimal))
        return next((name for name in found if name in lookup), level)

    def text(self, value: str) -> str:
        """A text as training had it: nothing around it, and nothing where it is a mark for missing."""
        text = value.strip()
        return "" if text in self._missing else text

    def _codes(self, values: pd.Series, column: dict[str, Any]) -> np.ndarray[Any, Any]:
        codes, uniques = pd.factorize(told_apart(values))
        # What factorize found nothing in is its last one.
        table = [self._told(cell, column) for cell in [*uniques, self.word_of_missing(column)]]
        return np.array(table, dtype=np.float32)[codes]

    def _told(self, cell: Any, column: dict[str, Any]) -> list[float]:
        """The code of a cell, and what else it is told by."""
        level = self.level(cell, column["name"])
        unknown = code_of_unknown(column, column["categories"])
        code = self._code(level, self._lookups[column["name"]], unknown)
        if not is_code(column):
            return [code]
        numbers, labels = self.parts(cell, column)
        lookups = self.label_lookups(column["name"])
        told = [
            self._code(label or None, lookup, code_of_unknown(column, lookup))
            for lookup, label in zip(lookups, labels, strict=True)
        ]
        return [code, *numbers, *told]

    def _code(self, level: str | None, lookup: Mapping[str, int], unknown: float) -> float:
        if level is None:
            return float("nan")
        if level in lookup:
            return float(lookup[level])
        return float("nan") if level in self._missing else unknown

    def lookup(self, column: str) -> dict[str, int]:
        """Codes of a column's levels."""
        return self._lookups[column]

    def label_lookups(self, column: str) -> list[dict[str, int]]:
        """Codes of what else a column's levels are told by."""
        return list(self._labels.get(column, {}).values())

    def parts(self, cell: Any, column: dict[str, Any]) -> tuple[list[float], list[str]]:
        """The numbers in a cell, NaN where there are fewer; and its labels, empty where it is missing."""
        count, labels = column.get("numbers", 0), column.get("labels", ())
        level = self.level(cell, column["name"])
        if level is None or (level in self._missing and level not in self._lookups[column["name"]]):
            return [float("nan")] * count, [""] * len(labels)
        is_number = isinstance(cell, int | float | np.number) and not isinstance(cell, bool)
        # A whole number may be larger than any other.
        most = float(LARGEST)
        lakhs = column.get("lakhs", False)
        found = [min(max(cell, -most), most)] if is_number else numbers_in(level, self._decimal, lakhs=lakhs)
        text = "" if is_number else level
        numbers = np.clip(np.array(found[:count], dtype=float), -LARGEST, LARGEST)
        numbers = numbers.astype(np.float32).tolist()
        return [*numbers, *[float("nan")] * (count - len(numbers))], [LABELS[part](text) for part in labels]

    def word_of_missing(self, column: dict[str, Any]) -> str | None:
        """An empty cell is missing, unless training knew no empty cells but a word that reads as one."""
        known = self._lookups[column["name"]] if column.get("missing", 0) == 0 else {}
        return next((word for word in WORDS_READ_AS_MISSING if word in known), None)

    def _dates(self, values: pd.Series, column: dict[str, Any]) -> np.ndarray[Any, Any]:
        codes, uniques = pd.factorize(values)
        dates = parse_dates(pd.Series(uniques), column.get("format"))
        times: Any = pd.DatetimeIndex(dates).append(pd.DatetimeIndex([pd.NaT]))
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
        texts = [self.text(text) for text in clean_texts(values)]
        told = [with_lengths(text) for text in texts] if tells_lengths(column) else texts
        components = self.texts[column["text"]].transform(told)
        if "decimals" in column:  # earlier releases took them as they came
            np.round(components, column["decimals"], out=components)
        count, slots = components.shape[1], column.get("places", 0)
        found = np.empty((len(texts), count + 2 + slots), dtype=np.float32)
        found[:, :count] = components
        found[:, count : count + 2] = [[len(text), text.count(" ") + 1] for text in texts]
        if slots:
            found[:, count + 2 :] = places_of_words(told, self.texts[column["text"]][0], slots)
        return found


def has_numbers(column: Mapping[str, Any]) -> bool:
    """Whether training read the cells of a column as numbers."""
    levels = column.get("categories")
    return column["kind"] == "numeric" or bool(levels and all(map(NUMBER_LEVEL.fullmatch, levels)))


def number_as_in_code(text: str, decimal: str) -> str:
    """Give a number that is written with a decimal sign as programs write it; other text as it is."""
    text = text.strip()
    number, between = GROUPED[decimal]
    if re.fullmatch(number, text):
        text = re.sub(between, "", text)
    # A point that is not between groups is a decimal sign all the same.
    return text.replace(",", ".") if decimal == "," else text


def code_of_unknown(column: Mapping[str, Any], known: Sized) -> float:
    """Give the code of a level, or label, that training did not know: the one after those it knew.

    To experiments of before that, and where a flag is neither of its two levels, it is missing.
    """
    return float(len(known)) if column.get("tells_unknown") else float("nan")


def is_code(column: Mapping[str, Any]) -> bool:
    """Whether levels of a category are told by more than their codes."""
    return "numbers" in column or "labels" in column


def tells_lengths(column: dict[str, Any]) -> bool:
    """Whether the words of a text tell how long its numbers are; those of earlier releases do not."""
    return "places" in column


def names_as_trained(names: Sequence[str]) -> list[str]:
    """Names of columns as training gives them: single blanks, none empty, each its own.

    Parameters
    ----------
    names : sequence of str
        Of all columns of a table, in order, as they are written.

    Returns
    -------
    list of str
    """
    result: list[str] = []
    taken: set[str] = set()
    for position, raw in enumerate(names, start=1):
        name = " ".join(raw.replace("\ufeff", "").split()) or f"column_{position}"
        wanted, number = name, 2
        while name in taken:
            name = f"{wanted}_{number}"
            number += 1
        taken.add(name)
        result.append(name)
    return result


def known_names(needed: Sequence[str], names: Sequence[str]) -> list[str]:
    """Give the names of columns that were not read from a file as they are, or as training reads them.

    Those that `pandas.read_csv` gave to columns without a name, or with that of another, are known too.

    Parameters
    ----------
    needed, names : sequence of str

    Returns
    -------
    list of str
        As they are where each of those needed is there once.

    Raises
    ------
    InputError
        If those needed are in neither.
    """
    if _are_there_once(needed, names):
        return list(names)
    found = _without_names_of_pandas(needed, names_as_trained(names))
    check_columns(needed, found)
    return found


def names_of_file(needed: Sequence[str], names: Sequence[str]) -> list[str]:
    """Give the names of a file's columns as training reads them, or as they are.

    The other way round than `known_names`: only a model of a frame has names that no file is read by.
    """
    found = names_as_trained(names)
    wanted = set(needed)
    if not wanted <= set(found) and _are_there_once(needed, names):
        found = [raw if raw in wanted else name for raw, name in zip(names, found, strict=True)]
    found = _without_names_of_pandas(needed, found)
    check_columns(needed, found)
    return found


def _without_names_of_pandas(needed: Sequence[str], names: list[str]) -> list[str]:
    """Give names as training gives them where pandas gave others before; as they are if that is no help."""
    wanted, seen = set(needed), set[str]()
    if wanted <= set(names):
        return names
    repeated: dict[str, list[str]] = {}
    for name in names:
        if name not in wanted and (found := REPEATED.fullmatch(name)) and found[1] in seen:
            repeated.setdefault(found[1], []).append(name)
        seen.add(name)
    written = {
        name: first
        for first, several in repeated.items()
        # Where one is left out, or was called so in the file, it is not clear which is which.
        if several == [f"{first}.{number}" for number in range(1, len(several) + 1)]
        for name in several
    }
    for name in seen - wanted:
        if found := UNNAMED.fullmatch(name):
            written[name] = f"column_{int(found[1]) + 1}"
    undone = names_as_trained([written.get(name, name) for name in names])
    return undone if wanted <= set(undone) else names


def _are_there_once(needed: Sequence[str], names: Sequence[str]) -> bool:
    counts = Counter(names)
    return all(counts[name] == 1 for name in needed)


def with_known_names(frame: pd.DataFrame, needed: Sequence[str]) -> pd.DataFrame:
    """Give a table whose columns are called as training calls them, see `known_names`."""
    found = known_names(needed, [str(name) for name in frame.columns])
    return frame if found == list(frame.columns) else frame.set_axis(found, axis=1)


def check_columns(needed: Sequence[str], names: Sequence[str]) -> None:
    """Refuse a table that lacks columns.

    Raises
    ------
    InputError
        Naming those that are missing.
    """
    known = set(names)
    absent = [name for name in needed if name not in known]
    if absent:
        raise InputError(
            f"The table lacks {len(absent)} of the {len(needed)} columns that the model needs: "
            f"{', '.join(map(repr, absent))}. It has: {', '.join(map(repr, names[:50]))}."
        )


def _codes_of(levels: Sequence[str]) -> dict[str, int]:
    """Codes of a column's levels; of truth values however they are written, also as 1 and 0."""
    codes = {level: code for code, level in enumerate(levels)}
    if codes.keys() <= {"True", "False"} or codes.keys() <= {"1", "0"}:
        for written in TRUTH:
            for level in codes.keys() & set(written):
                codes |= dict.fromkeys(written, codes[level])
    return codes


def _levels_of_number(text: str) -> list[str]:
    """What level a number may be: whole, or a fraction as a column with missing cells has it."""
    found: list[str | None] = []
    with suppress(ValueError):  # no number, or one of thousands of digits
        if re.fullmatch(r"[+-]?\d+", text):
            found.append(str(int(text)))
        found.append(level_of(float(text)))
    return [level for level in found if level is not None]


def told_apart(values: pd.Series) -> pd.Series:
    """Truth values as their levels where they stand beside others: to Python True is 1, and False 0."""
    if values.dtype != object or pd.api.types.infer_dtype(values) == "string":
        return values
    cells = [str(cell) if isinstance(cell, bool | np.bool_) else cell for cell in values]
    # Of no other type: whole numbers beside missing cells would be rounded.
    return pd.Series(cells, index=values.index, dtype=object)


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


def whole_characters(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row as UTF-8 can tell it: JSON may hold half an emoji, which becomes U+FFFD."""
    mend = functools.partial(HALF_CHARACTER.sub, "\ufffd")
    return {mend(name): mend(cell) if isinstance(cell, str) else cell for name, cell in row.items()}


def parse_dates(values: pd.Series, date_format: str | None) -> pd.Series:
    """Read dates as training did; NaT where that fails."""
    if not pd.api.types.is_datetime64_any_dtype(values.dtype):
        text = values.astype("string").str.strip()
        if date_format == DAY_NUMBER:
            text = text.str.replace(DAY_FRACTION, r"\1", regex=True)
        values = pd.to_datetime(
            text, format=date_format or "ISO8601", errors="coerce", utc=date_format in (None, "ISO8601")
        )
    if getattr(values.dtype, "tz", None) is not None:
        values = values.dt.tz_convert("UTC").dt.tz_localize(None)
    return values
