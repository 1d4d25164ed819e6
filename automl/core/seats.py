"""The seat of this process: one warm server that runs the heavy work in children of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import cache
from typing import Any

from django.conf import settings

from automl.engine.isolation import Limits, Outcome, Seat, plan_seats
from automl.engine.isolation.limits import SeatPlan

_lock = threading.Lock()
_seat: Seat | None = None


@cache
def seat_plan() -> SeatPlan:
    """How many seats this machine has, and what each may use."""
    return plan_seats(
        seats=settings.SEATS or None,
        threads=settings.THREADS_PER_SEAT or None,
        memory=settings.MEMORY_PER_SEAT or None,
    )


def warm_up() -> None:
    """Start the seat's server; returns at once."""
    _get().start()


def close() -> None:
    """Stop the seat's server, if there is one."""
    global _seat  # noqa: PLW0603 - one seat a process is the point
    with _lock:
        if _seat is not None:
            _seat.close()
            _seat = None


def run(
    job: str,
    args: dict[str, Any],
    *,
    seconds: float | None = None,
    on_report: Callable[[dict[str, Any]], str] | None = None,
    on_tick: Callable[[float], bool] | None = None,
) -> Outcome:
    """Run a job of the engine on this process's seat and wait for it.

    `on_tick` is called a few times a second; when it answers False the job is killed at once.
    """
    limits = Limits(seconds=seconds, memory_bytes=seat_plan().memory_bytes)
    return _get().run(f"automl.engine.jobs:{job}", args, limits=limits, on_report=on_report, on_tick=on_tick)


def _get() -> Seat:
    global _seat  # noqa: PLW0603
    with _lock:
        if _seat is None:
            _seat = Seat(threads=seat_plan().threads)
        return _seat
