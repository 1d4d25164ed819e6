"""What each pool process of a worker holds a lease on, kept where it outlives the process.

A lease runs out by itself; until then nobody else may do the work. But whoever takes a dead process's place
on the same machine can know that it is dead, and need not wait. The notes are a small file that the worker
and its pool processes map into memory; a lock on it, which the kernel drops with the last of them, says that
what is noted there belongs to nobody alive.
"""

from __future__ import annotations

import contextlib
import fcntl
import mmap
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

# The process, the attempt, the row and its kind, such as "experiments.trial".
_NOTE = struct.Struct("<QQ16s32s")
PLACES = 256


@dataclass(frozen=True, slots=True)
class Holding:
    """One lease: which row, and the attempt that held it."""

    kind: str
    row: UUID
    attempt: int


_memory: mmap.mmap | None = None
_place = 0


def open_notes(folder: Path, name: str) -> list[Holding]:
    """Begin the notes of the worker of that name, shared with what it forks; give those of a dead one."""
    global _memory  # noqa: PLW0603 - one worker a process
    folder.mkdir(parents=True, exist_ok=True)
    number = os.open(folder / name, os.O_RDWR | os.O_CREAT, 0o600)
    size = _NOTE.size * PLACES
    try:
        # The descriptor stays open, here and in the forks: the lock lasts as long as any of them.
        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Written, not only made that long: on a full disk a missing page would kill whoever touches it.
        if os.fstat(number).st_size < size:
            os.pwrite(number, bytes(size), 0)
        _memory = mmap.mmap(number, size)
    except OSError:
        # Another worker of the same name lives: its notes are not ours to read.
        os.close(number)
        _memory = mmap.mmap(-1, size)
    found = [holding for place in range(PLACES) if (holding := _read(place)[1]) is not None]
    _memory[:] = bytes(size)
    return found


def remove_notes(path: Path) -> bool:
    """Remove the notes of a worker that lives no more; False if it lives."""
    with path.open("r+b") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        path.unlink(missing_ok=True)
    return True


def sit(place: int) -> None:
    """Say which of the worker's places this pool process has."""
    global _place  # noqa: PLW0603
    _place = place % PLACES


@contextlib.contextmanager
def noted(holding: Holding) -> Iterator[None]:
    """Note a lease while its work goes on. After an exception it stays noted: nobody gave it back."""
    if _memory is None:
        yield
        return
    before = _read(_place)[1]
    _write(_place, os.getpid(), holding)
    yield
    if before is None:
        _clear(_place)
    else:
        _write(_place, os.getpid(), before)


def left_behind(*, here: bool = False) -> list[tuple[int, Holding]]:
    """What processes that are gone held, and where; `here`: what the place of this process still says."""
    found = []
    for place in [_place] if here else range(PLACES):
        process, holding = _read(place)
        if holding is not None and (here or not _is_alive(process)):
            found.append((place, holding))
    return found


def forget(place: int, holding: Holding) -> None:
    """Strike out a note, unless the place holds another by now."""
    if _read(place)[1] == holding:
        _clear(place)


def _read(place: int) -> tuple[int, Holding | None]:
    if _memory is None:
        return 0, None
    process, attempt, row, kind = _NOTE.unpack_from(_memory, place * _NOTE.size)
    return process, Holding(kind.rstrip(b"\0").decode(), UUID(bytes=row), attempt) if process else None


def _write(place: int, process: int, holding: Holding) -> None:
    assert _memory is not None
    note = _NOTE.pack(process, holding.attempt, holding.row.bytes, holding.kind.encode())
    # The process comes last: half a note is no note.
    start = place * _NOTE.size
    _memory[start : start + 8] = bytes(8)
    _memory[start + 8 : start + _NOTE.size] = note[8:]
    _memory[start : start + 8] = note[:8]


def _clear(place: int) -> None:
    if _memory is not None:
        _memory[place * _NOTE.size : place * _NOTE.size + 8] = bytes(8)


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True
