"""Who may see what: every endpoint, as alice who owns it, as somebody else, and as nobody."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.utils import timezone
from knox.models import AuthToken

from automl.api import urls
from tests.api.conftest import client_of
from tests.factories import DatasetFactory, EnsembleFactory, UserFactory

OPEN = {"health-live", "health-ready"}
ENDPOINTS = [
    ("get", "datasets/", None),
    ("post", "datasets/", None),
    ("get", "datasets/{dataset}/", 200),
    ("patch", "datasets/{dataset}/", 200),
    ("delete", "datasets/{dataset}/", 204),
    ("get", "datasets/{dataset}/preview/", 200),
    ("get", "experiments/", None),
    ("post", "experiments/", None),
    ("get", "experiments/{experiment}/", 200),
    ("patch", "experiments/{experiment}/", 200),
    ("delete", "experiments/{experiment}/", 204),
    ("post", "experiments/{experiment}/pause/", 202),
    ("post", "experiments/{experiment}/resume/", 202),
    ("post", "experiments/{experiment}/extend/", 202),
    ("get", "experiments/{experiment}/leaderboard/", 200),
    ("get", "experiments/{experiment}/insight/", 200),
    ("post", "experiments/{experiment}/cancel/", 202),
    ("post", "experiments/{experiment}/stop/", 202),
    ("get", "experiments/{experiment}/trials/", 200),
    ("post", "experiments/{experiment}/trials/", 201),
    ("post", "experiments/{experiment}/sweeps/", 201),
    ("get", "experiments/{experiment}/compare/", 409),
    ("get", "experiments/{experiment}/models/", 200),
    ("post", "experiments/{experiment}/models/", 202),
    ("get", "trials/{trial}/", 200),
    ("get", "trials/{trial}/diagnostics/", 202),
    ("post", "trials/{trial}/skip/", 409),
    ("post", "trials/{trial}/model/", 202),
    ("post", "ensembles/{ensemble}/model/", 202),
    ("get", "models/", None),
    ("get", "models/{model}/", 200),
    ("get", "models/{model}/diagnostics/", 202),
    ("get", "models/{model}/download/", 200),
    ("post", "models/{model}/predict/", 200),
    ("get", "models/{model}/predictions/", 200),
    ("get", "predictions/{prediction}/", 200),
    ("delete", "predictions/{prediction}/", 202),
    ("get", "predictions/{prediction}/download/", 409),
    ("get", "families/", None),
    ("get", "metrics/", None),
    ("get", "me/", None),
    ("get", "schema/", None),
    ("get", "docs/", None),
]
OBJECTS = [(method, path, status) for method, path, status in ENDPOINTS if status]
OF = ("dataset", "experiment", "trial", "model", "prediction")
BODIES = {
    "experiments/{experiment}/trials/": {"family": "dummy"},
    "experiments/{experiment}/sweeps/": {"family": "lightgbm", "grid": {"num_leaves": [8, 16]}},
    "experiments/{experiment}/extend/": {"time_budget": 60},
    "experiments/{experiment}/models/": {"choose": "fastest"},
    "models/{model}/predict/": {"rows": [{"age": 39}]},
}


def call(client, method, path, world):
    ids = {name: str(getattr(world, name).id) for name in OF}
    if "{ensemble}" in path:
        ids["ensemble"] = str(EnsembleFactory(experiment=world.experiment).id)
    return getattr(client, method)(path.format(**ids), BODIES.get(path, {}) if method != "get" else None)


@pytest.fixture(autouse=True)
def answers_without_files(monkeypatch):
    """The table and the model's code are tested where they are read."""

    class Server:
        def predict(self, bundle, rows, timeout, level=None):
            return {"predictions": ["low"] * len(rows)}

    monkeypatch.setattr("automl.experiments.serving.prediction_server", Server)
    monkeypatch.setattr("automl.datasets.selectors.preview", lambda dataset, rows, offset: (["age"], [[39]]))


