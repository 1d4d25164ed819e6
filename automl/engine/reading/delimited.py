"""CSV and TSV of any common dialect.

The quick reader takes files whose rows all have the header's width; the tolerant one takes the
others, row by row, pads and cuts, and says so.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv

from automl.engine.errors import UserError
from automl.engine.reading.cells import settle
from automl.engine.reading.convert import ReadLimits, ReadReport, unique_names
from automl.engine.reading.dialect import CHUNK, Layout, find_encoding, find_layout, rows_of, write_as_utf8
from automl.engine.schema import MISSING_MARKS

BATCH = 50_000


def read(path: Path, folder: Path, limits: ReadLimits) -> tuple[pa.Table, ReadReport]:
    """Read a delimited text file.

    Raises
    ------
    UserError
        Naming the line and the reason.
    """
    report = ReadReport()
    encoding, line = find_encoding(path)
    plain = path if encoding == "utf-8" else write_as_utf8(path, folder / "utf8", encoding)
    if line:
        report.warnings.append(
            f"The file is not UTF-8 (first on line {line:,}); it was read as Windows-1252."
        )
    layout = find_layout(plain, encoding)
    if len(layout.header) > limits.max_columns:
        raise UserError(
            f"The table has {len(layout.header):,} columns; the limit is {limits.max_columns:,}. "
            "Leave some out."
        )
    table, has_long_rows = _quick(plain, layout), False
    if table is None:
        table, has_long_rows = _tolerant(plain, layout, limits, report)
    report.dialect = {
        "format": "csv",
        "encoding": layout.dialect.encoding,
        "delimiter": layout.dialect.delimiter,
        "decimal": layout.dialect.decimal,
        **({"row_names": "without a header"} if layout.has_row_names else {}),
        **({"skipped_lines": str(layout.skipped)} if layout.skipped else {}),
        **({"cut_at": str(len(layout.header))} if has_long_rows else {}),
    }
    return _named(_settled(table, layout.dialect.decimal), layout.header, report), report


def _settled(table: pa.Table, decimal: str) -> list[Any]:
    """Some columns at a time, each let go of: text and what is made of it are never both whole in memory."""
    columns: list[Any] = []
    with ThreadPoolExecutor(pa.cpu_count()) as pool:
        waiting: deque[Any] = deque()
        while table.num_columns or waiting:
            while table.num_columns and len(waiting) < pa.cpu_count():
                waiting.append(pool.submit(settle, table.column(0), decimal=decimal))
                table = table.remove_column(0)
            columns.append(waiting.popleft().result())
    return columns


def _named(columns: list[Any], header: Sequence[str], report: ReadReport) -> pa.Table:
    """A delimiter at the end of every line makes a column with no name and no cells: it is left out."""
    last = len(columns)
    while (
        last > 1 and not header[last - 1].strip() and columns[last - 1].null_count == len(columns[last - 1])
    ):
        last -= 1
    return pa.table(columns[:last], names=unique_names([*header[:last]], report))


def _quick(path: Path, layout: Layout) -> pa.Table | None:
    """All cores at once; None where a row's width or a quote needs the tolerant reader."""
    if layout.dialect.spaced:
        return None
    names = [str(place) for place in range(len(layout.header))]
    with ThreadPoolExecutor(1) as other:
        # Signs are counted while the table is read, as if it went on as it begins.
        counting = other.submit(_signs, path)
        guessed = _begins_quoted(path)
        table = _try_read(path, layout, names, guessed)
        quotes, hexadecimal = counting.result()
    if quotes % 2:
        return None
    quoted = quotes > 0
    if quoted != guessed:
        table = _try_read(path, layout, names, quoted)
    if table is None:
        return None
    # What else looks like a time or a hexadecimal number is text to all other readers: predictions
    # get it as text too, and must find the levels that training knew.
    texts = [
        field.name
        for field in table.schema
        if pa.types.is_time(field.type)
        or pa.types.is_timestamp(field.type)
        or (hexadecimal and pa.types.is_integer(field.type))
    ]
    if texts:
        again = _try_read(path, layout, names, quoted, texts)
        if again is None:
            return None
        for name in texts:
            table = table.set_column(int(name), name, again.column(name))
    for place, kind in enumerate(table.schema.types):
        if pa.types.is_date(kind):
            table = table.set_column(place, names[place], table.column(place).cast(pa.string()))
    return table


