"""Files of any size, predicted by a worker: taken in, worked off in a process of their own, and removed."""

from __future__ import annotations

import contextlib
from datetime import timedelta
from functools import partial
from pathlib import PurePath
from typing import Any
from uuid import UUID

import structlog
from django.conf import settings
from django.core.files.uploadedfile import UploadedFile
from django.db import DatabaseError, transaction
from django.db.models import F, QuerySet, Sum
from django.utils import timezone
from structlog.contextvars import bound_contextvars

from automl.accounts.models import User
from automl.core import leases, seats, storage
from automl.core.dispatch import dispatcher
from automl.core.downloads import check_whole
from automl.core.errors import InvalidInput, QuotaExceeded, TooLarge, Unavailable
from automl.core.patience import patiently
from automl.datasets.selectors import stored_bytes
from automl.experiments import serving
from automl.experiments.models import Prediction, PredictionState, TrainedModel
from automl.experiments.services.aside import UNFINISHED, has_room, open_predictions, wake_next

log = structlog.get_logger(__name__)
# How the files begin that have another form than text.
FORMS = ((b"PAR1", "parquet"), (b"\x1f\x8b", "csv.gz"))
SPREADSHEET = b"PK\x03\x04"


def request_prediction(
    model: TrainedModel, *, owner: User, file: UploadedFile[Any], level: float | None = None
) -> Prediction:
    """Store a file of rows privately and have it predicted; with a level also in what the truth lies.

    Raises
    ------
    Conflict
        If the model is not ready.
    InvalidInput
        If the file is empty, or of a form that is not read here.
    TooLarge, QuotaExceeded, StorageFull
        If a limit, or the disk, does not allow it.
    UserError
        If the model has no such level.
    """
    serving.ready(model, "used")
    if level is not None:
        serving.check_level(model, level)
    form = form_of(file)
    _check_quota(owner, file.size or 0)
    storage.require_space(2 * (file.size or 0))
    name = PurePath((file.name or "rows").replace("\\", "/")).name[:255]
    prediction = Prediction(model=model, filename=name, form=form, bytes=0, level=level)
    try:
        with storage.writing(prediction.source) as draft, draft.open("wb") as target:
            for chunk in file.chunks():
                prediction.bytes += len(chunk)
                target.write(chunk)
        with transaction.atomic():
            prediction.save(force_insert=True)
            transaction.on_commit(partial(dispatcher().predict, prediction.id))
    except Exception:
        storage.remove(prediction.folder)
        raise
    return prediction


def form_of(file: UploadedFile[Any]) -> str:
    """How the file has to be read, by its first bytes whatever it is called: csv, csv.gz or parquet.

    Raises
    ------
    InvalidInput
        If it is empty, or a spreadsheet.
    TooLarge
        If it is over the limit of uploads.
    """
    if not file.size:
        raise InvalidInput({"file": "The file is empty. Send a header line and rows."})
    if file.size > settings.MAX_UPLOAD_BYTES:
        raise TooLarge(
            f"The file has {file.size / 2**20:.0f} MB; the limit is {settings.MAX_UPLOAD_BYTES / 2**20:.0f} "
            "MB. Compress it with gzip, save it as Parquet, or send it in parts."
        )
    file.seek(0)
    begin = file.read(4)
    file.seek(0)
    if begin == SPREADSHEET:
        raise InvalidInput({"file": f"{file.name!r} is a spreadsheet or a ZIP. Save it as CSV or Parquet."})
    return next((form for mark, form in FORMS if begin.startswith(mark)), "csv")


def _check_quota(owner: User, size: int) -> None:
    mine = Prediction.objects.filter(model__experiment__owner=owner)
    if mine.filter(state__in=UNFINISHED).count() >= settings.MAX_ACTIVE_PREDICTIONS:
        raise QuotaExceeded(
            f"{settings.MAX_ACTIVE_PREDICTIONS} of your files wait to be predicted, the most allowed. Wait "
            "for one, or cancel it."
        )
    used = stored_bytes(owner) + (mine.aggregate(total=Sum("bytes"))["total"] or 0)
    if used + size > settings.MAX_DATASET_BYTES:
        raise QuotaExceeded(
            f"Your datasets and predictions take {used / 2**30:.1f} GB of "
            f"{settings.MAX_DATASET_BYTES / 2**30:.0f} GB. Delete one first."
        )


