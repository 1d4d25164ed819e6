"""Parquet files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa

from automl.engine.errors import UserError
from automl.engine.reading.cells import settle
from automl.engine.reading.convert import UNPACKED_FACTOR, ReadLimits, ReadReport, unique_names

CELL = 8


def read(path: Path, limits: ReadLimits) -> tuple[pa.Table, ReadReport]:
    """Read a Parquet file whose columns are plain values.

    Raises
    ------
    UserError
        If it is damaged, or a column holds lists or records.
    """
    import pyarrow.parquet as pq

    report = ReadReport(dialect={"format": "parquet"})
    try:
        with pq.ParquetFile(path) as file:
            _check(file, limits)
            table = file.read()
    except (pa.ArrowException, OSError) as error:
        raise UserError(
            f"The Parquet file is damaged or of an unknown kind: {error}. Write it again."
        ) from error
    names = unique_names(list(table.column_names), report)
    columns = []
    while table.num_columns:
        columns.append(settle(table.column(0)))
        table = table.remove_column(0)
    return pa.table(columns, names=names), report


def _check(file: Any, limits: ReadLimits) -> None:
    """What the file says of itself is looked at before anything is unpacked."""
    found = file.metadata
    written = sum(found.row_group(place).total_byte_size for place in range(found.num_row_groups))
    # Cells that repeat are written once, but read as often as they are there.
    size = max(written, found.num_rows * found.num_columns * CELL)
    most = limits.max_bytes * UNPACKED_FACTOR
    if size > most or found.num_rows > limits.max_rows:
        raise UserError(
            f"The Parquet file holds {found.num_rows:,} rows and unpacks to {size / 2**20:,.0f} MB; the "
            f"limits are {limits.max_rows:,} rows and {most / 2**20:,.0f} MB. Take a sample."
        )
    nested = [field.name for field in file.schema_arrow if not _is_plain(field.type)]
    if nested:
        raise UserError(
            f"Columns that hold lists, records or bytes can't be used: {', '.join(nested)}. Leave them out, "
            "or spread them over plain columns."
        )


def _is_plain(kind: Any) -> bool:
    if pa.types.is_dictionary(kind):
        return _is_plain(kind.value_type)
    return not (
        pa.types.is_nested(kind)
        or pa.types.is_binary(kind)
        or pa.types.is_large_binary(kind)
        or pa.types.is_fixed_size_binary(kind)
        or pa.types.is_binary_view(kind)
    )
