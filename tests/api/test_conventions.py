"""What API.md promises of every resource."""

from __future__ import annotations

import json

import pytest
from django.test import override_settings
from rest_framework.throttling import UserRateThrottle

from automl.api.encoding import FiniteJSONRenderer
from automl.datasets.models import Dataset
from automl.experiments.models import Experiment, Trial
from tests.factories import DatasetFactory, ExperimentFactory, TrainedModelFactory, TrialFactory

GETS = [
    "datasets/",
    "datasets/{w.dataset.id}/",
    "experiments/",
    "experiments/{w.experiment.id}/",
    "experiments/{w.experiment.id}/leaderboard/",
    "experiments/{w.experiment.id}/insight/",
    "experiments/{w.experiment.id}/trials/",
    "trials/{w.trial.id}/",
    "models/",
    "models/{w.model.id}/",
    "models/{w.model.id}/download/",
    "families/",
    "metrics/",
    "me/",
    "schema/",
    "health/live/",
]


# --- ETags ------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", GETS)
def test_what_has_not_changed_is_answered_without_a_body(api, world, path):
    path = path.format(w=world)
    first = api.get(path)
    etag = first["ETag"]
    again = api.get(path, HTTP_IF_NONE_MATCH=f'"something", {etag}')
    assert (again.status_code, again.content, again["ETag"]) == (304, b"", etag)
    assert "private" in first["Cache-Control"]


@pytest.mark.parametrize(
    ("path", "change"),
    [
        ("datasets/{w.dataset.id}/", lambda w: Dataset.objects.update(version=7)),
        ("datasets/", lambda w: DatasetFactory(owner=w.dataset.owner)),
        ("experiments/{w.experiment.id}/", lambda w: Experiment.objects.update(version=7)),
        ("experiments/{w.experiment.id}/leaderboard/", lambda w: Experiment.objects.update(version=7)),
        ("experiments/{w.experiment.id}/trials/", lambda w: Experiment.objects.update(version=7)),
        ("trials/{w.trial.id}/", lambda w: Experiment.objects.update(version=7)),
        ("models/", lambda w: TrainedModelFactory(trial__experiment=w.experiment)),
    ],
)
def test_a_change_makes_another_etag(api, world, path, change):
    path = path.format(w=world)
    etag = api.get(path)["ETag"]
    change(world)
    response = api.get(path, HTTP_IF_NONE_MATCH=etag)
    assert response.status_code == 200
    assert response["ETag"] != etag


@pytest.mark.parametrize("path", ["trials/{w.trial.id}/", "experiments/{w.experiment.id}/trials/"])
def test_a_fold_that_ends_makes_another_etag(api, world, path):
    path = path.format(w=world)
    Trial.objects.update(state="running", fold_scores=[0.8])
    etag = api.get(path)["ETag"]
    Trial.objects.update(fold_scores=[0.8, 0.9])
    assert api.get(path, HTTP_IF_NONE_MATCH=etag).status_code == 200


def test_each_page_of_a_board_has_an_etag_of_its_own(api, world):
    path = f"experiments/{world.experiment.id}/leaderboard/"
    assert api.get(path)["ETag"] != api.get(f"{path}?limit=1")["ETag"]


def test_polling_an_experiment_that_stands_still_takes_two_queries(api, world, django_assert_num_queries):
    path = f"experiments/{world.experiment.id}/"
    etag = api.get(path)["ETag"]
    with django_assert_num_queries(2):  # the token and the row
        assert api.get(path, HTTP_IF_NONE_MATCH=etag).status_code == 304


# --- Retry-After --------------------------------------------------------------------------------


@pytest.mark.parametrize("state", ["profiling", "ready", "failed"])
def test_a_dataset_says_when_to_ask_again(api, alice, state):
    dataset = DatasetFactory(owner=alice, state=state)
    assert ("Retry-After" in api.get(f"datasets/{dataset.id}/")) == (state == "profiling")


@pytest.mark.parametrize(
    "state", ["pending", "running", "paused", "stopping", "complete", "cancelled", "failed"]
)
def test_an_experiment_says_when_to_ask_again(api, alice, state):
    experiment = ExperimentFactory(owner=alice, state=state)
    unfinished = state not in ("complete", "cancelled", "failed")
    response = api.get(f"experiments/{experiment.id}/")
    assert ("Retry-After" in response) == unfinished
    again = api.get(f"experiments/{experiment.id}/", HTTP_IF_NONE_MATCH=response["ETag"])
    assert again.status_code == 304
    assert ("Retry-After" in again) == unfinished


