"""Files on their way to the service and back: streamed, watched, and whole or not there."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import httpx

from automl.client.errors import DownloadDamaged
from automl.client.transport import Transport

CHUNK = 1 << 16
Progress = Callable[[int, int], None]


def upload_form(path: Path, file: IO[bytes], on_progress: Progress | None) -> Callable[[], dict[str, Any]]:
    """Give what makes the form that carries a file, from its start each time."""
    watched: Any = Watched(file, on_progress)

    def form() -> dict[str, Any]:
        file.seek(0)
        return {"files": {"file": (path.name, watched)}}

    return form


def download(
    transport: Transport, address: str, path: Path, *, fallback: str, on_progress: Progress | None
) -> Path:
    """Save what is at an address; only a whole and undamaged file takes the name."""

    def take(response: httpx.Response) -> None:
        save(response, target_of(path, response, fallback=fallback), on_progress)

    return target_of(path, transport.call("GET", address, take=take), fallback=fallback)


def target_of(path: Path, response: httpx.Response, *, fallback: str) -> Path:
    if not path.is_dir():
        return path
    disposition = response.headers.get("Content-Disposition", "")
    named = disposition.partition('filename="')[2].rstrip('"')
    # Whatever the service says, nothing is written outside of the folder.
    return path / (Path(named).name or fallback)


def save(response: httpx.Response, target: Path, on_progress: Progress | None) -> None:
    total, done = int(response.headers.get("Content-Length", 0)), 0
    digest, draft = hashlib.sha256(), target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        with draft.open("wb") as file:
            for chunk in response.iter_bytes(CHUNK):
                file.write(chunk)
                digest.update(chunk)
                done += len(chunk)
                if on_progress:
                    on_progress(done, total)
        expected = response.headers.get("ETag", "").strip('"')
        if expected and digest.hexdigest() != expected:
            raise DownloadDamaged(
                f"{target.name} arrived damaged: its SHA-256 is not {expected}. Download it again."
            )
        draft.replace(target)
    finally:
        draft.unlink(missing_ok=True)


class Watched:
    """A file that tells how much of it has been read."""

    def __init__(self, file: IO[bytes], on_progress: Progress | None) -> None:
        self._file, self._told = file, on_progress
        self._total = os.fstat(file.fileno()).st_size

    def read(self, size: int = -1) -> bytes:
        chunk = self._file.read(size)
        if self._told and chunk:
            self._told(self._file.tell(), self._total)
        return chunk

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def fileno(self) -> int:
        return self._file.fileno()
