"""CSV and TSV of any common dialect.

The quick reader takes files whose rows all have the header's width; the tolerant one takes the
others, row by row, pads and cuts, and says so.
"""

from __future__ import annotations

import codecs
import csv
import io
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv

from automl.engine.errors import UserError
from automl.engine.reading.cells import settle
from automl.engine.reading.convert import CHUNK, ReadLimits, ReadReport, unique_names
from automl.engine.schema import MISSING_MARKS

DELIMITERS = ",;\t|"
SAMPLE = 256 * 1024
SAMPLE_ROWS = 500
BATCH = 50_000
LONGEST_CELL = 1 << 20


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a text file is written."""

    encoding: str
    delimiter: str
    decimal: str


def read(path: Path, folder: Path, limits: ReadLimits) -> tuple[pa.Table, ReadReport]:
    """Read a delimited text file.

    Raises
    ------
    UserError
        Naming the line and the reason.
    """
    report = ReadReport()
    encoding = _encoding(path)
    plain = path if encoding == "utf-8" else _as_utf8(path, folder / "utf8", encoding)
    sample, whole = _sample(plain)
    delimiter = _delimiter(sample, whole)
    dialect = Dialect(encoding, delimiter, _decimal(sample, delimiter))
    skipped, header = _header(plain, delimiter)
    if len(header) > limits.max_columns:
        raise UserError(f"The table has {len(header):,} columns; the limit is {limits.max_columns:,}.")
    names = unique_names(header, report.warnings)
    table = _quick(plain, names, dialect, skipped)
    if table is None:
        table = _tolerant(plain, names, dialect, report)
    columns = [settle(column, decimal=dialect.decimal) for column in table.columns]
    report.dialect = {
        "format": "csv",
        "encoding": dialect.encoding,
        "delimiter": dialect.delimiter,
        "decimal": dialect.decimal,
    }
    return pa.table(columns, names=names), report


def _encoding(path: Path) -> str:
    """UTF-8 if it is valid throughout, else Windows-1252: guessing at more is wrong more often."""
    with path.open("rb") as file:
        start = file.read(4096)
        if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            return "utf-16"
        if b"\x00" in start:
            return _wide(start)
        file.seek(0)
        decoder = codecs.getincrementaldecoder("utf-8")()
        line = 1
        while chunk := file.read(CHUNK):
            if (position := chunk.find(b"\x00")) >= 0:
                line += chunk[:position].count(b"\n")
                raise UserError(
                    f"Line {line} holds a NUL byte: the file is damaged or not text. Export it again."
                )
            try:
                decoder.decode(chunk)
            except UnicodeDecodeError:
                return "cp1252"
            line += chunk.count(b"\n")
    return "utf-8"


def _wide(start: bytes) -> str:
    """UTF-16 without a mark: in mostly Latin text every other byte is 0."""
    even, odd = start[::2].count(0), start[1::2].count(0)
    if odd > 0.4 * len(start) / 2 and even < odd / 4:
        return "utf-16-le"
    if even > 0.4 * len(start) / 2 and odd < even / 4:
        return "utf-16-be"
    line = start[: start.find(b"\x00")].count(b"\n") + 1
    raise UserError(f"Line {line} holds a NUL byte: the file is damaged or not text. Export it as CSV again.")


def _as_utf8(path: Path, target: Path, encoding: str) -> Path:
    """Write the text anew as UTF-8, a piece at a time."""
    decoder = codecs.getincrementaldecoder(encoding)("replace" if encoding == "cp1252" else "strict")
    try:
        with path.open("rb") as source, target.open("wb") as plain:
            while chunk := source.read(CHUNK):
                plain.write(decoder.decode(chunk).encode("utf-8"))
            plain.write(decoder.decode(b"", final=True).encode("utf-8"))
    except UnicodeError as error:
        raise UserError(f"The file is not valid {encoding}: {error}. Save it as UTF-8.") from error
    return target


def _sample(path: Path) -> tuple[str, bool]:
    """The beginning of the file, cut at a line's end unless it is the whole of it."""
    with path.open("rb") as file:
        data = file.read(SAMPLE)
        whole = not file.read(1)
    text = data.decode("utf-8-sig", errors="ignore").replace("\r\n", "\n").replace("\r", "\n")
    return (text if whole else text[: text.rfind("\n") + 1]), whole


def _delimiter(sample: str, whole: bool) -> str:
    """The sign that parts most rows into the same number of cells, more than one."""
    best, best_rank = ",", (0.0, 0)
    for delimiter in DELIMITERS:
        widths = Counter(_widths(sample, delimiter))
        if not widths:
            continue
        width, count = widths.most_common(1)[0]
        share = count / widths.total()
        rank = (round(share, 1) if width > 1 else 0.0, width)
        if rank > best_rank:
            best, best_rank = delimiter, rank
    return best


