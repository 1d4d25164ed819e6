"""Tables that come in: a CSV, gzipped or not, or a Parquet file, some rows at a time.

A cell means the same whichever rows are read with it: text is left as text, which the encoder reads, and
whole numbers and truth values of Parquet stay what they are where some of them are missing.
"""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import re
import shutil
import sys
import tempfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import IO, Any, cast

import pandas as pd

from .encoder import has_numbers, names_as_trained, names_of_file, number_as_in_code
from .errors import InputError, WrongVersion
from .model import Model
from .quotes import fault_in_quotes
from .signs import decimal_sign
from .unread import Unread

SEPARATOR = " | "
STANDARD = Path("-")
# So many are in memory at once, as text: some 50 MB.
CHUNK_CELLS = 600_000
LEAST_ROWS = 100
# The encoder reads numbers and missing marks as training did.
AS_TEXT: dict[str, Any] = {
    "dtype": str,
    "keep_default_na": False,
    "na_values": [""],
    "skipinitialspace": True,
}
SCANNED = 1 << 20
LINES_AT_ONCE = 10_000
DELIMITERS = ",;\t|"
# Excel writes, and honours, a first line that names the delimiter.
DECLARED = re.compile(r'^"?sep=([,;|\t])"?$', re.IGNORECASE)
# So many rows say whether rows have names that have no header; what training calls those.
SAMPLE_ROWS, FIRST_UNNAMED = 20, "column_1"
# And so many which decimal sign it has.
DECIMAL_ROWS = 500
GZIP, PARQUET, ZIP, OLE = b"\x1f\x8b", b"PAR1", b"PK\x03\x04", b"\xd0\xcf\x11\xe0"
NO_PARQUET = (
    "Parquet needs pyarrow, which is not installed. Run: pip install -r requirements-parquet.txt; or use CSV."
)


@dataclass(frozen=True, slots=True)
class _Layout:
    """How a CSV file begins.

    Attributes
    ----------
    delimiter : str
    names : list of str
        Of all columns.
    before : int
        Lines before that of the names.
    first : list of str
        The cells of the first row.
    decimal : str
    """

    delimiter: str
    names: list[str]
    before: int
    first: list[str]
    decimal: str = "."


