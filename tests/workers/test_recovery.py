"""A pool process that is asked to end by a signal of its own gives back what it is at, and then ends."""

from __future__ import annotations

import signal

import pytest

from automl.core import holdings, leaving
from workers import recovery


@pytest.fixture(autouse=True)
def _as_before(monkeypatch):
    # No notes of another test's processes.
    monkeypatch.setattr(holdings, "_memory", None)
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)
    leaving.take_back()


def test_in_the_middle_of_a_task_the_signal_asks_to_leave_and_ends_nothing(monkeypatch):
    ended = []
    monkeypatch.setattr("os._exit", ended.append)

    recovery.begin_work()
    signal.raise_signal(signal.SIGTERM)

    assert leaving.is_asked()
    assert ended == []
    recovery.end_work()
    assert ended == [0]


def test_between_tasks_the_pool_handles_the_signal_as_it_does():
    seen = []
    signal.signal(signal.SIGTERM, lambda *_: seen.append("the pool's"))

    recovery.begin_work()
    recovery.end_work()
    signal.raise_signal(signal.SIGTERM)

    assert seen == ["the pool's"]
    assert not leaving.is_asked()
