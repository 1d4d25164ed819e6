"""Parquet files."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa

from automl.engine.errors import UserError
from automl.engine.reading.cells import settle
from automl.engine.reading.convert import ReadReport, unique_names


def read(path: Path) -> tuple[pa.Table, ReadReport]:
    """Read a Parquet file whose columns are plain values.

    Raises
    ------
    UserError
        If it is damaged, or a column holds lists or records.
    """
    import pyarrow.parquet as pq

    report = ReadReport(dialect={"format": "parquet"})
    try:
        table = pq.read_table(path)
    except (pa.ArrowException, OSError) as error:
        raise UserError(
            f"The Parquet file is damaged or of an unknown kind: {error}. Write it again."
        ) from error
    nested = [
        field.name
        for field in table.schema
        if pa.types.is_nested(field.type) or pa.types.is_binary(field.type)
    ]
    if nested:
        raise UserError(
            f"Columns that hold lists, records or bytes can't be used: {', '.join(nested)}. Leave them out, "
            "or spread them over plain columns."
        )
    names = unique_names(list(table.column_names), report.warnings)
    return pa.table([settle(column) for column in table.columns], names=names), report
