"""Pulses: rows that say when work last moved. A process that lives and does nothing has none."""

from __future__ import annotations

import time

import structlog
from django.db import DatabaseError, transaction
from django.utils import timezone

from automl.core.models import Pulse

log = structlog.get_logger(__name__)
SWEEP = "sweep"
# Sweeps have come again after a silence.
SWEEPS_AGAIN = "sweeps_again"
# Often enough to tell the deaf from the busy, seldom enough to cost nothing.
EVERY_SECONDS = 3.0
# Clocks of machines may differ by less. A pulse further ahead was written before the clock was set back.
MOST_AHEAD = 5.0


class _Mine:
    """The queue that this process works for, and when its pulse is due again."""

    queue: str = ""
    due: float = 0.0


def beat(name: str) -> None:
    """Write down that it happened now."""
    now = timezone.now()
    if not Pulse.objects.filter(name=name).update(beat_at=now):
        Pulse.objects.get_or_create(name=name, defaults={"beat_at": now})


def age(name: str) -> float | None:
    """Seconds since it last happened; None if it never did, or nobody can say."""
    last = Pulse.objects.filter(name=name).values_list("beat_at", flat=True).first()
    seconds = None if last is None else (timezone.now() - last).total_seconds()
    return None if seconds is None or seconds < -MOST_AHEAD else seconds


def take_up(queue: str) -> None:
    """Say that this process has taken a message of that queue."""
    _Mine.queue = queue
    go_on()


def go_on() -> None:
    """Say that the work of this process goes on; cheap enough to be called every second."""
    if not _Mine.queue or time.monotonic() < _Mine.due:
        return
    _Mine.due = time.monotonic() + EVERY_SECONDS
    try:
        with transaction.atomic():
            beat(_Mine.queue)
    except DatabaseError as error:
        log.warning("pulse_missed", queue=_Mine.queue, error=str(error))
