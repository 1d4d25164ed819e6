from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from django.utils import timezone

from automl.core import storage
from automl.core.errors import Conflict
from automl.core.models import Worker
from automl.experiments.models import Diagnosis
from automl.experiments.services.diagnoses import (
    compute_diagnosis,
    reap_diagnoses,
    request_comparison,
    request_diagnosis,
    try_again,
)
from automl.experiments.services.lifecycle import delete_experiment
from tests.factories import EnsembleFactory, ExperimentFactory, TrialFactory
from tests.seats import outcome

pytestmark = pytest.mark.django_db


def asked(**trial) -> Diagnosis:
    return request_diagnosis(TrialFactory(**trial))


def test_what_is_asked_for_is_computed_once_and_kept(seat, sent, django_capture_on_commit_callbacks):
    trial = TrialFactory()
    with django_capture_on_commit_callbacks(execute=True):
        diagnosis = request_diagnosis(trial)
        assert request_diagnosis(trial) == diagnosis
    assert sent == [("diagnose", diagnosis.id)]
    compute_diagnosis(diagnosis.id)
    compute_diagnosis(diagnosis.id)

    diagnosis.refresh_from_db()
    assert (diagnosis.state, diagnosis.result["rows"]) == ("ready", 100)
    (job, args), *more = seat.calls
    assert not more
    assert job == "diagnose"
    assert args["members"][0]["dir"].endswith(trial.folder)
    assert args["members"][0]["weight"] == 1.0
    assert request_diagnosis(trial).result == diagnosis.result


def test_an_ensemble_is_diagnosed_by_its_weighted_members(seat):
    experiment = ExperimentFactory()
    one, other = TrialFactory(experiment=experiment), TrialFactory(experiment=experiment)
    ensemble = EnsembleFactory(experiment=experiment, weights={str(one.id): 0.25, str(other.id): 0.75})
    compute_diagnosis(request_diagnosis(ensemble).id)
    (_, args) = seat.calls[0]
    assert [(member["number"], member["weight"]) for member in args["members"]] == [(0, 0.25), (1, 0.75)]
    assert args["honest"] is None

    storage.path_of(ensemble.folder).mkdir(parents=True)
    Diagnosis.objects.all().delete()
    compute_diagnosis(request_diagnosis(ensemble).id)
    (_, args) = seat.calls[1]
    assert args["honest"] == str(storage.path_of(ensemble.folder))


def test_an_ensemble_is_compared_by_the_predictions_that_it_is_judged_by(seat):
    experiment = ExperimentFactory()
    trial = TrialFactory(experiment=experiment)
    ensemble = EnsembleFactory(experiment=experiment, weights={str(trial.id): 1.0})
    compute_diagnosis(request_comparison(experiment, [trial, ensemble]).id)
    (_, before) = seat.calls[0]
    assert [each.get("flattered", False) for each in before["entries"]] == [False, True]

    storage.path_of(ensemble.folder).mkdir(parents=True)
    compute_diagnosis(request_comparison(experiment, [ensemble, trial]).id)
    (_, after) = seat.calls[1]
    assert "flattered" not in after["entries"][0]
    assert after["entries"][0]["members"] == [{"dir": str(storage.path_of(ensemble.folder)), "weight": 1.0}]


@pytest.mark.parametrize("state", ["waiting", "running", "pruned", "failed", "cancelled"])
def test_a_trial_that_did_not_complete_has_nothing_to_diagnose(state):
    with pytest.raises(Conflict, match=f"is {state}; only a complete trial"):
        asked(state=state)


def test_from_two_to_eight_can_be_compared(seat):
    experiment = ExperimentFactory()
    trials = [TrialFactory(experiment=experiment) for _ in range(9)]
    for wrong in (trials[:1], trials, []):
        with pytest.raises(Conflict, match="From 2 to 8 can be compared"):
            request_comparison(experiment, wrong)
    comparison = request_comparison(experiment, trials[:2])
    assert request_comparison(experiment, trials[:2]) == comparison
    assert request_comparison(experiment, trials[1::-1]) != comparison
    compute_diagnosis(comparison.id)
    comparison.refresh_from_db()
    assert comparison.state == "ready"
    assert [each["id"] for each in seat.calls[0][1]["entries"]] == [str(trial.id) for trial in trials[:2]]


