"""Models that answer at once, from a process that keeps those used last in memory."""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.files.uploadedfile import UploadedFile

from automl.core.downloads import check_whole
from automl.core.errors import Conflict, Unavailable
from automl.core.storage import path_of
from automl.engine.errors import Retryable, UserError
from automl.engine.serving import Prediction, PredictionServer
from automl.experiments.models import ModelState, TrainedModel

PREDICTION_SECONDS = 60.0


@functools.cache
def prediction_server() -> PredictionServer:
    """One a process, started with the first prediction: it holds loaded models outside of the web process."""
    return PredictionServer()


def ready(model: TrainedModel, done: str) -> TrainedModel:
    """The model, if it can be used; Conflict if not."""
    if model.state != ModelState.READY:
        reason = f" {model.error}" if model.error else ""
        raise Conflict(f"The model is {model.state}; it can be {done} once it is ready.{reason}")
    return model


def check_level(model: TrainedModel, level: float) -> None:
    """Refuse a level that the model lacks before a file is stored, in the words in which the model would.

    Raises
    ------
    UserError
    """
    found = model.metrics.get("uncertainty")
    if found is None:
        raise UserError("This model was packaged without intervals and sets. Package it again.")
    levels = levels_of(model)
    if level not in levels:
        known = ", ".join(f"{known:g}" for known in levels)
        raise UserError(
            f"This model has no {found['kind']} of level {level:g}; "
            + (f"it has {known}." if known else "it was trained on too few rows to have any.")
        )


def levels_of(model: TrainedModel) -> list[float]:
    """The levels of the model's intervals or sets; none where it has none."""
    return [entry["level"] for entry in (model.metrics.get("uncertainty") or {}).get("levels", [])]


def predict_rows(
    model: TrainedModel, rows: Sequence[Mapping[str, Any]], *, level: float | None = None
) -> Prediction:
    """What the model says about a few rows; with a level also in what intervals or sets the truth lies.

    Raises
    ------
    Conflict
        If the model is not ready.
    UserError
        If the rows can't be used, or the model has no such level.
    Unavailable
        If its file is missing or damaged, or there was no answer in time.
    """
    bundle = _bundle(model)
    try:
        return prediction_server().predict(bundle, rows, PREDICTION_SECONDS, level=level)
    except Retryable as error:
        raise Unavailable(str(error)) from error


def predict_table(model: TrainedModel, file: UploadedFile[Any], *, level: float | None = None) -> bytes:
    """The predictions of a small CSV file, as CSV; raises as `predict_rows`."""
    bundle = _bundle(model)
    with tempfile.TemporaryDirectory(prefix="predict-", dir=settings.FILE_UPLOAD_TEMP_DIR) as folder:
        source, target = Path(folder) / "input.csv", Path(folder) / "predictions.csv"
        with source.open("wb") as stored:
            for chunk in file.chunks():
                stored.write(chunk)
        try:
            prediction_server().predict_table(bundle, source, target, PREDICTION_SECONDS, level=level)
        except Retryable as error:
            raise Unavailable(f"{error} Or have a worker do it: send ?background=true.") from error
        return target.read_bytes()


def _bundle(model: TrainedModel) -> Path:
    bundle = path_of(ready(model, "used").bundle)
    check_whole(bundle, model.sha256)
    return bundle
