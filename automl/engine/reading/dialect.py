"""How a text file is written: its encoding, its delimiter, its decimal sign, where its header is."""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from automl.engine.errors import UserError
from automl.engine.inference.quotes import fault_in_quotes
from automl.engine.inference.signs import count_signs
from automl.engine.inference.tables import DECLARED, DELIMITERS

CHUNK = 1 << 20
SAMPLE = 256 * 1024
SAMPLE_ROWS = 500
LONGEST_CELL = 1 << 20
CONTROL = re.compile(rb"[\x01-\x08\x0e-\x19\x1c-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a text file is written; `spaced` if blanks stand between a delimiter and a quote."""

    encoding: str
    delimiter: str
    decimal: str = "."
    spaced: bool = False


@dataclass(frozen=True, slots=True)
class Layout:
    """What the beginning of a file says of the rest.

    Attributes
    ----------
    dialect : Dialect
    header : list of str
        As written; with an empty name in front if rows are named and that column is not.
    lines : int
        Lines before the first row.
    has_row_names : bool
        Whether that name had to be put there.
    skipped : int
        Lines up to one that names the delimiter; none of them where none does.
    """

    dialect: Dialect
    header: list[str]
    lines: int
    has_row_names: bool
    skipped: int


def find_layout(path: Path, encoding: str) -> Layout:
    """Find the dialect and the header of a file in UTF-8; `encoding` is what it was in.

    Raises
    ------
    UserError
        If a quote in the header is never closed.
    """
    sample = _sample(path)
    before, declared = _declared(sample)
    if declared:
        sample = "".join(sample.splitlines(keepends=True)[before:])
    delimiter = declared or _delimiter(sample)
    dialect = Dialect(encoding, delimiter, _decimal(sample, delimiter), _is_spaced(sample, delimiter))
    for _, end, row in rows_of(path, dialect, skip=before):
        if any(cell.strip() for cell in row):
            header, lines = row, end
            break
    else:
        raise UserError("The file has no header line, only blank ones.")
    following = [row for _, _, row in islice(rows_of(path, dialect, skip=lines, lenient=True), SAMPLE_ROWS)]
    named = bool(following) and all(len(row) == len(header) + 1 and row[-1].strip() for row in following)
    return Layout(dialect, ["", *header] if named else header, lines, named, before)


def find_encoding(path: Path) -> tuple[str, int]:
    """UTF-8 if it is valid throughout, else Windows-1252: guessing at more is wrong more often.

    Returns
    -------
    tuple of str and int
        The encoding, and the first line that is not UTF-8; 0 if there is none.

    Raises
    ------
    UserError
        If it is not text.
    """
    with path.open("rb") as file:
        start = file.read(4096)
        if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            return "utf-16", 0
        if b"\x00" in start:
            return _wide(start), 0
        if len(found := CONTROL.findall(start)) > max(2, len(start) // 100):
            line = start[: start.find(found[0])].count(b"\n") + 1
            raise UserError(
                f"Line {line} holds the control character 0x{found[0].hex()}: the file is not text. "
                "Export it as CSV again."
            )
        file.seek(0)
        decoder = codecs.getincrementaldecoder("utf-8")()
        before = 0
        while chunk := file.read(CHUNK):
            if b"\x00" in chunk:
                _refuse_nul(chunk, _line_at(path, before))
            pending = len(decoder.getstate()[0])
            # Most chunks of most files are plain ASCII, which is seen at once.
            if pending or not chunk.isascii():
                try:
                    decoder.decode(chunk)
                except UnicodeDecodeError as error:
                    return "cp1252", _line_at(path, before + max(error.start - pending, 0))
            before += len(chunk)
        try:
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            return "cp1252", _line_at(path, before)
    return "utf-8", 0


def _line_at(path: Path, position: int) -> int:
    """The line on which a byte of the file is."""
    line = 1
    with path.open("rb") as file:
        while position > 0 and (chunk := file.read(min(CHUNK, position))):
            line += chunk.count(b"\n")
            position -= len(chunk)
    return line


def write_as_utf8(path: Path, target: Path, encoding: str) -> Path:
    """Write the text anew as UTF-8, a piece at a time.

    Raises
    ------
    UserError
        If it is not text in this encoding.
    """
    decoder = codecs.getincrementaldecoder(encoding)("replace" if encoding == "cp1252" else "strict")
    line = 1
    try:
        with path.open("rb") as source, target.open("wb") as plain:
            while chunk := source.read(CHUNK):
                text = decoder.decode(chunk).encode("utf-8")
                _refuse_nul(text, line)
                line += text.count(b"\n")
                plain.write(text)
            plain.write(decoder.decode(b"", final=True).encode("utf-8"))
    except UnicodeError as error:
        raise UserError(
            f"The file is not valid {encoding.upper()}, or is cut off, soon after line {line:,}. "
            "Save it as UTF-8."
        ) from error
    return target


def rows_of(
    path: Path, dialect: Dialect, *, skip: int = 0, lenient: bool = False
) -> Iterator[tuple[int, int, list[str]]]:
    """Rows after so many lines, each with the first and last line it is on; blank lines are none.

    Raises
    ------
    UserError
        If a quote is opened and never closed, or a cell is too long; not if `lenient`, for looking at a
        beginning: what is longer may still be read at once.
    """
    csv.field_size_limit(LONGEST_CELL)
    with path.open(encoding="utf-8-sig", newline="") as file:
        for _ in range(skip):
            next(file, None)
        written: list[str] = []
        reader = _reader(_noted(file, written), dialect)
        begun, kept = skip + 1, written
        try:
            for row in reader:
                end = skip + reader.line_num
                if len(written) > 1 and not lenient:
                    _check_quotes(written, dialect, begun)
                kept = written[:]
                written.clear()
                if row and (len(row) > 1 or row[0].strip()):
                    yield begun, end, row
                begun = end + 1
        except csv.Error as error:
            if not lenient:
                raise UserError(_too_long(begun, written)) from error
        if not lenient:
            _check_quotes(kept, dialect, begun - len(kept))


def _noted(file: Iterable[str], written: list[str]) -> Iterator[str]:
    for line in file:
        written.append(line)
        yield line


def _reader(lines: Iterable[str], dialect: Dialect) -> Any:
    return csv.reader(lines, delimiter=dialect.delimiter, skipinitialspace=dialect.spaced)


def _check_quotes(lines: list[str], dialect: Dialect, begun: int) -> None:
    if fault := fault_in_quotes(lines, dialect.delimiter, begun, spaced=dialect.spaced):
        raise UserError(fault)


def _too_long(line: int, written: Sequence[str]) -> str:
    """All that this reader refuses by itself; what is within a quote may be meant to be long, or not."""
    if sum(part.count('"') for part in written) % 2:
        return (
            f"Line {line:,}: a quote is opened in this row and not closed within {LONGEST_CELL:,} signs. "
            "Close it, double the quote, or shorten the cell."
        )
    return f"Line {line:,}: a cell of this row is longer than {LONGEST_CELL:,} signs. Shorten it."


def _refuse_nul(chunk: bytes, line: int) -> None:
    if (position := chunk.find(b"\x00")) >= 0:
        line += chunk[:position].count(b"\n")
        raise UserError(f"Line {line:,} holds a NUL byte: the file is damaged or not text. Export it again.")


def _wide(start: bytes) -> str:
    """UTF-16 without a mark: in mostly Latin text every other byte is 0."""
    even, odd = start[::2].count(0), start[1::2].count(0)
    if odd > 0.4 * len(start) / 2 and even < odd / 4:
        return "utf-16-le"
    if even > 0.4 * len(start) / 2 and odd < even / 4:
        return "utf-16-be"
    line = start[: start.find(b"\x00")].count(b"\n") + 1
    raise UserError(f"Line {line} holds a NUL byte: the file is damaged or not text. Export it as CSV again.")


def _sample(path: Path) -> str:
    """The beginning of the file, cut at a line's end unless it is the whole of it."""
    with path.open("rb") as file:
        data = file.read(SAMPLE)
        whole = not file.read(1)
    text = data.decode("utf-8-sig", errors="ignore").replace("\r\n", "\n").replace("\r", "\n")
    return text if whole or "\n" not in text else text[: text.rfind("\n") + 1]


def _declared(sample: str) -> tuple[int, str | None]:
    for number, line in enumerate(sample.split("\n", 20)[:20], start=1):
        if line.strip(" "):
            found = DECLARED.match(line.strip(" "))
            return (number, found[1]) if found else (0, None)
    return 0, None


def _delimiter(sample: str) -> str:
    """The sign that parts most rows into as many cells as the header has, more than one."""
    best, best_rank = ",", (0.0, 0)
    for delimiter in DELIMITERS:
        widths = [len(row) for row in _sample_rows(sample, delimiter)]
        if not widths or widths[0] == 1:
            continue
        share = Counter(widths)[widths[0]] / len(widths)
        if (rank := (round(share, 1), widths[0])) > best_rank:
            best, best_rank = delimiter, rank
    return best


def _sample_rows(sample: str, delimiter: str) -> Iterator[list[str]]:
    csv.field_size_limit(LONGEST_CELL)
    dialect = Dialect("utf-8", delimiter, spaced=_is_spaced(sample, delimiter))
    try:
        for row in islice(_reader(io.StringIO(sample), dialect), SAMPLE_ROWS):
            if any(cell.strip() for cell in row):
                yield row
    except csv.Error:
        return


def _is_spaced(sample: str, delimiter: str) -> bool:
    """Cells are quoted after a blank more often than without."""
    spaced = len(re.findall(rf"{re.escape(delimiter)} +\"(?!\")", sample))
    return spaced > 0 and spaced > sample.count(f'{delimiter}"')


def _decimal(sample: str, delimiter: str) -> str:
    """A comma, if more cells are numbers that only have sense with one."""
    cells = (cell for row in _sample_rows(sample, delimiter) for cell in row)
    commas, points, unclear = count_signs(cells)
    if commas == points == 0 and delimiter == ";":
        return "," if unclear > 0 else "."
    return "," if commas > points else "."