@pytest.mark.parametrize("state", ["packaging", "ready", "failed"])
def test_a_model_says_when_to_ask_again(api, world, state):
    world.model.state = state
    world.model.save()
    assert ("Retry-After" in api.get(f"models/{world.model.id}/")) == (state == "packaging")


# --- Pages --------------------------------------------------------------------------------------


def follow(api, path):
    """All results of a list, page by page, and how many pages there were."""
    results, pages = [], 0
    while path:
        page = api.get(path).json()
        assert set(page) == {"next", "previous", "results"}
        results, pages, path = [*results, *page["results"]], pages + 1, page["next"]
    return results, pages


def test_pages_of_datasets_hold_each_once_newest_first(api, alice):
    made = [str(DatasetFactory(owner=alice).id) for _ in range(7)]
    results, pages = follow(api, "datasets/?limit=3")
    assert [row["id"] for row in results] == made[::-1]
    assert pages == 3


def test_pages_of_a_board_hold_each_row_once_best_first(api, world):
    scores = [0.5, 0.7, 0.6, 0.8]
    for score in scores:
        TrialFactory(experiment=world.experiment, score=score)
    results, pages = follow(api, f"experiments/{world.experiment.id}/leaderboard/?limit=2")
    assert [row["score"] for row in results] == sorted([*scores, 0.9], reverse=True)
    assert pages == 3


def test_pages_of_trials_are_in_the_order_of_their_numbers_and_go_back(api, world):
    for state in ("pruned", "failed", "waiting", "running"):
        TrialFactory(experiment=world.experiment, state=state)
    path = f"experiments/{world.experiment.id}/trials/?limit=2"
    results, _ = follow(api, path)
    assert [row["number"] for row in results] == [0, 1, 2, 3, 4]
    second = api.get(api.get(path).json()["next"]).json()
    assert [row["number"] for row in api.get(second["previous"]).json()["results"]] == [0, 1]


@pytest.mark.parametrize("limit", ["0", "501", "-1", "x", "", "1e2", "9" * 30, "٣"])
@pytest.mark.parametrize("path", ["datasets/", "experiments/{w.experiment.id}/leaderboard/", "families/"])
def test_a_limit_out_of_range_is_named(api, world, path, limit):
    response = api.get(f"{path.format(w=world)}?limit={limit}")
    assert response.status_code == 422
    assert response.json()["errors"][0]["field"] == "limit"
    assert "from 1 to 500" in response.json()["detail"]


@pytest.mark.parametrize("path", ["datasets/", "experiments/{w.experiment.id}/trials/"])
@pytest.mark.parametrize("cursor", ["nonsense", "cD1ub3RoaW5n"])
def test_a_cursor_that_is_not_ours_is_named(api, world, path, cursor):
    response = api.get(f"{path.format(w=world)}?cursor={cursor}")
    assert response.status_code == 422
    assert response.json()["errors"][0]["field"] == "cursor"


@pytest.mark.parametrize("path", ["datasets/", "experiments/", "models/"])
def test_a_longer_list_takes_no_more_queries(api, world, path, django_assert_num_queries):
    def queries(count):
        for _ in range(count):
            trial = TrialFactory(experiment=ExperimentFactory(owner=world.experiment.owner))
            TrainedModelFactory(trial=trial)
        with django_assert_num_queries(6 if path == "experiments/" else 2):
            return len(api.get(path).json()["results"])

    assert queries(1) < queries(6)


def test_a_longer_board_takes_no_more_queries(api, world, django_assert_num_queries):
    for _ in range(5):
        TrainedModelFactory(trial=TrialFactory(experiment=world.experiment))
    for path in ("leaderboard", "trials"):
        with django_assert_num_queries(4 if path == "leaderboard" else 6):
            assert api.get(f"experiments/{world.experiment.id}/{path}/").status_code == 200


# --- Problems -----------------------------------------------------------------------------------


def assert_problem(response, status):
    assert response.status_code == status
    assert response["Content-Type"] == "application/problem+json"
    body = response.json()
    assert {"type", "title", "status", "detail"} <= set(body)
    assert body["status"] == status
    assert body["detail"].endswith(".")
    return body


def test_an_address_that_is_none_is_a_problem(api):
    assert "/api/v1/nothing/" in assert_problem(api.get("nothing/"), 404)["detail"]


