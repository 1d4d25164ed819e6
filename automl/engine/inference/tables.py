"""Tables that come in: a CSV, gzipped or not, or a Parquet file, some rows at a time.

A cell means the same whichever rows are read with it: text is left as text, which the encoder reads, and
whole numbers and truth values of Parquet stay what they are where some of them are missing.
"""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import shutil
import sys
import tempfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any, cast

import pandas as pd

from .encoder import names_as_trained, names_of_file
from .errors import InputError, WrongVersion
from .model import Model

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
GZIP, PARQUET = b"\x1f\x8b", b"PAR1"
NO_PARQUET = (
    "Parquet needs pyarrow, which is not installed. Run: pip install -r requirements-parquet.txt; or use CSV."
)


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
        return self._parquet() if start == PARQUET else self._csv(packed=start[:2] == GZIP)

    def _open(self, path: Path) -> IO[bytes]:
        if path != STANDARD:
            return self._stack.enter_context(path.open("rb"))
        spool: IO[bytes] = self._stack.enter_context(tempfile.TemporaryFile(prefix="bakeoff-"))  # noqa: SIM115 - the stack is one
        shutil.copyfileobj(sys.stdin.buffer, spool)
        return spool

    def _csv(self, *, packed: bool) -> Iterator[pd.DataFrame]:
        self._done = lambda: self._file.tell() / max(self.size, 1)

        def plain() -> IO[bytes]:
            self._file.seek(0)
            found: Any = gzip.GzipFile(fileobj=self._file) if packed else _kept_open(self._file)
            return cast(IO[bytes], found)

        try:
            encoding = _encoding(plain, self._schema.get("dialect", {}).get("encoding"))
            with io.TextIOWrapper(plain(), encoding, newline="") as text:
                delimiter = self._delimiter(text)
            with io.TextIOWrapper(plain(), encoding, newline="") as text:
                names = self._names(text, delimiter)
            with io.TextIOWrapper(plain(), encoding, newline="") as text:
                self._check_first_row(text, delimiter, names)
            with io.TextIOWrapper(plain(), encoding, newline="") as text:
                yield from self._csv_chunks(text, delimiter, names)
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise InputError(f"The gzipped file is damaged: {error}. Pack it again.") from error

    def _names(self, text: Any, delimiter: str) -> list[str]:
        """Names of the columns of a CSV, as training calls them."""
        try:
            start = pd.read_csv(text, sep=delimiter, header=None, nrows=1, **AS_TEXT)
        except pd.errors.EmptyDataError:
            raise InputError("The table is empty: not even a line of column names is in it.") from None
        raw = ["" if pd.isna(name) else str(name).strip() for name in start.iloc[0]]
        return names_of_file(self._needed, raw)

    def _check_first_row(self, text: Any, delimiter: str, names: list[str]) -> None:
        start = pd.read_csv(text, sep=delimiter, names=names, header=0, nrows=1, **AS_TEXT)
        # With one cell too many pandas takes the first one for a name of the row, and shifts all others.
        if not isinstance(start.index, pd.RangeIndex) and start.iloc[:, -1].notna().any():
            raise InputError(
                f"The first row has more cells than there are column names ({start.shape[1]}). Name every "
                "column, or remove the cells that have none."
            )

    def _rows_at_once(self, columns: int) -> int:
        return self._chunk_rows or max(CHUNK_CELLS // max(columns, 1), LEAST_ROWS)

    def _csv_chunks(self, text: Any, delimiter: str, names: list[str]) -> Iterator[pd.DataFrame]:
        settings: dict[str, Any] = {"index_col": False, "names": names, "header": 0, **AS_TEXT}
        rows = self._rows_at_once(len(names))
        try:
            with pd.read_csv(text, sep=delimiter, chunksize=rows, **settings) as reader:
                yield from reader
        except pd.errors.ParserError as error:
            raise InputError(f"The CSV file can't be read: {error}. Mend or remove that line.") from error

    def _delimiter(self, text: Any) -> str:
        """The one that gives all needed columns, or else that of the training table."""
        known = str(self._schema.get("dialect", {}).get("delimiter") or ",")
        # A name in quotes may go over several lines.
        start = text.read(SCANNED).lstrip("\ufeff\r\n")
        for candidate in dict.fromkeys([known, ",", ";", "\t", "|"]):
            try:
                row = next(csv.reader(io.StringIO(start, newline=""), delimiter=candidate), [])
            except csv.Error:  # a quote that is never closed
                continue
            names = [name.strip() for name in row]
            if set(self._needed) <= {*names, *names_as_trained(names)}:
                return candidate
        return known

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
    return column


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


def _encoding(open_again: Callable[[], IO[bytes]], known: str | None) -> str:
    """The first encoding in which the whole file makes sense."""
    if open_again().read(2) in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
        return "utf-16"
    for name in dict.fromkeys(["utf-8-sig", known, "cp1252"]):
        if name and _is_known(name) and _makes_sense(open_again(), name):
            return name
    return "latin-1"


def _makes_sense(file: IO[bytes], encoding: str) -> bool:
    decoder = codecs.getincrementaldecoder(encoding)()
    try:
        while data := file.read(SCANNED):
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
    columns = {"prediction": model.classes_[probabilities.argmax(axis=1)]}
    if level is not None:
        labels = [str(label) for label in model.classes_]
        columns["prediction_set"] = [
            SEPARATOR.join(label for label, is_in in zip(labels, row, strict=True) if is_in)
            for row in model.known_uncertainty().sets(probabilities, level)
        ]
    for position, label in enumerate(model.classes_):
        columns[f"probability_{label}"] = probabilities[:, position]
    return pd.DataFrame(columns)
