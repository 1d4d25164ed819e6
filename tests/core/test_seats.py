"""How a machine's memory is shared out, and what is refused."""

from __future__ import annotations

import pytest

from automl.core import seats
from automl.engine.errors import UserError
from automl.engine.isolation import Outcome

GB = 2**30


@pytest.fixture
def machine(monkeypatch, settings):
    """A machine of so many processors and bytes, with seats as the settings say."""

    def make(processors: int, there: int, *, count: int = 0, memory: int = 0):
        monkeypatch.setattr("automl.engine.isolation.limits.cpu_quota", lambda: processors)
        monkeypatch.setattr("automl.engine.isolation.limits.memory_limit", lambda: there)
        monkeypatch.setattr("automl.core.seats.memory_limit", lambda: there)
        settings.SEATS, settings.MEMORY_PER_SEAT = count, memory
        seats.seat_plan.cache_clear()

    yield make
    seats.seat_plan.cache_clear()


@pytest.mark.parametrize(("processors", "gigabytes"), [(1, 2), (2, 4), (2, 24), (16, 16), (64, 256)])
def test_seats_and_short_work_together_fit_the_machine_with_room_to_spare(machine, processors, gigabytes):
    machine(processors, gigabytes * GB)
    plan = seats.seat_plan()
    assert plan.seats * plan.memory_bytes + 2 * plan.memory_bytes // 2 <= 0.8 * gigabytes * GB
    seats.refuse_too_much()


def test_seats_that_could_use_more_than_there_is_are_refused_with_what_to_set(machine):
    machine(8, 16 * GB, count=8, memory=4 * GB)
    with pytest.raises(
        UserError, match=r"8 seats of 4\.0 GiB.*16\.0 GiB there are\. Set AUTOML_SEATS or AUTOML_MEM"
    ):
        seats.refuse_too_much()


def test_a_single_seat_is_never_refused(machine):
    machine(1, GB // 2)
    seats.refuse_too_much()


def test_the_start_says_how_many_seats_there_are_and_of_how_much(machine):
    machine(4, 24 * GB, memory=2 * GB)
    assert seats.described() == "4 seat(s), each 1 thread(s) and up to 2.0 GiB, of 24.0 GiB"


def test_short_work_has_half_a_seats_memory_and_a_fit_the_whole(machine, monkeypatch):
    machine(2, 24 * GB, memory=4 * GB)
    given = {}

    class Seat:
        def run(self, job, args, *, limits, on_report, on_tick):
            given[job] = limits.memory_bytes
            return Outcome("ok", {})

    monkeypatch.setattr("automl.core.seats._get", Seat)
    seats.run("evaluate", {})
    seats.run("prepare", {})
    assert given == {"automl.engine.jobs:evaluate": 4 * GB, "automl.engine.jobs:prepare": 2 * GB}
