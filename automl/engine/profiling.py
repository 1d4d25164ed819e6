"""What is in a table: the kinds of its columns, what is missing, what looks wrong."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from automl.engine.dates import are_days, date_format
from automl.engine.inference.encoder import DAY_NUMBER
from automl.engine.quantities import are_quantities
from automl.engine.reading.cells import plain, with_one_dictionary
from automl.engine.reading.stored import read_stored
from automl.engine.schema import ColumnKind, ColumnProfile, TableProfile
from automl.engine.trial import TaskType

# For the digests by which rows are told apart.
MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)
# No word's code and hardly a number's bits; no float's, as it would be no number.
MISSING_BITS = np.uint64(0x7FFA5A170B3CD2E1)
# After so many columns the rows that are unlike any other are left out.
COMPARED = 4
TOP_VALUES = 20
BINS = 20
SAMPLED = 1_000
MOSTLY_MISSING = 0.5
# A number with few values may be a class; with more it is a quantity.
CLASS_VALUES = 15
IDENTIFIER_ROWS = 20
IDENTIFIER_SHARE = 0.9
TEXT_WORDS = 3.0
TEXT_SHARE = 0.5
TRUTH_PAIRS = [{"yes", "no"}, {"y", "n"}, {"true", "false"}, {"t", "f"}, {"on", "off"}, {"0", "1"}]
ID_NAME = re.compile(r"(^|[_\s])(id|uuid|guid|index|rowid|key)$|^id[_\s]|(?<=[a-z])(Id|ID)$", re.IGNORECASE)
CODE_NAME = re.compile(
    r"(^|[_\s])(zip|zip\s?code|zipcode|postcode|postal\s?code|code|id)($|[_\s])|(?<=[a-z])(Id|ID)$", re.I
)
TARGET_NAME = re.compile(
    r"^(target|label|class|y|outcome|response|survived|churn|diagnosis|quality|price)$", re.I
)


def profile_table(
    path: Path, *, dialect: Mapping[str, str] | None = None, warnings: Sequence[str] = ()
) -> TableProfile:
    """Profile a stored table; see `profile_arrow`."""
    return profile_arrow(read_stored(path), dialect=dialect, warnings=warnings)


def profile_arrow(
    table: Any, *, dialect: Mapping[str, str] | None = None, warnings: Sequence[str] = ()
) -> TableProfile:
    """Profile a table.

    Parameters
    ----------
    table : pyarrow.Table
        Stored, or made of a frame.
    dialect : mapping, optional
        Kept for those who read a file of the same making.
    warnings : sequence of str
        From reading; those from profiling are added.

    Returns
    -------
    TableProfile
    """
    found = [*warnings]
    decimal = "," if (dialect or {}).get("decimal") == "," else "."
    # Counting and sorting let go of the interpreter, so columns are looked at side by side.
    with ThreadPoolExecutor(pa.cpu_count()) as pool:
        plain_columns = list(pool.map(plain, table.columns))
        looked_at = list(pool.map(partial(_profile_column, decimal), table.column_names, plain_columns))
    columns = [column for column, _ in looked_at]
    found += [warning for _, warnings_of_column in looked_at for warning in warnings_of_column]
    duplicates = 0
    if not any(column.unique == table.num_rows for column in columns):
        # What differs most tells most rows apart.
        order = sorted(range(len(columns)), key=lambda place: -columns[place].unique)
        duplicates = count_duplicates([plain_columns[place] for place in order])
    _warn(columns, table.num_rows, duplicates, found)
    target = _suggest_target(columns)
    return TableProfile(
        rows=table.num_rows,
        columns=tuple(columns),
        duplicates=duplicates,
        warnings=tuple(found),
        dialect=dict(dialect or {}),
        suggested_target=target.name if target else None,
        suggested_task_type=suggest_task_type(target) if target else None,
    )


def count_duplicates(columns: Sequence[Any]) -> int:
    """Rows that repeat an earlier row in every cell; rows are told apart by 64 bits.

    Only rows that are alike so far are looked at further: columns that tell many apart should come first.
    """
    if not columns:
        return 0
    digest = np.zeros(len(columns[0]), dtype=np.uint64)
    rows: np.ndarray[Any, Any] | None = None
    for place, column in enumerate(columns, start=1):
        digest = folded(digest, _cell_bits(column if rows is None else column.take(rows)))
        if place != COMPARED or place == len(columns):
            continue
        repeated = _repeated(digest)
        rows = np.flatnonzero(np.isin(digest, repeated))
        digest = digest[rows]
        if not len(rows):
            return 0
    return len(_repeated(digest))


def _repeated(digest: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    ordered = np.sort(digest)
    return np.asarray(ordered[1:][ordered[1:] == ordered[:-1]])


def _cell_bits(column: Any) -> np.ndarray[Any, Any]:
    """64 bits for each cell: equal for equal ones, `MISSING_BITS` where a cell is missing."""
    if pa.types.is_large_string(column.type):
        column = column.dictionary_encode()
    kind = column.type
    if pa.types.is_dictionary(kind):
        column = pa.chunked_array([chunk.indices for chunk in with_one_dictionary(column).chunks])
        kind = column.type
    if pa.types.is_timestamp(kind):
        column, kind = column.cast(pa.int64()), pa.int64()
    there = column.fill_null(False if pa.types.is_boolean(kind) else 0).to_numpy()
    # Minus zero is zero.
    bits = (there + 0.0).view(np.uint64) if pa.types.is_floating(kind) else there.astype(np.uint64)
    if column.null_count:
        bits = np.where(column.is_null().to_numpy(), MISSING_BITS, bits)
    return np.asarray(bits)


def folded(digest: np.ndarray[Any, Any], cells: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Put one more cell into the digest of each row; both are whole numbers, of 64 bits and of up to 64.

    The bits are spread so that each depends on all: the finalizer of MurmurHash3 (Appleby 2011).
    """
    bits = digest * MULTIPLIER + cells
    for factor in (np.uint64(0xFF51AFD7ED558CCD), np.uint64(0xC4CEB9FE1A85EC53)):
        bits = (bits ^ (bits >> np.uint64(33))) * factor
    return np.asarray(bits ^ (bits >> np.uint64(33)))


