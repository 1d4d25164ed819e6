"""A POST that is repeated with the same Idempotency-Key."""

from __future__ import annotations

import io
from datetime import timedelta

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test.client import BOUNDARY, MULTIPART_CONTENT, encode_multipart
from django.utils import timezone

from automl.api import idempotency
from automl.core.models import IdempotentAnswer
from automl.datasets.models import Dataset
from automl.experiments.models import Experiment, TrainedModel
from tests.api.conftest import client_of
from tests.factories import DatasetFactory, TrialFactory

KEY = {"HTTP_IDEMPOTENCY_KEY": "once"}


@pytest.fixture
def body(alice):
    return {"dataset": str(DatasetFactory(owner=alice).id), "target": "income", "name": "first"}


def test_the_work_is_done_once_and_the_answer_is_the_same(
    api, body, sent, django_capture_on_commit_callbacks
):
    with django_capture_on_commit_callbacks(execute=True):
        first = api.post("experiments/", body, **KEY)
        again = api.post("experiments/", dict(reversed(body.items())), **KEY)
    assert first.status_code == again.status_code == 201
    assert first.json() == again.json()
    assert first["Location"] == again["Location"]
    assert again["Idempotent-Replay"] == "true"
    assert Experiment.objects.count() == 1
    assert len(sent) == 1


def test_without_a_key_the_work_is_done_twice(api, body):
    assert api.post("experiments/", body).json()["id"] != api.post("experiments/", body).json()["id"]


def test_another_body_under_the_same_key_is_refused(api, body):
    api.post("experiments/", body, **KEY)
    response = api.post("experiments/", {**body, "name": "second"}, **KEY)
    assert response.status_code == 422
    assert response.json()["errors"][0]["field"] == "Idempotency-Key"
    assert Experiment.objects.count() == 1


def test_the_same_key_of_another_user_or_address_is_another(api, body, bob):
    first = api.post("experiments/", body, **KEY)
    trial = TrialFactory(experiment=Experiment.objects.get(id=first.json()["id"]))
    assert api.post(f"trials/{trial.id}/model/", **KEY).status_code == 202
    theirs = {**body, "dataset": str(DatasetFactory(owner=bob).id)}
    assert client_of(bob).post("experiments/", theirs, **KEY).status_code == 201


def test_an_error_is_repeated_too(api, body):
    wrong = {**body, "target": "nothing"}
    first, again = (api.post("experiments/", wrong, **KEY) for _ in range(2))
    assert first.status_code == again.status_code == 422
    assert first.json() == again.json()
    assert again["Content-Type"] == "application/problem+json"
    assert again["Idempotent-Replay"] == "true"


def test_what_was_refused_for_now_may_be_tried_again(api, body):
    Dataset.objects.update(state="profiling")
    assert api.post("experiments/", body, **KEY).status_code == 409
    Dataset.objects.update(state="ready")
    assert api.post("experiments/", body, **KEY).status_code == 201


