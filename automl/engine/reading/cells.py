"""Columns of text become columns of what the text says: missing cells, numbers, truth values."""

from __future__ import annotations

import re
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from automl.engine.inference.encoder import GROUPED
from automl.engine.schema import MISSING_MARKS

MARKS = pa.array(MISSING_MARKS, pa.large_string())
# Missing only in a column of numbers.
WORDS = pa.array(["None", "none", "NONE", "missing", "unknown value"], pa.large_string())
TRUTH = pa.array(["true", "false"], pa.large_string())
# Repeated strings are stored once; beyond this share of distinct ones that costs more than it saves.
DICTIONARY_SHARE = 0.5
SAMPLE = 20_000
SAMPLE_SHARE = 0.9
# Digits with any signs of a number around and among them, or a word that a cast takes for one.
NUMBER_LIKE = re.compile(r"[+-]?[\d.,\s]+([eE][+-]?\d+)?|[+-]?(inf|infinity|nan)", re.IGNORECASE)


def settle(column: Any, *, decimal: str = ".") -> Any:
    """Give a column the type that its cells have.

    Parameters
    ----------
    column : pyarrow.ChunkedArray
        Of any type; text is looked at, the rest is taken as it is.
    decimal : str
        The decimal sign of numbers that are still text.

    Returns
    -------
    pyarrow.ChunkedArray
        Of int64, float64, bool, timestamp, large_string, or a dictionary of large_string.
    """
    kind = column.type
    if pa.types.is_dictionary(kind):
        column, kind = column.cast(kind.value_type), kind.value_type
    return _settle_text(column.cast(pa.large_string()), decimal) if is_text(kind) else plain(column)


def is_text(kind: Any) -> bool:
    """Whether a type is one of those that text comes in."""
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def plain(column: Any) -> Any:
    """Give a column the type of those that tables are stored in which is nearest; no text is read.

    Parameters
    ----------
    column : pyarrow.ChunkedArray

    Returns
    -------
    pyarrow.ChunkedArray
    """
    kind = column.type
    if pa.types.is_dictionary(kind):
        if is_text(kind.value_type):
            return with_one_dictionary(column.cast(pa.dictionary(pa.int32(), pa.large_string())))
        column, kind = column.cast(kind.value_type), kind.value_type
    if pa.types.is_boolean(kind):
        return column
    if pa.types.is_integer(kind):
        return column.cast(pa.float64(), safe=False) if pa.types.is_uint64(kind) else column.cast(pa.int64())
    if pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return _without_nan(column.cast(pa.float64(), safe=False))
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        # Any zone is left for UTC, and then for none: a moment is stored without its zone.
        moments = (
            column.cast(pa.timestamp("us", tz="UTC"), safe=False) if getattr(kind, "tz", None) else column
        )
        return moments.cast(pa.timestamp("us"), safe=False)
    if pa.types.is_duration(kind):
        return column.cast(pa.duration("us"), safe=False).cast(pa.int64())
    return column.cast(pa.large_string())


def with_one_dictionary(column: Any) -> Any:
    """Give all parts of a column of codes the same dictionary, which takes long where words are many.

    Parameters
    ----------
    column : pyarrow.ChunkedArray
        Of any type; others than dictionaries are given back as they are.

    Returns
    -------
    pyarrow.ChunkedArray
    """
    if not pa.types.is_dictionary(column.type):
        return column
    words = [chunk.dictionary for chunk in column.chunks]
    places = {
        (word.offset, len(word), *(buffer.address if buffer else 0 for buffer in word.buffers()))
        for word in words
    }
    return column if len(places) <= 1 else column.unify_dictionaries()


def _without_nan(numbers: Any) -> Any:
    nan = pc.is_nan(numbers)
    return pc.if_else(nan, None, numbers) if pc.any(nan).as_py() else numbers


def _settle_text(text: Any, decimal: str) -> Any:
    """Words that repeat are looked at once each."""
    if not _repeats(text):
        return _settle_words(text, decimal)
    encoded = text.dictionary_encode().unify_dictionaries()
    codes = pa.chunked_array([chunk.indices for chunk in encoded.chunks], type=pa.int32())
    words = pa.chunked_array([encoded.chunk(0).dictionary])
    settled = _settle_words(words, decimal)
    if not pa.types.is_large_string(settled.type):
        return settled.take(codes)
    if settled.null_count == len(settled):
        return pa.chunked_array([pa.nulls(len(text), pa.large_string())])
    # Words that differ by blanks only have become one.
    again = settled.combine_chunks().dictionary_encode()
    if len(again.dictionary) > DICTIONARY_SHARE * len(text):
        return settled.take(codes)
    return pa.chunked_array(
        [
            pa.DictionaryArray.from_arrays(again.indices.take(chunk), again.dictionary)
            for chunk in codes.chunks
        ]
    )


def _repeats(text: Any) -> bool:
    """Whether words repeat among the first rows; if they don't, counting all of them is slow."""
    if not len(text):
        return False
    sample = text.slice(0, SAMPLE).drop_null()
    return len(sample) == 0 or pc.count_distinct(sample).as_py() <= SAMPLE_SHARE * len(sample)


def _settle_words(text: Any, decimal: str) -> Any:
    text = pc.utf8_trim_whitespace(text)
    text = pc.if_else(pc.is_in(text, value_set=MARKS), None, text)
    if text.null_count == len(text):
        return text
    wordless = pc.if_else(pc.is_in(text, value_set=WORDS), None, text)
    if wordless.null_count < len(wordless) and (numbers := _numbers(wordless, decimal)) is not None:
        return numbers
    truth = _truth(text)
    return text if truth is None else truth


def _numbers(text: Any, decimal: str) -> Any | None:
    """The column as numbers, if every cell that is there is one."""
    if not _first_looks_like_number(text):
        return None
    if pc.any(pc.match_substring_regex(text, "^[+-]?0[xX]")).as_py():
        return None
    number, between = GROUPED[decimal]
    if pc.any(pc.match_substring_regex(text, between)).as_py():
        grouped = pc.match_substring_regex(text, f"^{number}$")
        text = pc.if_else(grouped, pc.replace_substring_regex(text, between, ""), text)
    if decimal == ",":
        if pc.any(pc.match_substring(text, ".")).as_py():
            return None
        text = pc.replace_substring(text, ",", ".")
    for kind in (pa.int64(), pa.float64()):
        try:
            numbers = text.cast(kind)
        except pa.ArrowInvalid:
            continue
        return _without_nan(numbers) if pa.types.is_floating(kind) else numbers
    return None


def _first_looks_like_number(text: Any) -> bool:
    """A quick look at one cell spares most columns of words and dates two casts."""
    index = pc.index(pc.is_valid(text), True).as_py()
    first = text[index].as_py()
    return bool(first) and NUMBER_LIKE.fullmatch(first) is not None


def _truth(text: Any) -> Any | None:
    lower = pc.utf8_lower(text)
    if not pc.all(pc.is_in(pc.drop_null(lower), value_set=TRUTH), min_count=0).as_py():
        return None
    return pc.equal(lower, "true")
