"""The row that says that a worker is there."""

from __future__ import annotations

import structlog
from django.db import DatabaseError, close_old_connections
from django.utils import timezone

from automl.core.models import Worker
from automl.core.seats import seat_plan

log = structlog.get_logger(__name__)


class WorkerHeartbeat:
    """Writes a worker's row each time it is called."""

    def __init__(self, name: str, *, queue: str, seats: int) -> None:
        self._name = name
        self._queue = queue
        self._seats = seats
        self._started_at = timezone.now()

    def __call__(self) -> None:
        """Say that the worker is alive; a database that is away is tried again at the next beat."""
        plan = seat_plan()
        try:
            Worker.objects.update_or_create(
                name=self._name,
                defaults={
                    "queue": self._queue,
                    "seats": self._seats,
                    "threads_per_seat": plan.threads,
                    "memory_per_seat": plan.memory_bytes,
                    "started_at": self._started_at,
                    "seen_at": timezone.now(),
                },
            )
        except DatabaseError as error:
            log.warning("worker_heartbeat_missed", worker=self._name, error=str(error))
            close_old_connections()
