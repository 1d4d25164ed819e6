"""A search that was cut off ends in another home, restored from a backup."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

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
from tests.service import Service

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    service = Service(_folder(tmp_path / "old"))
    yield service
    service.close()


@pytest.fixture
def other(tmp_path: Path) -> Iterator[Service]:
    service = Service(_folder(tmp_path / "new"))
    yield service
    service.close()


def _folder(path: Path) -> Path:
    path.mkdir()
    return path


def test_a_search_that_was_cut_off_ends_in_another_home(service: Service, other: Service, tmp_path: Path):
    service.start()
    service.sign_in()
    dataset = service.upload(write_people(tmp_path))
    reference = undisturbed(service, dataset)
    experiment = service.experiment(dataset, "bought", **SETTINGS)["id"]
    wait_for_trials(service, experiment, ended=2)
    # Once while it runs, which holds nobody up, and once after everything was killed in the middle.
    service.manage("backup", str(tmp_path / "running.tar"))
    assert service.process is not None
    service.process.kill()
    service.wait_for(lambda: not service.processes(), within=20, what="every process to end")
    service.manage("backup", str(tmp_path / "killed.tar.gz"))

    first = ends_elsewhere(other, tmp_path / "killed.tar.gz", service, experiment)
    assert first == reference
    other.stop()

    second = Service(_folder(tmp_path / "newest"))
    try:
        assert ends_elsewhere(second, tmp_path / "running.tar", service, experiment) == reference
    finally:
        second.close()


def ends_elsewhere(service: Service, backup: Path, old: Service, experiment: str) -> list[tuple[Any, ...]]:
    """Restore, start, and wait for the end of the search; its board."""
    service.manage("restore", str(backup))
    # The token of before still works.
    service.client.headers["Authorization"] = old.client.headers["Authorization"]
    service.start()
    done = service.settled(f"experiments/{experiment}/", within=120)
    assert done["status"] == "complete", done["error"]
    assert len(trials_of(service, experiment)) == TRIALS
    assert service.client.get(f"models/{done['model']}/download/").status_code == 200
    return board_of(service, experiment)
