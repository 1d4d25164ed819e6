"""A seeded monkey that kills processes of a running service, one at a time."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import psutil
import redis

from automl.core.broker import socket_path
from tests.postgres import Postgres
from tests.service import Service

LONG_PAUSE, SHORT_PAUSE = 30.0, 3.0
# How often each kind is drawn. A worker's death costs seconds, a fit's nothing to speak of.
WEIGHTS = {
    "fit": 30,
    "seat server": 8,
    "pool child": 14,
    "pool child, SIGTERM": 3,
    "evaluate worker": 6,
    "evaluate worker, SIGTERM": 7,
    "short worker": 4,
    "short worker, SIGTERM": 4,
    "web": 7,
    "scheduler": 5,
    "broker": 4,
    "broker emptied": 5,
    "broker paused": 2,
    "database": 5,
}


class Monkey:
    """Does one bad thing at a time; what it does next depends on the seed and on what is alive."""

    def __init__(
        self, service: Service, *, seed: int, database: Postgres | None, spare: Callable[[], set[str]]
    ) -> None:
        self._service = service
        self._chance = random.Random(seed)
        self._database = database
        # What must not be killed now: a third loss is meant to fail a trial.
        self._spare = spare
        # The long pause comes once, somewhere in the middle; others are short.
        self._long_pause_at = self._chance.randrange(10, 60)
        self._paused_long = False
        self.done: Counter[str] = Counter()
        self.spared = 0

    def act(self) -> str:
        """Do one bad thing and say which; nothing when the one drawn had to be spared, or is not there."""
        kinds = [kind for kind in WEIGHTS if kind != "database" or self._database is not None]
        kind = self._chance.choices(kinds, [WEIGHTS[kind] for kind in kinds])[0]
        if sum(self.done.values()) >= self._long_pause_at and not self._paused_long:
            kind = "broker paused"
        if kind in self._spare():
            self.spared += 1
            return ""
        done = self._do(kind)
        if done:
            self.done[done] += 1
        return done

    def _do(self, kind: str) -> str:
        if kind == "database":
            assert self._database is not None
            self._database.kill()
            time.sleep(self._chance.uniform(0.0, 2.0))
            self._database.start()
            return kind
        if kind == "broker emptied":
            with contextlib.suppress(redis.RedisError), self._redis() as client:
                client.flushall()
                return kind
            return ""
        if kind == "broker paused":
            return self._pause()
        name, _, how = kind.partition(", ")
        sign = signal.SIGTERM if how == "SIGTERM" else signal.SIGKILL
        found = self._find(name)
        if not found:
            return ""
        victim = self._chance.choice(sorted(found, key=lambda process: process.pid))
        # Finding it took a moment, in which a loss may have been counted.
        if kind in self._spare():
            self.spared += 1
            return ""
        with contextlib.suppress(psutil.NoSuchProcess):
            victim.send_signal(sign)
            return kind
        return ""

    def _pause(self) -> str:
        brokers = self._find("broker")
        if not brokers:
            return ""
        due = not self._paused_long and sum(self.done.values()) >= self._long_pause_at
        self._paused_long = self._paused_long or due
        seconds = LONG_PAUSE if due else SHORT_PAUSE
        for process in brokers:
            process.suspend()
        time.sleep(seconds)
        for process in brokers:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.resume()
        return f"broker paused {seconds:.0f} s"

    def _redis(self) -> redis.Redis:
        path = socket_path(Path(self._service.home))
        return redis.Redis(unix_socket_path=str(path), socket_timeout=5)

    def _find(self, name: str) -> list[psutil.Process]:
        return processes_by_part(self._service).get(name, [])


def processes_by_part(service: Service) -> dict[str, list[psutil.Process]]:
    """The living processes of a service, by what they are."""
    lines: dict[int, str] = {}
    parents: dict[int, int] = {}
    alive = {process.pid: process for process in service.processes()}
    for pid, process in alive.items():
        with contextlib.suppress(psutil.Error):
            lines[pid], parents[pid] = " ".join(process.cmdline()), process.ppid()
    found: dict[str, list[psutil.Process]] = {}
    for pid, line in lines.items():
        found.setdefault(_part(line, lines.get(parents[pid], "")), []).append(alive[pid])
    return found


def _part(line: str, parent: str) -> str:
    if "isolation.server" in line:
        return "fit" if "isolation.server" in parent else "seat server"
    for queue in ("evaluate", "short"):
        if f"-Q {queue}" in line:
            return "pool child" if f"-Q {queue}" in parent else f"{queue} worker"
    for words, part in ((" beat ", "scheduler"), ("gunicorn", "web"), ("valkey-server", "broker")):
        if words in line:
            return part
    return "supervisor" if " serve" in line else "other"


def orphans(service: Service) -> list[str]:
    """Processes of the service whose parent is gone."""
    found = []
    for process in service.processes():
        with contextlib.suppress(psutil.Error):
            if process.ppid() == 1 and "processes.py" not in " ".join(process.cmdline()):
                found.append(f"{process.pid} {' '.join(process.cmdline())[:80]}")
    return found if os.getpid() != 1 else []