class Source:
    """A table to read from the start to the end, and how far that is.

    Parameters
    ----------
    path : Path
        `-` is the standard input, a CSV; it is laid down in a temporary file first, since what encoding it
        has shows at its end.
    schema : dict
    chunk_rows : int, optional

    Raises
    ------
    InputError
        If it is no table, or lacks columns.
    """

    def __init__(self, path: Path, schema: dict[str, Any], chunk_rows: int | None = None) -> None:
        self._schema, self._chunk_rows = schema, chunk_rows
        self._needed = [column["name"] for column in schema["columns"]]
        self._of_numbers = {column["name"] for column in schema["columns"] if has_numbers(column)}
        self._decimal = "," if schema.get("decimal") == "," else "."
        self._stack = ExitStack()
        self._done: Callable[[], float] = lambda: 0.0
        self._file = self._open(path)
        self._file.seek(0, io.SEEK_END)
        self.size = self._file.tell()
        self._file.seek(0)

    def __enter__(self) -> Source:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def share(self) -> float:
        """How much of the file has been read, from 0 to 1."""
        return min(self._done(), 1.0)

    def chunks(self) -> Iterator[pd.DataFrame]:
        """Give the rows in order, some at a time; at least one frame, which may have no row."""
        start = self._file.read(4)
        self._file.seek(0)
        if start in (ZIP, OLE):
            raise InputError(
                "This is an Excel file or an archive. Save the table as CSV, gzipped or not, or as Parquet."
            )
        return self._checked(self._parquet() if start == PARQUET else self._csv(packed=start[:2] == GZIP))

    def _checked(self, chunks: Iterator[pd.DataFrame]) -> Iterator[pd.DataFrame]:
        unread = Unread(self._schema)
        for chunk in chunks:
            unread.look_at(chunk)
            yield chunk
        unread.check()

    def _open(self, path: Path) -> IO[bytes]:
        given = sys.stdin.buffer if path == STANDARD else self._stack.enter_context(path.open("rb"))
        if path != STANDARD and given.seekable():
            return given
        spool: IO[bytes] = self._stack.enter_context(tempfile.TemporaryFile(prefix="bakeoff-"))  # noqa: SIM115 - the stack is one
        shutil.copyfileobj(given, spool)
        return spool

    def _csv(self, *, packed: bool) -> Iterator[pd.DataFrame]:
        self._done = lambda: self._file.tell() / max(self.size, 1)

        def plain() -> IO[bytes]:
            self._file.seek(0)
            found: Any = gzip.GzipFile(fileobj=self._file) if packed else _kept_open(self._file)
            return cast(IO[bytes], found)

        try:
            encoding = _encoding(plain, self._schema.get("dialect", {}).get("encoding"))
            with io.TextIOWrapper(plain(), encoding, errors="replace", newline="") as text:
                layout = self._layout(text.read(SCANNED))
            if any(b'"' in block for block in _blocks(plain())):
                with io.TextIOWrapper(plain(), encoding, errors="replace", newline="") as text:
                    if fault := fault_in_quotes(text, layout.delimiter):
                        raise InputError(fault)
            with io.TextIOWrapper(plain(), encoding, errors="replace", newline="") as text:
                for _ in range(layout.before):
                    text.readline()
                yield from self._csv_chunks(text, layout)
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise InputError(f"The gzipped file is damaged: {error}. Pack it again.") from error

    def _rows_at_once(self, columns: int) -> int:
        return self._chunk_rows or max(CHUNK_CELLS // max(columns, 1), LEAST_ROWS)

    def _csv_chunks(self, text: Any, layout: _Layout) -> Iterator[pd.DataFrame]:
        settings: dict[str, Any] = {"index_col": False, "names": layout.names, "header": 0, **AS_TEXT}
        rows = self._rows_at_once(len(layout.names))
        if len(layout.names) == 1:
            # A line with nothing in it is a row whose cell is missing.
            text, settings["skip_blank_lines"] = _WithoutLastBlanks(text), False
        try:
            with pd.read_csv(text, sep=layout.delimiter, chunksize=rows, **settings) as reader:
                for chunk in reader:
                    yield self._with_sign_of_training(chunk, layout.decimal)
        except pd.errors.ParserError as error:
            raise InputError(f"The CSV file can't be read: {error}. Mend or remove that line.") from error

    def _with_sign_of_training(self, chunk: pd.DataFrame, decimal: str) -> pd.DataFrame:
        def written(cell: str) -> str:
            return number_as_in_code(cell, decimal).replace(".", self._decimal)

        for name in self._of_numbers if decimal != self._decimal else ():
            chunk[name] = chunk[name].map(written, na_action="ignore")
        return chunk

    def _decimal_of(self, start: str, layout: _Layout) -> str:
        places = [place for place, name in enumerate(layout.names) if name in self._of_numbers]
        rows = _first_rows(start, layout)
        cells = (row[place] for row in rows for place in places if place < len(row))
        known = str(self._schema.get("dialect", {}).get("delimiter") or ",")
        return decimal_sign(cells, layout.delimiter, known=self._decimal, known_delimiter=known)

    def _layout(self, start: str) -> _Layout:
        """The layout that gives all needed columns, or else that of the training table."""
        known = str(self._schema.get("dialect", {}).get("delimiter") or ",")
        before, declared = _declared(start)
        candidates = [declared] if declared else list(dict.fromkeys([known, *DELIMITERS]))
        may_name_rows = "row_names" in self._schema.get("dialect", {}) or FIRST_UNNAMED in self._needed
        found = [_layout_by(start, sign, before, may_name_rows=may_name_rows) for sign in candidates]
        layouts = [layout for layout in found if layout is not None]
        if not layouts:
            raise InputError("The table is empty: not even a line of column names is in it.")
        for layout in layouts:
            if set(self._needed) <= {*layout.names, *names_as_trained(layout.names)}:
                layouts = [layout]
                break
        names = names_of_file(self._needed, layouts[0].names)
        # They would be lost, or shift all others.
        if len(layouts[0].first) > len(names) and any(
            cell.strip() for cell in layouts[0].first[len(names) :]
        ):
            raise InputError(
                f"The first row has more cells than there are column names ({len(names)}). Name every "
                "column, or remove the cells that have none."
            )
        layout = replace(layouts[0], names=names)
        return replace(layout, decimal=self._decimal_of(start, layout))

    def _parquet(self) -> Iterator[pd.DataFrame]:
        try:
            import pyarrow as pa
            import pyarrow.parquet as pq
        except ImportError:
            raise WrongVersion(NO_PARQUET) from None
        # Else whole numbers become fractions, and truth values objects, in those chunks that lack some.
        kinds = {pa.int64(): pd.Int64Dtype(), pa.bool_(): pd.BooleanDtype()}
        done = 0
        try:
            with pq.ParquetFile(self._file, pre_buffer=False) as file:
                written = file.schema_arrow.names
                places = {name: place for place, name in enumerate(names_of_file(self._needed, written))}
                names = {written[places[name]]: name for name in self._needed}
                if len(names) < len(self._needed):
                    raise InputError("The Parquet file has columns of the same name. Give each its own.")
                rows = max(file.metadata.num_rows, 1)
                self._done = lambda: done / rows
                at_once = self._rows_at_once(len(self._needed))
                for batch in file.iter_batches(at_once, columns=list(names)):
                    done += batch.num_rows
                    known = [names[name] for name in batch.schema.names]
                    table = pa.table([_settled(column) for column in batch.columns], known)
                    yield table.to_pandas(types_mapper=kinds.get)
                if not done:
                    yield pd.DataFrame({name: [] for name in self._needed})
        except pa.ArrowException as error:
            raise InputError(f"The Parquet file is damaged: {error}. Write it again.") from error


def _settled(column: Any) -> Any:
    """A column of Parquet as one of the few types that training made of them."""
    import pyarrow as pa

    kind = column.type
    if pa.types.is_dictionary(kind):
        column, kind = column.cast(kind.value_type), kind.value_type
    if pa.types.is_floating(kind) or pa.types.is_decimal(kind) or pa.types.is_uint64(kind):
        return column.cast(pa.float64(), safe=False)
    if pa.types.is_integer(kind):
        return column.cast(pa.int64())
    if pa.types.is_date(kind):
        return column.cast(pa.timestamp("us"), safe=False)
    if pa.types.is_duration(kind):
        return column.cast(pa.duration("us"), safe=False).cast(pa.int64())
    return column.cast(pa.string()) if pa.types.is_time(kind) else column


def _declared(start: str) -> tuple[int, str | None]:
    """How many lines there are up to one that tells the delimiter, as Excel writes it, and that."""
    for number, line in enumerate(io.StringIO(start, newline=""), start=1):
        if line.strip():
            found = DECLARED.match(line.strip())
            return (number, found[1]) if found else (0, None)
    return 0, None


def _layout_by(start: str, delimiter: str, before: int, *, may_name_rows: bool) -> _Layout | None:
    """The header by some delimiter, as training finds it; None if there is none."""
    text = io.StringIO(start, newline="")
    for _ in range(before):
        text.readline()
    reader = csv.reader(text, delimiter=delimiter, skipinitialspace=True)
    header: list[str] = []
    following: list[list[str]] = []
    try:
        while not header:
            ended, row = reader.line_num, next(reader)
            if any(cell.strip() for cell in row):
                header, before = row, before + ended
        following = [row for row in islice(reader, SAMPLE_ROWS) if row]
    except (StopIteration, csv.Error):
        # It ends here, or in a quote that is never closed.
        if not header:
            return None
    if may_name_rows and following and all(len(row) == len(header) + 1 for row in following):
        header = ["", *header]
    names = [name.replace("\ufeff", "").strip() for name in header]
    return _Layout(delimiter, names, before, following[0] if following else [])


def _first_rows(start: str, layout: _Layout) -> Iterator[list[str]]:
    text = io.StringIO(start, newline="")
    for _ in range(layout.before):
        text.readline()
    reader = csv.reader(text, delimiter=layout.delimiter, skipinitialspace=True)
    with suppress(csv.Error):  # what is longer may still be read
        yield from islice(reader, 1, DECIMAL_ROWS)


class _WithoutLastBlanks:
    """Lines to read, but for blank ones at the end."""

    def __init__(self, lines: Iterable[str]) -> None:
        self._lines = self._there(lines)

    def _there(self, lines: Iterable[str]) -> Iterator[str]:
        blank: list[str] = []
        for line in lines:
            blank.append(line)
            if line.strip():
                yield from blank
                blank.clear()

    def __iter__(self) -> Iterator[str]:
        return self._lines

    def read(self, _size: int = -1) -> str:
        return "".join(islice(self._lines, LINES_AT_ONCE))


class _KeptOpen(io.RawIOBase):
    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._file.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)