def suggest_task_type(column: ColumnProfile) -> TaskType:
    """What predicting this column would be."""
    if column.unique == 2:
        return TaskType.BINARY
    if column.dtype == "int64" and column.unique <= CLASS_VALUES:
        return TaskType.MULTICLASS
    if column.dtype in ("int64", "float64"):
        whole = column.statistics.get("whole", False)
        return TaskType.MULTICLASS if whole and column.unique <= CLASS_VALUES else TaskType.REGRESSION
    return TaskType.MULTICLASS


def _profile_column(decimal: str, name: str, column: Any) -> tuple[ColumnProfile, list[str]]:
    kind = column.type
    missing = column.null_count
    if pa.types.is_integer(kind) or pa.types.is_floating(kind):
        return _profile_numbers(name, column, missing), []
    there = len(column) - missing
    counts = _counts(column) if there else None
    unique = len(counts) if counts is not None else 0
    if pa.types.is_timestamp(kind):
        statistics = _date_statistics(column) if there else {}
        found = ColumnKind.DATETIME if unique > 1 else ColumnKind.CONSTANT
        return ColumnProfile(name, found, missing, unique, statistics, "ISO8601", "timestamp"), []
    statistics = {"top": _top(counts)} if counts is not None else {"top": []}
    if pa.types.is_boolean(kind):
        found = ColumnKind.BOOLEAN if unique > 1 else ColumnKind.CONSTANT
        return ColumnProfile(name, found, missing, unique, statistics, None, "bool"), []
    warnings: list[str] = []
    form = date_format(name, counts, warnings) if counts is not None and unique > 1 else None
    found = ColumnKind.DATETIME if form else _string_kind(counts, there, unique, decimal)
    return ColumnProfile(name, found, missing, unique, statistics, form, "string"), warnings


def _counts(column: Any) -> Any:
    """Values and how often each is there, as `value_counts` gives them; words have been counted once."""
    if not pa.types.is_dictionary(column.type):
        return column.drop_null().value_counts()
    column = with_one_dictionary(column)
    words = column.chunk(0).dictionary
    codes = pa.chunked_array([chunk.indices for chunk in column.chunks]).drop_null().to_numpy()
    numbers = np.bincount(codes, minlength=len(words))
    used = np.flatnonzero(numbers)
    found = [words.take(pa.array(used)), pa.array(numbers[used])]
    return pa.StructArray.from_arrays(found, ["values", "counts"])


