import time
from datetime import timedelta

import pytest
from django.conf import settings
from django.utils import timezone

from automl.core import storage
from automl.core.errors import InvalidInput
from automl.engine.isolation import SeatPlan
from automl.experiments.models import Experiment, Trial
from automl.experiments.services import trials
from automl.experiments.services.by_hand import add_trial
from automl.experiments.services.lifecycle import cancel_experiment, stop_experiment
from automl.experiments.services.losses import reap_trials
from automl.experiments.services.steering import extend_experiment, skip_trial
from automl.experiments.services.trials import (
    claim_trial,
    evaluate_trial,
    plan_trials,
)
from automl.experiments.states import advance_trial
from tests.factories import ExperimentFactory, TrialFactory, UserFactory
from tests.seats import RESULTS, outcome

pytestmark = pytest.mark.django_db


def test_a_plan_fills_the_seats_with_waiting_trials(settings, sent, django_capture_on_commit_callbacks):
    experiment = ExperimentFactory(started_at=None)

    with django_capture_on_commit_callbacks(execute=True):
        plan_trials(experiment.id)
        plan_trials(experiment.id)

    waiting = list(experiment.trials.filter(state="waiting"))
    assert [trial.number for trial in waiting] == list(range(len(waiting)))
    assert len(waiting) >= 1
    assert sent == [("evaluate", trial.id) for trial in waiting]


def test_the_first_trials_are_the_defaults():
    experiment = ExperimentFactory(started_at=None)

    plan_trials(experiment.id)

    assert {trial.origin for trial in experiment.trials.all()} == {"default"}


def test_a_trial_keeps_why_it_was_proposed():
    experiment = ExperimentFactory(started_at=None)
    plan_trials(experiment.id)
    first = experiment.trials.order_by("number").first()
    assert first.reason.startswith("Ready-made settings, number 1 of")
    assert add_trial(experiment, family="linear", hyperparameters={}).reason == "Asked for by hand."


def test_a_worker_that_finds_all_it_has_read_taken_reads_again(monkeypatch):
    experiment = ExperimentFactory()
    found = [TrialFactory(experiment=experiment, state="waiting") for _ in range(9)]
    ready, take, gone = trials._ready, trials._take, []

    def take_late(trial, worker):
        """Others have had each of the first eight."""
        gone.append(trial.id)
        return len(gone) > 8 and take(trial, worker)

    monkeypatch.setattr(trials, "_take", take_late)
    monkeypatch.setattr(trials, "_ready", lambda: ready().exclude(id__in=gone))

    assert claim_trial("here") == found[8]


def test_a_search_that_has_got_its_seats_meanwhile_does_not_hold_up_others(monkeypatch):
    full, free = ExperimentFactory(seats=1), ExperimentFactory()
    for _ in range(20):
        TrialFactory(experiment=full, state="waiting")
    other = TrialFactory(experiment=free, state="waiting")
    monkeypatch.setattr(trials, "_has_seat", lambda found: found == free.id)

    assert claim_trial("here") == other


@pytest.mark.parametrize(("max_trials", "threads"), [(None, 3), (20, 1)])
def test_a_fit_has_one_thread_where_trials_are_counted(seat, monkeypatch, max_trials, threads):
    monkeypatch.setattr("automl.core.seats.seat_plan", lambda: SeatPlan(1, 3, 1 << 30))
    TrialFactory(experiment=ExperimentFactory(max_trials=max_trials), state="waiting")

    evaluate_trial("evaluate@here")

    assert [args["threads"] for job, args in seat.calls if job == "evaluate"] == [threads]


def test_a_plan_after_the_budget_stops_the_search(sent, django_capture_on_commit_callbacks):
    experiment = ExperimentFactory(started_at=timezone.now() - timedelta(seconds=61))
    running = TrialFactory(experiment=experiment, state="running")

    with django_capture_on_commit_callbacks(execute=True):
        plan_trials(experiment.id)

    experiment.refresh_from_db()
    running.refresh_from_db()
    assert experiment.state == "stopping"
    assert running.state == "cancelled"
    assert "budget" in running.error
    assert sent == [("finish", experiment.id)]


