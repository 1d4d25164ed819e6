from __future__ import annotations

import pytest

from automl.experiments.models import Experiment, Trial
from automl.experiments.selectors import leaderboard
from tests.factories import (
    PREPARED,
    DatasetFactory,
    EnsembleFactory,
    ExperimentFactory,
    TrainedModelFactory,
    TrialFactory,
)

ROW = {
    "rank", "trial", "name", "family", "origin", "hyperparameters", "score", "score_low", "score_high",
    "tied_with_best", "fit_time", "predict_time", "size", "model", "ensemble",
}  # fmt: skip


@pytest.fixture
def dataset(alice):
    return DatasetFactory(owner=alice)


def test_an_experiment_is_created_with_the_defaults_of_the_contract(
    api, dataset, sent, django_capture_on_commit_callbacks
):
    with django_capture_on_commit_callbacks(execute=True):
        response = api.post("experiments/", {"dataset": str(dataset.id), "target": "income"})
    body = response.json()
    assert response.status_code == 201
    assert response["Location"].endswith(f"/api/v1/experiments/{body['id']}/")
    assert "Retry-After" in response
    expected = {
        "dataset": str(dataset.id), "target": "income", "task_type": "auto", "metric": "auto",
        "search": "auto", "time_budget": 60, "max_trials": None, "families": None, "ignore_columns": [],
        "test_dataset": None, "seed": 0, "status": "pending", "elapsed": 0, "progress": 0, "best": None,
        "model": None, "rows_learned": None, "warnings": [], "error": "",
    }  # fmt: skip
    assert {name: body[name] for name in expected} == expected
    assert set(body["trials"]) >= {"total", "waiting", "running", "complete", "pruned", "failed"}
    assert sent == [("prepare", Experiment.objects.get().id)]


def test_it_says_how_many_rows_it_learns_from(api, alice):
    made = ExperimentFactory(owner=alice, dataset=DatasetFactory(owner=alice, rows=4_000))

    assert api.get(f"experiments/{made.id}/").json()["rows_learned"] == PREPARED["profile"]["rows"] == 100


def test_everything_that_may_be_posted_is_kept(api, alice, dataset):
    other = DatasetFactory(owner=alice)
    posted = {
        "dataset": str(dataset.id), "target": "income", "task_type": "binary", "metric": "roc_auc",
        "search": "random", "time_budget": 12.5, "max_trials": 7, "families": ["dummy", "linear"],
        "ignore_columns": ["city"], "test_dataset": str(other.id), "seed": 3, "name": "Mine",
    }  # fmt: skip
    body = api.post("experiments/", posted).json()
    assert {name: body[name] for name in posted} == posted


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("target", "nothing", "nothing"),
        ("target", None, "null"),
        ("target", 3, "has to be text"),
        ("task_type", "clustering", "binary, multiclass, regression"),
        ("metric", "beauty", "roc_auc"),
        ("search", "luck", "random"),
        ("time_budget", 0, "0"),
        ("time_budget", 1e300, "out of range"),
        ("time_budget", "60", "has to be a number"),
        ("time_budget", True, "has to be a number"),
        ("max_trials", 0, "greater than or equal to 1"),
        ("max_trials", 2.5, "whole number"),
        ("max_trials", 10**30, "out of range"),
        ("families", ["nothing"], "lightgbm"),
        ("families", "linear", "list"),
        ("ignore_columns", ["income"], "target"),
        ("seed", -1, "0"),
        ("seed", 2**31, "2147483647"),
        ("name", "x" * 201, "200"),
        ("name", "\x00", "Null"),
    ],
)
def test_a_field_that_can_not_be_used_is_named(api, dataset, field, value, words):
    response = api.post("experiments/", {"dataset": str(dataset.id), "target": "income", field: value})
    assert response.status_code == 422
    (error,) = response.json()["errors"]
    assert error["field"].split(".")[0] == field
    assert words in error["message"]


def test_a_number_that_json_makes_infinite_is_named(api, dataset):
    body = f'{{"dataset": "{dataset.id}", "target": "income", "time_budget": 1e999}}'
    response = api.generic("POST", "experiments/", body, content_type="application/json")
    assert response.status_code == 422
    assert response.json()["errors"][0]["field"] == "time_budget"


def test_missing_fields_are_all_named(api):
    response = api.post("experiments/", {})
    assert {error["field"] for error in response.json()["errors"]} == {"dataset", "target"}


@pytest.mark.parametrize("id", ["nothing", "00000000-0000-0000-0000-000000000000"])
def test_a_dataset_that_is_not_there_is_named(api, id):
    response = api.post("experiments/", {"dataset": id, "target": "income"})
    assert response.status_code == 404
    assert response.json()["errors"][0]["field"] == "dataset"


