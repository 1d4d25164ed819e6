"""A database server that hangs takes no request along."""

from __future__ import annotations

import socket
import threading
import time
from types import SimpleNamespace

import pytest

from automl.core import watch as watching
from automl.core.watch import DatabaseWatch, _shut


class Held:
    """What psycopg gives, as far as it matters here."""

    def __init__(self, end: socket.socket) -> None:
        self._end = end

    def fileno(self) -> int:
        return self._end.fileno()


def test_whoever_waits_on_a_connection_that_is_cut_goes_on():
    ours, theirs = socket.socketpair()
    heard = []
    waiting = threading.Thread(target=lambda: heard.append(ours.recv(1)))
    waiting.start()
    _shut(Held(ours))
    waiting.join(2)
    assert heard == [b""]
    theirs.close()
    ours.close()


def test_a_connection_that_is_not_open_is_no_trouble():
    _shut(None)


def test_a_database_that_owes_an_answer_is_away(monkeypatch):
    monkeypatch.setattr(watching, "HANG_SECONDS", 0.1)
    watch = DatabaseWatch()
    assert not watch.is_away
    watch._asked_at = time.monotonic()
    assert not watch.is_away
    watch._asked_at -= 0.2
    assert watch.is_away


def test_an_sqlite_file_needs_no_watch(settings):
    settings.DATABASE_WATCH = False
    watch = DatabaseWatch()
    with watch.over_request():
        assert watch._thread is None


class _End(BaseException):
    """Ends a watch that otherwise goes on for ever."""


def test_a_watch_goes_on_after_an_error_that_nobody_thought_of(monkeypatch):
    class Connection:
        def cursor(self):
            raise ValueError("a driver's whim")

        def close(self):
            raise RuntimeError("another")

    rounds = []

    def pause(seconds):
        rounds.append(watch._asked_at)
        if len(rounds) == 2:
            raise _End

    monkeypatch.setattr(watching, "connection", Connection())
    monkeypatch.setattr(watching, "time", SimpleNamespace(sleep=pause, monotonic=time.monotonic))
    watch = DatabaseWatch()
    with pytest.raises(_End):
        watch._ask()
    assert rounds == [None, None]
    assert watch.is_away


def test_a_cut_that_fails_is_tried_again(monkeypatch):
    cuts = []

    def pause(seconds):
        if len(cuts) == 2:
            raise _End

    def fail(held):
        cuts.append(held)
        raise ValueError("a driver's whim")

    class Wrapper:
        connection = None

    monkeypatch.setattr(watching, "time", SimpleNamespace(sleep=pause, monotonic=time.monotonic))
    monkeypatch.setattr(watching, "_shut", fail)
    watch = DatabaseWatch()
    watch._own, watch._asked_at = Wrapper(), time.monotonic() - 60
    with pytest.raises(_End):
        watch._cut()
    assert len(cuts) == 2
