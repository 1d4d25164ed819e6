"""A fit that misbehaves dies alone, says why, and the seat is back at once."""

from __future__ import annotations

from datetime import datetime

import psutil
import pytest

from tests.chaos.monkey import processes_by_part
from tests.faults.conftest import LONGEST_JOB_SECONDS, MEMORY_MB
from tests.faults.searches import Search, misbehave, number_of, part
from tests.service import Service

pytestmark = pytest.mark.slow
TRIALS = 7


@pytest.fixture(scope="module")
def searched(faulty: Service, dataset: dict, undisturbed: list) -> Search:
    """One search in which five of seven trials misbehave, each in its way."""
    workers = {process.pid for process in part(faulty, "pool child")}
    misbehave(faulty, n1="eat_memory", n2="stay_in_c", n3="print_without_end", n4="crash", n5="leave")
    search = Search(faulty, dataset, max_trials=TRIALS)
    try:
        assert search.ended(within=90)["status"] == "complete"
    finally:
        misbehave(faulty)
    assert {process.pid for process in part(faulty, "pool child")} == workers, (
        "a pool process died with a fit"
    )
    return search


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (
            1,
            [
                "memory",
                f"its limit is {MEMORY_MB * 2**20 / 1e6:.0f} MB",
                "fewer rows",
                "AUTOML_MEMORY_PER_SEAT_MB",
            ],
        ),
        (2, ["timeout", f"after {LONGEST_JOB_SECONDS}."]),
        (3, ["timeout"]),
        (4, ["SIGSEGV"]),
        (5, ["exit code 3"]),
    ],
    ids=["memory", "C code", "prints without end", "segfault", "leaves"],
)
def test_a_fit_that_misbehaves_fails_alone_and_says_why(searched: Search, number: int, words: list[str]):
    trial = searched.trials()[number]

    assert trial["status"] == "failed"
    assert trial["attempts"] == 1
    for word in words:
        assert word in trial["error"]


def test_the_others_are_as_if_nothing_had_been(searched: Search, undisturbed: list):
    fine = [trial for trial in searched.trials() if number_of(trial) in (0, 6)]
    assert [trial["status"] for trial in fine] == ["complete", "complete"]
    assert searched.board()[0] == undisturbed[0]


def test_the_seat_of_a_fit_that_ate_memory_is_back_within_two_seconds(searched: Search):
    trials = searched.trials()
    ended = moment(trials[1]["finished_at"])
    assert min(moment(t["started_at"]) - ended for t in trials if moment(t["started_at"]) > ended - 0.05) < 2


def test_a_budget_that_ends_stops_a_fit_in_c_code(healthy: Service, dataset: dict):
    misbehave(healthy, n1="stay_in_c")

    search = Search(healthy, dataset, max_trials=2, time_budget=5)

    ended = search.ended(within=30)
    assert ended["status"] == "complete", ended["error"]
    assert ended["elapsed"] <= 10
    assert [trial["status"] for trial in search.trials()] == ["complete", "cancelled"]
    healthy.wait_for(
        lambda: not processes_by_part(healthy).get("fit"), within=3, what="the last fit to be gone"
    )


def moment(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def test_a_whole_worker_stays_below_what_it_was_given(healthy: Service, dataset: dict):
    misbehave(healthy, n0="eat_memory", n1="eat_memory")
    search = Search(healthy, dataset, max_trials=2)
    most = 0

    def ended() -> bool:
        nonlocal most
        for process in part(healthy, "seat server"):
            try:
                for fit in process.children():
                    memory = fit.memory_full_info()
                    most = max(most, memory.uss)
            except psutil.Error:
                continue
        return search.get()["status"] == "failed"

    healthy.wait_for(ended, within=60, what="both trials to fail")
    assert MEMORY_MB * 2**19 < most < MEMORY_MB * 2**20 * 1.25
    assert "memory" in search.get()["error"]