def test_a_dataset_that_is_not_ready_is_a_conflict(api, alice):
    dataset = DatasetFactory(owner=alice, state="profiling")
    response = api.post("experiments/", {"dataset": str(dataset.id), "target": "income"})
    assert response.status_code == 409
    assert "profiling" in response.json()["detail"]


def test_too_many_at_once_are_told_to_come_later(api, alice, dataset, settings):
    ExperimentFactory(owner=alice)
    settings.MAX_ACTIVE_EXPERIMENTS = 1
    response = api.post("experiments/", {"dataset": str(dataset.id), "target": "income"})
    assert response.status_code == 429
    assert int(response["Retry-After"]) > 0


def test_an_experiment_shows_what_has_come_of_it(api, world):
    for state in ("waiting", "running", "pruned", "failed", "cancelled"):
        TrialFactory(experiment=world.experiment, state=state)
    best = TrialFactory(experiment=world.experiment, score=0.95)
    model = TrainedModelFactory(trial=best, is_best=True)
    body = api.get(f"experiments/{world.experiment.id}/").json()
    assert body["trials"] == {
        "total": 7, "waiting": 1, "running": 1, "complete": 2, "pruned": 1, "failed": 1, "cancelled": 1,
    }  # fmt: skip
    assert set(body["best"]) == ROW
    assert (body["best"]["trial"], body["best"]["rank"]) == (str(best.id), 1)
    assert body["best"]["model"] == body["model"] == str(model.id)
    assert 0 < body["progress"] < 1
    assert 29 < body["elapsed"] < 40


def test_a_model_that_is_being_packaged_is_not_there_yet(api, world):
    world.model.state, world.model.is_best = "packaging", True
    world.model.save()
    body = api.get(f"experiments/{world.experiment.id}/").json()
    assert body["model"] is None
    assert body["best"]["model"] is None


@pytest.mark.parametrize(("trials", "ensemble"), [([0.9, 0.8], 0.95), ([0.9, 0.8], 0.7), ([0.0, -0.4], None)])
def test_the_best_of_an_experiment_is_the_first_of_its_board(api, alice, trials, ensemble):
    experiment = ExperimentFactory(owner=alice)
    for score in trials:
        TrialFactory(experiment=experiment, score=score)
    if ensemble is not None:
        EnsembleFactory(experiment=experiment, score=ensemble)
    best = api.get(f"experiments/{experiment.id}/").json()["best"]
    (listed,) = api.get("experiments/").json()["results"]
    board = api.get(f"experiments/{experiment.id}/leaderboard/").json()["results"]
    assert best == listed["best"] == board[0]
    assert best["score"] == max([*trials, *([ensemble] if ensemble is not None else [])])


def test_a_board_has_rows_best_first_and_ties_share_a_rank(api, world):
    TrialFactory(experiment=world.experiment, score=0.9)
    TrialFactory(experiment=world.experiment, score=0.8)
    TrialFactory(experiment=world.experiment, state="failed")
    EnsembleFactory(experiment=world.experiment, score=0.92)
    rows = api.get(f"experiments/{world.experiment.id}/leaderboard/").json()["results"]
    assert [row["rank"] for row in rows] == [1, 2, 2, 4]
    assert {frozenset(row) for row in rows} == {frozenset(ROW)}
    assert (rows[0]["trial"], rows[0]["origin"]) == (None, "ensemble")
    assert rows[1]["model"] == str(world.model.id)
    assert len(rows) == len(leaderboard(world.experiment))


# --- Ending -------------------------------------------------------------------------------------


def test_cancelling_is_accepted_and_may_be_asked_twice(api, world):
    waiting = TrialFactory(experiment=world.experiment, state="waiting")
    for _ in range(2):
        response = api.post(f"experiments/{world.experiment.id}/cancel/")
        assert (response.status_code, response.json()["status"]) == (202, "cancelled")
    waiting.refresh_from_db()
    assert waiting.state == "cancelled"


def test_stopping_keeps_the_best_and_may_be_asked_twice(api, world, sent, django_capture_on_commit_callbacks):
    with django_capture_on_commit_callbacks(execute=True):
        for _ in range(2):
            response = api.post(f"experiments/{world.experiment.id}/stop/")
            assert (response.status_code, response.json()["status"]) == (202, "stopping")
            assert "Retry-After" in response
    assert sent == [("finish", world.experiment.id)]


@pytest.mark.parametrize(
    ("state", "call", "status"),
    [
        ("complete", "cancel", 409),
        ("failed", "cancel", 409),
        ("pending", "cancel", 202),
        ("pending", "stop", 409),
        ("cancelled", "stop", 409),
        ("complete", "stop", 202),
    ],
)
def test_what_has_ended_or_not_begun_answers_by_its_state(api, alice, state, call, status):
    experiment = ExperimentFactory(owner=alice, state=state)
    assert api.post(f"experiments/{experiment.id}/{call}/").status_code == status


