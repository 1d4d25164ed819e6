from __future__ import annotations

import pytest

from automl.core import storage
from automl.core.errors import InvalidInput
from automl.engine.errors import Retryable
from automl.experiments.models import TrainedModel
from tests.factories import EnsembleFactory, TrainedModelFactory, TrialFactory

CONTENT = bytes(range(256)) * 16


@pytest.fixture
def address(world):
    return f"models/{world.model.id}/download/"


def body_of(response):
    return b"".join(response.streaming_content)


def test_a_model_has_what_the_contract_names(api, world):
    body = api.get(f"models/{world.model.id}/").json()
    assert {"status", "score", "metrics", "schema", "files", "sha256", "size"} <= set(body)
    assert (body["status"], body["trial"]) == ("ready", str(world.trial.id))
    assert body["experiment"] == str(world.experiment.id)


def test_a_complete_trial_is_packaged(api, world, sent, django_capture_on_commit_callbacks):
    trial = TrialFactory(experiment=world.experiment)
    with django_capture_on_commit_callbacks(execute=True):
        response = api.post(f"trials/{trial.id}/model/")
    body = response.json()
    assert (response.status_code, body["status"]) == (202, "packaging")
    assert response["Location"].endswith(f"/api/v1/models/{body['id']}/")
    assert "Retry-After" in response
    assert sent == [("package", TrainedModel.objects.get(trial=trial).id)]


@pytest.mark.parametrize("state", ["waiting", "running", "pruned", "failed"])
def test_a_trial_that_is_not_complete_can_not_be_packaged(api, world, state):
    trial = TrialFactory(experiment=world.experiment, state=state)
    assert api.post(f"trials/{trial.id}/model/").status_code == 409


# --- Downloading --------------------------------------------------------------------------------


def test_the_bundle_is_downloaded_whole(api, world, address):
    response = api.get(address)
    assert response.status_code == 200
    assert body_of(response) == CONTENT
    assert response["Content-Type"] == "application/zip"
    assert response["Content-Length"] == str(len(CONTENT))
    assert response["ETag"] == f'"{world.model.sha256}"'
    assert response["Accept-Ranges"] == "bytes"
    assert response["Content-Disposition"].startswith('attachment; filename="experiment-')
    assert response["Content-Disposition"].endswith('lightgbm.zip"')


@pytest.mark.parametrize(
    ("range_", "first", "last"),
    [
        ("bytes=0-0", 0, 0),
        ("bytes=0-99", 0, 99),
        ("bytes=4000-", 4000, 4095),
        ("bytes=-10", 4086, 4095),
        ("bytes=-9999", 0, 4095),
        ("bytes=4095-9999", 4095, 4095),
    ],
)
def test_a_part_is_downloaded(api, address, range_, first, last):
    response = api.get(address, HTTP_RANGE=range_)
    assert response.status_code == 206
    assert response["Content-Range"] == f"bytes {first}-{last}/4096"
    assert response["Content-Length"] == str(last - first + 1)
    assert body_of(response) == CONTENT[first : last + 1]


@pytest.mark.parametrize(
    "range_", ["bytes=5-3", "bytes=-", "lines=1-2", "bytes=x-y", "bytes=0-1,3-4", "bytes 0-1"]
)
def test_a_range_that_is_none_gets_the_whole(api, address, range_):
    response = api.get(address, HTTP_RANGE=range_)
    assert (response.status_code, body_of(response)) == (200, CONTENT)


@pytest.mark.parametrize("range_", ["bytes=4096-", "bytes=9999-10000", "bytes=-0"])
def test_a_range_after_the_end_is_refused(api, address, range_):
    response = api.get(address, HTTP_RANGE=range_)
    assert response.status_code == 416
    assert response["Content-Range"] == "bytes */4096"
    assert response["Content-Type"] == "application/problem+json"


def test_a_part_of_another_version_is_not_given(api, world, address):
    same = api.get(address, HTTP_RANGE="bytes=0-9", HTTP_IF_RANGE=f'"{world.model.sha256}"')
    other = api.get(address, HTTP_RANGE="bytes=0-9", HTTP_IF_RANGE='"another"')
    assert (same.status_code, other.status_code) == (206, 200)
    assert body_of(other) == CONTENT


def test_head_tells_the_size(api, address):
    response = api.head(address)
    assert (response.status_code, response["Content-Length"]) == (200, "4096")
    assert body_of(response) == b""


@pytest.mark.parametrize("state", ["packaging", "failed"])
@pytest.mark.parametrize("call", ["download", "predict"])
def test_what_is_not_ready_can_not_be_used(api, world, state, call):
    model = TrainedModelFactory(
        trial=TrialFactory(experiment=world.experiment), state=state, error="No space."
    )
    path = f"models/{model.id}/{call}/"
    response = api.get(path) if call == "download" else api.post(path, {"rows": [{}]})
    assert response.status_code == 409
    assert state in response.json()["detail"]
    assert "No space." in response.json()["detail"]


def test_a_bundle_that_is_not_in_the_storage_is_told(api, world, address):
    storage.remove(world.model.bundle)
    response = api.get(address)
    assert response.status_code == 503
    assert "Retry-After" in response


# --- Predicting ---------------------------------------------------------------------------------