def _begins_quoted(path: Path) -> bool:
    with path.open("rb") as file:
        return b'"' in file.read(CHUNK)


def _signs(path: Path) -> tuple[int, bool]:
    """How many quotes there are, and whether something may be a hexadecimal number."""
    quotes, hexadecimal = 0, False
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            # One sign is looked for in a sixth of the time of two, or of counting, and most files have none.
            if b'"' in chunk:
                quotes += chunk.count(b'"')
            if not hexadecimal:
                hexadecimal = any(sign in chunk and b"0" + sign in chunk for sign in (b"x", b"X"))
    return quotes, hexadecimal


def _try_read(
    path: Path, layout: Layout, names: list[str], quoted: bool, texts: Sequence[str] = ()
) -> pa.Table | None:
    try:
        return _read_csv(path, layout, names, quoted, texts)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowKeyError):
        return None


def _read_csv(path: Path, layout: Layout, names: list[str], quoted: bool, texts: Sequence[str]) -> pa.Table:
    return pa.csv.read_csv(
        pa.memory_map(str(path)),
        read_options=pa.csv.ReadOptions(column_names=names, skip_rows=layout.lines, block_size=4 * CHUNK),
        parse_options=pa.csv.ParseOptions(delimiter=layout.dialect.delimiter, newlines_in_values=quoted),
        convert_options=pa.csv.ConvertOptions(
            null_values=list(MISSING_MARKS),
            strings_can_be_null=True,
            decimal_point=layout.dialect.decimal,
            # Not 1 and 0 as well: among words they are words, as to all other readers.
            true_values=["true", "True", "TRUE"],
            false_values=["false", "False", "FALSE"],
            # No timestamp has this form, so all of them stay text.
            timestamp_parsers=["%Q"],
            include_columns=list(texts),
            column_types=dict.fromkeys(texts, pa.string()),
        ),
    )


@dataclass(slots=True)
class _Ragged:
    """Rows that are not as wide as the header."""

    what: str
    first: int = 0
    count: int = field(default=0)

    def note(self, line: int) -> None:
        self.first = self.first or line
        self.count += 1


def _tolerant(path: Path, layout: Layout, limits: ReadLimits, report: ReadReport) -> tuple[pa.Table, bool]:
    """Row by row; also whether any of them was longer than the header, be it by empty cells."""
    batches: list[pa.RecordBatch] = []
    rows: list[list[str]] = []
    width, has_long_rows = len(layout.header), False
    short = _Ragged("fewer cells than the header; the rest of them is missing")
    long = _Ragged("more cells than the header; the extra cells are left out")
    for line, _, row in rows_of(path, layout.dialect, skip=layout.lines):
        if len(row) < width:
            short.note(line)
            row.extend([""] * (width - len(row)))
        elif len(row) > width:
            has_long_rows = True
            if any(cell.strip() for cell in row[width:]):
                long.note(line)
            del row[width:]
        rows.append(row)
        if len(rows) >= BATCH:
            batches.append(_batch(rows, width))
            rows = []
            if len(batches) * BATCH > limits.max_rows:
                break
    if rows or not batches:
        batches.append(_batch(rows, width))
    report.warnings += [
        f"{ragged.count:,} row{'s have' if ragged.count > 1 else ' has'} {ragged.what} "
        f"(the first is line {ragged.first:,})."
        for ragged in (short, long)
        if ragged.count
    ]
    return pa.Table.from_batches(batches), has_long_rows


def _batch(rows: list[list[str]], width: int) -> Any:
    columns = list(zip(*rows, strict=True)) if rows else [()] * width
    return pa.record_batch(
        [pa.array(column, pa.large_string()) for column in columns],
        names=[str(place) for place in range(width)],
    )
