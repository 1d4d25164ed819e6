"""Whether the parts of the service are there, told by what they do: a living process proves nothing."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

import redis
import structlog
from django.conf import settings
from django.db import DatabaseError, InterfaceError, connection, connections
from django.db.models import Min, QuerySet
from django.utils import timezone

from automl.core import pulses, storage, store
from automl.core.models import Worker
from automl.engine.errors import UserError

log = structlog.get_logger(__name__)
# A worker writes its row every two seconds, and a pulse at least every three while it works or is asked to.
ALIVE_SECONDS = 10
DEAF_SECONDS = 9.0
# A scheduler that is gone shows at once on an idle service, and after this long on a busy one.
SWEEP_SECONDS = 60.0
# All checks together: a part that hangs may not make the answer hang.
CHECK_SECONDS = 2.5
QUEUES = ("evaluate", "short")


class _Missing(Exception):
    """A part that is not there, in words for everybody."""


# How a part is known to fail; anything else goes to the log with its traceback.
EXPECTED = (DatabaseError, InterfaceError, redis.RedisError, OSError, UserError, _Missing)


@dataclass(frozen=True)
class Answer:
    """What a part of the service answered: "ok" or the reason why not, and after how long."""

    text: str
    seconds: float


def live_workers(queue: str | None = None) -> QuerySet[Worker]:
    """Workers that have written a heartbeat lately."""
    workers = Worker.objects.filter(seen_at__gte=timezone.now() - timedelta(seconds=ALIVE_SECONDS))
    return workers.filter(queue=queue) if queue else workers


def readiness() -> dict[str, str]:
    """Each part's name with "ok" or the reason why it is not."""
    return {name: answer.text for name, answer in ask().items()}


def ask() -> dict[str, Answer]:
    """Ask every part at the same time; one that does not answer in time is said to be silent."""
    checks = {"database": _database, "broker": _broker, "storage": _storage, "workers": _workers}
    deadline = time.monotonic() + CHECK_SECONDS
    questions = {name: _Question.put(name, check) for name, check in checks.items()}
    return {name: question.answer(deadline) for name, question in questions.items()}


class _Question:
    """One check in a thread of its own, which may hang for as long as the part does."""

    _open: dict[str, _Question] = {}

    def __init__(self, name: str, check: Callable[[], None]) -> None:
        self._name = name
        self._check = check
        self._began = time.monotonic()
        self._answer: Answer | None = None
        self._done = threading.Event()

    @classmethod
    def put(cls, name: str, check: Callable[[], None]) -> _Question:
        """Ask, unless the part still owes an answer: threads must not pile up behind it."""
        owed = cls._open.get(name)
        if owed is not None and not owed._done.is_set():
            return owed
        question = cls(name, check)
        try:
            question._start()
        except RuntimeError as error:
            # No thread could be started; the next who asks tries again.
            question._settle(error)
        cls._open[name] = question
        return question

    def answer(self, deadline: float) -> Answer:
        self._done.wait(max(0.0, deadline - time.monotonic()))
        if self._answer is not None:
            return self._answer
        waited = time.monotonic() - self._began
        log.warning("not_ready", part=self._name, error=f"silent for {waited:.1f} s")
        return Answer(f"The {self._name} did not answer within {CHECK_SECONDS:g} s.", waited)

    def _start(self) -> None:
        threading.Thread(target=self._in_thread, name=f"health-{self._name}", daemon=True).start()

    def _in_thread(self) -> None:
        try:
            self._work()
        finally:
            connections.close_all()

    def _work(self) -> None:
        try:
            self._check()
        except Exception as error:
            self._settle(error)
        else:
            self._settle(None)

    def _settle(self, error: Exception | None) -> None:
        """Answer, whatever it was: a question left open would be what everybody is told from then on."""
        text = "ok"
        if error is not None:
            # Whoever asks needs no account: what exactly failed is for the log.
            told = isinstance(error, _Missing | UserError)
            text = str(error) if told else f"The {self._name} can't be used."
            expected = isinstance(error, EXPECTED)
            log.warning("not_ready", part=self._name, error=str(error), exc_info=None if expected else error)
        self._answer = Answer(text, time.monotonic() - self._began)
        self._done.set()


def _database() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")


def broker_client() -> redis.Redis:
    """A client that does not wait long for a broker that hangs."""
    url = settings.BROKER_URL.replace("redis+socket://", "unix://")
    return redis.Redis.from_url(url, socket_timeout=2, socket_connect_timeout=2)


def _broker() -> None:
    with contextlib.closing(broker_client()) as client:
        client.ping()


def _storage() -> None:
    storage.probe()
    storage.require_space()
    # That the database is away is for its own part to tell.
    with contextlib.suppress(DatabaseError, InterfaceError):
        store.check()


def _workers() -> None:
    """Workers are there, the sweep comes through the broker to them, and they take what comes."""
    alive = dict(live_workers().values_list("queue").annotate(since=Min("started_at")))
    missing = set(QUEUES) - set(alive)
    if missing:
        raise _Missing(f"no worker has answered for {ALIVE_SECONDS} s on: {', '.join(sorted(missing))}")
    swept = pulses.age(pulses.SWEEP)
    # Only sweeps ring for idle seats: while those are late, or only just back, silence says nothing.
    rung = not _is_late(swept, DEAF_SECONDS) and _is_late(pulses.age(pulses.SWEEPS_AGAIN), DEAF_SECONDS)
    for queue in ("short", "evaluate"):
        # One that has only just started has had nothing to take yet.
        if (timezone.now() - alive[queue]).total_seconds() < ALIVE_SECONDS:
            continue
        silence = pulses.age(queue)
        if queue == "evaluate" and rung and _is_late(silence, DEAF_SECONDS):
            raise _Missing(f"the evaluate workers are there, but have moved nothing for {_told(silence)}")
        # A sweep is work of the short workers; with long work they may be late with it.
        idle = _is_late(silence, DEAF_SECONDS) and _is_late(swept, DEAF_SECONDS)
        if queue == "short" and (idle or _is_late(swept, SWEEP_SECONDS)):
            raise _Missing(
                f"no sweep has run for {_told(swept)}: the scheduler is gone, or the short workers are deaf"
            )


def _is_late(silence: float | None, most: float) -> bool:
    return silence is None or silence > most


def _told(silence: float | None) -> str:
    return "as long as is known" if silence is None else f"{silence:.0f} s"