def _profile_numbers(name: str, column: Any, missing: int) -> ColumnProfile:
    dtype = "int64" if pa.types.is_integer(column.type) else "float64"
    numbers = column.drop_null().to_numpy()
    # Sorting is several times as fast as counting in a hash table.
    ordered = np.sort(numbers)
    unique = int(np.count_nonzero(ordered[1:] != ordered[:-1])) + 1 if len(ordered) else 0
    if unique > 1 and are_days(ordered, unique) and not _is_counted(name, numbers, unique):
        statistics = {"top": _top(column.drop_null().cast(pa.int64()).value_counts())}
        return ColumnProfile(name, ColumnKind.DATETIME, missing, unique, statistics, DAY_NUMBER, dtype)
    statistics = _number_statistics(ordered)
    kind = _number_kind(name, numbers, unique, statistics)
    return ColumnProfile(name, kind, missing, unique, statistics, None, dtype)


def _number_kind(
    name: str, numbers: np.ndarray[Any, Any], unique: int, statistics: dict[str, Any]
) -> ColumnKind:
    """Numbers are numeric, but for those that only name a row, and codes that name a group."""
    if unique <= 1:
        return ColumnKind.CONSTANT
    whole = bool(statistics.get("whole"))
    if whole and unique == 2 and (statistics["min"], statistics["max"]) == (0.0, 1.0):
        return ColumnKind.BOOLEAN
    if (
        whole
        and unique == len(numbers) >= IDENTIFIER_ROWS
        and (ID_NAME.search(name) or _is_sequence(numbers))
    ):
        return ColumnKind.IDENTIFIER
    if whole and CODE_NAME.search(name) and unique > 2:
        return ColumnKind.CATEGORICAL
    return ColumnKind.NUMERIC


def _is_counted(name: str, numbers: np.ndarray[Any, Any], unique: int) -> bool:
    """Whether numbers name rows, and that by their column's name: 20240101 and on is a month of days too."""
    return unique == len(numbers) and bool(ID_NAME.search(name)) and _is_sequence(numbers)


def _is_sequence(numbers: np.ndarray[Any, Any]) -> bool:
    """Counts up one by one, in the order of the rows."""
    return bool(np.all(np.isfinite(numbers)) and np.all(np.diff(numbers) == 1))


def _string_kind(counts: Any, there: int, unique: int, decimal: str) -> ColumnKind:
    if unique <= 1:
        return ColumnKind.CONSTANT
    values = counts.field("values")[:SAMPLED].to_pylist()
    if unique == 2 and {value.lower() for value in values} in TRUTH_PAIRS:
        return ColumnKind.BOOLEAN
    words = sum(len(value.split()) for value in values) / len(values)
    share = unique / there
    if share > TEXT_SHARE and are_quantities(_spread_out(counts.field("values")), decimal, unique):
        return ColumnKind.CATEGORICAL
    if words >= TEXT_WORDS and share > TEXT_SHARE and there >= IDENTIFIER_ROWS:
        return ColumnKind.TEXT
    if share > IDENTIFIER_SHARE and there >= IDENTIFIER_ROWS:
        return ColumnKind.IDENTIFIER
    return ColumnKind.CATEGORICAL


def _spread_out(values: Any) -> list[str]:
    """Some of many values, from the first to the last: those of a sorted table lie close together."""
    places = np.linspace(0, len(values) - 1, min(len(values), SAMPLED)).astype(np.int64)
    found: list[str] = values.take(pa.array(places)).to_pylist()
    return found


