from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.faults.searches import Search, misbehave, write_table
from tests.service import Service

LEASE_SECONDS = 6
MEMORY_MB = 600
LONGEST_JOB_SECONDS = 10


@pytest.fixture(scope="session")
def faulty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service whose fits can be told to misbehave; the tests that share it leave it whole."""
    service = Service(
        tmp_path_factory.mktemp("faulty"),
        DJANGO_SETTINGS_MODULE="tests.faults.settings",
        AUTOML_LEASE_SECONDS=str(LEASE_SECONDS),
        AUTOML_MEMORY_PER_SEAT_MB=str(MEMORY_MB),
        AUTOML_LONGEST_JOB_SECONDS=str(LONGEST_JOB_SECONDS),
        AUTOML_SEATS="2",
    )
    try:
        service.start()
        service.sign_in()
        yield service
    finally:
        service.close()


@pytest.fixture(scope="session")
def dataset(faulty: Service, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    found = faulty.upload(write_table(tmp_path_factory.mktemp("tables") / "people.csv"))
    assert found["status"] == "ready", found["error"]
    return found


@pytest.fixture(scope="session")
def undisturbed(faulty: Service, dataset: dict[str, Any]) -> list[tuple[Any, ...]]:
    """What a search finds when nobody harms it."""
    (faulty.home / "misbehave.json").unlink(missing_ok=True)
    search = Search(faulty, dataset)
    assert search.ended()["status"] == "complete"
    return search.board()


@pytest.fixture
def search(faulty: Service, dataset: dict[str, Any], undisturbed: list[tuple[Any, ...]]) -> Search:
    """The same search, in the middle: some trials have ended, others are on their seats."""
    misbehave(faulty)
    faulty.wait_for(faulty.is_ready, within=60, what="the service to be ready")
    search = Search(faulty, dataset)
    search.wait_until_running(ended=2)
    return search


@pytest.fixture
def healthy(faulty: Service) -> Iterator[Service]:
    """The service, with fits that behave until told otherwise, and ready before and after."""
    misbehave(faulty)
    faulty.wait_for(faulty.is_ready, within=60, what="the service to be ready")
    yield faulty
    misbehave(faulty)
