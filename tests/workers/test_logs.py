"""Lines of a log say what they are about, and with LOG_JSON each of them is JSON, from every program."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.faults.tables import write_people
from tests.service import Service

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service that has done a whole search, in which one trial failed, and has ended."""
    service = Service(tmp_path_factory.mktemp("home"), LOG_JSON="true", LOG_LEVEL="DEBUG")
    try:
        service.start()
        service.sign_in()
        table = write_people(tmp_path_factory.mktemp("tables"))
        dataset = service.upload(table)
        experiment = service.experiment(dataset, "bought", time_budget=60, max_trials=2)
        done = service.settled(f"experiments/{experiment['id']}/", within=60)
        assert done["status"] == "complete", done["error"]
        service.stop()
        yield service
    finally:
        service.close()


def lines_of(service: Service, name: str) -> list[dict[str, Any]]:
    path: Path = service.home / ("serve.log" if name == "serve" else f"logs/{name}.log")
    return [json.loads(line) for line in path.read_text().splitlines() if line.strip()]


@pytest.mark.parametrize("name", ["serve", "web", "evaluate", "short", "scheduler"])
def test_every_line_is_json(service: Service, name: str):
    lines = lines_of(service, name)
    assert lines
    assert all({"event", "level", "timestamp"} <= line.keys() for line in lines)


def test_lines_about_a_trial_name_it_its_experiment_and_the_attempt(service: Service):
    ended = [line for line in lines_of(service, "evaluate") if line["event"] == "trial_ended"]
    assert len(ended) == 2
    for line in ended:
        assert {"experiment", "trial", "attempt"} <= line.keys()
        assert line["attempt"] == 1


@pytest.mark.parametrize(
    ("event", "keys"),
    [
        ("dataset_profiled", {"dataset", "attempt"}),
        ("experiment_prepared", {"experiment", "attempt"}),
        ("model_packaged", {"experiment", "model", "attempt"}),
        ("experiment_finished", {"experiment", "attempt"}),
    ],
)
def test_lines_about_other_work_name_what_it_is_about(service: Service, event: str, keys: set[str]):
    found = [line for line in lines_of(service, "short") if line["event"] == event]
    assert found
    assert all(keys <= line.keys() for line in found)