def _number_statistics(ordered: np.ndarray[Any, Any]) -> dict[str, Any]:
    numbers = ordered.astype(np.float64, copy=False)
    finite = np.isfinite(numbers)
    numbers = numbers if finite.all() else numbers[finite]
    if not len(numbers):
        return {}
    low, high = float(numbers[0]), float(numbers[-1])
    middle = numbers[(len(numbers) - 1) // 2 : len(numbers) // 2 + 1]
    with np.errstate(over="ignore", invalid="ignore"):
        moments = {"mean": numbers.mean(), "std": numbers.std(), "median": middle.mean()}
    return {
        "min": low,
        "max": high,
        # Of numbers near the largest there are, sums overflow.
        **{name: float(value) if np.isfinite(value) else None for name, value in moments.items()},
        "whole": bool(np.all(numbers == np.floor(numbers))),
        "histogram": _histogram(numbers, low, high),
    }


def _histogram(numbers: np.ndarray[Any, Any], low: float, high: float) -> dict[str, list[Any]]:
    bins = min(BINS, max(2, len(np.unique(numbers[:: 1 + len(numbers) // SAMPLED]))))
    try:
        with np.errstate(over="ignore", invalid="ignore"):
            edges = np.histogram_bin_edges(numbers[[0, -1]], bins=bins)
    except ValueError:
        # The range is too narrow, or too wide, to be cut into bins.
        return {"edges": [low, high], "counts": [len(numbers)]}
    places = np.searchsorted(numbers, edges)
    places[-1] = len(numbers)
    counts = np.diff(places)
    return {"edges": [float(edge) for edge in edges], "counts": [int(count) for count in counts]}


def _date_statistics(column: Any) -> dict[str, Any]:
    ends = pc.min_max(column).as_py()
    return {"min": ends["min"].isoformat(), "max": ends["max"].isoformat()}


def _top(counts: Any) -> list[list[Any]]:
    numbers = counts.field("counts").to_numpy(zero_copy_only=False)
    values = counts.field("values")
    order = np.argsort(-numbers, kind="stable")[:TOP_VALUES]
    return [[str(values[int(place)].as_py()), int(numbers[place])] for place in order]


def _warn(columns: Sequence[ColumnProfile], rows: int, duplicates: int, warnings: list[str]) -> None:
    for kind, words in (
        (ColumnKind.CONSTANT, "hold one value, or none, and are left out"),
        (ColumnKind.IDENTIFIER, "only name a row and are left out"),
    ):
        names = [column.name for column in columns if column.kind is kind]
        if names:
            warnings.append(
                f"Columns that {words}: {', '.join(names[:10])}{' and others' if len(names) > 10 else ''}."
            )
    empty = [column.name for column in columns if column.missing > MOSTLY_MISSING * rows]
    if empty:
        warnings.append(f"More than half of the cells are missing in: {', '.join(empty[:10])}.")
    for column in columns:
        if column.dtype == "string" and column.kind in (ColumnKind.CATEGORICAL, ColumnKind.TEXT):
            warnings.extend(_mixed(column))
    if duplicates:
        warnings.append(f"{duplicates:,} rows repeat an earlier row in every cell.")


def _mixed(column: ColumnProfile) -> list[str]:
    """A column of numbers with a few words in it is more likely a slip than a category."""
    top = column.statistics["top"]
    numbers = [value for value, _ in top if re.fullmatch(r"[+-]?\d+([.,]\d+)?", value)]
    words = [value for value, _ in top if value not in numbers]
    if len(numbers) < 0.8 * len(top) or not words or column.unique < TOP_VALUES:
        return []
    return [
        f"Column {column.name!r} is mostly numbers, but holds words such as {words[0]!r}; "
        "it is used as a category, and models are told the numbers as well."
    ]


def _suggest_target(columns: Sequence[ColumnProfile]) -> ColumnProfile | None:
    """A column whose name says so, else the last one that could be predicted."""
    fitting = [
        column
        for column in columns
        if column.kind in (ColumnKind.NUMERIC, ColumnKind.CATEGORICAL, ColumnKind.BOOLEAN)
        and not (column.dtype == "string" and column.unique > 100)
    ]
    named = [column for column in fitting if TARGET_NAME.match(column.name)]
    candidates = named or fitting
    return candidates[-1] if candidates else None


def table_profile_to_json(profile: TableProfile) -> dict[str, Any]:
    """A profile as plain JSON values."""
    return {
        **asdict(profile),
        "columns": [{**asdict(column), "kind": column.kind.value} for column in profile.columns],
        "warnings": list(profile.warnings),
        "suggested_task_type": profile.suggested_task_type.value if profile.suggested_task_type else None,
    }


def table_profile_from_json(found: Mapping[str, Any]) -> TableProfile:
    """A profile from what `table_profile_to_json` gave."""
    suggested = found["suggested_task_type"]
    return TableProfile(
        rows=found["rows"],
        columns=tuple(
            ColumnProfile(**{**column, "kind": ColumnKind(column["kind"])}) for column in found["columns"]
        ),
        duplicates=found["duplicates"],
        warnings=tuple(found["warnings"]),
        dialect=dict(found["dialect"]),
        suggested_target=found["suggested_target"],
        suggested_task_type=TaskType(suggested) if suggested else None,
    )