def _widths(sample: str, delimiter: str) -> Iterator[int]:
    reader = csv.reader(io.StringIO(sample), delimiter=delimiter)
    try:
        for number, row in enumerate(reader):
            if row:
                yield len(row)
            if number >= SAMPLE_ROWS:
                return
    except csv.Error:
        return


def _decimal(sample: str, delimiter: str) -> str:
    """A comma, if cells are numbers with one comma more often than with one point."""
    if delimiter == ",":
        return "."
    commas = points = 0
    for number, row in enumerate(csv.reader(io.StringIO(sample), delimiter=delimiter)):
        for cell in row:
            digits = cell.strip().lstrip("+-")
            if digits.count(",") == 1 and digits.replace(",", "").replace(".", "").isdigit():
                commas += 1
            elif digits.count(".") == 1 and digits.replace(".", "").isdigit():
                points += 1
        if number >= SAMPLE_ROWS:
            break
    return "," if commas > points else "."


def _header(path: Path, delimiter: str) -> tuple[int, list[str]]:
    """How many lines come before the first row, and the header's cells."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file, delimiter=delimiter)
        for row in reader:
            if any(cell.strip() for cell in row):
                return reader.line_num, row
    raise UserError("The file has no header line.")


def _quick(path: Path, names: list[str], dialect: Dialect, skipped: int) -> pa.Table | None:
    """All cores at once; None where a row's width or a quote needs the tolerant reader."""
    with path.open("rb") as file:
        has_quotes = any(b'"' in chunk for chunk in iter(lambda: file.read(CHUNK), b""))
    try:
        return pa.csv.read_csv(
            path,
            read_options=pa.csv.ReadOptions(column_names=names, skip_rows=skipped, block_size=4 * CHUNK),
            parse_options=pa.csv.ParseOptions(delimiter=dialect.delimiter, newlines_in_values=has_quotes),
            convert_options=pa.csv.ConvertOptions(
                null_values=list(MISSING_MARKS),
                strings_can_be_null=True,
                decimal_point=dialect.decimal,
                # Dates stay text: predictions get them as text too, and must read them the same way.
                timestamp_parsers=["%Q"],
                column_types={},
            ),
        )
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowKeyError):
        return None


def _tolerant(path: Path, names: list[str], dialect: Dialect, report: ReadReport) -> pa.Table:
    batches: list[pa.RecordBatch] = []
    rows: list[list[str]] = []
    width = len(names)
    short: list[int] = []
    long: list[int] = []
    csv.field_size_limit(LONGEST_CELL)
    for line, row in _rows(path, dialect.delimiter):
        if len(row) < width:
            short.append(line)
            row += [""] * (width - len(row))
        elif len(row) > width:
            if any(cell.strip() for cell in row[width:]):
                long.append(line)
            del row[width:]
        rows.append(row)
        if len(rows) >= BATCH:
            batches.append(_batch(rows, names))
            rows = []
    if rows or not batches:
        batches.append(_batch(rows, names))
    for lines, what in ((short, "fewer cells than the header; the rest of them is missing"),
                        (long, "more cells than the header; the extra cells are left out")):  # fmt: skip
        if lines:
            report.warnings.append(f"{len(lines):,} rows have {what} (the first is line {lines[0]:,}).")
    return pa.Table.from_batches(batches)


def _rows(path: Path, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Rows after the header, each with the number of the line it begins on; blank lines are no rows."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file, delimiter=delimiter, strict=True)
        seen_header, line = False, 1
        try:
            for row in reader:
                if any(cell.strip() for cell in row):
                    if seen_header:
                        yield line, row
                    seen_header = True
                line = reader.line_num + 1
        except csv.Error as error:
            raise UserError(_quote_error(error, line, reader.line_num)) from error


def _quote_error(error: csv.Error, begun: int, reached: int) -> str:
    words = str(error)
    if "unexpected end" in words or "field larger" in words:
        return (
            f"Line {begun:,}: a quote is opened in this row and never closed. Close it, or double the quote."
        )
    if "expected after" in words:
        return f"Line {reached:,}: text follows a closing quote ({words}). Double the quotes inside a cell."
    return f"Line {reached:,}: {words}."


def _batch(rows: list[list[str]], names: list[str]) -> Any:
    columns = list(zip(*rows, strict=True)) if rows else [()] * len(names)
    return pa.record_batch([pa.array(column, pa.large_string()) for column in columns], names=names)