def test_a_deleted_experiment_is_gone_with_its_trials_and_models(api, world):
    assert api.delete(f"experiments/{world.experiment.id}/").status_code == 204
    for path in (
        f"experiments/{world.experiment.id}/",
        f"trials/{world.trial.id}/",
        f"models/{world.model.id}/",
    ):
        assert api.get(path).status_code == 404


# --- Trials -------------------------------------------------------------------------------------


def test_a_trial_shows_its_place_and_how_it_went(api, world):
    TrialFactory(experiment=world.experiment, score=0.99)
    Trial.objects.filter(id=world.trial.id).update(
        learned={"trees": 120}, learning_curve={"x": [1, 2]}, diagnosis="Converged."
    )
    body = api.get(f"trials/{world.trial.id}/").json()
    assert set(body) >= ROW | {
        "status", "attempts", "worker", "fold_scores", "learning_curve", "diagnosis", "learned", "error",
        "started_at", "finished_at",
    }  # fmt: skip
    assert (body["rank"], body["status"], body["attempts"]) == (2, "complete", 1)
    assert (body["trial"], body["experiment"]) == (str(world.trial.id), str(world.experiment.id))
    assert (body["learned"], body["diagnosis"]) == ({"trees": 120}, "Converged.")
    assert body["model"] == str(world.model.id)


@pytest.mark.parametrize(("metric", "folds"), [("rmse", [0.65, 0.63]), ("r2", [-0.65, -0.63])])
def test_scores_of_folds_are_in_the_unit_of_the_score(api, world, metric, folds):
    Experiment.objects.update(task_type="regression", metric=metric)
    Trial.objects.update(score=-0.64, value=sum(folds) / 2, fold_scores=[-0.65, -0.63])
    for state in ("complete", "pruned"):
        Trial.objects.update(state=state)
        body = api.get(f"trials/{world.trial.id}/").json()
        assert body["fold_scores"] == folds
        assert api.get(f"experiments/{world.experiment.id}/trials/").json()["results"] == [body]


@pytest.mark.parametrize("state", ["waiting", "running", "pruned", "failed", "cancelled"])
def test_a_trial_that_is_not_complete_has_no_rank(api, world, state):
    trial = TrialFactory(experiment=world.experiment, state=state)
    response = api.get(f"trials/{trial.id}/")
    body = response.json()
    assert (body["rank"], body["score"], body["status"]) == (None, None, state)
    assert body["name"] == f"LightGBM #{trial.number}"
    assert bool(body["error"]) == (state == "failed")
    assert ("Retry-After" in response) == (state in ("waiting", "running"))


def test_a_trial_by_hand_joins_a_running_search(api, world, sent, django_capture_on_commit_callbacks):
    with django_capture_on_commit_callbacks(execute=True):
        response = api.post(
            f"experiments/{world.experiment.id}/trials/", {"family": "dummy", "hyperparameters": {}}
        )
    body = response.json()
    assert response.status_code == 201
    assert response["Location"].endswith(f"/api/v1/trials/{body['id']}/")
    assert (body["origin"], body["status"], body["number"]) == ("manual", "waiting", 1)
    assert [name for name, _ in sent] == ["evaluate"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"family": "nothing"}, "family"),
        ({}, "family"),
        ({"family": "linear", "hyperparameters": {"nothing": 1}}, "hyperparameters"),
        ({"family": "lightgbm", "hyperparameters": {"num_leaves": 10**400}}, "hyperparameters"),
        ({"family": "linear", "hyperparameters": [1]}, "hyperparameters"),
        ({"family": "linear", "hyperparameters": "x"}, "hyperparameters"),
    ],
)
def test_a_trial_by_hand_that_can_not_be_tried_names_the_field(api, world, body, field):
    response = api.post(f"experiments/{world.experiment.id}/trials/", body)
    assert response.status_code == 422
    assert [error["field"] for error in response.json()["errors"]] == [field]


def test_a_finished_experiment_goes_on_for_a_trial_by_hand(api, alice):
    experiment = ExperimentFactory(owner=alice, state="complete")
    TrialFactory(experiment=experiment)
    response = api.post(f"experiments/{experiment.id}/trials/", {"family": "dummy"})
    assert response.status_code == 201
    assert api.get(f"experiments/{experiment.id}/").json()["status"] == "running"


def test_an_experiment_that_is_about_to_end_takes_no_trial(api, alice):
    experiment = ExperimentFactory(owner=alice, state="stopping")
    response = api.post(f"experiments/{experiment.id}/trials/", {"family": "dummy"})
    assert response.status_code == 409
    assert "about to end" in response.json()["detail"]
