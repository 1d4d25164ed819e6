"""What processes of this worker held when they died is taken back at once, not when leases run out."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from typing import Any

import structlog
from billiard.process import current_process
from django.conf import settings
from django.db import DatabaseError, close_old_connections

from automl.core import holdings, leaving
from automl.core.holdings import Holding
from automl.experiments.services.sweep import take_over

log = structlog.get_logger(__name__)
# What an earlier worker of this name held; taken back when the database is first at hand.
_inherited: list[Holding] = []
_idle_handler: Any = signal.SIG_DFL


def open_notes(worker: str) -> None:
    """Begin the notes of a worker, before it starts its pool processes."""
    _inherited.extend(holdings.open_notes(settings.HOME / "held", worker))


def sit() -> None:
    """Take this pool process's place among the notes."""
    holdings.sit(getattr(current_process(), "index", 0))


def from_dead_processes() -> None:
    """Take back what pool processes held that are gone, and what an earlier worker did."""
    if _take_over(_inherited):
        _inherited.clear()
    for place, holding in holdings.left_behind():
        if _take_over([holding]):
            holdings.forget(place, holding)


def begin_work() -> None:
    """Before a task: take back what is noted for this very process, which is about to hold something else."""
    global _idle_handler  # noqa: PLW0603
    # Some send SIGTERM to every process of a worker. The pool's own handler, which it sets after the start,
    # would end the task in the middle: right only for a process that waits for one.
    before = signal.signal(signal.SIGTERM, _leave_later)
    if before is not _leave_later:
        _idle_handler = before
    for place, holding in holdings.left_behind(here=True):
        if _take_over([holding]):
            holdings.forget(place, holding)


def end_work() -> None:
    """After a task: end the process if it alone was asked to leave meanwhile; the worker starts another."""
    signal.signal(signal.SIGTERM, _idle_handler)
    if leaving.is_asked_here():
        os._exit(0)


def _leave_later(_number: int, _frame: Any) -> None:
    leaving.ask_here()


def _take_over(left: Sequence[Holding]) -> bool:
    if not left:
        return True
    try:
        take_over(left)
    except DatabaseError as error:
        log.warning("not_taken_back", error=str(error))
        close_old_connections()
        return False
    return True
