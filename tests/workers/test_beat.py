from datetime import timedelta

import pytest
from celery.schedules import schedule

from workers.app import app
from workers.beat import Scheduler
from workers.schedule import CLEAN_UP_SECONDS, SCHEDULE, SWEEP_SECONDS


@pytest.fixture
def clock(monkeypatch):
    """Sets beat's clock ahead or back by so many seconds in all."""
    real, off = app.now, [0.0]
    monkeypatch.setattr(schedule, "now", lambda self: real() + timedelta(seconds=off[0]))

    def set_clock(seconds):
        off[0] += seconds

    return set_clock


@pytest.fixture
def sent(monkeypatch):
    """The names of what was sent."""
    names = []
    monkeypatch.setattr(Scheduler, "apply_entry", lambda self, entry, producer=None: names.append(entry.name))
    monkeypatch.setattr(Scheduler, "producer", None)
    return names


def ticked(scheduler):
    """What is due is sent; gives for how long beat sleeps then."""
    while not (seconds := scheduler.tick()):
        pass
    return seconds


def test_what_is_due_is_sent(clock, sent):
    scheduler = Scheduler(app)
    assert 0 < ticked(scheduler) <= SWEEP_SECONDS
    assert sent == []
    clock(SWEEP_SECONDS)
    assert 0 < ticked(scheduler) <= SWEEP_SECONDS
    assert sent == ["sweep"]
    clock(CLEAN_UP_SECONDS)
    ticked(scheduler)
    assert sorted(sent) == ["clean_up", "sweep", "sweep"]


def test_a_clock_that_is_set_back_delays_nothing_by_more_than_its_interval(clock, sent):
    scheduler = Scheduler(app)
    clock(CLEAN_UP_SECONDS)
    ticked(scheduler)
    sent.clear()

    clock(-3600.0)
    assert 0 < ticked(scheduler) <= SWEEP_SECONDS
    assert sent == []
    clock(SWEEP_SECONDS)
    ticked(scheduler)
    assert sent == ["sweep"]
    clock(CLEAN_UP_SECONDS)
    ticked(scheduler)
    assert sorted(sent) == sorted([*SCHEDULE, "sweep"])
