"""What becomes of work whose process was killed, or whose worker was told to leave."""

from __future__ import annotations

import time
from datetime import timedelta

import pytest
from django.db import OperationalError
from django.utils import timezone

from automl.core import holdings, leaving
from automl.core.holdings import Holding
from automl.datasets.services import profile_dataset
from automl.engine.isolation import Outcome
from automl.experiments.models import Trial
from automl.experiments.services import losses, trials
from automl.experiments.services.lifecycle import prepare_experiment
from automl.experiments.services.losses import reap_trials
from automl.experiments.services.packaging import reap_models
from automl.experiments.services.results import finish_experiment, reap_results
from automl.experiments.services.sweep import take_over
from automl.experiments.services.trials import evaluate_trial, give_back
from tests.factories import DatasetFactory, ExperimentFactory, TrialFactory
from tests.seats import RESULTS, outcome

pytestmark = pytest.mark.django_db

KILLED = Outcome("crashed", error="The fit was killed from outside (SIGKILL).", signal=9, lost=True)
SEGFAULT = Outcome("crashed", error="The fit's process crashed (SIGSEGV), inside a library.", signal=11)


@pytest.fixture(autouse=True)
def _nobody_leaves():
    yield
    leaving.take_back()


@pytest.fixture
def commit(django_capture_on_commit_callbacks):
    return lambda: django_capture_on_commit_callbacks(execute=True)


def waiting_trial(**fields) -> Trial:
    return TrialFactory(experiment=ExperimentFactory(started_at=None), state="waiting", **fields)


def told_to_leave(*, on_tick, **_):
    leaving.ask()
    assert not on_tick(0.25)
    return outcome("cancelled")


def test_a_killed_fit_is_no_failure_of_its_trial(seat, sent, commit):
    trial = waiting_trial()
    seat.answers["evaluate"] = KILLED

    with commit():
        evaluate_trial("evaluate@here")

    trial.refresh_from_db()
    assert (trial.state, trial.losses, trial.error, trial.lease_expires_at) == ("waiting", 1, "", None)
    assert ("evaluate", trial.id) in sent


def test_a_fit_killed_for_the_third_time_fails_its_trial_with_a_sentence(seat, sent, commit):
    trial = waiting_trial(losses=2)
    seat.answers["evaluate"] = KILLED

    with commit():
        evaluate_trial("evaluate@here")

    trial.refresh_from_db()
    assert (trial.state, trial.losses) == ("failed", 3)
    assert trial.error.startswith(
        "Lost 3 times, last on evaluate@here: each time its process was killed, or its worker was not heard"
    )
    assert ("plan", trial.experiment_id) in sent


def test_a_crash_of_the_fit_itself_fails_its_trial_at_once(seat):
    trial = waiting_trial()
    seat.answers["evaluate"] = SEGFAULT

    evaluate_trial("evaluate@here")

    trial.refresh_from_db()
    assert (trial.state, trial.losses) == ("failed", 0)
    assert "SIGSEGV" in trial.error


def test_a_worker_that_leaves_gives_its_trial_back_without_a_loss(seat, sent, commit):
    trial = waiting_trial()
    seat.answers["evaluate"] = told_to_leave

    with commit():
        evaluate_trial("evaluate@here")

    trial.refresh_from_db()
    assert (trial.state, trial.losses, trial.lease_expires_at) == ("waiting", 0, None)
    assert ("evaluate", trial.id) in sent


def test_a_result_that_comes_just_as_the_worker_leaves_is_kept(seat):
    trial = waiting_trial()

    def done_just_then(*, on_tick, **_):
        leaving.ask()
        on_tick(0.25)
        return outcome(result=RESULTS["evaluate"])

    seat.answers["evaluate"] = done_just_then
    evaluate_trial("evaluate@here")

    trial.refresh_from_db()
    assert trial.state == "complete"


def test_a_worker_that_leaves_claims_nothing_and_passes_its_call_on(seat, sent):
    trial = waiting_trial()
    leaving.ask()

    assert not evaluate_trial("evaluate@here")

    trial.refresh_from_db()
    assert (trial.state, trial.attempt) == ("waiting", 0)
    assert sent == [("evaluate", trial.id)]


