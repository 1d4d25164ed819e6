"""A process killed in mid-search costs what it was at, and nothing that a user sees in the end."""

from __future__ import annotations

import signal
import time

import pytest

from tests.faults.conftest import LEASE_SECONDS
from tests.faults.searches import Search, kill, misbehave, part
from tests.service import Service

pytestmark = pytest.mark.slow


def whole(search: Search, undisturbed: list) -> None:
    ended = search.ended()
    assert ended["status"] == "complete", ended["error"]
    assert search.board() == undisturbed


@pytest.mark.parametrize("victim", ["fit", "seat server", "pool child", "evaluate worker", "web"])
def test_kill_9_in_the_middle_of_a_search_changes_no_leaderboard(
    faulty: Service, search: Search, undisturbed: list, victim: str
):
    kill(faulty, victim)

    whole(search, undisturbed)
    assert search.losses() <= 2


def test_a_short_worker_killed_at_the_end_of_a_search_leaves_one_whole_model(
    faulty: Service, search: Search, undisturbed: list
):
    faulty.wait_for(lambda: search.get()["status"] == "stopping", within=60, what="the end to begin")
    kill(faulty, "short worker")

    whole(search, undisturbed)
    assert faulty.client.get(f"models/{search.get()['model']}/").json()["status"] == "ready"


def test_what_a_killed_pool_child_was_at_goes_on_before_its_lease_would_have_ended(
    healthy: Service, dataset: dict
):
    misbehave(healthy, n0_1="sleep", n1_1="sleep")
    search = Search(healthy, dataset, max_trials=2)
    search.wait_until_running(2)
    misbehave(healthy)

    for process in part(healthy, "seat server"):
        owner = process.parent()
        if owner is not None and "evaluate" in " ".join(owner.cmdline()):
            owner.kill()

    healthy.wait_for(lambda: search.losses() == 2, within=LEASE_SECONDS - 1, what="both to be taken back")
    assert search.ended()["status"] == "complete"


def test_a_process_stopped_past_its_lease_writes_nothing_when_it_goes_on(
    faulty: Service, search: Search, undisturbed: list
):
    pool = [p for p in part(faulty, "pool child") if "evaluate" in " ".join(p.cmdline())]
    late = [pool[0], *pool[0].children(recursive=True)]
    for process in late:
        process.suspend()
    try:
        whole(search, undisturbed)
    finally:
        for process in late:
            process.resume()
    time.sleep(2)
    assert search.board() == undisturbed
    assert search.losses() <= 1


def test_sigterm_with_every_seat_busy_gives_all_back_at_once(healthy: Service, dataset: dict):
    misbehave(healthy, n0_1="stay_in_c", n1_1="stay_in_c")
    search = Search(healthy, dataset, max_trials=2)
    search.wait_until_running(2)
    worker = part(healthy, "evaluate worker")[0]

    worker.send_signal(signal.SIGTERM)

    healthy.wait_for(lambda: search.get()["trials"]["running"] == 0, within=2, what="trials to be given back")
    worker.wait(timeout=LEASE_SECONDS)
    assert search.ended(within=30)["status"] == "complete"
    assert search.losses() == 0


@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGQUIT])
def test_a_second_signal_to_a_worker_that_leaves_loses_no_trial(
    healthy: Service, search: Search, undisturbed: list, second: signal.Signals
):
    worker = part(healthy, "evaluate worker")[0]
    worker.send_signal(signal.SIGTERM)
    worker.send_signal(second)

    worker.wait(timeout=5)
    whole(search, undisturbed)


def test_a_deploy_during_ten_searches_loses_no_trial(healthy: Service, dataset: dict):
    searches = [Search(healthy, dataset, max_trials=3, families=["linear", "neighbors"]) for _ in range(10)]
    searches[0].wait_until_running()
    old = [part(healthy, name)[0] for name in ("evaluate worker", "short worker", "web")]

    for process in old:
        process.send_signal(signal.SIGTERM)

    for process in old:
        process.wait(timeout=8)
    healthy.wait_for(healthy.is_ready, within=30, what="the new ones to be ready")
    for search in searches:
        assert search.ended()["status"] == "complete"
        assert [trial["status"] for trial in search.trials()].count("complete") == 3
        assert search.losses() == 0
