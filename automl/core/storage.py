"""Private files: never under a public URL, addressed by keys such as `datasets/ID/table.arrow`."""

from __future__ import annotations

import contextlib
import glob
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from django.conf import settings


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
    finally:
        draft.unlink(missing_ok=True)


def remove_drafts(key: str) -> None:
    """Delete what was begun for a key by processes that were killed over it."""
    path = path_of(key)
    for draft in path.parent.glob(f".{glob.escape(path.name)}.*"):
        if draft.is_dir():
            shutil.rmtree(draft, ignore_errors=True)
        else:
            draft.unlink(missing_ok=True)


def remove(key: str) -> None:
    """Delete a file or a folder with all in it; a missing one is fine."""
    path = path_of(key)
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