def test_a_trial_that_has_ended_is_not_given_back():
    trial = TrialFactory(state="complete")

    assert give_back(Trial.objects.filter(id=trial.id)) == 0

    trial.refresh_from_db()
    assert trial.state == "complete"


@pytest.mark.parametrize(("answer", "losses"), [(KILLED, 1), (told_to_leave, 0)], ids=["killed", "leaving"])
def test_preparing_that_was_cut_off_begins_again_at_once(seat, sent, answer, losses):
    experiment = ExperimentFactory(state="pending")
    seat.answers["prepare"] = answer

    prepare_experiment(experiment.id)

    experiment.refresh_from_db()
    assert (experiment.state, experiment.lease_expires_at) == ("running", None)
    assert experiment.losses == losses
    assert ("prepare", experiment.id) in sent


@pytest.mark.parametrize(("answer", "losses"), [(KILLED, 1), (told_to_leave, 0)], ids=["killed", "leaving"])
def test_profiling_that_was_cut_off_begins_again_at_once(seat, sent, answer, losses):
    dataset = DatasetFactory(state="profiling")
    seat.answers["profile"] = answer

    profile_dataset(dataset.id)

    dataset.refresh_from_db()
    assert (dataset.state, dataset.lease_expires_at, dataset.losses) == ("profiling", None, losses)
    assert ("profile", dataset.id) in sent


@pytest.mark.parametrize("job", ["blend", "package"])
@pytest.mark.parametrize("answer", [KILLED, told_to_leave], ids=["killed", "leaving"])
def test_an_end_that_was_cut_off_is_done_again_and_the_board_has_one_ensemble(seat, job, answer):
    experiment = ExperimentFactory(state="stopping")
    for _ in range(3):
        TrialFactory(experiment=experiment)
    seat.answers[job] = answer

    finish_experiment(experiment.id)

    experiment.refresh_from_db()
    assert (experiment.state, experiment.error, experiment.lease_expires_at) == ("stopping", "", None)
    leaving.take_back()
    del seat.answers[job]
    finish_experiment(experiment.id)
    experiment.refresh_from_db()
    assert (experiment.state, experiment.ensembles.count()) == ("complete", 1)
    assert experiment.models.get().state == "ready"


def test_an_end_killed_after_its_model_was_written_keeps_that_model(seat, monkeypatch):
    experiment = ExperimentFactory(state="stopping")
    for _ in range(3):
        TrialFactory(experiment=experiment)
    results = "automl.experiments.services.results.advance_experiment"
    with monkeypatch.context() as patch, pytest.raises(RuntimeError):
        patch.setattr(results, lambda *_, **__: (_ for _ in ()).throw(RuntimeError("killed here")))
        finish_experiment(experiment.id)
    model = experiment.models.get()
    experiment.lease_expires_at = None
    experiment.save()

    finish_experiment(experiment.id)

    experiment.refresh_from_db()
    assert (experiment.state, experiment.ensembles.count()) == ("complete", 1)
    assert experiment.models.get() == model


def test_the_end_waits_for_a_model_that_somebody_else_is_packaging(seat, sent):
    experiment = ExperimentFactory(state="stopping")
    trial = TrialFactory(experiment=experiment)
    model = experiment.models.create(
        trial=trial, name="asked for", attempt=1, lease_expires_at=timezone.now() + timedelta(seconds=10)
    )

    finish_experiment(experiment.id)

    experiment.refresh_from_db()
    assert (experiment.state, experiment.error, experiment.losses) == ("stopping", "", 0)
    model.state = "ready"
    model.save()
    finish_experiment(experiment.id)
    experiment.refresh_from_db()
    assert experiment.state == "complete"


@pytest.mark.django_db(transaction=True)
def test_a_database_that_is_away_for_a_moment_costs_no_result(seat, monkeypatch, settings):
    trial = waiting_trial()
    tell, tries = trials.tell_trial, []

    def away_once(*arguments, **named):
        tries.append(1)
        if len(tries) == 1:
            raise OperationalError("server closed the connection unexpectedly")
        return tell(*arguments, **named)

    monkeypatch.setattr(trials, "tell_trial", away_once)
    monkeypatch.setattr("automl.core.patience.close_old_connections", lambda: None)
    monkeypatch.setattr(time, "sleep", lambda _: None)

    evaluate_trial("evaluate@here")

    trial.refresh_from_db()
    assert trial.state == "complete"