def test_a_bug_is_not_remembered(api, body, monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr(Experiment.objects, "create", lambda **fields: 1 / 0)
        assert api.post("experiments/", body, **KEY).status_code == 500
    assert api.post("experiments/", body, **KEY).status_code == 201


def test_what_fails_after_the_work_takes_the_work_back(api, body, monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr("automl.api.experiments.shown", lambda experiment, status: 1 / 0)
        assert api.post("experiments/", body, **KEY).status_code == 500
    assert Experiment.objects.count() == 0
    assert IdempotentAnswer.objects.count() == 0


def upload(api, content=b"a,b\n1,2\n", name="t.csv", **fields):
    return api.post(
        "datasets/", {"file": SimpleUploadedFile(name, content), **fields}, format="multipart", **KEY
    )


def test_an_upload_is_known_by_its_bytes(api):
    first, again = upload(api), upload(api)
    assert first.status_code == again.status_code == 201
    assert first.json() == again.json()
    assert Dataset.objects.count() == 1


@pytest.mark.parametrize("arrived", [0, 100, 200])
def test_an_upload_that_was_cut_off_may_be_sent_whole_under_the_same_key(api, arrived):
    form = encode_multipart(BOUNDARY, {"file": SimpleUploadedFile("t.csv", b"a,b\n" + b"1,2\n" * 100)})
    cut = api.generic(
        "POST",
        "datasets/",
        form,
        content_type=MULTIPART_CONTENT,
        **{"wsgi.input": io.BytesIO(form[:arrived])},
        **KEY,
    )
    assert cut.status_code == 400
    assert f"{arrived} of {len(form)} bytes" in cut.json()["detail"]
    assert api.generic("POST", "datasets/", form, content_type=MULTIPART_CONTENT, **KEY).status_code == 201


@pytest.mark.parametrize(
    "other", [{"content": b"a,b\n1,3\n"}, {"name": "other.csv"}, {"fields": {"name": "mine"}}]
)
def test_another_upload_under_the_same_key_is_refused(api, other):
    upload(api)
    fields = other.pop("fields", {})
    assert upload(api, **other, **fields).status_code == 422
    assert Dataset.objects.count() == 1


def test_a_predicted_answer_is_kept(api, world, monkeypatch):
    answers = iter(["low", "high"])

    class Server:
        def predict(self, bundle, rows, timeout, level=None):
            return {"predictions": [next(answers)]}

    monkeypatch.setattr("automl.experiments.serving.prediction_server", Server)
    path, rows = f"models/{world.model.id}/predict/", {"rows": [{"age": 1}]}
    assert api.post(path, rows, **KEY).json() == api.post(path, rows, **KEY).json()


def test_a_second_request_waits_for_the_first_to_end(api, body, alice, monkeypatch):
    first = api.post("experiments/", body, **KEY)
    row = IdempotentAnswer.objects.get()
    IdempotentAnswer.objects.update(status=0)
    waited = []

    def first_ends(seconds):
        waited.append(seconds)
        if len(waited) == 3:
            IdempotentAnswer.objects.update(status=row.status)

    monkeypatch.setattr(idempotency.time, "sleep", first_ends)
    again = api.post("experiments/", body, **KEY)
    assert (len(waited), again.status_code) == (3, 201)
    assert again.json() == first.json()
    assert Experiment.objects.count() == 1


def test_a_first_request_that_goes_on_too_long_is_told(api, body, monkeypatch):
    api.post("experiments/", body, **KEY)
    IdempotentAnswer.objects.update(status=0)
    monkeypatch.setattr(idempotency, "PATIENCE_SECONDS", 0)
    response = api.post("experiments/", body, **KEY)
    assert response.status_code == 503
    assert "Retry-After" in response


def test_a_first_request_that_died_is_taken_over(api, body):
    api.post("experiments/", body, **KEY)
    long_ago = timezone.now() - timedelta(seconds=idempotency.ABANDONED_SECONDS + 1)
    IdempotentAnswer.objects.update(status=0, created_at=long_ago)
    assert api.post("experiments/", body, **KEY).status_code == 201
    assert Experiment.objects.count() == 2
    assert IdempotentAnswer.objects.get().status == 201


def test_packaging_twice_is_one_model(api, world):
    trial = TrialFactory(experiment=world.experiment)
    path = f"trials/{trial.id}/model/"
    assert api.post(path, **KEY).json()["id"] == api.post(path, HTTP_IDEMPOTENCY_KEY="two").json()["id"]
    assert TrainedModel.objects.filter(trial=trial).count() == 1


@pytest.mark.parametrize("key", ["", " ", "x" * 256])
def test_a_key_that_is_none_is_named(api, body, key):
    response = api.post("experiments/", body, HTTP_IDEMPOTENCY_KEY=key)
    assert response.status_code == 422
    assert response.json()["errors"][0]["field"] == "Idempotency-Key"