@pytest.fixture
def server(monkeypatch):
    """Stands in for the process that holds the models; what it is asked is kept."""

    class Server:
        asked = []
        answer = {"predictions": ["low"], "classes": ["high", "low"], "probabilities": [[0.25, 0.75]]}

        def predict(self, bundle, rows, timeout, level=None):
            self.asked.append((bundle, rows))
            if isinstance(self.answer, Exception):
                raise self.answer
            return self.answer

    server = Server()
    monkeypatch.setattr("automl.experiments.serving.prediction_server", lambda: server)
    return server


def test_rows_are_predicted(api, world, server):
    rows = [{"age": 39, "city": None}]
    response = api.post(f"models/{world.model.id}/predict/", {"rows": rows})
    assert (response.status_code, response.json()) == (200, server.answer)
    assert server.asked == [(storage.path_of(world.model.bundle), rows)]


def test_a_prediction_that_is_no_number_is_null(api, world, server):
    server.answer = {"predictions": [float("nan"), 1.5]}
    response = api.post(f"models/{world.model.id}/predict/", {"rows": [{}, {}]})
    assert response.json() == {"predictions": [None, 1.5]}


def test_rows_that_the_model_can_not_use_are_told(api, world, server):
    server.answer = InvalidInput({"rows": "The column 'age' is missing."})
    response = api.post(f"models/{world.model.id}/predict/", {"rows": [{"city": "Rome"}]})
    assert response.status_code == 422
    assert response.json()["errors"] == [{"field": "rows", "message": "The column 'age' is missing."}]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({}, "required"),
        ({"rows": []}, "no rows"),
        ({"rows": {"age": 1}}, "list of rows"),
        ({"rows": [{"age": 1}, [1]]}, "Row 1 is not an object"),
        ({"rows": [{"age": 1}, {"age": [1]}]}, "Row 1, 'age'"),
        ({"rows": [{}] * 10_001}, "10001 rows; at most 10000"),
    ],
)
def test_rows_that_are_none_are_told(api, world, server, body, words):
    response = api.post(f"models/{world.model.id}/predict/", body)
    assert response.status_code == 422
    assert words in response.json()["detail"]
    assert server.asked == []


def test_a_prediction_that_took_too_long_may_be_tried_again(api, world, server):
    server.answer = Retryable("The prediction took more than 60 s; send fewer rows.")
    response = api.post(f"models/{world.model.id}/predict/", {"rows": [{}]})
    assert response.status_code == 503
    assert "send fewer rows" in response.json()["detail"]
    assert "Retry-After" in response


# --- Choosing -----------------------------------------------------------------------------------


def test_the_fastest_of_the_nearly_best_is_packaged(api, world, sent, django_capture_on_commit_callbacks):
    slow = world.trial
    fast = TrialFactory(experiment=world.experiment, score=slow.score - 0.005, predict_time=0.001)
    with django_capture_on_commit_callbacks(execute=True):
        response = api.post(f"experiments/{world.experiment.id}/models/", {"choose": "fastest"})
    body = response.json()
    assert (response.status_code, body["trial"], body["status"]) == (202, str(fast.id), "packaging")
    assert response["Location"].endswith(f"/api/v1/models/{body['id']}/")
    assert len(sent) == 1
    narrow = api.post(f"experiments/{world.experiment.id}/models/", {"choose": "fastest", "within": 0.001})
    assert narrow.json()["trial"] == str(slow.id)
    listed = api.get(f"experiments/{world.experiment.id}/models/").json()["results"]
    assert {each["trial"] for each in listed} == {str(slow.id), str(fast.id)}


@pytest.mark.parametrize(
    ("body", "field"),
    [({}, "choose"), ({"choose": "worst"}, "choose"), ({"choose": "fastest", "within": -1}, "within")],
)
def test_a_choice_that_is_none_is_told(api, world, body, field):
    response = api.post(f"experiments/{world.experiment.id}/models/", body)
    assert response.status_code == 422
    assert response.json()["errors"][0]["field"] == field


def test_an_ensemble_that_is_best_is_packaged_too(api, world):
    ensemble = EnsembleFactory(experiment=world.experiment)
    body = api.post(f"experiments/{world.experiment.id}/models/", {"choose": "best"}).json()
    assert (body["trial"], body["name"]) == (None, ensemble.name)


def test_an_ensemble_that_is_not_the_best_is_packaged_by_its_row_of_the_board(
    api, world, sent, django_capture_on_commit_callbacks
):
    lower = EnsembleFactory(experiment=world.experiment, score=0.85)
    EnsembleFactory(experiment=world.experiment, score=0.95, name="Ensemble of 3 #2")
    rows = api.get(f"experiments/{world.experiment.id}/leaderboard/").json()["results"]
    (row,) = [row for row in rows if row["name"] == lower.name]
    assert (row["ensemble"], row["trial"], row["model"]) == (str(lower.id), None, None)
    assert {row["ensemble"] for row in rows if row["trial"]} == {None}

    with django_capture_on_commit_callbacks(execute=True):
        first, again = (api.post(f"ensembles/{row['ensemble']}/model/") for _ in range(2))

    body = first.json()
    assert (first.status_code, body["ensemble"], body["trial"]) == (202, str(lower.id), None)
    assert (body["is_best"], body["status"]) == (False, "packaging")
    assert first["Location"].endswith(f"/api/v1/models/{body['id']}/")
    assert again.json() == body
    assert len(sent) == 1
