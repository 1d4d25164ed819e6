"""The clock of a search: it runs while the service works on the search, and stands still otherwise.

It is two columns: the seconds `spent` up to `clock_at`, and since then it runs; without `clock_at` it stands
still. Sweeps move both on every few seconds, and so does each seat that works for the search: sweeps may be
late. So of the time in which the whole service was gone at most `MOST_SILENCE` is counted, and a paused or
finished search spends nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db.models import Q, QuerySet
from django.utils import timezone

from automl.experiments.models import Experiment

# Longer than this nobody has looked after the search: the time is not the user's loss.
MOST_SILENCE = 20.0
# Clocks of machines may differ by less. What is further ahead was written before the clock was set back.
MOST_AHEAD = 10.0
# Seats need not do it while sweeps do.
SEAT_SECONDS = 5.0


def elapsed(experiment: Experiment, now: datetime | None = None) -> float:
    """Seconds of the budget that have gone by."""
    if experiment.clock_at is None:
        return experiment.spent
    running = ((now or timezone.now()) - experiment.clock_at).total_seconds()
    return experiment.spent + min(max(running, 0.0), MOST_SILENCE)


def reading(experiment_id: UUID) -> float:
    """Seconds that have gone by as the row says now: one read a while ago may lag behind the sweeps."""
    row = Experiment.objects.filter(id=experiment_id).only("spent", "clock_at").first()
    return elapsed(row) if row else 0.0


def stopped(experiment: Experiment) -> dict[str, Any]:
    """The columns of a clock that stands still from now on."""
    return {"spent": reading(experiment.id), "clock_at": None}


def going_on(experiment: Experiment) -> dict[str, Any]:
    """The columns of a clock that runs from now on; one that never ran is started by the first trial."""
    return {"clock_at": timezone.now() if experiment.started_at else None}


def move_on(experiments: QuerySet[Experiment], *, after: float = 1.0) -> None:
    """Write down what the running clocks show, where that was not done for so many seconds."""
    now = timezone.now()
    moved = Q(clock_at__lt=now - timedelta(seconds=after)) | Q(
        clock_at__gt=now + timedelta(seconds=MOST_AHEAD)
    )
    for experiment in experiments.filter(moved).only("spent", "clock_at"):
        # Somebody who stopped, or moved, this clock meanwhile was first.
        Experiment.objects.filter(id=experiment.id, clock_at=experiment.clock_at).update(
            spent=elapsed(experiment, now), clock_at=now
        )


def look_after(experiment_id: UUID) -> None:
    """Move the clock of one search on, where sweeps don't: its trials go on without them."""
    move_on(Experiment.objects.filter(id=experiment_id), after=SEAT_SECONDS)


def attended(held: QuerySet[Any], experiment_id: UUID) -> Callable[[], QuerySet[Any]]:
    """What a heartbeat asks for the row that it holds, which keeps the clock of its search moving too."""
    due = 0.0

    def ask() -> QuerySet[Any]:
        nonlocal due
        if time.monotonic() >= due:
            due = time.monotonic() + SEAT_SECONDS
            look_after(experiment_id)
        return held

    return ask
