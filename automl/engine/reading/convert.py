"""Takes an upload apart: what it is, whether it can be read, and the table in it."""

from __future__ import annotations

import codecs
import gzip
import os
import re
import tempfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.ipc

from automl.engine.errors import UserError
from automl.engine.inference import names_as_trained
from automl.engine.reading.cells import with_one_dictionary
from automl.engine.reading.stored import seal_table
from automl.engine.sealing import seal_of

GZIP, ZIP, PARQUET, OLE = b"\x1f\x8b", b"PK\x03\x04", b"PAR1", b"\xd0\xcf\x11\xe0"
BATCH_ROWS = 65_536
CHUNK = 1 << 20
# A gzipped file may unpack to so many times the limit of an upload before it is taken for a bomb.
UNPACKED_FACTOR = 6
OTHERS = {
    b"%PDF": "a PDF document",
    b"\x89PNG": "a picture",
    b"\xff\xd8\xff": "a picture",
    b"SQLite format 3": "an SQLite database",
    b"7z\xbc\xaf": "a 7z archive",
    b"BZh": "a bzip2 archive",
    b"\xfd7zXZ": "an xz archive",
    b"\x28\xb5\x2f\xfd": "a zstd archive",
    b"Rar!": "a RAR archive",
    GZIP: "gzipped twice",
    b"{\\rtf": "a text document",
}
PAGE = re.compile(rb"<(!doctype|html|\?xml)", re.IGNORECASE)
JSON = re.compile(rb'\{\s*["}]|\[\s*[\[{"]')
ADVICE = "Upload CSV or TSV (also gzipped), Parquet, or XLSX."

Progress = Callable[[float], None]


@dataclass(frozen=True, slots=True)
class ReadLimits:
    """The most that is read of one upload."""

    max_bytes: int = 500 * 2**20
    max_rows: int = 50_000_000
    max_columns: int = 5_000


@dataclass(slots=True)
class ReadReport:
    """What was read.

    Attributes
    ----------
    rows, columns : int
    dialect : dict
        `format`, `names` if any were repaired, and for text `encoding`, `delimiter`, `decimal`, `row_names`
        if those have no header, `skipped_lines`, how many there are up to one that names the delimiter, and
        `cut_at`, how many cells rows have that were longer, if any; for workbooks which `sheet`, how many
        `rows_before` and `columns_before` the table and, if some are, `columns_end`: of these what is not 0.
    warnings : list of str
        What was repaired, for the user.
    """

    rows: int = 0
    columns: int = 0
    dialect: dict[str, str] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)


def convert_table(
    source: Path,
    destination: Path,
    *,
    filename: str,
    limits: ReadLimits | None = None,
    on_progress: Progress | None = None,
) -> ReadReport:
    """Read an upload and store its table as one uncompressed Arrow file, whole or not at all.

    Parameters
    ----------
    source, destination : Path
    filename : str
        The name it came with; its first bytes say more about what it is.
    limits : ReadLimits, optional
    on_progress : callable, optional
        Told the share that is done, from 0 to 1.

    Raises
    ------
    UserError
        If it can't be read: with the line and the reason.
    """
    limits = limits or ReadLimits()
    tell = on_progress or (lambda share: None)
    with tempfile.TemporaryDirectory(prefix=".reading-", dir=destination.parent) as folder:
        tell(0.05)
        plain = _unpacked(source, Path(folder), limits)
        table, report = _read(plain, Path(folder), filename, limits)
        tell(0.7)
        _check_table(table, limits)
        report.rows, report.columns = table.num_rows, table.num_columns
        _store(table, destination)
        tell(0.9)
    return report


def _unpacked(source: Path, folder: Path, limits: ReadLimits) -> Path:
    with source.open("rb") as file:
        if file.read(2) != GZIP:
            return source
    target = folder / "unpacked"
    most = limits.max_bytes * UNPACKED_FACTOR
    written = 0
    try:
        with gzip.open(source, "rb") as packed, target.open("wb") as plain:
            while chunk := packed.read(CHUNK):
                written += len(chunk)
                if written > most:
                    raise UserError(
                        f"The gzipped file unpacks to more than {most / 2**20:,.0f} MB. Take a sample."
                    )
                plain.write(chunk)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise UserError(
            f"The gzip file is damaged or cut off ({error}). Compress and upload it again."
        ) from error
    return target


def _read(path: Path, folder: Path, filename: str, limits: ReadLimits) -> tuple[pa.Table, ReadReport]:
    from automl.engine.reading import delimited, excel, parquet

    with path.open("rb") as file:
        start = file.read(512)
    if not start.removeprefix(codecs.BOM_UTF8).strip() and path.stat().st_size <= len(start):
        raise UserError("The file is empty. It needs a header line and rows.")
    if start.startswith(PARQUET):
        return parquet.read(path, limits)
    if start.startswith(ZIP):
        return excel.read(path, filename, limits)
    if start.startswith(OLE):
        raise UserError(
            f"{filename!r} is an old or encrypted Excel file. Save it as .xlsx or CSV without a password."
        )
    text = start.removeprefix(codecs.BOM_UTF8).lstrip()
    for magic, what in OTHERS.items():
        if text.startswith(magic):
            raise UserError(f"{filename!r} is {what}. {ADVICE}")
    if start[257:262] == b"ustar":
        raise UserError(f"{filename!r} is a tar archive. Unpack it first. {ADVICE}")
    for pattern, what in ((JSON, "JSON"), (PAGE, "a web page or XML")):
        if pattern.match(text):
            raise UserError(f"{filename!r} is {what}. {ADVICE}")
    return delimited.read(path, folder, limits)


def _check_table(table: pa.Table, limits: ReadLimits) -> None:
    if table.num_columns > limits.max_columns:
        raise UserError(
            f"The table has {table.num_columns:,} columns; the limit is {limits.max_columns:,}. "
            "Leave some out."
        )
    if table.num_rows > limits.max_rows:
        raise UserError(
            f"The table has {table.num_rows:,} rows; the limit is {limits.max_rows:,}. Take a sample."
        )
    if table.num_rows == 0:
        raise UserError("The file has a header but no rows. Add rows below it.")
    if table.num_columns < 2:
        raise UserError(
            f"The table has one column, {table.column_names[0]!r}. A target and at least one feature are "
            "needed; if there are more, separate them by commas, semicolons or tabs."
        )


def _store(table: pa.Table, destination: Path) -> None:
    draft = destination.with_name(f".{destination.name}.{os.getpid()}")
    try:
        with pa.OSFile(str(draft), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
            columns = [with_one_dictionary(column) for column in table.columns]
            writer.write_table(pa.table(columns, schema=table.schema), max_chunksize=BATCH_ROWS)
        entry = seal_of(draft)
        draft.replace(destination)
        seal_table(destination, entry)
    finally:
        draft.unlink(missing_ok=True)


def unique_names(names: list[str], report: ReadReport) -> list[str]:
    """Give every column a name of its own; that some had to be changed is reported."""
    result = names_as_trained(names)
    changed = [
        f"column {position} is called {name!r}"
        for position, (name, raw) in enumerate(zip(result, names, strict=True), start=1)
        if name != raw.strip()
    ]
    if changed:
        shown = "; ".join(changed[:5]) + ("; and others" if len(changed) > 5 else "")
        report.dialect["names"] = "repaired"
        report.warnings.append(f"Empty or repeated headers were given names: {shown}.")
    return result
