"""Whether the parts of the service are there, told by what they do."""

from __future__ import annotations

import contextlib
import os
from datetime import timedelta

import redis
import structlog
from django.conf import settings
from django.db import DatabaseError, connection
from django.db.models import QuerySet
from django.utils import timezone

from automl.core.models import Worker

log = structlog.get_logger(__name__)
ALIVE_SECONDS = 15


class _Missing(Exception):
    """A part that is not there, in words for everybody."""


def live_workers(queue: str | None = None) -> QuerySet[Worker]:
    """Workers that have written a heartbeat lately."""
    workers = Worker.objects.filter(seen_at__gte=timezone.now() - timedelta(seconds=ALIVE_SECONDS))
    return workers.filter(queue=queue) if queue else workers


def readiness() -> dict[str, str]:
    """Each part's name with "ok" or the reason why it is not."""
    checks = {"database": _database, "broker": _broker, "storage": _storage, "workers": _workers}
    answer = {}
    for name, check in checks.items():
        try:
            check()
            answer[name] = "ok"
        except (DatabaseError, redis.RedisError, OSError, _Missing) as error:
            log.warning("not_ready", part=name, error=str(error))
            # Whoever asks needs no account: what exactly failed is for the log.
            answer[name] = str(error) if isinstance(error, _Missing) else f"The {name} can't be used."
    return answer


def _database() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")


def _broker() -> None:
    url = settings.BROKER_URL.replace("redis+socket://", "unix://")
    with contextlib.closing(redis.Redis.from_url(url, socket_timeout=2, socket_connect_timeout=2)) as client:
        client.ping()


def _storage() -> None:
    probe = settings.FILES_ROOT / f".probe-{os.getpid()}"
    settings.FILES_ROOT.mkdir(parents=True, exist_ok=True)
    probe.write_bytes(b"ok")
    probe.unlink()


def _workers() -> None:
    alive = set(live_workers().values_list("queue", flat=True))
    missing = {"evaluate", "short"} - alive
    if missing:
        raise _Missing(f"no worker has answered for {ALIVE_SECONDS} s on: {', '.join(sorted(missing))}")