@pytest.mark.parametrize(("folds", "state"), [(5, "complete"), (4, "cancelled")])
def test_at_the_end_a_trial_with_all_its_folds_is_stored_and_another_is_cut_off(seat, folds, state):
    # 20 s are kept back, an eighth of which is grace: enough for a slow machine to get through the test.
    experiment = ExperimentFactory(time_budget=480.0, spent=459.9, clock_at=timezone.now())
    trial = TrialFactory(experiment=experiment, state="waiting")

    def fitted_as_time_ends(*, args, on_report, on_tick):
        for fold in range(folds):
            on_report({"event": "fold", "fold": fold, "folds": 5, "score": 0.9, "fit_time": 0.1})
        time.sleep(0.3)
        plan_trials(experiment.id)
        return outcome(result=RESULTS["evaluate"]) if on_tick(0.3) else outcome("cancelled")

    seat.answers["evaluate"] = fitted_as_time_ends
    evaluate_trial("evaluate@here")

    trial.refresh_from_db()
    assert trial.state == state


def test_a_search_by_hand_gets_no_trials_of_its_own():
    experiment = ExperimentFactory(search="manual", started_at=None)

    plan_trials(experiment.id)

    experiment.refresh_from_db()
    assert experiment.state == "running"
    assert experiment.trials.count() == 0


def test_max_trials_end_the_search_when_all_of_them_have_ended():
    experiment = ExperimentFactory(max_trials=1, started_at=None)
    plan_trials(experiment.id)
    assert experiment.trials.count() == 1
    experiment.trials.update(state="complete", score=0.8, value=0.8)

    plan_trials(experiment.id)

    experiment.refresh_from_db()
    assert experiment.state == "stopping"
    assert experiment.trials.count() == 1


def test_an_evaluated_trial_is_complete_with_its_scores_and_a_plan_follows(
    seat, sent, django_capture_on_commit_callbacks
):
    experiment = ExperimentFactory(started_at=None)
    trial = TrialFactory(experiment=experiment, state="waiting")

    with django_capture_on_commit_callbacks(execute=True):
        assert evaluate_trial("evaluate@here")

    trial.refresh_from_db()
    experiment.refresh_from_db()
    assert (trial.state, trial.attempt, trial.worker) == ("complete", 1, "evaluate@here")
    assert (trial.value, trial.value_low, trial.value_high) == (0.9, 0.88, 0.92)
    assert trial.lease_expires_at is None
    assert experiment.started_at is not None
    assert sent == [("plan", experiment.id)]


def test_a_message_too_many_finds_nothing_to_claim(seat):
    TrialFactory(state="running")
    TrialFactory(state="waiting", experiment=ExperimentFactory(state="cancelled"))

    assert not evaluate_trial("evaluate@here")
    assert seat.calls == []


def test_a_learner_that_breaks_is_a_failed_trial_with_the_reason(seat):
    trial = TrialFactory(experiment=ExperimentFactory(started_at=None), state="waiting")
    seat.answers["evaluate"] = outcome("memory", error="memory: the fit used 1.2 GB, its limit is 1.0 GB.")

    evaluate_trial("evaluate@here")

    trial.refresh_from_db()
    assert trial.state == "failed"
    assert trial.error.startswith("memory: the fit used 1.2 GB, its limit is 1.0 GB.")
    assert "AUTOML_MEMORY_PER_SEAT_MB" in trial.error


def test_a_cancelled_trial_stops_at_its_next_report_and_is_not_told(seat, settings):
    settings.HEARTBEAT_SECONDS = 0.0
    trial = TrialFactory(experiment=ExperimentFactory(started_at=None), state="waiting")
    answers = []

    def cancelled_in_the_middle(*, on_report, on_tick, **_):
        cancel_experiment(trial.experiment)
        answers.append(on_report({"event": "fold", "fold": 0, "folds": 5, "score": 0.9, "value": 0.9}))
        answers.append(on_tick(0.5))
        return outcome("cancelled")

    seat.answers["evaluate"] = cancelled_in_the_middle
    evaluate_trial("evaluate@here")

    trial.refresh_from_db()
    assert answers == ["stop", False]
    assert (trial.state, trial.score) == ("cancelled", None)


@pytest.mark.parametrize("end", [cancel_experiment, lambda search: skip_trial(search.trials.get())])
def test_a_trial_that_is_ended_from_outside_has_had_the_seat_all_the_same(seat, settings, end):
    settings.HEARTBEAT_SECONDS = 0.0
    begun = timezone.now() - timedelta(seconds=7)
    trial = TrialFactory(experiment=ExperimentFactory(started_at=begun), state="waiting")

    def ended_in_the_middle(*, on_tick, **_):
        time.sleep(0.05)
        end(trial.experiment)
        assert on_tick(0.5) is False
        return outcome("cancelled")

    seat.answers["evaluate"] = ended_in_the_middle
    evaluate_trial("evaluate@here")

    trial.refresh_from_db()
    assert trial.state == "cancelled"
    assert 0.05 <= trial.seconds < 5.0
    assert 7.0 <= trial.ended_after < 12.0


