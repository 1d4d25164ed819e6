"""Columns of text become columns of what the text says: missing cells, numbers, truth values."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from automl.engine.schema import MISSING_MARKS

# Missing only in a column of numbers.
WORDS = ("None", "none", "NONE", "missing", "unknown value")
TRUTH = {"true": True, "false": False}
# Repeated strings are stored once; beyond this share of distinct ones that costs more than it saves.
DICTIONARY_SHARE = 0.5
THOUSANDS = r"^[+-]?\d{1,3}(,\d{3})+(\.\d+)?$"


def settle(column: Any, *, decimal: str = ".") -> Any:
    """Give a column the type that its cells have.

    Parameters
    ----------
    column : pyarrow.ChunkedArray
        Of any type; text is looked at, the rest is taken as it is.
    decimal : str
        The decimal sign of numbers that are still text.
    """
    kind = column.type
    if pa.types.is_dictionary(kind):
        column, kind = column.cast(kind.value_type), kind.value_type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return _settle_text(column.cast(pa.large_string()), decimal)
    if pa.types.is_null(kind):
        return column.cast(pa.large_string())
    if pa.types.is_boolean(kind):
        return column
    if pa.types.is_integer(kind):
        return column.cast(pa.int64()) if not pa.types.is_uint64(kind) else column.cast(pa.float64())
    if pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        numbers = column.cast(pa.float64())
        return pc.if_else(pc.is_nan(numbers), None, numbers)
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        plain = column.cast(pa.timestamp("us", tz="UTC")) if getattr(kind, "tz", None) else column
        return plain.cast(pa.timestamp("us"), safe=False)
    if pa.types.is_duration(kind):
        return column.cast(pa.int64()).cast(pa.float64())
    return _settle_text(column.cast(pa.large_string()), decimal)


def _settle_text(column: Any, decimal: str) -> Any:
    text = pc.utf8_trim_whitespace(column)
    text = pc.if_else(pc.is_in(text, value_set=pa.array(MISSING_MARKS, pa.large_string())), None, text)
    if text.null_count == len(text):
        return text
    wordless = pc.if_else(pc.is_in(text, value_set=pa.array(WORDS, pa.large_string())), None, text)
    if wordless.null_count < len(wordless) and (numbers := _numbers(wordless, decimal)) is not None:
        return numbers
    if (truth := _truth(text)) is not None:
        return truth
    encoded = text.dictionary_encode()
    distinct = pc.count_distinct(text).as_py()
    return encoded if distinct <= DICTIONARY_SHARE * len(text) else text


def _numbers(text: Any, decimal: str) -> Any | None:
    """The column as numbers, if every cell that is there is one."""
    if not _first_looks_like_number(text):
        return None
    if decimal == ",":
        text = pc.replace_substring(pc.replace_substring(text, ".", ""), ",", ".")
    elif pc.any(pc.match_substring(text, ",")).as_py():
        grouped = pc.match_substring_regex(text, THOUSANDS)
        text = pc.if_else(grouped, pc.replace_substring(text, ",", ""), text)
    for kind in (pa.int64(), pa.float64()):
        try:
            return text.cast(kind)
        except pa.ArrowInvalid:
            continue
    return None


def _first_looks_like_number(text: Any) -> bool:
    """A quick look at one cell spares most columns of words two casts."""
    index = pc.index(pc.is_valid(text), True).as_py()
    first = text[index].as_py()
    return bool(first) and (first[0].isdigit() or first[0] in "+-.,iI")


def _truth(text: Any) -> Any | None:
    lower = pc.utf8_lower(text)
    words = pa.array(list(TRUTH), pa.large_string())
    if not pc.all(pc.is_in(pc.drop_null(lower), value_set=words), min_count=0).as_py():
        return None
    return pc.equal(lower, "true")
