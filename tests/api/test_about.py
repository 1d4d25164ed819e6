from __future__ import annotations

import json
from pathlib import Path

import pytest
from django.conf import settings as django_settings
from django.core.management import call_command
from jsonschema import Draft202012Validator

from automl.api import about
from automl.engine.learners import LEARNERS, families_for
from automl.engine.metrics import METRICS
from tests.factories import DatasetFactory, ExperimentFactory

TASK_TYPES = ["binary", "multiclass", "regression"]
DOCUMENT = Path(django_settings.BASE_DIR) / "docs" / "openapi.json"


def test_every_family_is_listed_with_its_dials(api):
    families = api.get("families/").json()["results"]
    assert [family["name"] for family in families] == families_for()
    dials = [dial for family in families for dial in family["hyperparameters"]]
    for dial in dials:
        assert set(dial) == {
            "name", "type", "low", "high", "log", "choices", "default", "condition", "effect",
        }  # fmt: skip
        assert dial["effect"].endswith("."), dial
        assert (dial["choices"] is None) == (dial["type"] != "choice")


@pytest.mark.parametrize("task_type", TASK_TYPES)
def test_families_and_metrics_are_filtered_by_task_type(api, task_type):
    for path, known in (("families/", {key: LEARNERS[key] for key in families_for()}), ("metrics/", METRICS)):
        rows = api.get(f"{path}?task_type={task_type}").json()["results"]
        assert [row["name"] for row in rows] == [k for k, v in known.items() if task_type in v.task_types]


@pytest.mark.parametrize("path", ["families/", "metrics/"])
def test_a_task_type_that_is_none_is_named(api, path):
    response = api.get(f"{path}?task_type=clustering")
    assert response.status_code == 422
    assert response.json()["errors"][0]["field"] == "task_type"


@pytest.mark.parametrize(("task_type", "name"), zip(TASK_TYPES, ["roc_auc", "log_loss", "rmse"], strict=True))
def test_each_task_type_has_the_default_metric_of_the_contract(api, task_type, name):
    metrics = {metric["name"]: metric for metric in api.get("metrics/").json()["results"]}
    assert [n for n, metric in metrics.items() if task_type in metric["default_for"]] == [name]
    assert metrics["roc_auc"]["direction"] == "maximize"
    assert metrics["rmse"]["direction"] == "minimize"


def test_me_tells_quotas_and_use(api, alice, settings):
    DatasetFactory(owner=alice, bytes=10)
    dataset = DatasetFactory(owner=alice, bytes=20)
    ExperimentFactory(owner=alice, dataset=dataset, state="running")
    ExperimentFactory(owner=alice, dataset=dataset, state="complete")
    DatasetFactory(bytes=1000)
    body = api.get("me/").json()
    assert body["user"] == {"id": str(alice.id), "username": "alice", "email": "alice@example.org"}
    assert body["use"] == {"datasets": 2, "bytes": 30, "active_experiments": 1}
    assert body["quotas"]["upload_bytes"] == settings.MAX_UPLOAD_BYTES


def test_live_needs_no_token(anonymous):
    assert anonymous.get("health/live/").json() == {"status": "ok"}


@pytest.mark.parametrize(("broker", "status"), [("ok", 200), ("Connection refused", 503)])
def test_ready_names_what_is_not_there(anonymous, monkeypatch, broker, status):
    checks = {"database": "ok", "broker": broker}
    monkeypatch.setattr(about, "readiness", lambda: checks)
    response = anonymous.get("health/ready/")
    assert response.status_code == status
    assert response.json() == {"status": "ok" if status == 200 else "unavailable", "checks": checks}
    assert ("Retry-After" in response) == (status == 503)


# --- The OpenAPI document -----------------------------------------------------------------------


def test_the_document_is_made_without_a_warning(tmp_path):
    target = tmp_path / "openapi.json"
    options = {"format": "openapi-json", "file": str(target), "validate": True, "fail_on_warn": True}
    call_command("spectacular", **options)
    assert json.loads(target.read_text())["openapi"].startswith("3.1")


def test_the_document_in_docs_is_the_one_that_is_served(api):
    served = api.get("schema/").json()
    kept = json.loads(DOCUMENT.read_text(encoding="utf-8"))
    assert served == kept, "Run: python manage.py spectacular --format openapi-json --file docs/openapi.json"


def test_what_is_served_is_what_the_document_says(api, world):
    document = about.document()
    for path, name in [
        (f"datasets/{world.dataset.id}/", "Dataset"),
        ("datasets/", "PaginatedDatasetList"),
        (f"experiments/{world.experiment.id}/", "Experiment"),
        ("experiments/", "PaginatedExperimentList"),
        (f"experiments/{world.experiment.id}/leaderboard/", "PaginatedLeaderboardRowList"),
        (f"experiments/{world.experiment.id}/insight/", "Insight"),
        (f"experiments/{world.experiment.id}/trials/", "PaginatedTrialList"),
        (f"trials/{world.trial.id}/", "Trial"),
        (f"models/{world.model.id}/", "Model"),
        ("families/", "PaginatedFamilyList"),
        ("metrics/", "PaginatedMetricList"),
        ("me/", "Me"),
        ("nothing/", "Problem"),
    ]:
        schema = {"$ref": f"#/components/schemas/{name}", "components": document["components"]}
        errors = [error.message for error in Draft202012Validator(schema).iter_errors(api.get(path).json())]
        assert errors == [], path


def test_every_operation_names_its_problems_and_headers():
    for path, operations in about.document()["paths"].items():
        for method, operation in operations.items():
            headers = {p["name"] for p in operation["parameters"] if p["in"] == "header"}
            where = f"{method} {path}"
            assert operation["description"], where
            if method == "get":
                assert "304" in operation["responses"], where
                assert "If-None-Match" in headers, where
            if method == "post":
                assert "Idempotency-Key" in headers, where
            if "health" not in path:
                assert {"401", "429"} <= set(operation["responses"]), where
            if "{id}" in path:
                assert "404" in operation["responses"], where


@pytest.mark.parametrize("path", ["datasets/", "experiments/", "models/{id}/predict/"])
def test_what_needs_room_on_the_disk_says_that_there_may_be_none(path):
    answers = about.document()["paths"][f"/api/v1/{path}"]["post"]["responses"]
    assert "Retry-After" in answers["507"]["headers"]


def test_the_page_for_people_has_no_inline_script_or_style(api):
    response = api.get("docs/")
    html = response.content.decode()
    assert response.status_code == 200
    assert "<style" not in html
    assert "style=" not in html
    assert html.count("<script") == html.count("<script src=") == 3
    assert "unsafe-inline" not in response["Content-Security-Policy"]
    script = api.get("docs/?script=")
    assert script["Content-Type"].startswith("application/javascript")
    assert "/api/v1/schema/" in script.content.decode()
