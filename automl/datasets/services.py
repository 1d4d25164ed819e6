"""Writing datasets: taking files in, profiling them, correcting what was found."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any
from uuid import UUID

import structlog
from django.conf import settings
from django.core.files.uploadedfile import UploadedFile
from django.db import DatabaseError, transaction
from django.db.models import F, QuerySet
from django.utils import timezone
from structlog.contextvars import bind_contextvars

from automl.accounts.models import User
from automl.core import leases, seats, storage, store
from automl.core.dispatch import dispatcher
from automl.core.errors import Conflict, InvalidInput, QuotaExceeded, TooLarge
from automl.core.patience import patiently
from automl.datasets.models import Dataset, DatasetState
from automl.datasets.selectors import stored_bytes
from automl.engine.errors import UserError
from automl.engine.schema import ColumnKind

log = structlog.get_logger(__name__)


def create_dataset(*, owner: User, file: UploadedFile[Any], name: str = "") -> Dataset:
    """Store an upload privately, with its checksum, and have it profiled.

    Raises
    ------
    UserError
        If the file is empty.
    TooLarge, QuotaExceeded, StorageFull, StorageUnavailable
        If a limit, or the disk, does not allow it.
    """
    _check_size(file)
    _check_quota(owner, file.size or 0)
    storage.require_space(file.size or 0)
    store.check()
    filename = PurePath((file.name or "table").replace("\\", "/")).name[:255]
    dataset = Dataset(owner=owner, filename=filename, name=(name.strip() or filename)[:200], bytes=0)
    digest = hashlib.sha256()
    try:
        with storage.writing(f"{dataset.folder}/original") as draft, draft.open("wb") as target:
            for chunk in file.chunks():
                digest.update(chunk)
                dataset.bytes += len(chunk)
                target.write(chunk)
        dataset.sha256 = digest.hexdigest()
        with transaction.atomic():
            dataset.save(force_insert=True)
            transaction.on_commit(lambda: dispatcher().profile(dataset.id))
    except Exception:
        storage.remove(dataset.folder)
        raise
    return dataset


def _check_size(file: UploadedFile[Any]) -> None:
    limit = settings.MAX_UPLOAD_BYTES
    if not file.size:
        raise UserError(f"The file {file.name!r} is empty. Choose a file with a header line and rows.")
    if file.size > limit:
        raise TooLarge(
            f"The file has {file.size / 2**20:.0f} MB; the limit is {limit / 2**20:.0f} MB. "
            "Compress it with gzip, save it as Parquet, or take a sample of its rows."
        )


def _check_quota(owner: User, size: int) -> None:
    mine = Dataset.objects.filter(owner=owner, deleted_at=None)
    if mine.count() >= settings.MAX_DATASETS:
        raise QuotaExceeded(f"You have {settings.MAX_DATASETS} datasets, the most allowed. Delete one first.")
    used = stored_bytes(owner)
    if used + size > settings.MAX_DATASET_BYTES:
        raise QuotaExceeded(
            f"Your datasets take {used / 2**30:.1f} GB of {settings.MAX_DATASET_BYTES / 2**30:.0f} GB. "
            "Delete one first."
        )


def profile_dataset(dataset_id: UUID) -> None:
    """Read an upload within limits and find its columns. From `profiling` to `ready` or `failed`."""
    waiting = Dataset.objects.filter(id=dataset_id, state=DatasetState.PROFILING, deleted_at=None)
    if not leases.claim(waiting):
        return
    dataset = waiting.get()
    held = waiting.filter(attempt=dataset.attempt)
    with leases.kept(dataset, held, send_again=lambda: dispatcher().profile(dataset.id)):
        _profile(dataset, held)


def _profile(dataset: Dataset, held: QuerySet[Dataset]) -> None:
    folder = storage.path_of(dataset.folder)
    storage.remove_drafts(f"{dataset.folder}/table.arrow")
    heartbeat = leases.Heartbeat(lambda: held)
    bind_contextvars(attempt=dataset.attempt)
    outcome = seats.run(
        "profile",
        {
            "source": str(folder / "original"),
            "filename": dataset.filename,
            "table": str(folder / "table.arrow"),
            "max_bytes": settings.MAX_UPLOAD_BYTES,
        },
        seconds=settings.LONGEST_JOB_SECONDS,
        on_tick=heartbeat,
        on_report=lambda report: _show_progress(held, report),
    )
    heartbeat.check(outcome)
    if heartbeat.lost:
        return
    if outcome.status == "storage" and dataset.losses + 1 < settings.MAX_ATTEMPTS:
        # Its lease goes with it, so the sweep has it profiled again.
        storage.wait_for_room(heartbeat)
        patiently(lambda: leases.let_go(held, counted=True))
    elif (found := outcome.result) is not None:
        patiently(lambda: _store_profile(held, found))
        log.info("dataset_profiled", seconds=round(outcome.seconds, 2))
    else:
        log.warning("profile_failed", dataset=str(dataset.id), status=outcome.status, detail=outcome.detail)
        held.update(
            state=DatasetState.FAILED,
            error=outcome.error or "The file could not be read.",
            lease_expires_at=None,
            version=F("version") + 1,
        )


def _show_progress(held: Any, report: dict[str, Any]) -> str:
    if "progress" in report:
        with contextlib.suppress(DatabaseError):
            held.update(progress=report["progress"], version=F("version") + 1)
    return "go"


def _store_profile(held: Any, profile: dict[str, Any]) -> None:
    held.update(
        state=DatasetState.READY,
        rows=profile["rows"],
        duplicates=profile["duplicates"],
        columns=profile["columns"],
        warnings=profile["warnings"],
        dialect=profile["dialect"],
        suggested_target=profile["suggested_target"] or "",
        suggested_task_type=profile["suggested_task_type"] or "",
        progress=1.0,
        lease_expires_at=None,
        version=F("version") + 1,
    )


def reap_datasets() -> None:
    """Wake up whoever profiles what nobody profiles any more; give up after the last attempt."""
    lost = Dataset.objects.filter(state=DatasetState.PROFILING, deleted_at=None).filter(
        leases.free_or_expired()
    )
    lost.filter(leases.worn_out()).update(
        state=DatasetState.FAILED,
        error=f"Reading the file was cut off {settings.MAX_ATTEMPTS} times. It may need more memory than "
        "a seat has: take a sample of its rows, or save it as Parquet.",
        version=F("version") + 1,
    )
    for dataset_id in lost.values_list("id", flat=True)[:100]:
        dispatcher().profile(dataset_id)


@transaction.atomic
def correct_kinds(dataset: Dataset, kinds: Mapping[str, str]) -> Dataset:
    """Set the kinds of columns that profiling took for something else.

    Raises
    ------
    Conflict
        If the dataset is not ready.
    InvalidInput
        If a column or a kind does not exist, or the values can't be of that kind.
    """
    dataset = _locked(dataset)
    if dataset.state != DatasetState.READY:
        raise Conflict(f"The dataset is {dataset.state}; its columns can be corrected once it is ready.")
    known = {column["name"]: column for column in dataset.columns}
    errors = {}
    for name, kind in kinds.items():
        if name not in known:
            errors[name] = f"There is no column {name!r}."
        elif kind not in set(ColumnKind):
            errors[name] = f"{kind!r} is no kind of column. Choose one of: {', '.join(ColumnKind)}."
        elif kind == ColumnKind.NUMERIC and known[name]["dtype"] in ("string", "timestamp"):
            errors[name] = (
                f"Column {name!r} holds {known[name]['dtype']}s that are not numbers; it can't be numeric."
            )
        elif kind == ColumnKind.DATETIME and not known[name].get("datetime_format"):
            errors[name] = f"The values of column {name!r} could not be read as dates; it can't be datetime."
    if errors:
        raise InvalidInput(errors)
    for name, kind in kinds.items():
        known[name]["kind"] = kind
    dataset.version += 1
    dataset.save(update_fields=["columns", "version"])
    return dataset


@transaction.atomic
def rename_dataset(dataset: Dataset, name: str) -> Dataset:
    """Give a dataset another name.

    Raises
    ------
    InvalidInput
        If the name is blank.
    """
    if not name.strip():
        raise InvalidInput({"name": "A name may not be blank."})
    dataset = _locked(dataset)
    dataset.name = name.strip()[:200]
    dataset.version += 1
    dataset.save(update_fields=["name", "version"])
    return dataset


def _locked(dataset: Dataset) -> Dataset:
    """The row as it is now; nobody changes it until the transaction ends."""
    return Dataset.objects.select_for_update().get(id=dataset.id)


def delete_dataset(dataset: Dataset) -> None:
    """Hide a dataset at once. `purge_datasets` removes it with its experiments and files."""
    Dataset.objects.filter(id=dataset.id).update(deleted_at=timezone.now(), version=F("version") + 1)


def purge_datasets(*, in_use: QuerySet[Any]) -> None:
    """Remove the files and rows of deleted datasets that nothing points at any more, nor uses otherwise."""
    deleted = Dataset.objects.exclude(deleted_at=None)
    for dataset in deleted.filter(experiments=None).exclude(id__in=in_use)[:100]:
        storage.remove(dataset.folder)
        dataset.delete()
