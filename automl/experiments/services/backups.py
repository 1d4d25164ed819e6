"""The whole service in one file, taken while it runs, and put back into an empty one.

Rows first, as one snapshot, then the files that they name: files are written before the rows that say
they are there, so every file that the snapshot needs is there to be copied, unless it was deleted meanwhile.
"""

from __future__ import annotations

import contextlib
import glob
import json
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import structlog
from django.apps import apps
from django.conf import settings
from django.core import serializers
from django.core.management.color import no_style
from django.core.serializers.base import DeserializationError
from django.db import DatabaseError, connection, models, transaction
from django.db.migrations.recorder import MigrationRecorder
from django.utils import timezone

import automl
from automl.accounts.models import User
from automl.core import storage, store
from automl.core.archives import ArchiveWriter, Manifest, unpack, writing_archive
from automl.core.models import Pulse, Store, Worker
from automl.core.patience import is_away
from automl.datasets.models import Dataset
from automl.engine.errors import UserError
from automl.engine.trial import TrialState
from automl.experiments import clock
from automl.experiments.models import Diagnosis, Experiment, Prediction, TrainedModel, Trial
from automl.experiments.services.leftovers import VERY_OLD_SECONDS, is_old, remove_path
from automl.experiments.states import FINAL

log = structlog.get_logger(__name__)
ROWS = "rows.jsonl"
FILES = "files"
SECRET = "secret_key"  # noqa: S105 - the name of its file
# In an order in which each model comes after those it points at. What is not here is made anew: permissions,
# sessions, which worker was heard from when, and what ties the files to the database.
APPS = ("accounts", "account", "knox", "core", "datasets", "experiments")
NOT_KEPT = (Worker, Pulse, Store)
FOLDERS = ("datasets", "experiments", "models")
# Beside the backup, in a folder that is not ours alone.
SCRATCH = ".bakeoff-backup-"
CHUNK = 500


def make_backup(target: Path) -> Manifest:
    """Write everything into one file; a service that runs meanwhile is not held up.

    Raises
    ------
    UserError
        If the file exists already.
    """
    if target.exists():
        raise UserError(f"{target} exists already. Name another file.")
    _remove_drafts(target)
    with (
        tempfile.TemporaryDirectory(prefix=SCRATCH, dir=target.parent) as scratch,
        writing_archive(target) as archive,
    ):
        rows = Path(scratch) / ROWS
        counts, folders, taken_at = _write_rows(rows)
        archive.add(rows, ROWS)
        if (settings.HOME / SECRET).exists():
            archive.add(settings.HOME / SECRET, SECRET)
        for folder in folders:
            _add_folder(archive, folder)
        manifest = Manifest(
            version=1,
            bakeoff=automl.__version__,
            created_at=taken_at.isoformat(),
            migrations=_migrations(),
            rows=counts,
            files=archive.files,
            vanished=archive.vanished,
        )
        archive.finish(manifest)
    return manifest


def _remove_drafts(target: Path) -> None:
    """Remove what backups that were killed left beside it: no sweep comes there."""
    for path in (
        *target.parent.glob(f"{SCRATCH}*"),
        *target.parent.glob(f".{glob.escape(target.name)}.*.draft"),
    ):
        if is_old(path, VERY_OLD_SECONDS):
            remove_path(path)


def _write_rows(path: Path) -> tuple[dict[str, int], list[str], datetime]:
    """Write every row, as of one moment; how many of each kind, and the folders they name."""
    counts: Counter[str] = Counter()
    with path.open("w", encoding="utf-8") as file, _snapshot():
        taken_at = timezone.now()
        for model in _models():
            for row in model._default_manager.order_by("pk").iterator(chunk_size=CHUNK):
                [found] = serializers.serialize("python", [row])
                # Groups and permissions have other numbers in another database.
                for field in model._meta.many_to_many:
                    found["fields"].pop(field.name)
                # Not Django's encoder, which cuts times to milliseconds.
                file.write(json.dumps(found, default=str) + "\n")
                counts[model._meta.label] += 1
        folders = [
            *(f"datasets/{id}" for id in Dataset.objects.values_list("id", flat=True)),
            *(f"experiments/{id}" for id in Experiment.objects.values_list("id", flat=True)),
            *(f"models/{id}" for id in TrainedModel.objects.values_list("id", flat=True)),
        ]
    return dict(counts), folders, taken_at


@contextlib.contextmanager
def _snapshot() -> Iterator[None]:
    """A transaction that sees one moment and holds nobody up."""
    wrapper: Any = connection
    mode = getattr(wrapper, "transaction_mode", None)
    # SQLite's usual transaction here takes the lock for writing at once; reading needs none.
    wrapper.transaction_mode = None
    try:
        with transaction.atomic():
            if wrapper.vendor == "postgresql":
                with wrapper.cursor() as cursor:
                    cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            yield
    finally:
        wrapper.transaction_mode = mode


def _models() -> Iterator[type[models.Model]]:
    for app in APPS:
        yield from (m for m in apps.get_app_config(app).get_models() if m not in NOT_KEPT and m._meta.managed)