def test_what_a_late_worker_found_is_void(seat, sent):
    diagnosis = asked()

    def overtaken(**_):
        Diagnosis.objects.filter(id=diagnosis.id).update(attempt=2)
        return outcome(result={"rows": 1})

    seat.answers["diagnose"] = overtaken
    compute_diagnosis(diagnosis.id)
    diagnosis.refresh_from_db()
    assert (diagnosis.state, diagnosis.result) == ("computing", None)


def test_one_that_is_held_is_not_claimed_again(seat):
    diagnosis = asked()
    Diagnosis.objects.filter(id=diagnosis.id).update(
        attempt=1, lease_expires_at=timezone.now() + timedelta(seconds=10)
    )
    compute_diagnosis(diagnosis.id)
    assert seat.calls == []


def test_searches_keep_a_process_for_their_own_short_work(seat, sent):
    first, second = asked(), asked()
    Diagnosis.objects.filter(id=first.id).update(
        attempt=1, lease_expires_at=timezone.now() + timedelta(seconds=10)
    )
    compute_diagnosis(second.id)
    assert seat.calls == []
    now = timezone.now()
    for name in ("short@one", "short@two"):
        Worker.objects.create(name=name, queue="short", started_at=now, seen_at=now)
    compute_diagnosis(second.id)
    assert len(seat.calls) == 1


def test_the_end_of_one_wakes_the_next(seat, sent):
    first, second = asked(), asked()
    compute_diagnosis(first.id)
    assert sent == [("diagnose", second.id)]


def test_a_failure_says_why_and_may_be_tried_again(seat, sent, django_capture_on_commit_callbacks):
    diagnosis = asked()
    seat.answers["diagnose"] = outcome("error", error="The stored file is altered.")
    compute_diagnosis(diagnosis.id)
    diagnosis.refresh_from_db()
    assert (diagnosis.state, diagnosis.error) == ("failed", "The stored file is altered.")

    del seat.answers["diagnose"]
    with django_capture_on_commit_callbacks(execute=True):
        assert try_again(diagnosis)
    assert not try_again(diagnosis)
    assert sent == [("diagnose", diagnosis.id)]
    compute_diagnosis(diagnosis.id)
    diagnosis.refresh_from_db()
    assert (diagnosis.state, diagnosis.error) == ("ready", "")


def test_a_lost_seat_is_followed_by_another_and_the_third_is_the_last(seat, sent):
    diagnosis = asked()
    for losses in (1, 2):
        seat.answers["diagnose"] = replace(outcome("crashed", error="Killed."), lost=True)
        compute_diagnosis(diagnosis.id)
        diagnosis.refresh_from_db()
        assert (diagnosis.state, diagnosis.losses, diagnosis.lease_expires_at) == ("computing", losses, None)
        assert ("diagnose", diagnosis.id) in sent
    Diagnosis.objects.update(lease_expires_at=timezone.now() - timedelta(seconds=1))
    sent.clear()
    reap_diagnoses()
    diagnosis.refresh_from_db()
    assert diagnosis.state == "failed"
    assert "cut off 3 times" in diagnosis.error
    assert sent == []


def test_a_deleted_experiment_needs_no_diagnosis(seat, sent):
    diagnosis = asked()
    delete_experiment(diagnosis.experiment)
    compute_diagnosis(diagnosis.id)
    sent.clear()
    reap_diagnoses()
    assert seat.calls == []
    assert sent == []


def test_an_ensemble_that_was_replaced_is_said_to_be_gone(seat):
    experiment = ExperimentFactory()
    trial = TrialFactory(experiment=experiment)
    ensemble = EnsembleFactory(experiment=experiment, weights={str(trial.id): 1.0})
    diagnosis = request_diagnosis(ensemble)
    ensemble.delete()
    compute_diagnosis(diagnosis.id)
    diagnosis.refresh_from_db()
    assert (diagnosis.state, diagnosis.error) == ("failed", "What it was about is no longer there.")
