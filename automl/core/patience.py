"""Writes that must not be lost because the database is away for a moment."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

import structlog
from django.conf import settings
from django.db import DatabaseError, InterfaceError, close_old_connections, connection

log = structlog.get_logger(__name__)
T = TypeVar("T")
FIRST_DELAY, LONGEST_DELAY = 0.5, 3.0
# What it was asked to do is not at fault: it is away, locked by somebody, or its disk is full.
AWAY = ("OperationalError", "InterfaceError", "InternalError")


def is_away(error: BaseException) -> bool:
    """Whether the database, not the statement, is to blame."""
    return isinstance(error, DatabaseError | InterfaceError) and type(error).__name__ in AWAY


def patiently(write: Callable[[], T]) -> T:
    """Call until the database takes it, for as long as an outage may last.

    What is written must be safe to repeat: an answer may be lost on its way after the work was done.
    """
    deadline = time.monotonic() + settings.OUTAGE_SECONDS
    delay = FIRST_DELAY
    while True:
        try:
            return write()
        except (DatabaseError, InterfaceError) as error:
            # Within a transaction the rest of it is lost too: that is for whoever began it.
            if not is_away(error) or connection.in_atomic_block or time.monotonic() > deadline:
                raise
            log.warning("database_away", error=str(error).strip(), again_in=delay)
            close_old_connections()
            time.sleep(delay)
            delay = min(2 * delay, LONGEST_DELAY)