def test_a_model_whose_packaging_is_killed_each_time_fails_the_search_in_the_end(seat, sent):
    experiment = ExperimentFactory(state="stopping")
    TrialFactory(experiment=experiment)
    seat.answers["package"] = KILLED

    for _ in range(10):
        finish_experiment(experiment.id)
        reap_results()
        reap_models()

    experiment.refresh_from_db()
    assert experiment.state == "failed"
    assert "cut off 3 times" in experiment.error
    assert len([job for job, _ in seat.calls if job == "package"]) == 3


def test_after_an_outage_that_was_too_long_a_trial_that_is_still_ours_is_tried_again(seat, monkeypatch):
    trial = waiting_trial()

    def cut_off_for_long(*, on_tick, **_):
        on_tick.lost = True
        return outcome("cancelled")

    seat.answers["evaluate"] = cut_off_for_long
    evaluate_trial("evaluate@here")

    trial.refresh_from_db()
    assert (trial.state, trial.losses) == ("waiting", 0)


def test_what_a_dead_process_held_is_taken_back_before_its_lease_ends(sent, commit):
    trial = TrialFactory(state="running", attempt=2)
    experiment = ExperimentFactory(
        state="stopping", attempt=1, lease_expires_at=timezone.now() + timedelta(seconds=10)
    )

    with commit():
        take_over(
            [Holding("experiments.trial", trial.id, 2), Holding("experiments.experiment", experiment.id, 1)]
        )

    trial.refresh_from_db()
    assert (trial.state, trial.losses) == ("waiting", 1)
    assert ("evaluate", trial.id) in sent
    assert ("finish", experiment.id) in sent


def test_what_a_dead_process_held_and_another_has_by_now_is_left_alone():
    trial = TrialFactory(state="running", attempt=3)

    take_over([Holding("experiments.trial", trial.id, 2)])

    trial.refresh_from_db()
    assert (trial.state, trial.losses) == ("running", 0)


def test_a_process_notes_what_it_holds_only_while_it_holds_it(tmp_path, seat, monkeypatch):
    # Put back afterwards: other tests have no worker.
    monkeypatch.setattr(holdings, "_memory", None)
    holdings.open_notes(tmp_path, "evaluate@here")
    trial, seen = waiting_trial(), []

    def look(**_):
        seen.extend(holdings.left_behind(here=True))
        return outcome(result=RESULTS["evaluate"])

    seat.answers["evaluate"] = look
    evaluate_trial("evaluate@here")

    assert seen == [(0, Holding("experiments.trial", trial.id, 1))]
    assert holdings.left_behind(here=True) == []


@pytest.fixture
def lying(monkeypatch):
    """How many messages lie on the queue of trials."""
    found = {"evaluate": 0}
    monkeypatch.setattr(losses, "queue_lengths", lambda: found)
    return found


def forgotten(*, count: int) -> list[Trial]:
    """Trials that have waited for long since the last message for them."""
    long_ago, experiment = timezone.now() - timedelta(seconds=30), ExperimentFactory()
    return [TrialFactory(experiment=experiment, state="waiting", nudged_at=long_ago) for _ in range(count)]


def test_a_waiting_trial_whose_message_was_lost_is_nudged_but_not_all_the_time(sent, lying):
    (trial,) = forgotten(count=1)

    reap_trials()
    reap_trials()

    assert sent.count(("evaluate", trial.id)) == 1


@pytest.mark.parametrize(("there", "more"), [(0, 10), (7, 3), (10, 0), (500, 0), (None, 0)])
def test_messages_do_not_pile_up_behind_long_fits(sent, lying, there, more):
    forgotten(count=15)
    lying["evaluate"] = there

    reap_trials()

    assert len([job for job, _ in sent if job == "evaluate"]) == more