def _kept_open(file: IO[bytes]) -> io.BufferedReader:
    """Give a reader of a file that leaves the file open when it is closed itself."""
    return io.BufferedReader(_KeptOpen(file), SCANNED)


def _blocks(file: IO[bytes]) -> Iterator[bytes]:
    return iter(partial(file.read, SCANNED), b"")


def _encoding(open_again: Callable[[], IO[bytes]], known: str | None) -> str:
    """The first encoding in which the whole file makes sense, or else Windows-1252, as training reads it."""
    start = open_again().read(SCANNED)
    if start[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
        return "utf-16"
    # Of signs of two bytes every other one is nothing, which is UTF-8 too.
    for name in dict.fromkeys([known if b"\x00" in start else None, "utf-8-sig", known]):
        if name and _is_known(name) and _makes_sense(open_again(), name):
            return name
    return "cp1252"


def _makes_sense(file: IO[bytes], encoding: str) -> bool:
    decoder = codecs.getincrementaldecoder(encoding)()
    try:
        for data in _blocks(file):
            decoder.decode(data)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True


def _is_known(encoding: str) -> bool:
    try:
        codecs.lookup(encoding)
    except LookupError:
        return False
    return True


def predictions_frame(model: Model, frame: pd.DataFrame, *, level: float | None = None) -> pd.DataFrame:
    """A column `prediction`, and for classification a column `probability_CLASS` for each class.

    With a level also the columns `prediction_low` and `prediction_high`, or for classification
    `prediction_set`, in which the plausible classes are joined by `SEPARATOR`.
    """
    if level is not None:
        model.known_uncertainty()  # refuses before anything is predicted
    if model.task_type == "regression":
        numbers = model.predict(frame)
        columns: dict[str, Any] = {"prediction": numbers}
        if level is not None:
            bounds = model.known_uncertainty().intervals(numbers, level)
            columns |= {"prediction_low": bounds[:, 0], "prediction_high": bounds[:, 1]}
        return pd.DataFrame(columns)
    probabilities = model.predict_proba(frame)
    columns = {"prediction": model.labels(probabilities)}
    if level is not None:
        labels = [str(label) for label in model.classes_]
        columns["prediction_set"] = [
            SEPARATOR.join(label for label, is_in in zip(labels, row, strict=True) if is_in)
            for row in model.known_uncertainty().sets(probabilities, level)
        ]
    for position, label in enumerate(model.classes_):
        columns[f"probability_{label}"] = probabilities[:, position]
    return pd.DataFrame(columns)
