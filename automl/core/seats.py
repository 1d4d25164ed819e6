"""The seat of this process: one warm server that runs the heavy work in children of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import cache
from typing import Any

from django.conf import settings

from automl.engine.errors import UserError
from automl.engine.isolation import Limits, Outcome, Seat, memory_limit, plan_seats
from automl.engine.isolation.limits import SMALLEST_SEAT, SeatPlan

# The two processes of the short worker have half a seat's memory each: together one seat's.
SHORT_SHARE = 2
# What the web server, the broker and the workers themselves need.
SERVICE_BYTES = 600 << 20

_lock = threading.Lock()
_seat: Seat | None = None


@cache
def seat_plan() -> SeatPlan:
    """How many seats this machine has, and what each may use."""
    return plan_seats(
        seats=settings.SEATS or None,
        threads=settings.THREADS_PER_SEAT or None,
        memory=settings.MEMORY_PER_SEAT or None,
        beside=1,
    )


def described() -> str:
    """The seats in words, for the log of a start."""
    plan = seat_plan()
    return (
        f"{plan.seats} seat(s), each {plan.threads} thread(s) and up to {plan.memory_bytes / 2**30:.1f} GiB, "
        f"of {memory_limit() / 2**30:.1f} GiB"
    )


def refuse_too_much() -> None:
    """Refuse seats that together may use more memory than there is.

    Raises
    ------
    UserError
        With both figures, and what to set.
    """
    plan, there = seat_plan(), memory_limit()
    if plan.seats * plan.memory_bytes + SERVICE_BYTES > there and plan.seats > 1:
        raise UserError(
            f"{plan.seats} seats of {plan.memory_bytes / 2**30:.1f} GiB and the service need more than "
            f"the {there / 2**30:.1f} GiB there are. Set AUTOML_SEATS or AUTOML_MEMORY_PER_SEAT_MB lower."
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
    memory = seat_plan().memory_bytes
    if job != "evaluate":
        memory = max(memory // SHORT_SHARE, SMALLEST_SEAT)
    limits = Limits(seconds=seconds, memory_bytes=memory)
    name = f"{settings.ENGINE_JOBS}:{job}"
    return _get().run(name, args, limits=limits, on_report=on_report, on_tick=on_tick)


def _get() -> Seat:
    global _seat  # noqa: PLW0603
    with _lock:
        if _seat is None:
            _seat = Seat(threads=seat_plan().threads)
        return _seat
