"""Reading the stored table: the web process takes a slice, workers take a frame."""

from __future__ import annotations

import datetime
import json
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.ipc

from automl.engine.sealing import Entry, check_file, sync_folder

if TYPE_CHECKING:
    import pandas as pd


def seal_table(path: Path, entry: Entry) -> None:
    """Write down, beside a table that was just stored, how to know that it is whole."""
    seal = _seal_of(path)
    draft = seal.with_name(f".{seal.name}.{os.getpid()}")
    try:
        draft.write_text(json.dumps(entry), encoding="utf-8")
        draft.replace(seal)
    finally:
        draft.unlink(missing_ok=True)
    sync_folder(path.parent)


def check_table(path: Path) -> None:
    """Hold a stored table against its seal; raises Damaged if it is not as it was written."""
    seal = _seal_of(path)
    if not path.exists() or seal.exists():
        check_file(path, json.loads(seal.read_text(encoding="utf-8")) if seal.exists() else None)


def _seal_of(path: Path) -> Path:
    return path.with_name(f"{path.name}.seal")


def read_stored(path: Path) -> Any:
    """The stored table as an Arrow table over a memory map: nothing is copied until it is used."""
    with pa.memory_map(str(path)) as source:
        return pa.ipc.open_file(source).read_all()


def preview(path: Path, rows: int, offset: int = 0) -> tuple[list[str], list[list[Any]]]:
    """Names of the columns and some rows, as JSON values; null is missing.

    Only the batches that hold those rows are read.
    """
    with pa.memory_map(str(path)) as source:
        reader = pa.ipc.open_file(source)
        parts: list[Any] = []
        before = 0
        for number in range(reader.num_record_batches):
            batch = reader.get_batch(number)
            start = max(offset - before, 0)
            if start < batch.num_rows:
                parts.append(batch.slice(start, rows - sum(part.num_rows for part in parts)))
            before += batch.num_rows
            if sum(part.num_rows for part in parts) >= rows:
                break
        table = pa.Table.from_batches(parts, schema=reader.schema)
        columns = [[_json(value) for value in column.to_pylist()] for column in table.columns]
    return list(table.column_names), [list(row) for row in zip(*columns, strict=True)]


def cells_of(table: Any, rows: Sequence[int]) -> list[list[Any]]:
    """Some rows of a stored table, as JSON values; null is missing."""
    part = table.take(pa.array(rows, type=pa.int64()))
    columns = [[_json(value) for value in column.to_pylist()] for column in part.columns]
    return [list(row) for row in zip(*columns, strict=True)]


def read_frame(path: Path, columns: Sequence[str] | None = None) -> pd.DataFrame:
    """The table as `pandas.read_csv` would give it: numbers, strings, NaN for what is missing.

    Strings that repeat come as categoricals; dates that the file itself marked as such as datetimes.
    """
    table = read_stored(path)
    if columns is not None:
        table = table.select(list(columns))
    frame: pd.DataFrame = table.to_pandas(split_blocks=True)
    return frame


def _json(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, datetime.date | datetime.datetime | datetime.time):
        return value.isoformat()
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)
