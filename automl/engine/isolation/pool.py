"""Warm seats that one process keeps for its next search."""

from __future__ import annotations

import atexit
import contextlib
import threading
from collections.abc import Iterator

from automl.engine.isolation.seat import Seat

# Warm servers are dear to start and cheap to keep: fits that follow find them waiting.
_idle: dict[int, list[Seat]] = {}
_idle_lock = threading.Lock()


@contextlib.contextmanager
def lent_seats(count: int, threads: int) -> Iterator[list[Seat]]:
    """Lend warm seats; they are kept for the next search of this process."""
    with _idle_lock:
        idle = _idle.setdefault(threads, [])
        seats = [idle.pop() if idle else Seat(threads=threads) for _ in range(count)]
    try:
        for seat in seats:
            seat.start()
        yield seats
    finally:
        with _idle_lock:
            _idle[threads] += seats


def close_seats() -> None:
    """End the servers that are kept warm; the next search starts new ones."""
    with _idle_lock:
        for seats in _idle.values():
            while seats:
                seats.pop().close()


atexit.register(close_seats)
