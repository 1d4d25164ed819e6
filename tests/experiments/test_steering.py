"""Steering a search: once, twice, late, contradicting, and in the middle of a fit."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from automl.core import dispatch
from automl.core.errors import Conflict, InvalidInput
from automl.experiments import clock
from automl.experiments.inline import InlineDispatcher
from automl.experiments.models import Experiment, Trial
from automl.experiments.services.by_hand import add_trial
from automl.experiments.services.lifecycle import cancel_experiment
from automl.experiments.services.results import finish_experiment
from automl.experiments.services.steering import (
    cancel_search,
    change_experiment,
    extend_experiment,
    pause_experiment,
    resume_experiment,
    skip_trial,
    stop_search,
)
from automl.experiments.services.trials import (
    claim_trial,
    evaluate_trial,
    plan_trials,
)
from tests.experiments.rows import ENDED, again, states
from tests.factories import ExperimentFactory, TrialFactory
from tests.seats import RESULTS, outcome

pytestmark = pytest.mark.django_db


# --- Pause and resume ---------------------------------------------------------------------------


def test_a_paused_search_rests_and_its_running_trials_wait_again_without_a_loss():
    experiment = ExperimentFactory(spent=20.0)
    running = TrialFactory(experiment=experiment, state="running", fold_scores=[0.8])
    TrialFactory(experiment=experiment)

    assert pause_experiment(experiment)

    again(running)
    assert (again(experiment).state, states(experiment)) == ("paused", ["waiting", "complete"])
    assert (running.losses, running.lease_expires_at, running.fold_scores) == (0, None, [])
    assert clock.elapsed(experiment, timezone.now() + timedelta(hours=1)) == pytest.approx(20.0, abs=1)


def test_pausing_a_paused_search_changes_nothing():
    experiment = ExperimentFactory(state="paused")
    before = experiment.version

    assert not pause_experiment(experiment)

    assert (again(experiment).state, experiment.version) == ("paused", before)


@pytest.mark.parametrize("state", ["stopping", *ENDED])
def test_what_has_ended_can_not_be_paused(state):
    with pytest.raises(Conflict, match=f"The experiment is {state}; only a search that runs can be paused"):
        pause_experiment(ExperimentFactory(state=state))


@pytest.mark.parametrize("fields", [{"state": "pending"}, {"state": "running", "prepared": None}])
def test_what_is_still_being_prepared_can_not_be_paused(fields):
    with pytest.raises(Conflict, match="still being prepared"):
        pause_experiment(ExperimentFactory(**fields))


def test_nothing_of_a_paused_search_is_claimed_and_a_trial_by_hand_waits():
    experiment = ExperimentFactory(state="paused")

    trial = add_trial(experiment, family="dummy", hyperparameters={})

    assert claim_trial("evaluate@here") is None
    assert again(trial).state == "waiting"


def test_a_pause_in_the_middle_of_a_fit_stops_it_and_counts_nothing(seat, settings):
    settings.HEARTBEAT_SECONDS = 0.0
    trial = TrialFactory(experiment=ExperimentFactory(), state="waiting")
    goes_on = []

    def paused_in_the_middle(*, on_tick, **_):
        pause_experiment(trial.experiment)
        goes_on.append(on_tick(0.5))
        return outcome("cancelled")

    seat.answers["evaluate"] = paused_in_the_middle
    evaluate_trial("evaluate@here")

    assert goes_on == [False]
    assert (again(trial).state, trial.losses, trial.attempts, trial.error) == ("waiting", 0, 1, "")


def test_a_resumed_search_goes_on_where_it_was(sent, django_capture_on_commit_callbacks):
    experiment = ExperimentFactory(state="paused", spent=20.0)
    waiting = TrialFactory(experiment=experiment, state="waiting")

    with django_capture_on_commit_callbacks(execute=True):
        assert [resume_experiment(experiment) for _ in range(2)] == [True, False]

    assert again(experiment).state == "running"
    assert clock.elapsed(experiment) == pytest.approx(20.0, abs=1)
    assert sent == [("evaluate", waiting.id), ("plan", experiment.id)]


def test_the_clock_of_a_search_that_never_began_stands_still_after_a_resume():
    experiment = ExperimentFactory(state="paused", started_at=None)

    resume_experiment(experiment)

    assert again(experiment).clock_at is None


@pytest.mark.parametrize("state", ["stopping", *ENDED])
def test_what_has_ended_is_extended_and_not_resumed(state):
    with pytest.raises(Conflict, match="one that has ended can be extended"):
        resume_experiment(ExperimentFactory(state=state))


# --- Stop and cancel ----------------------------------------------------------------------------


@pytest.mark.parametrize("state", ["running", "paused"])
def test_a_search_is_stopped_from_where_it_stands(state, sent, django_capture_on_commit_callbacks):
    experiment = ExperimentFactory(state=state)

    with django_capture_on_commit_callbacks(execute=True):
        assert [stop_search(experiment) for _ in range(2)] == [True, False]

    assert sent == [("finish", experiment.id)]


def test_stopping_before_any_trial_has_finished_says_so():
    experiment = ExperimentFactory()
    TrialFactory(experiment=experiment, state="running")
    stop_search(experiment)

    finish_experiment(experiment.id)

    assert "stopped before any trial had finished" in again(experiment).error


@pytest.mark.parametrize("state", ["pending", "running", "paused", "stopping"])
def test_whatever_has_not_ended_can_be_cancelled_twice(state):
    experiment = ExperimentFactory(state=state)

    assert [cancel_search(experiment) for _ in range(2)] == [True, False]


def test_cancelling_what_is_complete_is_a_conflict():
    with pytest.raises(Conflict, match="The experiment is complete; there is nothing left to cancel"):
        cancel_search(ExperimentFactory(state="complete"))


# --- Skip ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", ["waiting", "running"])
def test_a_skipped_trial_is_cancelled_and_the_search_plans_on(
    state, sent, django_capture_on_commit_callbacks
):
    trial = TrialFactory(state=state)

    with django_capture_on_commit_callbacks(execute=True):
        assert [skip_trial(trial) for _ in range(2)] == [True, False]

    assert (again(trial).state, trial.error) == ("cancelled", "Skipped by hand.")
    assert sent == [("plan", trial.experiment_id)]


@pytest.mark.parametrize("state", ["complete", "pruned", "failed"])
def test_a_trial_that_has_ended_can_not_be_skipped(state):
    with pytest.raises(Conflict, match=f"The trial is {state}"):
        skip_trial(TrialFactory(state=state))


def test_a_trial_that_its_search_cut_short_was_not_skipped():
    trial = TrialFactory(state="running")
    cancel_experiment(trial.experiment)

    with pytest.raises(Conflict, match="The trial is cancelled"):
        skip_trial(trial)


def test_skipping_in_the_middle_of_a_fit_stops_it(seat, settings):
    settings.HEARTBEAT_SECONDS = 0.0
    trial = TrialFactory(experiment=ExperimentFactory(), state="waiting")
    goes_on = []

    def skipped_in_the_middle(*, on_tick, **_):
        skip_trial(trial)
        goes_on.append(on_tick(0.5))
        return outcome(result=RESULTS["evaluate"])

    seat.answers["evaluate"] = skipped_in_the_middle
    evaluate_trial("evaluate@here")

    assert goes_on == [False]
    assert (again(trial).state, trial.score) == ("cancelled", None)


def test_a_resume_that_read_its_row_long_ago_starts_the_clock_all_the_same():
    experiment = ExperimentFactory(state="paused", started_at=None)
    stale = Experiment.objects.get(id=experiment.id)
    Experiment.objects.update(started_at=timezone.now(), spent=3.0)

    resume_experiment(stale)

    assert again(experiment).clock_at is not None


# --- Change -------------------------------------------------------------------------------------


def test_fewer_seats_take_the_newest_trials_back_at_once():
    experiment = ExperimentFactory()
    for _ in range(3):
        TrialFactory(experiment=experiment, state="running")

    change_experiment(experiment, {"seats": 1})

    assert states(experiment) == ["running", "waiting", "waiting"]
    assert claim_trial("evaluate@here") is None


def test_an_experiment_uses_no_more_seats_than_it_may_and_others_are_served():
    few = ExperimentFactory(seats=1)
    for _ in range(9):
        TrialFactory(experiment=few, state="waiting")
    other = TrialFactory(state="waiting")

    claimed = [claim_trial("evaluate@here") for _ in range(3)]

    assert [trial and trial.experiment_id for trial in claimed] == [few.id, other.experiment_id, None]


def test_a_search_plans_for_the_seats_it_may_use(monkeypatch):
    monkeypatch.setattr("automl.core.seats.seat_plan", lambda: type("Plan", (), {"seats": 4, "threads": 1}))
    experiment = ExperimentFactory(seats=2, started_at=None)

    plan_trials(experiment.id)

    assert experiment.trials.count() == 2


def test_more_seats_are_taken_at_once(sent, django_capture_on_commit_callbacks):
    experiment = ExperimentFactory(seats=1)
    waiting = TrialFactory(experiment=experiment, state="waiting")

    with django_capture_on_commit_callbacks(execute=True):
        change_experiment(experiment, {"seats": None})

    assert again(experiment).seats is None
    assert sent == [("evaluate", waiting.id), ("plan", experiment.id)]


def test_the_same_change_twice_changes_once():
    experiment = ExperimentFactory()

    assert [change_experiment(experiment, {"max_trials": 9}) for _ in range(2)] == [True, False]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"seats": 0}, "0 is out of range: from 1"),
        ({"seats": 100_000}, "100000 is out of range"),
        ({"max_trials": 0}, "0 is out of range: from 1"),
        ({"time_budget": 3.0}, "3 s is out of range: from 5"),
        ({"time_budget": 20.0}, "20 s is less than the 30 s that are spent"),
    ],
)
def test_a_limit_that_can_not_be_used_is_named(changes, words):
    experiment = ExperimentFactory()

    with pytest.raises(InvalidInput) as caught:
        change_experiment(experiment, changes)

    assert words in caught.value.fields[next(iter(changes))]


def test_fewer_trials_than_have_run_end_the_search_at_the_next_plan():
    experiment = ExperimentFactory()
    for _ in range(3):
        TrialFactory(experiment=experiment)

    change_experiment(experiment, {"max_trials": 2})
    plan_trials(experiment.id)

    assert again(experiment).state == "stopping"


def test_more_trials_of_a_finished_experiment_do_not_restart_it():
    experiment = ExperimentFactory(state="complete", max_trials=2)

    change_experiment(experiment, {"max_trials": 20})

    assert (again(experiment).state, experiment.max_trials) == ("complete", 20)


def test_the_time_of_a_finished_experiment_is_not_changed_but_extended():
    with pytest.raises(Conflict, match="extend it to go on"):
        change_experiment(ExperimentFactory(state="complete"), {"time_budget": 600.0})


def test_a_change_of_seats_while_it_ends_does_not_disturb_the_end(seat):
    experiment = ExperimentFactory(state="stopping")
    TrialFactory(experiment=experiment)

    def changed_in_the_middle(**_):
        change_experiment(experiment, {"seats": 1})
        return outcome(result=RESULTS["package"])

    seat.answers["package"] = changed_in_the_middle
    finish_experiment(experiment.id)

    assert again(experiment).state == "complete"


# --- All of it together -------------------------------------------------------------------------


@pytest.fixture
def inline(monkeypatch):
    """Work is done in this process, at once."""
    carrier = InlineDispatcher()
    monkeypatch.setattr(dispatch, "_dispatcher", lambda path: carrier)
    return carrier


def proposals(experiment) -> list[tuple]:
    rows = experiment.trials.order_by("number")
    return [(trial.number, trial.family, trial.hyperparameters, trial.state) for trial in rows]


def test_a_pause_in_the_middle_changes_nothing_of_what_is_tried(
    seat, inline, django_capture_on_commit_callbacks
):
    """The same seed and trials: the paused search tries what the undisturbed one tries."""

    def search(disturb) -> list[tuple]:
        experiment = ExperimentFactory(max_trials=12, started_at=None, seed=5, time_budget=600.0)
        calls = []

        def fit(*, args, **_):
            calls.append(args)
            disturb(experiment, len(calls))
            return outcome(result=RESULTS["evaluate"])

        seat.answers["evaluate"] = fit
        with django_capture_on_commit_callbacks(execute=True):
            plan_trials(experiment.id)
        for _ in range(60):
            with django_capture_on_commit_callbacks(execute=True):
                if again(experiment).state == "paused":
                    resume_experiment(experiment)
                plan_trials(experiment.id)
                evaluate_trial("inline")
        assert again(experiment).state == "complete"
        return proposals(experiment)

    def pause_now_and_then(experiment, call):
        if call in (2, 5, 6):
            pause_experiment(experiment)

    undisturbed = search(lambda experiment, call: None)
    assert len(undisturbed) == 12
    assert search(pause_now_and_then) == undisturbed


def test_an_extended_search_is_complete_again_with_more_trials_and_all_the_earlier_ones(
    seat, inline, django_capture_on_commit_callbacks
):
    experiment = ExperimentFactory(max_trials=3, started_at=None, time_budget=600.0)

    def work():
        for _ in range(30):
            with django_capture_on_commit_callbacks(execute=True):
                plan_trials(experiment.id)
                evaluate_trial("inline")

    work()
    assert again(experiment).state == "complete"
    before = proposals(experiment)

    with django_capture_on_commit_callbacks(execute=True):
        extend_experiment(experiment, max_trials=6)
    work()

    assert again(experiment).state == "complete"
    assert proposals(experiment)[:3] == before
    assert len(proposals(experiment)) == 6


def test_attempts_count_losses_and_not_what_was_given_back():
    experiment = ExperimentFactory()
    made = [
        TrialFactory(experiment=experiment, state=state, attempt=attempt, losses=losses)
        for state, attempt, losses in [
            ("waiting", 0, 0),
            ("running", 1, 0),
            ("running", 4, 0),
            ("running", 3, 1),
            ("failed", 3, 3),
        ]
    ]
    assert [Trial.objects.get(id=trial.id).attempts for trial in made] == [0, 1, 1, 2, 3]
