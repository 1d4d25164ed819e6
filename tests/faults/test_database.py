"""A database that is away for 30 s under a search: SQLite locked by somebody, PostgreSQL stopped."""

from __future__ import annotations

import os
import signal
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.faults.tables import (
    SETTINGS,
    TRIALS,
    board_of,
    trials_of,
    undisturbed,
    wait_for_trials,
    write_people,
)
from tests.postgres import Postgres
from tests.service import Service

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
SECONDS = 30


def search_through(service: Service, folder: Path, away: Callable[[], None]) -> None:
    """A search during which the database is away: every fit is kept, and the board is the usual one."""
    dataset = service.upload(write_people(folder))
    reference = undisturbed(service, dataset)
    experiment = service.experiment(dataset, "bought", **SETTINGS)["id"]
    wait_for_trials(service, experiment, ended=1)
    began = time.monotonic()

    away()

    assert time.monotonic() - began >= SECONDS
    service.wait_for(service.is_ready, within=15, what="the service to be ready again")
    done = service.settled(f"experiments/{experiment}/", within=90)
    assert done["status"] == "complete", done["error"]
    trials = trials_of(service, experiment)
    assert len(trials) == TRIALS
    assert {trial["attempts"] for trial in trials} == {1}
    assert board_of(service, experiment) == reference


def test_an_sqlite_file_locked_by_somebody_costs_no_fit(tmp_path: Path):
    service = Service(tmp_path, DATABASE_URL="")
    try:
        service.start()
        service.sign_in()

        def lock() -> None:
            connection = sqlite3.connect(tmp_path / "db.sqlite3", isolation_level=None, timeout=30)
            connection.execute("BEGIN EXCLUSIVE")
            # Reading goes on, so people see where their searches are.
            end = time.monotonic() + SECONDS
            assert service.client.get("me/").status_code == 200
            # What has to be written is refused with words, not with an error of ours.
            answer = service.client.post("experiments/", json={"dataset": "x", "target": "y"})
            assert answer.status_code in (404, 422, 503), answer.text
            time.sleep(max(0.0, end - time.monotonic()))
            connection.execute("ROLLBACK")
            connection.close()

        search_through(service, tmp_path, lock)
    finally:
        service.close()


@pytest.fixture
def postgres() -> Iterator[Postgres]:
    # PostgreSQL's own user has to be able to enter, which it is not in the folders of pytest.
    with tempfile.TemporaryDirectory(prefix="bakeoff-postgres-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        server = Postgres(Path(folder) / "server")
        server.start()
        try:
            yield server
        finally:
            server.kill()


def test_a_postgresql_that_hangs_costs_no_fit_and_is_told_meanwhile(tmp_path: Path, postgres: Postgres):
    service = Service(tmp_path)
    service.environment["DATABASE_URL"] = postgres.url
    try:
        service.start()
        service.sign_in()

        def hang() -> None:
            assert postgres._process is not None
            end = time.monotonic() + SECONDS
            os.killpg(postgres._process.pid, signal.SIGSTOP)
            # Its other processes have groups of their own.
            stopped = _children(postgres._process.pid)
            for process in stopped:
                os.kill(process, signal.SIGSTOP)
            try:
                service.wait_for(lambda: _ready(service) == 503, within=15, what="ready to see it")
                for _ in range(12):
                    began = time.monotonic()
                    answer = service.client.get("me/")
                    assert answer.status_code == 503, answer.text
                    assert "Retry-After" in answer.headers
                    assert time.monotonic() - began < 8
                time.sleep(max(0.0, end - time.monotonic()))
            finally:
                for process in [*stopped, postgres._process.pid]:
                    os.kill(process, signal.SIGCONT)

        search_through(service, tmp_path, hang)
    finally:
        service.close()


def _ready(service: Service) -> int:
    began = time.monotonic()
    status = service.client.get("health/ready/").status_code
    assert time.monotonic() - began < 4, "the answer about health took too long"
    return status


def _children(pid: int) -> list[int]:
    import psutil

    return [process.pid for process in psutil.Process(pid).children(recursive=True)]
