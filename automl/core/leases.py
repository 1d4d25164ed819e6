"""Leases on rows: who holds one may write; who lost it is told, and stops."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import structlog
from django.conf import settings
from django.db import DatabaseError, InterfaceError, close_old_connections
from django.db.models import F, Q, QuerySet
from django.utils import timezone

from automl.core import pulses

log = structlog.get_logger(__name__)
# A heartbeat comes every second; a connection to a database that hung is given up after three.
FORBEARANCE_SECONDS = 6.0


def lease_end() -> datetime:
    """When a lease taken or renewed now runs out."""
    return timezone.now() + timedelta(seconds=settings.LEASE_SECONDS)


def free_or_expired() -> Q:
    """Rows that nobody holds."""
    return Q(lease_expires_at=None) | Q(lease_expires_at__lt=timezone.now())


def claim(rows: QuerySet[Any], **fields: Any) -> bool:
    """Take the lease of the one row, if nobody holds it, and raise its attempt."""
    return (
        rows.filter(free_or_expired()).update(
            attempt=F("attempt") + 1, lease_expires_at=lease_end(), **fields
        )
        == 1
    )


def forbear(*tables: QuerySet[Any]) -> None:
    """After a silence nobody could renew a lease: give those who still work the time to do it now."""
    now = timezone.now()
    until = now + timedelta(seconds=FORBEARANCE_SECONDS)
    for rows in tables:
        rows.filter(lease_expires_at__lt=now).update(lease_expires_at=until)


class Heartbeat:
    """Renews the lease of one row about once a second while its work goes on.

    Parameters
    ----------
    held : callable
        Gives the row as long as this attempt holds it and may go on.
    deadline : float or None
        `time.monotonic()` after which the work must stop.

    Attributes
    ----------
    lost : bool
        The lease went to somebody else, or the work was cancelled.
    out_of_time : bool
        The deadline passed.
    """

    def __init__(self, held: Callable[[], QuerySet[Any]], *, deadline: float | None = None) -> None:
        self._held = held
        self._deadline = deadline
        self._beat_at = self._kept_at = time.monotonic()
        self.lost = False
        self.out_of_time = False

    def __call__(self, _elapsed: float = 0.0) -> bool:
        """Beat if it is time to; False when the work must stop."""
        now = time.monotonic()
        if self._deadline is not None and now >= self._deadline:
            self.out_of_time = True
            return False
        if now - self._beat_at < settings.HEARTBEAT_SECONDS:
            return True
        self._beat_at = now
        try:
            self.lost = self._held().update(lease_expires_at=lease_end()) == 0
            self._kept_at = now
            pulses.go_on()
        except (DatabaseError, InterfaceError) as error:
            # While the database is away nobody else can take the row; when it is back the row tells whose it
            # is. Only whoever is cut off from it alone would fit in vain, so that has an end too.
            log.warning("heartbeat_missed", error=str(error).strip())
            close_old_connections()
            self.lost = now - self._kept_at > settings.OUTAGE_SECONDS
        return not self.lost
