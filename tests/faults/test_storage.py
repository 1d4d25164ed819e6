"""A disk that is full, or can't be written, under a service that works: real disk, broker and processes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.faults.disks import SmallDisk
from tests.faults.tables import (
    SETTINGS,
    TRIALS,
    board_of,
    trials_of,
    undisturbed,
    wait_for_trials,
    write_people,
)
from tests.service import Service

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
# Longer than a heartbeat and the first patience of a seat, shorter than a test should last.
SECONDS = 7


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmallDisk]:
    """Everything of the service lies on it, but for its static files."""
    disk = SmallDisk(tmp_path_factory.mktemp("small") / "home", megabytes=96)
    yield disk
    disk.close()


@pytest.fixture(scope="module")
def service(disk: SmallDisk, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    service = Service(
        disk.folder,
        STATIC_ROOT=str(tmp_path_factory.mktemp("static")),
        AUTOML_LEAST_FREE_MB="2",
    )
    service.prefix = disk.prefix
    service.home = disk.path
    try:
        service.start()
        service.sign_in()
        yield service
    finally:
        service.close()


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_people(tmp_path_factory.mktemp("tables"))


@pytest.fixture(scope="module")
def dataset(service: Service, table: Path) -> dict[str, Any]:
    return service.upload(table)


@pytest.fixture(scope="module")
def reference(service: Service, dataset: dict[str, Any]) -> list[tuple[Any, ...]]:
    return undisturbed(service, dataset)


def checks(service: Service) -> dict[str, str]:
    found: dict[str, str] = service.client.get("health/ready/").json()["checks"]
    return found


def ends_as_if_nothing_had_been(service: Service, experiment: str, reference: list[tuple[Any, ...]]) -> None:
    done = service.settled(f"experiments/{experiment}/", within=150)
    assert done["status"] == "complete", done["error"]
    trials = trials_of(service, experiment)
    assert len(trials) == TRIALS
    assert [trial["error"] for trial in trials if trial["status"] == "failed"] == []
    assert board_of(service, experiment) == reference
    assert max(trial["attempts"] for trial in trials) <= 2


def test_a_full_disk_refuses_what_is_new_and_says_so_until_there_is_room(
    service: Service, disk: SmallDisk, table: Path, dataset: dict[str, Any]
):
    disk.fill(leave=1 << 20)
    try:
        service.wait_for(
            lambda: "MB are needed" in checks(service)["storage"],
            within=15,
            what="ready to see the full disk",
        )
        with table.open("rb") as file:
            answer = service.client.post("datasets/", files={"file": ("t.csv", file, "text/csv")})
        assert answer.status_code == 507, answer.text
        assert "MB are needed" in answer.json()["detail"]
        answer = service.client.post("experiments/", json={"dataset": dataset["id"], "target": "bought"})
        assert answer.status_code == 507, answer.text
    finally:
        disk.make_room()
    service.wait_for(service.is_ready, within=15, what="the service to be ready again")
    assert service.upload(table)["status"] == "ready"


def test_a_search_waits_out_a_full_disk_and_loses_nothing(
    service: Service, disk: SmallDisk, dataset: dict[str, Any], reference: list[tuple[Any, ...]]
):
    experiment = service.experiment(dataset, "bought", **SETTINGS)["id"]
    wait_for_trials(service, experiment, ended=2)
    end = time.monotonic() + SECONDS
    disk.fill()
    try:
        while time.monotonic() < end:
            # What is freed by work that fails is taken again.
            disk.fill()
            time.sleep(0.2)
        assert all(trial["status"] != "failed" for trial in _patient(service, experiment))
    finally:
        disk.make_room()
    ends_as_if_nothing_had_been(service, experiment, reference)
    log = (service.home / "logs" / "evaluate.log").read_text()
    assert "no_room_for_trial" in log or "database_away" in log


def test_a_search_waits_out_a_disk_that_can_not_be_written(
    service: Service, disk: SmallDisk, table: Path, dataset: dict[str, Any], reference: list[tuple[Any, ...]]
):
    experiment = service.experiment(dataset, "bought", **SETTINGS)["id"]
    wait_for_trials(service, experiment, ended=1)
    files = disk.folder / "files"
    disk.lock(files)
    try:
        service.wait_for(lambda: checks(service)["storage"] != "ok", within=15, what="ready to see it")
        time.sleep(SECONDS - 2)
        with table.open("rb") as file:
            answer = service.client.post("datasets/", files={"file": ("t.csv", file, "text/csv")})
        assert answer.status_code == 503, answer.text
        assert "can't be written just now" in answer.json()["detail"]
    finally:
        disk.unlock(files)
    ends_as_if_nothing_had_been(service, experiment, reference)
    # Each seat met it, waited, and gave its trial back: no more than that.
    assert max(trial["attempts"] for trial in trials_of(service, experiment)) == 2


def test_a_profile_waits_for_room(service: Service, disk: SmallDisk, tmp_path: Path):
    """The upload had room, what is made of it has none: it is read once there is."""
    table = write_people(tmp_path, rows=60_000)
    disk.fill(leave=2 * table.stat().st_size + (3 << 20))
    try:
        with table.open("rb") as file:
            answer = service.client.post("datasets/", files={"file": ("big.csv", file, "text/csv")})
        assert answer.status_code == 201, answer.text
        disk.fill()
        time.sleep(SECONDS)
        path = f"datasets/{answer.json()['id']}/"
        assert service.client.get(path).json()["status"] in ("profiling", "ready")
    finally:
        disk.make_room()
    assert service.settled(path, ("ready", "failed"), within=90)["status"] == "ready"


def test_no_draft_is_left(service: Service, disk: SmallDisk):
    left = [path for path in (disk.path / "files").rglob(".*") if not path.name.startswith(".probe")]
    assert left == []


def _patient(service: Service, experiment: str) -> list[dict[str, Any]]:
    """The trials; an SQLite on a full disk may have to be asked twice."""

    def asked() -> list[dict[str, Any]] | None:
        try:
            return trials_of(service, experiment)
        except (httpx.HTTPError, KeyError, ValueError):
            return None

    found: list[dict[str, Any]] = service.wait_for(asked, within=20, what="the trials")
    return found
