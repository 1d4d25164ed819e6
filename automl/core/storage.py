"""Private files: never under a public URL, addressed by keys such as `datasets/ID/table.arrow`.

What is written appears whole or not at all: written beside, synced, renamed, and the folder synced.
"""

from __future__ import annotations

import contextlib
import glob
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from django.conf import settings

from automl.core.errors import StorageFull, StorageUnavailable
from automl.engine.errors import UserError, is_disk_full, is_storage_error
from automl.engine.sealing import sync_folder

# How long work that met a full disk waits for room before it gives its lease back.
MOST_PATIENCE = 60.0
LEAST_PATIENCE = 5.0


def path_of(key: str) -> Path:
    """The file or folder of a key, whether it exists or not.

    Raises
    ------
    ValueError
        If the key would leave the private folder.
    """
    root: Path = settings.FILES_ROOT
    path = (root / key).resolve()
    if not path.is_relative_to(root.resolve()):
        raise ValueError(f"the key {key!r} leaves the private folder")
    return path


def make_folder(key: str) -> Path:
    """The folder of a key, made if it is missing."""
    path = path_of(key)
    path.mkdir(parents=True, exist_ok=True)
    return path


@contextlib.contextmanager
def writing(key: str) -> Iterator[Path]:
    """A draft that takes the key's place in one step when the block ends well: never half a file."""
    target = path_of(key)
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = target.with_name(f".{target.name}.{os.getpid()}.draft")
    try:
        yield draft
        with draft.open("rb") as file:
            os.fsync(file.fileno())
        draft.replace(target)
        sync_folder(target.parent)
    finally:
        draft.unlink(missing_ok=True)


def remove_drafts(key: str) -> None:
    """Delete what was begun for a key by processes that were killed over it."""
    path = path_of(key)
    for draft in path.parent.glob(f".{glob.escape(path.name)}.*"):
        if draft.is_dir():
            shutil.rmtree(draft, ignore_errors=True)
        else:
            with contextlib.suppress(OSError):
                draft.unlink(missing_ok=True)


def remove(key: str) -> None:
    """Delete a file or a folder with all in it; a missing one is fine."""
    path = path_of(key)
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def free_bytes() -> int:
    """Room where files are kept, or where the database and uploads are, whichever has less."""
    places = {settings.FILES_ROOT, settings.HOME}
    return min(shutil.disk_usage(_existing(place)).free for place in places)


def require_space(size: int = 0) -> None:
    """Refuse work for which there is no room.

    Raises
    ------
    StorageFull
        If less than `settings.LEAST_FREE_BYTES` would be left beside `size`.
    """
    free = free_bytes()
    if free - size < settings.LEAST_FREE_BYTES:
        raise StorageFull(
            f"The disk has {free / 2**20:.0f} MB free; {(size + settings.LEAST_FREE_BYTES) / 2**20:.0f} MB "
            "are needed. Delete datasets or experiments, or ask whoever runs the service for more room."
        )


def probe() -> None:
    """Write and delete a small file; raises OSError where that can't be done."""
    settings.FILES_ROOT.mkdir(parents=True, exist_ok=True)
    path = settings.FILES_ROOT / f".probe-{os.getpid()}-{threading.get_ident()}"
    try:
        with path.open("wb") as file:
            file.write(bytes(4096))
            os.fsync(file.fileno())
    finally:
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)


def wait_for_room(
    go_on: Callable[[], bool], *, least: float | None = None, most: float | None = None
) -> bool:
    """Wait until files can be written again, as long as `go_on` agrees; whether they can.

    Work that met a full disk keeps its lease meanwhile: three attempts in a second would help nobody.
    """
    began = time.monotonic()
    least = LEAST_PATIENCE if least is None else least
    most = MOST_PATIENCE if most is None else most
    looked = began
    while go_on():
        now = time.monotonic()
        if now - began >= least and now - looked >= 1.0:
            looked = now
            with contextlib.suppress(OSError, UserError):
                probe()
                require_space()
                return True
        if now - began >= most:
            return False
        time.sleep(0.25)
    return False


def trouble(error: BaseException) -> UserError | None:
    """What an error of the operating system says about the storage, for people; else None."""
    if not isinstance(error, OSError) or not is_storage_error(error):
        return None
    if is_disk_full(error):
        return StorageFull(
            "The disk of this service is full, so this could not be stored. Nothing was changed. Delete "
            "datasets or experiments, or ask whoever runs the service for more room."
        )
    return StorageUnavailable(
        f"The files of this service can't be written just now ({error.strerror}). Nothing was changed. "
        "Try again; if it stays so, whoever runs the service has to look at its disk."
    )


def _existing(path: Path) -> Path:
    while not path.exists():
        path = path.parent
    return path
