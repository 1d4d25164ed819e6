"""Steering a search by program: every call once, twice, too late, and with what can't be used."""

from __future__ import annotations

import pytest

from automl.experiments.models import Experiment, Trial
from tests.factories import ExperimentFactory, TrialFactory

KEY = {"HTTP_IDEMPOTENCY_KEY": "one"}


def post(api, experiment, action, body=None, **headers):
    return api.post(f"experiments/{experiment.id}/{action}/", body or {}, **headers)


@pytest.mark.parametrize(
    ("action", "before", "after"),
    [
        ("pause", "running", "paused"),
        ("resume", "paused", "running"),
        ("stop", "running", "stopping"),
        ("stop", "paused", "stopping"),
        ("cancel", "paused", "cancelled"),
    ],
)
def test_an_action_shows_the_experiment_and_a_second_one_changes_nothing(api, alice, action, before, after):
    experiment = ExperimentFactory(owner=alice, state=before)
    first = post(api, experiment, action)
    version = Experiment.objects.get().version
    second = post(api, experiment, action)
    assert (first.status_code, first.json()["status"]) == (202, after)
    assert (second.status_code, second.json()["status"]) == (202, after)
    assert Experiment.objects.get().version == version


@pytest.mark.parametrize(
    ("action", "state", "words"),
    [
        ("pause", "complete", "The experiment is complete; only a search that runs can be paused."),
        ("pause", "pending", "still being prepared"),
        ("resume", "cancelled", "one that has ended can be extended"),
        ("stop", "failed", "only a search that has begun can be stopped"),
        ("cancel", "complete", "there is nothing left to cancel"),
    ],
)
def test_what_is_impossible_is_a_conflict_that_says_the_state(api, alice, action, state, words):
    answer = post(api, ExperimentFactory(owner=alice, state=state), action)
    assert answer.status_code == 409
    assert words in answer.json()["detail"]


@pytest.mark.parametrize("action", ["pause", "resume", "extend"])
def test_a_field_that_nobody_reads_is_named(api, alice, action):
    answer = post(api, ExperimentFactory(owner=alice), action, {"colour": 1})
    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == ["colour"]


def test_each_extension_adds_its_seconds_and_a_repeated_one_adds_them_once(api, alice):
    experiment = ExperimentFactory(owner=alice)
    for _ in range(2):
        assert post(api, experiment, "extend", {"time_budget": 30}, **KEY).json()["time_budget"] == 90
    assert post(api, experiment, "extend", {"time_budget": 30}).json()["time_budget"] == 120


def test_a_finished_experiment_goes_on(api, alice):
    experiment = ExperimentFactory(owner=alice, state="complete", max_trials=1)
    TrialFactory(experiment=experiment)
    refused = post(api, experiment, "extend", {"time_budget": 30})
    assert refused.status_code == 422
    assert refused.json()["errors"][0]["field"] == "max_trials"
    answer = post(api, experiment, "extend", {"time_budget": 30, "max_trials": 4})
    body = answer.json()
    assert (answer.status_code, body["status"], body["max_trials"]) == (202, "running", 4)
    assert body["finished_at"] is None


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "time_budget"),
        ({"time_budget": 0}, "time_budget"),
        ({"time_budget": "60"}, "time_budget"),
        ({"time_budget": 1e12}, "time_budget"),
        ({"max_trials": 0}, "max_trials"),
    ],
)
def test_an_extension_that_can_not_be_is_refused_by_field(api, alice, body, field):
    answer = post(api, ExperimentFactory(owner=alice), "extend", body)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == field


def test_limits_are_changed_and_shown(api, alice):
    experiment = ExperimentFactory(owner=alice)
    body = {"time_budget": 90, "max_trials": 12, "seats": 2}
    for _ in range(2):
        answer = api.patch(f"experiments/{experiment.id}/", body)
        assert answer.status_code == 200
        assert {name: answer.json()[name] for name in body} == body
    answer = api.patch(f"experiments/{experiment.id}/", {"seats": None, "max_trials": None})
    assert (answer.json()["seats"], answer.json()["max_trials"]) == (None, None)
    assert answer["ETag"] == api.get(f"experiments/{experiment.id}/")["ETag"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"seats": 0}, "seats"),
        ({"seats": 1.5}, "seats"),
        ({"max_trials": 10**9}, "max_trials"),
        ({"time_budget": None}, "time_budget"),
        ({"time_budget": 6}, "time_budget"),
        ({"target": "age"}, "target"),
    ],
)
def test_a_limit_that_can_not_be_is_refused_by_field(api, alice, body, field):
    experiment = ExperimentFactory(owner=alice)
    answer = api.patch(f"experiments/{experiment.id}/", body)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == field


def test_a_new_experiment_may_say_how_many_seats_it_takes(api, alice):
    dataset = ExperimentFactory(owner=alice).dataset
    body = {"dataset": str(dataset.id), "target": "income", "seats": 1}
    assert api.post("experiments/", body).json()["seats"] == 1
    answer = api.post("experiments/", {**body, "seats": 100_000})
    assert answer.json()["errors"][0]["field"] == "seats"


def test_a_trial_is_skipped_and_a_second_time_is_no_fault(api, alice):
    trial = TrialFactory(experiment__owner=alice, state="running")
    for _ in range(2):
        answer = api.post(f"trials/{trial.id}/skip/", {})
        assert (answer.status_code, answer.json()["status"]) == (202, "cancelled")
    assert Trial.objects.get().error == "Skipped by hand."


def test_a_trial_that_has_ended_can_not_be_skipped(api, alice):
    answer = api.post(f"trials/{TrialFactory(experiment__owner=alice).id}/skip/", {})
    assert answer.status_code == 409
    assert "The trial is complete" in answer.json()["detail"]


def test_attempts_are_those_that_ended_with_their_process_and_the_one_now(api, alice):
    trial = TrialFactory(experiment__owner=alice, state="running", attempt=5, losses=1)
    assert api.get(f"trials/{trial.id}/").json()["attempts"] == 2