def predict_file(prediction_id: UUID) -> None:
    """Predict the rows of a file. From `waiting` to `complete` or `failed`."""
    rows = open_predictions().filter(id=prediction_id)
    if not has_room() or not leases.claim(rows, state=PredictionState.RUNNING):
        return
    prediction = rows.select_related("model").get()
    held = rows.filter(attempt=prediction.attempt)
    about = {"model": str(prediction.model_id), "attempt": prediction.attempt}
    again = partial(dispatcher().predict, prediction.id)
    with bound_contextvars(**about), leases.kept(prediction, held, send_again=again):
        _predict(prediction, held)
    wake_next()


def _predict(prediction: Prediction, held: QuerySet[Prediction]) -> None:
    model = prediction.model
    try:
        check_whole(storage.path_of(model.bundle), model.sha256)
    except Unavailable as error:
        _end(held, PredictionState.FAILED, error=str(error))
        return
    _remove_other_attempts(prediction)
    storage.make_folder(prediction.results)
    heartbeat = leases.Heartbeat(lambda: held)
    outcome = seats.run(
        "predict",
        {
            "bundle": str(storage.path_of(model.bundle)),
            "source": str(storage.path_of(prediction.source)),
            "out": str(storage.path_of(prediction.results)),
            "level": prediction.level,
        },
        seconds=settings.LONGEST_JOB_SECONDS,
        on_tick=heartbeat,
        on_report=partial(_show_progress, held),
    )
    heartbeat.check(outcome)
    if heartbeat.lost:
        # Cancelled, removed, or somebody else's: nobody reads what was begun.
        storage.remove(prediction.results)
        return
    if outcome.status == "storage" and prediction.losses + 1 < settings.MAX_ATTEMPTS:
        storage.wait_for_room(heartbeat)
        patiently(lambda: leases.let_go(held, counted=True))
    elif (found := outcome.result) is not None:
        told = {"rows": found["rows"], "seconds": found["seconds"], "share": 1.0, "files": found["files"]}
        patiently(lambda: _end(held, PredictionState.COMPLETE, **told))
        peak = round(outcome.peak_bytes / 2**20)
        log.info("file_predicted", rows=found["rows"], seconds=round(outcome.seconds, 2), peak_mb=peak)
    else:
        log.warning("prediction_failed", status=outcome.status, error=outcome.error, detail=outcome.detail)
        storage.remove(prediction.results)
        _end(held, PredictionState.FAILED, error=outcome.error or "The file could not be predicted.")


def _show_progress(held: QuerySet[Prediction], report: dict[str, Any]) -> str:
    with contextlib.suppress(DatabaseError):
        told = {name: report[name] for name in ("rows", "share", "seconds")}
        held.update(version=F("version") + 1, **told)
    return "go"


def _end(held: QuerySet[Prediction], state: PredictionState, **fields: Any) -> bool:
    now = timezone.now()
    changed = held.update(
        state=state, lease_expires_at=None, finished_at=now, version=F("version") + 1, **fields
    )
    return changed == 1


def _remove_other_attempts(prediction: Prediction) -> None:
    """What attempts left behind that were killed over it."""
    for attempt in range(1, prediction.attempt):
        storage.remove(f"{prediction.folder}/{attempt}")


def cancel_prediction(prediction: Prediction) -> bool:
    """End one that waits or runs, within about a second; False if it has ended already."""
    rows = Prediction.objects.filter(id=prediction.id, state__in=UNFINISHED)
    return _end(rows, PredictionState.CANCELLED)


def delete_prediction(prediction: Prediction) -> None:
    """Remove one with its files; a worker that is at it stops."""
    Prediction.objects.filter(id=prediction.id).delete()
    storage.remove(prediction.folder)


def reap_predictions() -> None:
    """Give up what was cut off too often. `wake_next` sends what waits, when diagnoses are looked after."""
    lost = open_predictions().filter(leases.free_or_expired()).filter(leases.worn_out())
    _end(
        lost,
        PredictionState.FAILED,
        error=f"It was cut off {settings.MAX_ATTEMPTS} times. It may need more memory than there is.",
    )


def purge_predictions() -> None:
    """Remove those that ended longer ago than they are kept."""
    long_ago = timezone.now() - timedelta(days=settings.PREDICTION_DAYS)
    for prediction in Prediction.objects.filter(finished_at__lt=long_ago)[:100]:
        delete_prediction(prediction)
