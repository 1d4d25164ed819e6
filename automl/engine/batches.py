"""A file of rows and a bundle to files of predictions, in memory that does not grow with the rows."""

from __future__ import annotations

import csv
import shutil
import time
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from automl.engine.errors import UserError
from automl.engine.sealing import seal_of

REPORT_SECONDS = 1.0
BLOCK_BYTES = 1 << 22
Progress = Callable[[int, float], None]


def predict_batch(args: Mapping[str, Any], report: Callable[[dict[str, Any]], str]) -> dict[str, Any]:
    """Predict a file; see `automl.engine.jobs.PredictArgs` and `PredictResult`.

    Raises
    ------
    UserError
        If the file can't be read, or lacks a column.
    """
    out = Path(args["out"])
    unpacked = out / "bundle"
    began = time.monotonic()
    done = {"rows": 0, "at": began}

    def progress(rows: int, share: float) -> None:
        now = time.monotonic()
        done["rows"] = rows
        if now - done["at"] >= REPORT_SECONDS:
            done["at"] = now
            report({"rows": rows, "share": round(min(share, 1.0), 4), "seconds": round(now - began, 3)})

    try:
        model = load_bundle(Path(args["bundle"]), unpacked)
        table = out / "predictions.csv"
        predict_table(model, Path(args["source"]), table, progress=progress)
        seconds = time.monotonic() - began
        write_parquet(table, out / "predictions.parquet", classes=_classes_of(model))
    finally:
        shutil.rmtree(unpacked, ignore_errors=True)
    files = {form: _sealed(out / f"predictions.{form}") for form in ("csv", "parquet")}
    return {"rows": done["rows"], "seconds": round(seconds, 3), "files": files}


def load_bundle(bundle: Path, folder: Path) -> Any:
    """Unpack a bundle and load its model, by the code that every bundle holds as `predict.py`."""
    from automl.engine import inference

    with zipfile.ZipFile(bundle) as archive:
        archive.extractall(folder)
    return inference.load(folder)


def predict_table(model: Any, source: Path, target: Path, *, progress: Progress) -> None:
    """Predict the rows of a file into a CSV file; raises UserError if they can't be used."""
    from automl.engine import inference

    try:
        getattr(inference, "predict_file", _stand_in)(model, source, target, progress=progress)
    except inference.InputError as error:
        raise UserError(str(error)) from error


def write_parquet(table: Path, target: Path, *, classes: list[Any] | None) -> None:
    """Write predictions again as Parquet, block by block."""
    import pyarrow as pa
    import pyarrow.csv
    import pyarrow.parquet

    with table.open(encoding="utf-8", newline="") as file:
        names = next(csv.reader(file))
    types = {name: _type_of(name, classes) for name in names}
    reader = pa.csv.open_csv(
        table,
        read_options=pa.csv.ReadOptions(block_size=BLOCK_BYTES),
        convert_options=pa.csv.ConvertOptions(column_types=types, strings_can_be_null=False),
    )
    with reader, pa.parquet.ParquetWriter(target, reader.schema, compression="zstd") as writer:
        for batch in reader:
            writer.write_batch(batch)


def _type_of(name: str, classes: list[Any] | None) -> Any:
    """What a column of predictions holds: the type that labels had in training, else numbers."""
    import pyarrow as pa

    if name == "prediction" and classes is not None:
        kinds = {type(label) for label in classes}
        whole = {int: pa.int64(), bool: pa.bool_(), float: pa.float64()}
        return whole.get(kinds.pop(), pa.string()) if len(kinds) == 1 else pa.string()
    known = name == "prediction" or name.startswith("probability_") or name in ("lower", "upper")
    return pa.float64() if known else pa.string()


def _classes_of(model: Any) -> list[Any] | None:
    return None if model.task_type == "regression" else list(model.classes_.tolist())


def _sealed(path: Path) -> dict[str, Any]:
    seal = seal_of(path)
    return {"size": seal["size"], "sha256": seal["digest"]}


def _stand_in(model: Any, source: Path, target: Path, *, progress: Progress) -> None:
    from automl.engine import inference

    frame = inference.read_table(source, model.encoder.schema)
    inference.predictions_frame(model, frame).to_csv(target, index=False)
    progress(len(frame), 1.0)