def _add_folder(archive: ArchiveWriter, key: str) -> None:
    root = storage.path_of(key)
    # Passes over folders that vanish meanwhile, as `rglob` does not.
    for folder, inner, files in os.walk(root):
        # What begins with a dot is a draft: it is nothing yet.
        inner[:] = sorted(name for name in inner if not name.startswith("."))
        for name in sorted(files):
            if not name.startswith("."):
                path = Path(folder, name)
                archive.add(path, f"{FILES}/{key}/{path.relative_to(root).as_posix()}")


def _migrations() -> dict[str, str]:
    """The last migration of each app: what the rows look like."""
    applied = MigrationRecorder(connection).applied_migrations()
    last: dict[str, str] = {}
    for app, name in sorted(applied):
        last[app] = name
    return {app: last[app] for app in APPS if app in last}


def restore_backup(source: Path) -> Manifest:
    """Put a backup into an empty service; its tables must be there, and nothing in them.

    Raises
    ------
    UserError
        If there is something already, or the file can't be used.
    """
    _check_empty()
    settings.FILES_ROOT.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".restore-", dir=settings.FILES_ROOT) as scratch:
        manifest = unpack(source, Path(scratch))
        known = _migrations()
        newer = [app for app, name in manifest["migrations"].items() if name > known.get(app, "")]
        if newer:
            raise UserError(
                f"{source} was made by a newer Bakeoff, {manifest['bakeoff']}: its {', '.join(newer)} "
                "hold more than "
                f"{automl.__version__} knows. Install that version first."
            )
        placed: list[Path] = []
        try:
            with transaction.atomic():
                _check_empty()
                _read_rows(Path(scratch) / ROWS, manifest)
                _let_go(datetime.fromisoformat(manifest["created_at"]))
                _place_files(Path(scratch), placed)
                store.adopt()
        except BaseException:
            # The rows are not there, so neither may the files be.
            for folder in placed:
                shutil.rmtree(folder, ignore_errors=True)
            raise
    return manifest


def _check_empty() -> None:
    for model in (User, Dataset, Experiment):
        if model._default_manager.exists():
            raise UserError(
                f"There are {model._meta.verbose_name_plural} here already. A backup is restored into an "
                "empty "
                "service only: set AUTOML_HOME to a new folder, and DATABASE_URL, if set, to an empty "
                "database."
            )
    for folder in FOLDERS:
        path = settings.FILES_ROOT / folder
        if path.exists() and any(path.iterdir()):
            raise UserError(
                f"There are files in {path} already. Set AUTOML_HOME, or AUTOML_FILES, to a new folder; if "
                "they are what a restore left that was killed, remove them."
            )


def _read_rows(path: Path, manifest: Manifest) -> None:
    counts: Counter[str] = Counter()
    try:
        with path.open(encoding="utf-8") as file:
            for line in file:
                for found in serializers.deserialize("python", [json.loads(line)]):
                    found.save(force_insert=True)
                    counts[found.object._meta.label] += 1
        # What databases check only at the end, while it can still be told.
        connection.check_constraints()
    except (DeserializationError, DatabaseError, LookupError, TypeError, ValueError) as error:
        if is_away(error):
            raise
        raise UserError(f"A row of the backup does not fit this version: {error}.") from error
    if dict(counts) != manifest["rows"]:
        raise UserError("The backup holds other rows than its manifest says. Take another one.")
    # Rows came with their numbers; the counters that number new ones must go on after them.
    with connection.cursor() as cursor:
        for statement in connection.ops.sequence_reset_sql(no_style(), list(_models())):
            cursor.execute(statement)


def _let_go(taken_at: datetime) -> None:
    """Nobody works here yet: give back what was at work, without a loss; the clocks go on from now."""
    now = timezone.now()
    Trial.objects.filter(state=TrialState.RUNNING.value).update(
        state=TrialState.WAITING.value, lease_expires_at=None, fold_scores=[], fit_time=None, nudged_at=now
    )
    Trial.objects.filter(state=TrialState.WAITING.value).update(waiting_since=now)
    for model in (Dataset, Experiment, TrainedModel, Prediction, Diagnosis):
        held: models.QuerySet[Any] = model._default_manager.exclude(lease_expires_at=None)
        held.update(lease_expires_at=None)
    for experiment in Experiment.objects.exclude(clock_at=None).exclude(state__in=FINAL):
        spent = clock.elapsed(experiment, taken_at)
        Experiment.objects.filter(id=experiment.id).update(spent=spent, clock_at=now)


def _place_files(scratch: Path, placed: list[Path]) -> None:
    for folder in FOLDERS:
        found = scratch / FILES / folder
        if found.exists():
            target = settings.FILES_ROOT / folder
            shutil.rmtree(target, ignore_errors=True)
            placed.append(target)
            found.rename(target)
    if (scratch / SECRET).exists() and not os.environ.get("SECRET_KEY"):
        # Made a moment ago by this very command, as every start in an empty folder does.
        draft = settings.HOME / f".{SECRET}.{os.getpid()}"
        draft.write_bytes((scratch / SECRET).read_bytes())
        draft.chmod(0o600)
        draft.replace(settings.HOME / SECRET)