def test_a_forgotten_slash_is_told(api):
    assert "ends with a slash" in assert_problem(api.post("datasets"), 404)["detail"]


def test_a_method_that_is_none_is_a_problem(api, world):
    response = api.put(f"datasets/{world.dataset.id}/", {})
    assert_problem(response, 405)
    assert set(response["Allow"].split(", ")) >= {"GET", "PATCH", "DELETE"}


@pytest.mark.parametrize("type_", ["text/plain", "application/xml", "application/x-www-form-urlencoded"])
def test_a_body_of_another_kind_is_a_problem(api, type_):
    assert_problem(api.generic("POST", "experiments/", "a=b", content_type=type_), 415)


@pytest.mark.parametrize("body", ["{", "nothing", '{"a": NaN}', "[" * 100_000, "\xff"])
def test_a_body_that_is_no_json_is_a_problem(api, body):
    response = api.generic("POST", "experiments/", body, content_type="application/json")
    assert_problem(response, 400)


@pytest.mark.parametrize("body", ["[]", '"text"', "3", "null", "true"])
def test_a_body_that_is_no_object_is_a_problem(api, body):
    response = api.generic("POST", "experiments/", body, content_type="application/json")
    assert_problem(response, 422)


@pytest.mark.parametrize("path", ["experiments/{w.experiment.id}/", "datasets/{w.dataset.id}/"])
def test_a_body_without_its_length_is_a_problem(api, world, path):
    chunked = {"CONTENT_LENGTH": "", "HTTP_TRANSFER_ENCODING": "chunked"}
    response = api.patch(path.format(w=world), {"seats": 1, "name": "other"}, **chunked)
    assert "Content-Length" in assert_problem(response, 411)["detail"]
    assert api.get("me/", **chunked).status_code == 200


@pytest.mark.parametrize("charset", ["hex", "utf-16"])
def test_a_charset_that_is_not_the_bodys_is_a_problem(api, charset):
    type_ = f"application/json; charset={charset}"
    assert_problem(api.generic("POST", "experiments/", "{}", content_type=type_), 400)


@override_settings(DATA_UPLOAD_MAX_MEMORY_SIZE=100)
def test_a_body_over_the_limit_is_a_problem(api):
    assert_problem(api.post("experiments/", {"name": "x" * 200}), 413)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("post", "experiments/"),
        ("post", "experiments/{w.experiment.id}/trials/"),
        ("post", "experiments/{w.experiment.id}/cancel/"),
        ("post", "experiments/{w.experiment.id}/stop/"),
        ("post", "trials/{w.trial.id}/model/"),
        ("post", "models/{w.model.id}/predict/"),
        ("patch", "datasets/{w.dataset.id}/"),
    ],
)
def test_a_field_that_nobody_knows_is_named(api, world, method, path):
    response = getattr(api, method)(path.format(w=world), {"colour": "red"})
    errors = assert_problem(response, 422)["errors"]
    assert "colour" in {error["field"] for error in errors}


def test_too_many_requests_are_told_when_to_come_again(api, monkeypatch):
    monkeypatch.setattr(UserRateThrottle, "get_rate", lambda self: "1/min")
    assert api.get("me/").status_code == 200
    response = api.get("me/")
    assert assert_problem(response, 429)["type"] == "about:blank"
    assert 1 <= int(response["Retry-After"]) <= 60


def test_a_bug_is_a_problem_that_tells_nothing_of_the_inside(api, monkeypatch, caplog):
    def broken(user):
        raise RuntimeError("secret inside")

    monkeypatch.setattr("automl.datasets.selectors.list_datasets", broken)
    body = assert_problem(api.get("datasets/"), 500)
    assert "secret" not in json.dumps(body)
    assert "Traceback" not in json.dumps(body)
    assert "unhandled_error" in caplog.text


@pytest.mark.parametrize("accept", ["text/html", "application/xml", "application/problem+json", "nonsense"])
def test_whatever_is_accepted_the_answer_is_json(api, accept):
    response = api.get("me/", HTTP_ACCEPT=accept)
    assert (response.status_code, response["Content-Type"]) == (200, "application/json")


def test_numbers_that_json_does_not_have_become_null():
    data = {"a": [float("nan"), 1.5], "b": (float("inf"), {"c": float("-inf")})}
    assert json.loads(FiniteJSONRenderer().render(data)) == {"a": [None, 1.5], "b": [None, {"c": None}]}
