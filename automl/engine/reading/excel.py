"""XLSX workbooks: the first sheet that holds anything."""

from __future__ import annotations

import datetime
import zipfile
from pathlib import Path
from typing import Any

import pyarrow as pa

from automl.engine.errors import UserError
from automl.engine.reading.cells import settle
from automl.engine.reading.convert import ADVICE, UNPACKED_FACTOR, ReadLimits, ReadReport, unique_names

# Every cell becomes an object before its column is known: more would fill a worker's memory.
MOST_CELLS = 20_000_000


def read(path: Path, filename: str, limits: ReadLimits) -> tuple[pa.Table, ReadReport]:
    """Read a workbook.

    Raises
    ------
    UserError
        If it is no workbook, damaged, too large, or holds no rows.
    """
    from python_calamine import CalamineError, CalamineWorkbook

    _check_archive(path, filename, limits)
    report = ReadReport(dialect={"format": "xlsx"})
    try:
        with path.open("rb") as file:
            workbook = CalamineWorkbook.from_filelike(file)
            sheet, rows, before = _first_sheet(workbook)
    except (CalamineError, OSError, ValueError) as error:
        raise UserError(
            f"The workbook is damaged or protected ({error}). Save it again, or as CSV."
        ) from error
    if not rows:
        raise UserError("The workbook holds no rows. Its first sheet needs a header line and rows.")
    sheets = workbook.sheet_names
    if len(sheets) > 1:
        report.warnings.append(f"The workbook has {len(sheets)} sheets; {sheets[sheet]!r} was read.")
    width = max(len(row) for row in rows)
    top, left = before
    told = {"sheet": sheet, "rows_before": top, "columns_before": left, "columns_end": left and left + width}
    report.dialect |= {name: str(place) for name, place in told.items() if place}
    header = [_text(cell) for cell in rows[0]] + [""] * (width - len(rows[0]))
    names = unique_names(header, report)
    columns = [
        _column([row[place] if place < len(row) else "" for row in rows[1:]]) for place in range(width)
    ]
    return pa.table(columns, names=names), report


def _check_archive(path: Path, filename: str, limits: ReadLimits) -> None:
    """A workbook is a ZIP archive with certain files in it, and may be a bomb like any other."""
    try:
        with zipfile.ZipFile(path) as archive:
            files = archive.infolist()
    except (zipfile.BadZipFile, OSError, ValueError) as error:
        raise UserError(f"{filename!r} is damaged or cut off ({error}). Save and upload it again.") from error
    if not any(file.filename.startswith("xl/") for file in files):
        raise UserError(f"{filename!r} is a ZIP archive. Unpack it first. {ADVICE}")
    most = limits.max_bytes * UNPACKED_FACTOR
    if sum(file.file_size for file in files) > most:
        raise UserError(
            f"The workbook unpacks to more than {most / 2**20:,.0f} MB. Save it as CSV, or a sample."
        )


def _first_sheet(workbook: Any) -> tuple[int, list[list[Any]], tuple[int, int]]:
    """Which sheet it is, its rows but those that are blank, and how many rows and columns are before them."""
    for place, name in enumerate(workbook.sheet_names):
        sheet = workbook.get_sheet_by_name(name)
        if sheet.total_height * sheet.total_width > MOST_CELLS:
            raise UserError(
                f"Sheet {name!r} has {sheet.total_height * sheet.total_width:,} cells; as a workbook at most "
                f"{MOST_CELLS:,} are read. Save it as CSV."
            )
        found = sheet.to_python()
        there = [number for number, row in enumerate(found) if any(cell != "" for cell in row)]
        if there:
            top, left = sheet.start
            return place, [found[number] for number in there], (top + there[0], left)
    return 0, [], (0, 0)


def _column(cells: list[Any]) -> Any:
    """Cells of one kind keep it; a mixture becomes text, and text is looked at again."""
    there = [cell for cell in cells if cell != ""]
    values = [cell if cell != "" else None for cell in cells]
    if there and all(isinstance(cell, bool) for cell in there):
        return pa.chunked_array([pa.array(values, pa.bool_())])
    if there and all(isinstance(cell, int | float) and not isinstance(cell, bool) for cell in there):
        whole = all(float(cell).is_integer() and abs(cell) < 2**53 for cell in there)
        kind: Any = pa.int64() if whole else pa.float64()
        convert = int if whole else float
        return pa.chunked_array([pa.array([None if v is None else convert(v) for v in values], kind)])
    if there and all(isinstance(cell, datetime.date) for cell in there):
        moments = [None if v is None else datetime.datetime.fromisoformat(v.isoformat()) for v in values]
        return pa.chunked_array([pa.array(moments, pa.timestamp("us"))])
    texts = pa.array([None if v is None else _text(v) for v in values], pa.large_string())
    return settle(pa.chunked_array([texts]))


def _text(cell: Any) -> str:
    """What a person sees in the cell: workbooks keep 2024 as 2024.0."""
    if isinstance(cell, float) and cell.is_integer() and abs(cell) < 2**53:
        return str(int(cell))
    return str(cell)
