"""XLSX workbooks: the first sheet that holds anything."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa

from automl.engine.errors import UserError
from automl.engine.reading.cells import settle
from automl.engine.reading.convert import ADVICE, ReadReport, unique_names


def read(path: Path, filename: str) -> tuple[pa.Table, ReadReport]:
    """Read a workbook.

    Raises
    ------
    UserError
        If it is no workbook, damaged, or holds no rows.
    """
    from python_calamine import CalamineError, CalamineWorkbook

    report = ReadReport(dialect={"format": "xlsx"})
    try:
        with path.open("rb") as file:
            workbook = CalamineWorkbook.from_filelike(file)
            sheets = {name: workbook.get_sheet_by_name(name).to_python() for name in workbook.sheet_names[:1]}
            for name in workbook.sheet_names[1:]:
                if any(sheets.values()):
                    break
                sheets[name] = workbook.get_sheet_by_name(name).to_python()
    except (CalamineError, OSError, ValueError) as error:
        if not filename.lower().endswith((".xlsx", ".xlsm")):
            raise UserError(f"{filename!r} is a ZIP archive. Unpack it first. {ADVICE}") from error
        raise UserError(
            f"The workbook is damaged or protected ({error}). Save it again, or as CSV."
        ) from error
    chosen = next((name for name, rows in sheets.items() if rows), None)
    if chosen is None:
        raise UserError("The workbook holds no rows.")
    if len(workbook.sheet_names) > 1:
        report.warnings.append(f"The workbook has {len(workbook.sheet_names)} sheets; {chosen!r} was read.")
    rows = [row for row in sheets[chosen] if any(cell != "" for cell in row)]
    width = max(len(row) for row in rows)
    header = [str(cell) for cell in rows[0]] + [""] * (width - len(rows[0]))
    names = unique_names(header, report.warnings)
    columns = [
        _column([row[place] if place < len(row) else "" for row in rows[1:]]) for place in range(width)
    ]
    return pa.table(columns, names=names), report


def _column(cells: list[Any]) -> Any:
    """Cells of one kind keep it; a mixture becomes text, and text is looked at again."""
    there = [cell for cell in cells if cell != ""]
    values = [cell if cell != "" else None for cell in cells]
    if there and all(isinstance(cell, bool) for cell in there):
        return pa.chunked_array([pa.array(values, pa.bool_())])
    if there and all(isinstance(cell, int | float) and not isinstance(cell, bool) for cell in there):
        whole = all(float(cell).is_integer() for cell in there)
        kind = pa.int64() if whole else pa.float64()
        convert = int if whole else float
        return pa.chunked_array([pa.array([None if v is None else convert(v) for v in values], kind)])
    if there and all(isinstance(cell, datetime.date) for cell in there):
        moments = [None if v is None else datetime.datetime.fromisoformat(v.isoformat()) for v in values]
        return pa.chunked_array([pa.array(moments, pa.timestamp("us"))])
    return settle(
        pa.chunked_array([pa.array([None if v is None else str(v) for v in values], pa.large_string())])
    )
