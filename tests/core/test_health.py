"""What containers ask: whether the parts of the service are there."""

import threading
import time
from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command
from django.db import InterfaceError
from django.utils import timezone

from automl.core import health
from automl.core.models import Pulse, Worker

pytestmark = pytest.mark.django_db


@pytest.fixture
def parts(monkeypatch):
    """A broker that answers, and nobody at work yet."""
    monkeypatch.setattr(health, "_broker", lambda: None)
    monkeypatch.setattr("automl.core.management.commands.worker.platform.node", lambda: "here")


def heard_from(name, queue, *, seconds, since=0):
    now = timezone.now()
    Worker.objects.create(
        name=name,
        queue=queue,
        seats=2,
        threads_per_seat=1,
        memory_per_seat=1,
        started_at=now - timedelta(seconds=since),
        seen_at=now - timedelta(seconds=seconds),
    )


@pytest.mark.usefixtures("parts")
def test_ready_means_a_worker_on_each_queue():
    heard_from("evaluate@here", "evaluate", seconds=1)
    assert health.readiness()["workers"] == "no worker has answered for 10 s on: short"

    heard_from("short@there", "short", seconds=1)
    assert set(health.readiness().values()) == {"ok"}


def test_what_is_told_to_everybody_has_no_address_in_it(settings):
    settings.BROKER_URL = "redis://user:secret@127.0.0.1:1/0"

    assert health.readiness()["broker"] == "The broker can't be used."


@pytest.mark.usefixtures("parts")
def test_waiting_is_for_database_and_broker_unless_parts_are_named():
    call_command("wait_ready", "--timeout", "0")

    with pytest.raises(CommandError, match="workers: no worker has answered"):
        call_command("wait_ready", "workers", "--timeout", "0")


@pytest.mark.usefixtures("parts")
def test_a_worker_is_checked_by_its_own_heartbeat():
    heard_from("evaluate@there", "evaluate", seconds=1)
    heard_from("evaluate@here", "evaluate", seconds=60)
    with pytest.raises(CommandError, match="evaluate@here has not been heard from"):
        call_command("worker", "evaluate", "--check")

    Worker.objects.filter(name="evaluate@here").update(seen_at=timezone.now())
    call_command("worker", "evaluate", "--check")


def moved(**seconds_ago):
    for name, seconds in seconds_ago.items():
        at = timezone.now() - timedelta(seconds=seconds)
        Pulse.objects.update_or_create(name=name, defaults={"beat_at": at})


@pytest.fixture
def at_work(parts):
    """Workers that have been there for a minute."""
    heard_from("evaluate@here", "evaluate", seconds=1, since=60)
    heard_from("short@here", "short", seconds=1, since=60)


@pytest.mark.usefixtures("at_work")
def test_workers_that_move_are_ready():
    moved(sweep=2, short=2, evaluate=3)
    assert health.readiness()["workers"] == "ok"


@pytest.mark.usefixtures("at_work")
@pytest.mark.parametrize(
    ("ages", "words"),
    [
        ({}, "no sweep has run for as long as is known"),
        ({"sweep": 12, "short": 12, "evaluate": 12}, "no sweep has run for 12 s: the scheduler is gone"),
        ({"sweep": 70, "short": 1, "evaluate": 1}, "no sweep has run for 70 s"),
        (
            {"sweep": 1, "short": 1, "evaluate": 11},
            "evaluate workers are there, but have moved nothing for 11 s",
        ),
        ({"sweep": 1, "short": 1}, "have moved nothing for as long as is known"),
    ],
)
def test_a_worker_that_lives_and_moves_nothing_is_deaf(ages, words):
    moved(**ages)
    assert words in health.readiness()["workers"]


@pytest.mark.usefixtures("at_work")
def test_short_workers_with_long_work_are_not_deaf():
    moved(sweep=30, short=2, evaluate=2)
    assert health.readiness()["workers"] == "ok"


@pytest.mark.usefixtures("parts")
def test_workers_that_have_only_just_started_are_ready():
    heard_from("evaluate@here", "evaluate", seconds=1, since=3)
    heard_from("short@here", "short", seconds=1, since=3)
    assert health.readiness()["workers"] == "ok"


def test_a_part_that_hangs_does_not_make_the_answer_hang(monkeypatch):
    """And is asked once, however often somebody asks for it."""
    let_go = threading.Event()
    asked = []
    monkeypatch.setattr(health, "CHECK_SECONDS", 0.2)
    monkeypatch.setattr(health, "_broker", lambda: (asked.append(1), let_go.wait(10)))
    monkeypatch.setattr(
        health._Question,
        "_start",
        lambda self: threading.Thread(target=self._work).start() if self._name == "broker" else self._work(),
    )
    began = time.monotonic()
    try:
        for _ in range(3):
            assert health.readiness()["broker"] == "The broker did not answer within 0.2 s."
        assert time.monotonic() - began < 2
        assert len(asked) == 1
    finally:
        let_go.set()


def test_too_little_room_is_not_ready(settings):
    settings.LEAST_FREE_BYTES = 1 << 62
    assert "MB are needed" in health.readiness()["storage"]


@pytest.mark.usefixtures("at_work")
def test_idle_seats_for_which_no_sweep_could_ring_are_not_deaf():
    moved(sweep=30, short=2, evaluate=30)
    assert health.readiness()["workers"] == "ok"
    moved(sweep=1, short=1, evaluate=31, sweeps_again=1)
    assert health.readiness()["workers"] == "ok"

    moved(sweep=1, short=1, evaluate=41, sweeps_again=11)
    assert "have moved nothing for 41 s" in health.readiness()["workers"]


@pytest.mark.parametrize("error", [InterfaceError("closed"), ValueError("what nobody thought of")])
def test_a_check_that_fails_in_any_way_is_an_answer_and_is_asked_again(monkeypatch, error):
    def broken():
        raise error

    monkeypatch.setattr(health, "_broker", broken)
    assert health.readiness()["broker"] == "The broker can't be used."
    monkeypatch.setattr(health, "_broker", lambda: None)
    assert health.readiness()["broker"] == "ok"


def test_a_check_without_a_thread_is_an_answer_and_is_asked_again(monkeypatch):
    def no_thread(question):
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(health._Question, "_start", no_thread)
        assert health.readiness()["storage"] == "The storage can't be used."
    assert health.readiness()["storage"] == "ok"
