"""How a machine's memory is shared out, and what is refused."""

from __future__ import annotations

import pytest

from automl.core import seats
from automl.engine.errors import UserError
from automl.engine.isolation import Outcome
from automl.engine.isolation.limits import SERVER_BYTES

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
    if gigabytes >= 4:
        together = plan.seats * plan.memory_bytes + 2 * seats.memory_of("prepare")
        assert together + (plan.seats + 2) * SERVER_BYTES + seats.SERVICE_BYTES <= gigabytes * GB
    assert plan.seats * plan.memory_bytes + 2 * plan.memory_bytes // 2 <= 0.8 * gigabytes * GB
    seats.refuse_too_much()


def test_seats_that_could_use_more_than_there_is_are_refused_with_what_to_set(machine):
    machine(8, 16 * GB, count=8, memory=4 * GB)
    with pytest.raises(
        UserError, match=r"8 seats of 4\.0 GiB.*16\.0 GiB there are\. Set AUTOML_SEATS or AUTOML_MEM"
    ):
        seats.refuse_too_much()


@pytest.mark.parametrize(("count", "megabytes"), [(2, 3600), (1, 100_000), (1, 7200)])
def test_short_work_and_warm_servers_count_and_so_does_a_single_seat(machine, count, megabytes):
    machine(2, 8 * GB, count=count, memory=megabytes << 20)
    with pytest.raises(UserError, match=r"8\.0 GiB there are"):
        seats.refuse_too_much()


def test_memory_set_by_hand_leaves_as_few_seats_as_fit(machine):
    machine(2, 4 * GB, memory=792 << 20)
    assert seats.seat_plan().seats == 1
    seats.refuse_too_much()


def test_a_single_seat_is_never_refused(machine):
    machine(1, GB // 2)
    seats.refuse_too_much()


def test_the_start_says_how_many_seats_there_are_and_of_how_much(machine):
    machine(4, 24 * GB, memory=2 * GB)
    assert seats.described() == (
        "4 seat(s), each 1 thread(s) and up to 2.0 GiB; 2 short processes of up to 1.0 GiB; "
        "with the service at most 12.3 GiB of 24.0 GiB"
    )
    machine(1, GB // 2)
    assert seats.described().endswith("more than there is, so a large table may run out of memory")


def test_short_work_that_runs_out_of_memory_says_which_setting_gives_it_more(machine, monkeypatch):
    machine(2, 24 * GB)

    class Seat:
        def run(self, job, args, *, limits, on_report, on_tick):
            return Outcome("memory", error="memory: preparing the table used 2 GB.")

    monkeypatch.setattr("automl.core.seats._get", Seat)
    assert "AUTOML_MEMORY_PER_SEAT_MB" in (seats.run("prepare", {}).error or "")
    # Of a fit its trial says so.
    assert "AUTOML" not in (seats.run("evaluate", {}).error or "")


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