def test_a_trial_that_was_taken_up_again_meanwhile_has_no_seat_time(seat):
    begun = timezone.now() - timedelta(seconds=7)
    experiment = ExperimentFactory(started_at=begun, time_budget=20.0)
    trial = TrialFactory(experiment=experiment, state="waiting")

    def ended_and_extended(**_):
        stop_experiment(experiment)
        extend_experiment(Experiment.objects.get(id=experiment.id), seconds=60)
        return outcome("cancelled")

    seat.answers["evaluate"] = ended_and_extended
    evaluate_trial("evaluate@here")

    trial.refresh_from_db()
    assert (trial.state, trial.seconds, trial.ended_after) == ("waiting", 0.0, None)


def test_news_of_a_dead_attempt_changes_nothing(seat):
    trial = TrialFactory(experiment=ExperimentFactory(started_at=None), state="waiting")

    def taken_over(*, args, **_):
        Trial.objects.filter(id=trial.id).update(attempt=2, worker="evaluate@elsewhere")
        return outcome(result={**seat_result(), "score": 0.1})

    seat.answers["evaluate"] = taken_over
    evaluate_trial("evaluate@here")

    trial.refresh_from_db()
    assert (trial.state, trial.score, trial.worker) == ("running", None, "evaluate@elsewhere")


def seat_result():
    from tests.seats import RESULTS

    return RESULTS["evaluate"]


def test_each_fold_is_reported_and_renews_the_lease(seat):
    trial = TrialFactory(experiment=ExperimentFactory(started_at=None), state="waiting")
    seen = []

    def two_folds(*, on_report, **_):
        for fold in range(2):
            on_report({"event": "fold", "fold": fold, "folds": 5, "score": 0.9 + fold, "value": 0.9})
            trial.refresh_from_db()
            seen.append((trial.fold_scores, trial.lease_expires_at))
        return outcome(result=seat_result())

    seat.answers["evaluate"] = two_folds
    evaluate_trial("evaluate@here")

    assert [scores for scores, _ in seen] == [[0.9], [0.9, 1.9]]
    assert seen[0][1] < seen[1][1]


def test_the_next_seat_goes_to_the_user_served_longest_ago(seat):
    alice, bob = UserFactory(username="alice"), UserFactory(username="bob")
    first = ExperimentFactory(owner=alice)
    for _ in range(3):
        TrialFactory(experiment=first, state="waiting")
    for _ in range(3):
        TrialFactory(experiment=ExperimentFactory(owner=bob), state="waiting")

    owners = [claim_trial("here").experiment.owner.username for _ in range(6)]

    assert sorted(owners[0:2]) == sorted(owners[2:4]) == sorted(owners[4:6]) == ["alice", "bob"]


def test_a_trial_is_claimed_once():
    TrialFactory(state="waiting")

    assert claim_trial("one") is not None
    assert claim_trial("two") is None


def test_an_expired_lease_gives_the_trial_back_and_counts_a_loss(sent, django_capture_on_commit_callbacks):
    trial = TrialFactory(state="running", attempt=1, lease_expires_at=timezone.now() - timedelta(seconds=1))
    kept = TrialFactory(state="running")
    half_written = storage.make_folder(trial.folder)
    draft = storage.make_folder(
        f"{half_written.parent.relative_to(settings.FILES_ROOT)}/.{half_written.name}.77"
    )

    with django_capture_on_commit_callbacks(execute=True):
        reap_trials()

    trial.refresh_from_db()
    kept.refresh_from_db()
    assert (trial.state, trial.attempt, trial.losses, kept.state) == ("waiting", 1, 1, "running")
    assert ("evaluate", trial.id) in sent
    assert not half_written.exists()
    assert not draft.exists()


def test_a_trial_told_while_the_sweep_looks_keeps_its_files(sent, monkeypatch):
    trial = TrialFactory(state="running", attempt=1, lease_expires_at=timezone.now() - timedelta(seconds=1))
    folder = storage.make_folder(trial.folder)

    def told_first(trials, **changes):
        Trial.objects.filter(id=trial.id).update(state="complete", lease_expires_at=None)
        return advance_trial(trials, **changes)

    monkeypatch.setattr("automl.experiments.services.losses.advance_trial", told_first)
    reap_trials()

    trial.refresh_from_db()
    assert trial.state == "complete"
    assert folder.exists()
    assert ("evaluate", trial.id) not in sent


