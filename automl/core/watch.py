"""A web process's watch on its database: one that hangs may not take every thread along.

A server that has stopped, or a network that swallows packets, answers neither yes nor no. Requests
would wait for ever, and with all threads waiting not even the health check would be answered.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import structlog
from django.conf import settings
from django.db import DatabaseError, InterfaceError, connection, connections

log = structlog.get_logger(__name__)
EVERY_SECONDS = 1.0
# The question is the smallest there is: a server that owes its answer for this long hangs.
HANG_SECONDS = 3.0


class DatabaseWatch:
    """Asks the database every few seconds, and cuts the connections of requests when it hangs.

    Only a server can hang: an SQLite file that is locked is given up after a timeout of its own.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._in_request: dict[int, Any] = {}
        self._asked_at: float | None = None
        self._own: Any = None
        self._is_away = False

    @property
    def is_away(self) -> bool:
        """Whether the database owes an answer for too long, or could not be asked."""
        return self._is_away or self._owes() > HANG_SECONDS

    def _owes(self) -> float:
        asked = self._asked_at
        return 0.0 if asked is None else time.monotonic() - asked

    @contextlib.contextmanager
    def over_request(self) -> Iterator[None]:
        """Watch over the connection of this thread while it answers a request."""
        if not settings.DATABASE_WATCH:
            yield
            return
        me = threading.get_ident()
        self._start()
        self._in_request[me] = connections["default"]
        try:
            yield
        finally:
            self._in_request.pop(me, None)

    def _start(self) -> None:
        with self._lock:
            if self._thread is None:
                for work in (self._ask, self._cut):
                    thread = threading.Thread(target=work, name=f"database-watch{work.__name__}", daemon=True)
                    thread.start()
                    self._thread = thread

    def _ask(self) -> None:
        self._own = connections["default"]
        while True:
            self._asked_at = time.monotonic()
            try:
                with connection.cursor() as cursor:
                    cursor.execute("SELECT 1")
                self._is_away = False
            except Exception as error:
                # Of whatever kind: a watch that ended would call the database away for ever.
                self._is_away = True
                known = isinstance(error, DatabaseError | InterfaceError)
                log.warning("database_away", error=str(error).strip(), exc_info=None if known else error)
                with contextlib.suppress(Exception):
                    connection.close()
            finally:
                self._asked_at = None
            time.sleep(EVERY_SECONDS)

    def _cut(self) -> None:
        while True:
            time.sleep(0.5)
            if self._owes() > HANG_SECONDS:
                with contextlib.suppress(Exception):
                    waiting = list(self._in_request.values())
                    log.warning("database_hangs", requests=len(waiting))
                    # Its own too: after a break of the network nobody would ever answer on that one.
                    for wrapper in (*waiting, self._own):
                        _shut(wrapper.connection)


def _shut(held: Any) -> None:
    """End a connection under whoever waits for it: the waiting ends with an error."""
    # Closed meanwhile, or not open yet: then nobody waits on it.
    with contextlib.suppress(Exception), socket.socket(fileno=os.dup(held.fileno())) as twin:
        twin.shutdown(socket.SHUT_RDWR)


watch = DatabaseWatch()
