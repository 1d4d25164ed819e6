"""Steering against the real service, in the middle of long fits in C code: which processes there are."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import psutil
import pytest

from tests.service import Service

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
PROMISED = 2.0
# Some seconds for each tree, none of which comes back to Python before it is grown.
LONG = {"n_estimators": 300, "max_features": 1.0, "min_samples_leaf": 1}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    service = Service(tmp_path_factory.mktemp("home"), AUTOML_SEATS="2")
    try:
        service.start()
        service.sign_in()
        yield service
    finally:
        service.close()


def make_table(path: Path, rows: int, columns: int) -> Path:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(rows, columns))
    table = pd.DataFrame(X, columns=[f"x{number}" for number in range(columns)])
    table["y"] = X[:, 0] + np.sin(3 * X[:, 1]) + rng.normal(size=rows)
    table.to_csv(path, index=False)
    return path


@pytest.fixture(scope="module")
def large(service: Service, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return service.upload(make_table(tmp_path_factory.mktemp("tables") / "large.csv", 20_000, 30))


@pytest.fixture(scope="module")
def small(service: Service, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return service.upload(make_table(tmp_path_factory.mktemp("tables") / "small.csv", 300, 4))


class Search:
    """One experiment of the service, and the processes that fit for it."""

    def __init__(self, service: Service, dataset: dict[str, Any], **settings: Any) -> None:
        self.service = service
        self.path = f"experiments/{service.experiment(dataset, 'y', **settings)['id']}/"
        service.wait_for(lambda: self.shown()["phase"] == "searching", within=60, what="the search to begin")

    def shown(self) -> dict[str, Any]:
        return self.service.client.get(self.path).json()

    def trials(self) -> list[dict[str, Any]]:
        return self.service.client.get(f"{self.path}trials/?limit=500").json()["results"]

    def add(self, family: str, **hyperparameters: Any) -> dict[str, Any]:
        body = {"family": family, "hyperparameters": hyperparameters}
        answer = self.service.client.post(f"{self.path}trials/", json=body)
        assert answer.status_code == 201, answer.text
        return answer.json()

    def begin_long_fits(self, count: int) -> list[psutil.Process]:
        for number in range(count):
            self.add("random_forest", **{**LONG, "n_estimators": LONG["n_estimators"] - number})
        return self.fits(count)

    def fits(self, count: int) -> list[psutil.Process]:
        """The processes in the middle of a fit, once there are as many."""
        return self.service.wait_for(
            lambda: found if len(found := fits_of(self.service)) == count else None,
            within=60,
            what=f"{count} fits to have computed for a while",
        )

    def post(self, action: str, **body: Any) -> dict[str, Any]:
        answer = self.service.client.post(f"{self.path}{action}/", json=body)
        assert answer.status_code == 202, answer.text
        return answer.json()

    def change(self, **limits: Any) -> None:
        answer = self.service.client.patch(self.path, json=limits)
        assert answer.status_code == 200, answer.text


def fits_of(service: Service) -> list[psutil.Process]:
    """Children of seat servers that have computed for a second: past all reading, in the fit itself."""
    found = []
    for process in service.named("isolation.server"):
        with contextlib.suppress(psutil.NoSuchProcess):
            parent = process.parent()
            used = process.cpu_times()
            if parent and "isolation.server" in " ".join(parent.cmdline()) and used.user > 1.0:
                found.append(process)
    return found


def gone(processes: list[psutil.Process]) -> bool:
    return not any(each.is_running() and each.status() != psutil.STATUS_ZOMBIE for each in processes)


def takes_effect(act: Callable[[], object], *conditions: Callable[[], object]) -> float:
    """Act, and see that everything is so within what is promised; gives the seconds it took."""
    began = time.monotonic()
    act()
    while not all(condition() for condition in conditions):
        assert time.monotonic() - began < PROMISED, "it has not taken effect in time"
        time.sleep(0.02)
    return time.monotonic() - began


def counted(search: Search, state: str, count: int) -> Callable[[], bool]:
    return lambda: search.shown()["trials"][state] == count


def test_every_action_takes_effect_in_the_middle_of_long_fits(
    service: Service, large: dict[str, Any], small: dict[str, Any]
):
    search = Search(service, large, search="manual", time_budget=900)
    search.add("dummy")
    service.wait_for(counted(search, "complete", 1), within=30, what="the first trial")
    fits = search.begin_long_fits(2)
    took: dict[str, float] = {}

    took["pause"] = takes_effect(
        lambda: search.post("pause"), counted(search, "running", 0), lambda: gone(fits)
    )
    spent = search.shown()["elapsed"]
    other = Search(service, small, search="manual", time_budget=60)
    other.add("dummy")
    service.wait_for(counted(other, "complete", 1), within=10, what="the seats to be free for others")
    other.post("cancel")
    assert search.shown()["elapsed"] == spent
    assert [trial["attempts"] for trial in search.trials()] == [1, 1, 1]

    took["resume"] = takes_effect(lambda: search.post("resume"), counted(search, "running", 2))
    fits = search.fits(2)
    took["seats"] = takes_effect(
        lambda: search.change(seats=1),
        counted(search, "running", 1),
        lambda: sum(map(gone, ([fit] for fit in fits))) == 1,
    )

    running = next(trial for trial in search.trials() if trial["status"] == "running")
    (fit,) = search.fits(1)
    took["skip"] = takes_effect(
        lambda: service.client.post(f"trials/{running['id']}/skip/").raise_for_status(),
        lambda: service.client.get(f"trials/{running['id']}/").json()["status"] == "cancelled",
        lambda: gone([fit]),
        counted(search, "running", 1),
    )

    fits = search.fits(1)
    took["extend"] = takes_effect(
        lambda: search.post("extend", time_budget=60), lambda: search.shown()["time_budget"] == 960
    )
    assert not gone(fits)

    took["stop"] = takes_effect(
        lambda: search.post("stop"),
        lambda: search.shown()["status"] in ("stopping", "complete"),
        lambda: gone(fits),
    )
    done = service.settled(search.path, within=60)
    assert done["status"] == "complete", done["error"]
    assert done["model"]
    print("took:", {name: round(seconds, 2) for name, seconds in took.items()})


def test_cancelling_and_a_lower_budget_end_long_fits(service: Service, large: dict[str, Any]):
    search = Search(service, large, search="manual", time_budget=900)
    fits = search.begin_long_fits(1)
    takes_effect(
        lambda: search.post("cancel"),
        lambda: search.shown()["status"] == "cancelled",
        lambda: gone(fits),
    )

    search = Search(service, large, search="manual", time_budget=900)
    search.add("dummy")
    fits = search.begin_long_fits(1)
    budget = search.shown()["elapsed"] + 4
    search.change(time_budget=budget)
    done = service.settled(search.path, within=30)
    assert done["status"] == "complete", done["error"]
    assert done["elapsed"] <= budget + 5
    service.wait_for(lambda: gone(fits), within=PROMISED, what="the fit to be killed")

    search.post("extend", time_budget=600)
    assert search.shown()["model"] == done["model"]
    search.fits(1)
    search.post("cancel")


def test_a_pause_is_no_time_and_a_budget_is_kept_around_it(service: Service, small: dict[str, Any]):
    search = Search(service, small, time_budget=10)
    service.wait_for(lambda: search.shown()["elapsed"] > 3, within=30, what="some of the budget to be spent")
    before = time.monotonic()
    search.post("pause")
    time.sleep(6)
    search.post("resume")
    paused = time.monotonic() - before

    done = service.settled(search.path, within=40)

    assert done["status"] == "complete", done["error"]
    assert done["elapsed"] <= 10 + 5
    wall = pd.Timestamp(done["finished_at"]) - pd.Timestamp(done["started_at"])
    assert wall.total_seconds() <= 10 + 5 + paused


def figures(search: Search) -> list[tuple[Any, ...]]:
    return [
        (trial["name"], trial["hyperparameters"], trial["status"], trial["score"], trial["fold_scores"])
        for trial in search.trials()
    ]


def test_an_extended_search_keeps_what_it_has_and_a_disturbed_one_finds_the_same(
    service: Service, small: dict[str, Any]
):
    settings = {"time_budget": 600, "seed": 3}
    extended = Search(service, small, max_trials=6, **settings)
    done = service.settled(extended.path, within=90)
    assert done["status"] == "complete", done["error"]
    first = figures(extended)

    extended.post("extend", time_budget=60, max_trials=14)
    again = service.settled(extended.path, within=120)
    assert again["status"] == "complete", again["error"]
    assert figures(extended)[:6] == first
    assert again["trials"]["total"] == 14
    assert service.client.get(f"models/{done['model']}/").json()["status"] == "ready"
    assert service.client.get(f"models/{again['model']}/download/").status_code == 200

    disturbed = Search(service, small, max_trials=14, **settings)
    for seats in (1, 2, None):
        service.wait_for(
            lambda: disturbed.shown()["trials"]["running"] or disturbed.shown()["status"] != "running",
            within=30,
            what="a trial to run",
        )
        if disturbed.shown()["status"] != "running":
            break
        disturbed.post("pause")
        disturbed.post("resume")
        disturbed.change(seats=seats)
    done = service.settled(disturbed.path, within=120)
    assert done["status"] == "complete", done["error"]
    assert figures(disturbed) == figures(extended)


def test_many_people_who_press_at_once_are_all_served(service: Service, small: dict[str, Any]):
    search = Search(service, small, time_budget=300, max_trials=40)
    service.wait_for(lambda: search.shown()["trials"]["running"], within=30, what="a trial to run")

    for action in ("pause", "resume", "pause", "resume"):
        with ThreadPoolExecutor(8) as people:
            statuses = {found["status"] for found in people.map(search.post, [action] * 8)}
        assert statuses == {"paused" if action == "pause" else "running"}
    with ThreadPoolExecutor(8) as people:
        list(people.map(lambda _: search.post("extend", time_budget=10), range(8)))
    assert search.shown()["time_budget"] == 380
    with ThreadPoolExecutor(8) as people:
        list(people.map(lambda _: search.post("stop"), range(8)))

    done = service.settled(search.path, within=60)
    numbers = [trial["number"] for trial in search.trials()]
    assert done["status"] == "complete", done["error"]
    assert numbers == list(range(len(numbers)))


def test_nothing_is_left_computing(service: Service):
    service.wait_for(lambda: not fits_of(service), within=PROMISED, what="every fit to have ended")
