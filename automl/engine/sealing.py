"""Files that are known to be whole: a seal holds their sizes and digests, and readers compare."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypedDict

from automl.engine.errors import Damaged

SEAL = "SEAL.json"


class Entry(TypedDict):
    """What a file must be."""

    size: int
    digest: str


def seal_folder(folder: Path) -> None:
    """Write the seal of every file in a folder, and have the disk keep all of them."""
    found = {path.name: seal_of(path) for path in sorted(folder.iterdir()) if path.name != SEAL}
    (folder / SEAL).write_text(json.dumps(found), encoding="utf-8")
    with (folder / SEAL).open("rb") as file:
        os.fsync(file.fileno())
    sync_folder(folder)


def seal_of(path: Path) -> Entry:
    """Size and digest of a file that has just been written, once the disk has it."""
    with path.open("rb") as file, ThreadPoolExecutor(1) as disk:
        kept = disk.submit(os.fsync, file.fileno())
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        kept.result()
        return {"size": file.tell(), "digest": digest}


def check_folder(folder: Path, names: Iterable[str] | None = None) -> None:
    """Hold files of a folder against its seal.

    Raises
    ------
    Damaged
        Naming the first that is not as it was written.
    """
    try:
        sealed: dict[str, Entry] = json.loads((folder / SEAL).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise _damaged(folder / SEAL, "missing or not readable") from error
    for name in sealed if names is None else names:
        check_file(folder / name, sealed.get(name))


def check_file(path: Path, entry: Entry | None) -> None:
    """Hold one file against what it must be; raises Damaged."""
    try:
        if entry is None:
            raise _damaged(path, "not what was written")
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size != entry["size"]:
                raise _damaged(path, f"{size:,} bytes long, not {entry['size']:,}")
            if hashlib.file_digest(file, "sha256").hexdigest() != entry["digest"]:
                raise _damaged(path, "altered since it was written")
    except OSError as error:
        raise _damaged(path, "missing" if isinstance(error, FileNotFoundError) else "not readable") from error


def sync_folder(folder: Path) -> None:
    """Have the disk keep the names in a folder: after a rename, else a loss of power takes it back."""
    number = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


def _damaged(path: Path, what: str) -> Damaged:
    return Damaged(
        f"The stored file {path.parent.name}/{path.name} is {what}. Whoever runs the service can restore "
        "it from a "
        "backup; without one, do again what made it: upload the table, or start the experiment anew."
    )
