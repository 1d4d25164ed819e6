"""A file of rows and a bundle to files of predictions, in memory that does not grow with the rows."""

from __future__ import annotations

import shutil
import time
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from automl.engine.errors import UserError
from automl.engine.sealing import seal_of

REPORT_SECONDS = 1.0
FORMATS = ("csv", "parquet")
Progress = Callable[[int, float], object]


def predict_batch(args: Mapping[str, Any], report: Callable[[dict[str, Any]], str]) -> dict[str, Any]:
    """Predict a file; see `automl.engine.jobs.PredictArgs` and `PredictResult`.

    Raises
    ------
    UserError
        If the file can't be read or lacks a column, or the model has no such level.
    """
    out = Path(args["out"])
    unpacked = out / "bundle"
    began = told = time.monotonic()

    def progress(rows: int, share: float) -> None:
        nonlocal told
        now = time.monotonic()
        if now - told >= REPORT_SECONDS:
            told = now
            report({"rows": rows, "share": round(share, 4), "seconds": round(now - began, 3)})

    try:
        model = load_bundle(Path(args["bundle"]), unpacked)
        targets = [out / f"predictions.{form}" for form in FORMATS]
        source, level = Path(args["source"]), args.get("level")
        rows = predict_table(model, source, targets, progress=progress, level=level)
    finally:
        shutil.rmtree(unpacked, ignore_errors=True)
    seconds = round(time.monotonic() - began, 3)
    files = {form: _sealed(target) for form, target in zip(FORMATS, targets, strict=True)}
    return {"rows": rows, "seconds": seconds, "files": files}


def load_bundle(bundle: Path, folder: Path) -> Any:
    """Unpack a bundle and load its model, by the code of which every bundle holds a copy."""
    from automl.engine import inference

    with zipfile.ZipFile(bundle) as archive:
        archive.extractall(folder)
    return inference.load(folder)


def predict_table(
    model: Any,
    source: Path,
    targets: Sequence[Path],
    *,
    progress: Progress = lambda rows, share: None,
    level: float | None = None,
) -> int:
    """Predict the rows of a file, some at a time, into files whose names say their formats.

    With a level also the columns of intervals, or of sets, that hold the truth in this share of rows.

    Returns
    -------
    int
        How many rows there are.

    Raises
    ------
    UserError
        If the file can't be read or lacks a column, or the model has no such level.
    """
    from automl.engine.inference import InputError
    from automl.engine.inference.output import predict_file

    try:
        return predict_file(model, source, targets, progress, level=level)
    except InputError as error:
        raise UserError(str(error)) from error


def _sealed(path: Path) -> dict[str, Any]:
    seal = seal_of(path)
    return {"size": seal["size"], "sha256": seal["digest"]}