@pytest.mark.parametrize(("method", "path", "status"), OBJECTS)
def test_the_owner_gets_it(api, world, method, path, status):
    assert call(api, method, path, world).status_code == status


@pytest.mark.parametrize(("method", "path", "status"), OBJECTS)
@pytest.mark.parametrize("who", ["bob", "charlie"])
def test_to_others_it_is_not_there(db, world, who, method, path, status):
    other = client_of(UserFactory(username=who))
    response = call(other, method, path, world)
    assert response.status_code == 404
    assert response["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize(("method", "path", "status"), ENDPOINTS)
def test_without_a_token_it_asks_for_one(anonymous, world, method, path, status):
    response = call(anonymous, method, path, world)
    assert response.status_code == 401
    assert response["WWW-Authenticate"] == "Bearer"
    assert response.json()["status"] == 401


@pytest.mark.parametrize("path", ["datasets/", "experiments/", "models/"])
def test_a_list_shows_only_what_is_mine(api, charlies, world, path):
    assert len(api.get(path).json()["results"]) == 1
    assert charlies.get(path).json()["results"] == []


def test_the_table_above_has_every_address():
    known = {re.sub(r"\{\w+\}", "<str:id>", path) for _, path, _ in ENDPOINTS}
    routes = {str(route.pattern) for route in urls.urlpatterns if route.name and route.name not in OPEN}
    assert routes == known


@pytest.mark.parametrize("path", ["datasets/", "experiments/", "trials/", "models/", "predictions/"])
@pytest.mark.parametrize("id", ["nothing", "00000000-0000-0000-0000-000000000000", "%00", "é"])
def test_what_names_nothing_is_not_found(api, path, id):
    response = api.get(f"{path}{id}/")
    assert response.status_code == 404
    assert response.json()["title"] == "Not Found"


@pytest.mark.parametrize("header", ["Bearer", "Bearer a b", "Bearer wrong", "Bearer é", "Basic YTpi"])
def test_a_token_that_does_not_work_is_told(anonymous, header):
    response = anonymous.get("datasets/", HTTP_AUTHORIZATION=header)
    assert response.status_code == 401
    assert response["WWW-Authenticate"] == "Bearer"


def test_a_token_works_until_it_has_expired(anonymous, alice, monkeypatch):
    later = timezone.now() + timedelta(hours=2)
    for lasts, now, then in (
        (timedelta(hours=1), 200, 401),
        (timedelta(seconds=-1), 401, 401),
        (None, 200, 200),
    ):
        _, token = AuthToken.objects.create(alice, expiry=lasts)
        header = {"HTTP_AUTHORIZATION": f"Bearer {token}"}
        assert anonymous.get("datasets/", **header).status_code == now
        with monkeypatch.context() as patch:
            patch.setattr("automl.api.permissions.timezone.now", lambda: later)
            assert anonymous.get("datasets/", **header).status_code == then
    AuthToken.objects.all().delete()
    assert anonymous.get("datasets/", **header).status_code == 401


def test_an_inactive_user_is_out(api, alice):
    alice.is_active = False
    alice.save()
    assert api.get("datasets/").status_code == 401


def test_a_browser_needs_its_csrf_token_to_change_something(alice, world):
    browser = client_of(None)
    browser.handler.enforce_csrf_checks = True
    browser.force_login(alice)
    assert browser.get(f"datasets/{world.dataset.id}/").status_code == 200
    response = browser.delete(f"datasets/{world.dataset.id}/")
    assert response.status_code == 403
    assert "CSRF" in response.json()["detail"]


@pytest.mark.parametrize("field", ["dataset", "test_dataset"])
def test_an_experiment_on_somebody_elses_dataset_is_not_found(charlies, charlie, world, field):
    body = {"dataset": str(DatasetFactory(owner=charlie).id), "target": "income"}
    response = charlies.post("experiments/", {**body, field: str(world.dataset.id)})
    assert response.status_code == 404
    assert response.json()["errors"][0]["field"] == field
