"""Predictions that go out: CSV or Parquet, whole or not at all."""

from __future__ import annotations

import gzip
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Protocol

import pandas as pd

from .errors import InputError, WrongVersion
from .model import Model
from .tables import NO_PARQUET, STANDARD, Source, predictions_frame

PARQUET_NAMES = (".parquet", ".pq")
STANDARD_OUTPUTS = (STANDARD, Path("/dev/stdout"))


def predict_file(
    model: Model,
    table: Path,
    outputs: Sequence[Path],
    tell: Callable[[int, float], object],
    *,
    level: float | None = None,
) -> int:
    """Predict a table of any size, some rows at a time, into files as `writing` makes them.

    Parameters
    ----------
    model : Model
    table : Path
        See `Source`.
    outputs : sequence of Path
    tell : callable
        Is told how many rows are done, and what share of the table.
    level : float, optional
        See `predictions_frame`.

    Returns
    -------
    int
        How many rows there are.
    """
    rows = 0
    with ExitStack() as files:
        source = files.enter_context(Source(table, model.encoder.schema))
        writers = [files.enter_context(writing(output)) for output in outputs]
        for chunk in source.chunks():
            found = predictions_frame(model, chunk, level=level)
            for write in writers:
                write(found)
            rows += len(chunk)
            tell(rows, source.share)
    return rows


class Writer(Protocol):
    """Takes predictions, some rows at a time."""

    def __call__(self, frame: pd.DataFrame) -> None: ...


@contextmanager
def writing(path: Path) -> Iterator[Writer]:
    """Write predictions to a file that appears when all are there, or to the standard output (`-`).

    The name says the format: `.parquet` and `.pq` are Parquet, `.gz` a gzipped CSV, all others CSV. A link
    stays one: its target is written. What is there and no file, such as a pipe, is written as rows come.

    Raises
    ------
    InputError
        If there is no such folder.
    WrongVersion
        If Parquet is asked for and pyarrow is not installed.
    """
    if path in STANDARD_OUTPUTS:
        with _csv(sys.stdout.buffer) as write:
            yield write
        return
    if path.exists() and not path.is_file():
        with _format(path, path) as write:
            yield write
        return
    target = path.resolve()
    if not target.parent.is_dir():
        raise InputError(f"There is no folder {target.parent} to write {target.name} into. Make it first.")
    # The draft lies where the file will, so that the last step is a rename.
    draft = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        with _format(path, draft) as write:
            yield write
        draft.replace(target)
    finally:
        draft.unlink(missing_ok=True)


@contextmanager
def _format(path: Path, draft: Path) -> Iterator[Writer]:
    if path.suffix.lower() in PARQUET_NAMES:
        with _parquet(draft) as write:
            yield write
    elif path.suffix.lower() == ".gz":
        with gzip.open(draft, "wb", compresslevel=1) as packed, _csv(packed) as write:
            yield write
    else:
        with draft.open("wb") as file, _csv(file) as write:
            yield write


@contextmanager
def _csv(file: Any) -> Iterator[Writer]:
    is_first = True

    def write(frame: pd.DataFrame) -> None:
        nonlocal is_first
        file.write(frame.to_csv(index=False, header=is_first, lineterminator="\n").encode())
        is_first = False

    yield write
    file.flush()


@contextmanager
def _parquet(path: Path) -> Iterator[Writer]:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        raise WrongVersion(NO_PARQUET) from None
    writer: Any = None

    def write(frame: pd.DataFrame) -> None:
        nonlocal writer
        if frame["prediction"].map(type).nunique() > 1 or frame["prediction"].dtype == object:
            # Labels of several types: a column of Parquet has one.
            frame = frame.assign(prediction=frame["prediction"].astype(str))
        table = pa.Table.from_pandas(frame, preserve_index=False)
        if writer is None:
            writer = pq.ParquetWriter(path, table.schema)
        writer.write_table(table.cast(writer.schema))

    try:
        yield write
    finally:
        if writer is not None:
            writer.close()
