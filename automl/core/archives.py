"""Backups as files: a tar whose manifest says what is in it, and readers that believe nothing else."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO, Any, TypedDict, cast

from automl.engine.errors import UserError
from automl.engine.sealing import sync_folder

VERSION = 1
MANIFEST = "MANIFEST.json"
CHUNK = 1 << 20


class Entry(TypedDict):
    """What a file of the archive must be."""

    size: int
    sha256: str


class Manifest(TypedDict):
    """The last file of an archive: without it the archive was cut off."""

    version: int
    bakeoff: str
    created_at: str
    migrations: dict[str, str]
    rows: dict[str, int]
    files: dict[str, Entry]
    vanished: list[str]


class _Hashing:
    """A file that is hashed while it is read."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._digest = hashlib.sha256()
        self.size = 0

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(size)
        self._digest.update(data)
        self.size += len(data)
        return data

    def entry(self) -> Entry:
        return {"size": self.size, "sha256": self._digest.hexdigest()}


class ArchiveWriter:
    """Adds files and notes their digests."""

    def __init__(self, archive: tarfile.TarFile) -> None:
        self._archive = archive
        self.files: dict[str, Entry] = {}
        self.vanished: list[str] = []

    def add(self, path: Path, name: str) -> None:
        """Add a file; one that was deleted a moment ago is noted as gone."""
        try:
            with path.open("rb") as file:
                self._add(file, os.fstat(file.fileno()), name)
        except FileNotFoundError:
            self.vanished.append(name)

    def _add(self, file: IO[bytes], status: os.stat_result, name: str) -> None:
        info = tarfile.TarInfo(name)
        info.size, info.mtime, info.mode = status.st_size, int(status.st_mtime), 0o600
        hashing = _Hashing(file)
        self._archive.addfile(info, cast(IO[bytes], hashing))
        self.files[name] = hashing.entry()

    def finish(self, manifest: Manifest) -> None:
        """Add the manifest, which has to be the last."""
        data = json.dumps(manifest).encode()
        info = tarfile.TarInfo(MANIFEST)
        info.size, info.mtime, info.mode = len(data), int(time.time()), 0o600
        self._archive.addfile(info, io.BytesIO(data))


@contextlib.contextmanager
def writing_archive(target: Path) -> Iterator[ArchiveWriter]:
    """An archive that has its name only once it is whole; for its owner's eyes: it holds keys and tables."""
    draft = target.with_name(f".{target.name}.{os.getpid()}.draft")
    try:
        with (
            open(os.open(draft, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file,  # noqa: PTH123
            tarfile.open(fileobj=file, mode=_mode(target, "w"), **_level(target)) as archive,
        ):
            yield ArchiveWriter(archive)
            archive.close()
            file.flush()
            os.fsync(file.fileno())
        draft.replace(target)
        sync_folder(target.parent)
    finally:
        draft.unlink(missing_ok=True)


def unpack(source: Path, folder: Path) -> Manifest:
    """Unpack an archive into a folder, and hold every file of it against the manifest.

    Raises
    ------
    UserError
        If it is no archive of ours, cut off, damaged, or made by a newer version.
    """
    try:
        found, manifest = _extract(source, folder)
        if manifest is not None and not Manifest.__required_keys__ <= manifest.keys():
            missing = ", ".join(sorted(Manifest.__required_keys__ - manifest.keys()))
            raise ValueError(f"its {MANIFEST} has no {missing}")
    except (tarfile.TarError, EOFError, OSError, ValueError, AttributeError) as error:
        raise UserError(
            f"{source} can't be read as a backup ({str(error) or type(error).__name__}). Take another one."
        ) from error
    if manifest is None:
        raise UserError(f"{source} has no {MANIFEST}: it is cut off, or no backup. Take another one.")
    if manifest["version"] != VERSION:
        raise UserError(
            f"{source} is a backup of form {manifest['version']}, made by Bakeoff {manifest['bakeoff']}; "
            "this "
            f"version reads form {VERSION}. Install that version first."
        )
    wrong = sorted(
        name
        for name in found.keys() | manifest["files"].keys()
        if found.get(name) != manifest["files"].get(name)
    )
    if wrong:
        raise UserError(
            f"{source} is damaged: {', '.join(wrong[:3])} is not as it was stored. Take another one."
        )
    return manifest


def _extract(source: Path, folder: Path) -> tuple[dict[str, Entry], Manifest | None]:
    found: dict[str, Entry] = {}
    manifest: Manifest | None = None
    with tarfile.open(source, mode="r|*") as archive:
        for member in archive:
            inside = PurePosixPath(member.name)
            if not member.isfile() or inside.is_absolute() or ".." in inside.parts:
                raise ValueError(f"{member.name!r} is not a plain file inside of it")
            file = archive.extractfile(member)
            assert file is not None
            if member.name == MANIFEST:
                manifest = json.loads(file.read())
                continue
            hashing = _Hashing(file)
            path = folder / inside
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("wb") as target:
                while data := hashing.read(CHUNK):
                    target.write(data)
                target.flush()
                os.fsync(target.fileno())
            found[member.name] = hashing.entry()
    return found, manifest


def _mode(target: Path, mode: str) -> Any:
    return f"{mode}:gz" if target.name.endswith((".gz", ".tgz")) else f"{mode}:"


def _level(target: Path) -> dict[str, Any]:
    # Models and tables hardly shrink further at a higher level, which takes several times as long.
    return {"compresslevel": 1} if target.name.endswith((".gz", ".tgz")) else {}
