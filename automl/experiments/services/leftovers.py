"""Files of processes that were killed over them: no row names them, so nothing else removes them."""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from uuid import UUID

import structlog
from django.conf import settings
from django.db import models

from automl.core import holdings, pulses
from automl.datasets.models import Dataset
from automl.experiments.models import Experiment, Prediction, TrainedModel

log = structlog.get_logger(__name__)
TIDIED = "tidied"
# Whoever still writes a file, or is about to write the row for it, does so more often than that.
OLD_SECONDS = 3600.0
# Unpacking a whole service may take longer, and so may a worker's being started again.
VERY_OLD_SECONDS = 86400.0
FOLDERS: dict[str, type[models.Model]] = {
    "datasets": Dataset,
    "experiments": Experiment,
    "models": TrainedModel,
}


def remove_leftovers() -> None:
    """Remove them, once an hour however often it is asked for."""
    since = pulses.age(TIDIED)
    if since is not None and since < OLD_SECONDS:
        return
    pulses.beat(TIDIED)
    found = [path for path in _entries(Path(settings.FILE_UPLOAD_TEMP_DIR)) if is_old(path, OLD_SECONDS)]
    for name, model in FOLDERS.items():
        found += _without_row(_entries(settings.FILES_ROOT / name), model)
    found += _without_row(settings.FILES_ROOT.glob("models/*/predictions/*"), Prediction)
    # Uploads on their way; what trials and bundles begin lies in folders that rows name.
    found += [path for path in settings.FILES_ROOT.glob("datasets/*/.*.draft") if is_old(path, OLD_SECONDS)]
    found += [path for path in settings.FILES_ROOT.glob(".restore-*") if is_old(path, VERY_OLD_SECONDS)]
    for path in found:
        log.warning("left_behind", path=str(path))
        remove_path(path)
    for path in _entries(settings.HOME / "held"):
        if is_old(path, VERY_OLD_SECONDS):
            with contextlib.suppress(OSError):
                holdings.remove_notes(path)


def remove_path(path: Path) -> None:
    """Delete a file or a folder, as far as that can be done."""
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)


def _without_row(paths: Iterable[Path], model: type[models.Model]) -> list[Path]:
    # In this order: a row that is made meanwhile has a folder that is not old.
    old = {id: path for path in paths if (id := _id_of(path)) and is_old(path, OLD_SECONDS)}
    kept: set[Any] = set(model._default_manager.values_list("pk", flat=True)) if old else set()
    return [path for id, path in old.items() if id not in kept]


def _entries(folder: Path) -> list[Path]:
    return list(folder.iterdir()) if folder.is_dir() else []


def _id_of(path: Path) -> UUID | None:
    try:
        return UUID(path.name)
    except ValueError:
        return None


def is_old(path: Path, seconds: float) -> bool:
    """Whether nothing was written there for so long."""
    try:
        return time.time() - path.stat().st_mtime > seconds
    except OSError:
        return False
