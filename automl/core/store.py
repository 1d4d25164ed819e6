"""Whether the files here are those of this database.

Beside another database's files, or where a file system is not mounted, every folder would pass for a
leftover, and every trial for one whose files are lost. So both carry the same identifier, and nothing is
taken up or removed where they differ.
"""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any, NoReturn
from uuid import UUID, uuid4

import structlog
from django.apps import apps
from django.conf import settings
from django.db import models

from automl.core.errors import StorageUnavailable
from automl.core.models import Store
from automl.engine.sealing import sync_folder

log = structlog.get_logger(__name__)
MARK = "store.id"
# What lies in each folder is named by the rows of a model.
FOLDERS = {
    "datasets": "datasets.Dataset",
    "experiments": "experiments.Experiment",
    "models": "experiments.TrainedModel",
}
# Databases limit the values of one query.
CHUNK = 500
OTHERS = (
    "The files in AUTOML_FILES belong to another database than that of DATABASE_URL. Nothing is taken up or "
    "removed until both are set to what belongs together; a new database needs a new folder."
)
MISSING = (
    "The files of this database are not in AUTOML_FILES: another folder is set, or its file system is not "
    "mounted on this machine. Nothing is taken up until they are there."
)
UNREADABLE = (
    f"The file {MARK} in AUTOML_FILES holds no identifier. Remove it if the files are those of the database "
    "in DATABASE_URL: then it is written again."
)


def check(*, may_move: bool = False) -> None:
    """Raise `StorageUnavailable` where the files are not this database's.

    The first time both get their identifier: where both are new, or the database knows some of the folders.

    Parameters
    ----------
    may_move : bool
        Whether a database that had a folder, and names nothing in it, may begin another. Not where there may
        be more machines: on one of them a file system may not be mounted.
    """
    row, mark = _row(), _mark()
    if row is not None and row == mark:
        return
    ids = _folders()
    if row is not None and mark is not None:
        _refuse(OTHERS, row, mark)
    if ids and not _knows(ids):
        _refuse(OTHERS, row, mark)
    # With nothing to go by, only a database that never had a folder may begin one.
    if not ids and mark is None and ((row is not None and not may_move) or _has_rows()):
        _refuse(MISSING, row, mark)
    adopt()


def is_ours() -> bool:
    """Whether work may be taken up here; what is wrong goes to the log."""
    try:
        check()
    except StorageUnavailable:
        return False
    except OSError as error:
        log.warning("files_not_read", error=str(error))
        return False
    return True


def adopt() -> None:
    """Give database and folder one identifier, whatever they had: the folder's, then the database's."""
    # The folder first: a database that has one and finds it nowhere stops the service.
    identifier = _marked(_row() or uuid4())
    Store.objects.update_or_create(number=1, defaults={"identifier": identifier})
    log.info("files_adopted", folder=str(settings.FILES_ROOT), store=str(identifier))


def _row() -> UUID | None:
    return Store.objects.values_list("identifier", flat=True).first()


def _mark() -> UUID | None:
    try:
        return UUID((settings.FILES_ROOT / MARK).read_text(encoding="ascii").strip())
    except FileNotFoundError:
        return None
    except ValueError as error:
        log.error("files_without_identifier", folder=str(settings.FILES_ROOT), error=str(error))
        raise StorageUnavailable(UNREADABLE) from error


def _marked(identifier: UUID) -> UUID:
    """The folder's identifier; of several processes that give it one the first wins."""
    if (mark := _mark()) is not None:
        return mark
    root: Path = settings.FILES_ROOT
    root.mkdir(parents=True, exist_ok=True)
    path = root / MARK
    draft = root / f"{MARK}.{os.getpid()}-{threading.get_ident()}"
    try:
        with draft.open("w", encoding="ascii") as file:
            file.write(f"{identifier}\n")
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(draft, path)
        except FileExistsError:
            pass
        except OSError:
            # Not every file system of a network has hard links.
            if not path.exists():
                draft.rename(path)
        sync_folder(root)
    finally:
        draft.unlink(missing_ok=True)
    return _mark() or identifier


def _folders() -> dict[str, list[UUID]]:
    """The folders that rows should name, by what they hold; only what holds any."""
    found: dict[str, list[UUID]] = {}
    for name in FOLDERS:
        path = settings.FILES_ROOT / name
        for entry in path.iterdir() if path.is_dir() else ():
            try:
                found.setdefault(name, []).append(UUID(entry.name))
            except ValueError:
                continue
    return found


def _knows(ids: dict[str, list[UUID]]) -> bool:
    return any(
        _rows(name).filter(pk__in=every[first : first + CHUNK]).exists()
        for name, every in ids.items()
        for first in range(0, len(every), CHUNK)
    )


def _has_rows() -> bool:
    return any(_rows(name).exists() for name in FOLDERS)


def _rows(name: str) -> models.QuerySet[Any]:
    rows: models.QuerySet[Any] = apps.get_model(FOLDERS[name])._default_manager.all()
    return rows


def _refuse(text: str, row: UUID | None, mark: UUID | None) -> NoReturn:
    log.error(
        "files_of_another_database", folder=str(settings.FILES_ROOT), files=str(mark), database=str(row)
    )
    raise StorageUnavailable(text)
