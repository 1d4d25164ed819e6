"""Trials by hand and sweeps in the real service: beside a search, and after its end."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.service import ROOT, Service

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]
TABLE = ROOT / "examples" / "wine_quality_white.csv"
GRID = {"strength": [0.0001, 0.01, 1.0], "penalty": ["l2", "elasticnet"]}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    service = Service(tmp_path_factory.mktemp("home"), AUTOML_SEATS="2")
    try:
        service.start()
        service.sign_in()
        yield service
    finally:
        service.close()


@pytest.fixture(scope="module")
def dataset(service: Service) -> dict[str, Any]:
    return service.upload(TABLE)


def get(service: Service, path: str) -> Any:
    answer = service.client.get(path)
    assert answer.status_code == 200, answer.text
    return answer.json()


def post(service: Service, path: str, **body: Any) -> Any:
    answer = service.client.post(path, json=body)
    assert answer.status_code == 201, answer.text
    return answer.json()


def test_an_experiment_goes_on_for_a_trial_and_a_sweep_after_its_end(
    service: Service, dataset: dict[str, Any]
):
    asked = {"time_budget": 60, "max_trials": 3, "families": ["dummy", "linear", "lightgbm"]}
    path = f"experiments/{service.experiment(dataset, 'quality', **asked)['id']}/"
    first = service.settled(path, within=90)
    assert (first["status"], first["trials"]["complete"]) == ("complete", 3)

    trial = post(service, f"{path}trials/", family="lightgbm", hyperparameters={"num_leaves": 63})
    assert trial["prediction"]["seconds"] > 0
    sweep = post(service, f"{path}sweeps/", family="linear", grid=GRID)
    assert (sweep["combinations"], len(sweep["trials"]) + sweep["skipped"]) == (6, 6)
    assert get(service, path)["model"] == first["model"]

    second = service.settled(path, within=120)
    assert (second["status"], second["phase"]) == ("complete", "done")
    assert second["elapsed"] <= max(1.1 * second["time_budget"], second["time_budget"] + 5)
    states = {each["id"]: each["status"] for each in get(service, f"{path}trials/")["results"]}
    assert {states[id] for id in [trial["id"], *sweep["trials"]]} == {"complete"}
    # The search itself has proposed nothing more.
    assert len(states) == 3 + 1 + len(sweep["trials"])
    for model in {first["model"], second["model"]}:
        assert service.client.get(f"models/{model}/download/").status_code == 200


def test_what_a_person_adds_to_a_search_is_tried_before_its_own(service: Service, dataset: dict[str, Any]):
    path = f"experiments/{service.experiment(dataset, 'quality', time_budget=60, seats=1)['id']}/"
    service.wait_for(
        lambda: get(service, path)["phase"] == "searching", within=60, what="the search to begin"
    )
    assert service.client.post(f"{path}pause/").status_code == 202
    sweep = post(service, f"{path}sweeps/", family="linear", grid={"strength": [0.001, 0.1]})
    trial = post(service, f"{path}trials/", family="linear", hyperparameters={"strength": 0.5})
    assert service.client.post(f"{path}resume/").status_code == 202
    for id in (trial["id"], *sweep["trials"]):
        service.settled(f"trials/{id}/", ("complete",), within=50)
    found = {each["id"]: each for each in get(service, f"{path}trials/")["results"]}
    assert found[trial["id"]]["started_at"] <= min(found[id]["started_at"] for id in sweep["trials"])
    assert get(service, path)["status"] == "running"
    assert service.client.post(f"{path}cancel/").status_code == 202
