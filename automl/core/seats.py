"""The seat of this process: one warm server that runs the heavy work in children of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

from django.conf import settings

from automl.engine.errors import UserError
from automl.engine.isolation import Limits, Outcome, Seat, memory_limit, plan_seats
from automl.engine.isolation.limits import SERVER_BYTES, SMALLEST_SEAT, SeatPlan

# The processes of the short worker share one seat's memory.
SHORT_WORKERS = 2
# What the web server, the broker and the workers themselves need.
SERVICE_BYTES = 600 << 20
MORE_MEMORY = "a higher AUTOML_MEMORY_PER_SEAT_MB, or fewer seats (AUTOML_SEATS)"

_lock = threading.Lock()
_seat: Seat | None = None


@cache
def seat_plan() -> SeatPlan:
    """How many seats this machine has, and what each may use."""
    plan = _planned(settings.SEATS or None)
    while _most_bytes(plan) > memory_limit() and plan.seats > 1 and not settings.SEATS:
        plan = _planned(plan.seats - 1)
    return plan


def _planned(seats: int | None) -> SeatPlan:
    plan = plan_seats(
        seats=seats,
        threads=settings.THREADS_PER_SEAT or None,
        memory=settings.MEMORY_PER_SEAT or None,
        beside=1,
    )
    if settings.MEMORY_PER_SEAT:
        return plan
    rest = memory_limit() - _beside_bytes(plan)
    # Short work has one seat's memory, or the smallest seat's for each of its processes.
    each = rest // (plan.seats + 1)
    if each // SHORT_WORKERS < SMALLEST_SEAT:
        each = (rest - SHORT_WORKERS * SMALLEST_SEAT) // plan.seats
    return replace(plan, memory_bytes=max(min(plan.memory_bytes, each), SMALLEST_SEAT))


def memory_of(job: str) -> int:
    """The memory that a job of the engine may use."""
    return seat_plan().memory_bytes if job == "evaluate" else _short_bytes(seat_plan())


def _short_bytes(plan: SeatPlan) -> int:
    return max(plan.memory_bytes // SHORT_WORKERS, SMALLEST_SEAT)


def _beside_bytes(plan: SeatPlan) -> int:
    """What is needed whatever the jobs use: the service, and a warm server for each process that has jobs."""
    return SERVICE_BYTES + (plan.seats + SHORT_WORKERS) * SERVER_BYTES


def _most_bytes(plan: SeatPlan) -> int:
    """What the service uses when every job is at its limit."""
    return _beside_bytes(plan) + plan.seats * plan.memory_bytes + SHORT_WORKERS * _short_bytes(plan)


def described() -> str:
    """The seats in words, for the log of a start."""
    plan, there = seat_plan(), memory_limit()
    words = (
        f"{plan.seats} seat(s), each {plan.threads} thread(s) and up to {_gib(plan.memory_bytes)}; "
        f"{SHORT_WORKERS} short processes of up to {_gib(_short_bytes(plan))}; "
        f"with the service at most {_gib(_most_bytes(plan))} of {_gib(there)}"
    )
    if _most_bytes(plan) > there:
        words += ": more than there is, so a large table may run out of memory"
    return words


def refuse_too_much() -> None:
    """Refuse seats that together may use more memory than there is.

    One seat on a machine too small for the rest is not refused, unless its memory was set by hand.

    Raises
    ------
    UserError
        With the figures, and what to set.
    """
    plan, there = seat_plan(), memory_limit()
    if _most_bytes(plan) > there and (plan.seats > 1 or settings.MEMORY_PER_SEAT):
        raise UserError(
            f"{plan.seats} seats of {_gib(plan.memory_bytes)}, {SHORT_WORKERS} short processes of "
            f"{_gib(_short_bytes(plan))} and the service may use {_gib(_most_bytes(plan))}, more than the "
            f"{_gib(there)} there are. Set AUTOML_SEATS or AUTOML_MEMORY_PER_SEAT_MB lower."
        )


def _gib(size: int) -> str:
    return f"{size / 2**30:.1f} GiB"


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
    limits = Limits(seconds=seconds, memory_bytes=memory_of(job))
    name = f"{settings.ENGINE_JOBS}:{job}"
    outcome = _get().run(name, args, limits=limits, on_report=on_report, on_tick=on_tick)
    if outcome.status == "memory" and job != "evaluate":
        more = f"{outcome.error} Whoever runs the service can give more: {MORE_MEMORY}."
        return replace(outcome, error=more)
    return outcome


def _get() -> Seat:
    global _seat  # noqa: PLW0603
    with _lock:
        if _seat is None:
            _seat = Seat(threads=seat_plan().threads)
        return _seat