def test_a_trial_lost_three_times_fails_with_a_reason_and_the_search_goes_on(sent):
    trial = TrialFactory(
        state="running", attempt=7, losses=2, lease_expires_at=timezone.now() - timedelta(seconds=1)
    )

    reap_trials()

    trial.refresh_from_db()
    assert (trial.state, trial.losses) == ("failed", 3)
    assert trial.error.startswith("Lost 3 times")
    assert ("plan", trial.experiment_id) in sent


def test_a_trial_by_hand_is_checked_filled_up_and_waits(sent, django_capture_on_commit_callbacks):
    experiment = ExperimentFactory()
    TrialFactory(experiment=experiment, number=4)

    with django_capture_on_commit_callbacks(execute=True):
        trial = add_trial(experiment, family="lightgbm", hyperparameters={"learning_rate": 0.2})

    assert (trial.number, trial.origin, trial.state) == (5, "manual", "waiting")
    assert trial.hyperparameters["learning_rate"] == 0.2
    assert len(trial.hyperparameters) > 1
    assert sent == [("evaluate", trial.id)]


@pytest.mark.parametrize(
    ("family", "params", "field", "words"),
    [
        ("abacus", {}, "family", "'abacus' is not offered for binary"),
        ("lightgbm", {"learning_rate": 99}, "hyperparameters", "99"),
        ("lightgbm", {"learning_speed": 1}, "hyperparameters", "learning_speed"),
    ],
)
def test_a_trial_by_hand_that_cannot_be_is_refused(family, params, field, words):
    experiment = ExperimentFactory()

    with pytest.raises(InvalidInput) as caught:
        add_trial(experiment, family=family, hyperparameters=params)

    assert words in caught.value.fields[field]
    assert experiment.trials.count() == 0


def test_two_plans_at_once_add_each_number_once(monkeypatch):
    experiment = ExperimentFactory(started_at=None)
    from automl.experiments.services import trials

    history = trials.history_of

    def planned_meanwhile(of):
        seen = history(of)
        monkeypatch.setattr(trials, "history_of", history)
        plan_trials(experiment.id)
        return seen

    monkeypatch.setattr(trials, "history_of", planned_meanwhile)
    plan_trials(experiment.id)

    numbers = list(experiment.trials.values_list("number", flat=True))
    assert len(numbers) == len(set(numbers)) >= 1
    assert Experiment.objects.get().state == "running"


@pytest.mark.parametrize(
    ("asked", "state"),
    [({"families": ["lightgbm"]}, "stopping"), ({"search": "random"}, "stopping"), ({}, "running")],
)
def test_a_search_whose_trials_all_fail_ends_long_before_its_budget(sent, asked, state):
    """But not while there are other families, of which it would have given up this one."""
    experiment = ExperimentFactory(**asked)
    for _ in range(12):
        TrialFactory(experiment=experiment, state="failed")

    plan_trials(experiment.id)

    experiment.refresh_from_db()
    assert experiment.state == state


def test_some_failures_in_a_row_do_not_end_a_search(sent):
    experiment = ExperimentFactory()
    for state in ("failed",) * 11 + ("complete",) + ("failed",) * 11:
        TrialFactory(experiment=experiment, state=state)

    plan_trials(experiment.id)

    experiment.refresh_from_db()
    assert experiment.state == "running"


def test_what_a_pruned_trial_has_fitted_is_known(seat):
    trial = TrialFactory(experiment=ExperimentFactory(started_at=None), state="waiting", fit_time=9.0)

    def pruned(*, on_report, **_):
        for fold, fit_time in enumerate((0.25, 0.75)):
            report = {"event": "fold", "fold": fold, "folds": 5, "score": 0.1, "value": 0.1}
            on_report({**report, "fit_time": fit_time})
        return outcome("stopped")

    seat.answers["evaluate"] = pruned
    evaluate_trial("evaluate@here")

    trial.refresh_from_db()
    assert (trial.state, trial.fit_time) == ("pruned", 0.75)


def test_a_trial_that_begins_anew_has_fitted_nothing():
    trial = TrialFactory(experiment=ExperimentFactory(started_at=None), state="waiting", fit_time=9.0)
    assert claim_trial("here") == trial
    trial.refresh_from_db()
    assert trial.fit_time is None
