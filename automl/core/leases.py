"""Leases on rows: who holds one may write; who lost it is told, and stops."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

import structlog
from django.conf import settings
from django.db import DatabaseError, InterfaceError, close_old_connections
from django.db.models import Case, F, Q, QuerySet, When
from django.utils import timezone

from automl.core import holdings, leaving, pulses, store
from automl.engine.isolation import Outcome

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
    """Take the lease of the one row, if nobody holds it and it was not lost too often; raise its attempt.

    A lease that has run out was lost with whoever held it, which is counted here. Nobody can work on files
    that are not there, or another database's.
    """
    if not store.is_ours():
        return False
    ran_out = Case(When(lease_expires_at=None, then=0), default=1)
    return (
        rows.filter(free_or_expired())
        .exclude(worn_out())
        .update(
            attempt=F("attempt") + 1, losses=F("losses") + ran_out, lease_expires_at=lease_end(), **fields
        )
        == 1
    )


def worn_out() -> Q:
    """Rows, of those that nobody holds, whose work was lost as often as it may be."""
    most = settings.MAX_ATTEMPTS
    return Q(losses__gte=most) | Q(losses__gte=most - 1, lease_expires_at__isnull=False)


class CutOff(Exception):
    """The work of a lease ended undone.

    Parameters
    ----------
    counted : bool
        It was an attempt; not so when the worker gave it back of its own accord.
    at_once : bool
        Somebody else may begin now; else the next sweep will see.
    """

    def __init__(self, *, counted: bool, at_once: bool = True) -> None:
        super().__init__("cut off")
        self.counted = counted
        self.at_once = at_once


@contextlib.contextmanager
def kept(row: Any, held: QuerySet[Any], *, send_again: Callable[[], object]) -> Iterator[None]:
    """Hold the lease of a row while its work goes on; on `CutOff` let go of it, for somebody else at once."""
    with holdings.noted(holdings.Holding(row._meta.label_lower, row.pk, row.attempt)):
        try:
            yield
        except CutOff as cut:
            at_once = let_go(held, counted=cut.counted) and cut.at_once
        else:
            at_once = False
    # The note is struck out by now: a silent broker may take longer than a worker is given to end.
    if at_once:
        send_again()


def let_go(held: QuerySet[Any], *, counted: bool) -> bool:
    """Give the lease of the row back, with or without a loss; False if it went to somebody else."""
    return held.update(lease_expires_at=None, losses=F("losses") + int(counted)) == 1


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
    more : callable, optional
        Asked at the deadline: the seconds that have been added to it meanwhile.

    Attributes
    ----------
    lost : bool
        The lease went to somebody else, or the work was cancelled.
    out_of_time : bool
        The deadline passed.
    leaving : bool
        The worker was told to end: what it holds is to be given back.
    """

    def __init__(
        self,
        held: Callable[[], QuerySet[Any]],
        *,
        deadline: float | None = None,
        more: Callable[[], float] = lambda: 0.0,
    ) -> None:
        self._held = held
        self._deadline = deadline
        self._more = more
        self._grace = 0.0
        self._beat_at = self._kept_at = time.monotonic()
        self.lost = False
        self.out_of_time = False
        self.leaving = False

    def allow(self, grace: float) -> None:
        """Let the work go on past its deadline for so many seconds."""
        self._grace = grace

    def check(self, outcome: Outcome) -> None:
        """Raise `CutOff` if a job was ended from outside, and so says nothing about its work."""
        if outcome.lost:
            raise CutOff(counted=True)
        if self.leaving and outcome.status == "cancelled":
            raise CutOff(counted=False)

    def __call__(self, _elapsed: float = 0.0) -> bool:
        """Beat if it is time to; False when the work must stop."""
        now = time.monotonic()
        if leaving.is_asked():
            self.leaving = True
            return False
        if self._deadline is not None and now >= self._deadline + self._grace:
            added = self._added()
            if added <= 0.0:
                self.out_of_time = True
                return False
            self._deadline = now + added
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

    def _added(self) -> float:
        try:
            return self._more()
        except (DatabaseError, InterfaceError) as error:
            log.warning("deadline_not_read", error=str(error))
            close_old_connections()
            return 0.0
