"""A search that is given more time: one that goes on, and one that has ended."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from automl.core.errors import Conflict, InvalidInput, QuotaExceeded
from automl.experiments import clock
from automl.experiments.models import Experiment, TrainedModel
from automl.experiments.selectors import leaderboard
from automl.experiments.services.lifecycle import fail_experiment, stop_experiment
from automl.experiments.services.packaging import package_model, package_trial, reap_models
from automl.experiments.services.results import finish_experiment
from automl.experiments.services.steering import (
    change_experiment,
    extend_experiment,
    extend_to,
    skip_trial,
)
from automl.experiments.services.trials import (
    evaluate_trial,
    plan_trials,
    tell_trial,
)
from tests.experiments.rows import ENDED, again, best_model_id, states
from tests.factories import ExperimentFactory, TrialFactory
from tests.seats import RESULTS, outcome

pytestmark = pytest.mark.django_db


def change_time(experiment, *, seconds):
    change_experiment(experiment, {"time_budget": experiment.time_budget + seconds})


@pytest.mark.parametrize("state", ["pending", "running", "paused"])
def test_a_search_that_goes_on_gets_the_seconds(state):
    experiment = ExperimentFactory(state=state)

    extend_experiment(experiment, seconds=30)

    assert (again(experiment).state, experiment.time_budget) == (state, 90)


@pytest.mark.parametrize("state", ["stopping", *ENDED])
def test_a_search_that_has_ended_goes_on_from_all_it_learnt(state, sent, django_capture_on_commit_callbacks):
    experiment = ExperimentFactory(state=state, spent=63.0, clock_at=None, error="Lost.")
    TrialFactory(experiment=experiment)
    TrialFactory(experiment=experiment, state="running")
    skipped = TrialFactory(experiment=experiment, state="running")
    skip_trial(skipped)
    TrialFactory(experiment=experiment, state="cancelled", cut_short=True, error="The time is over.")

    with django_capture_on_commit_callbacks(execute=True):
        extend_experiment(experiment, seconds=60)

    assert (again(experiment).state, experiment.phase, experiment.error) == ("running", "searching", "")
    assert (experiment.finished_at, experiment.lease_expires_at, experiment.losses) == (None, None, 0)
    assert experiment.time_budget == 120
    assert states(experiment) == ["complete", "running", "cancelled", "waiting"]
    assert ("plan", experiment.id) in sent


def test_what_the_end_took_over_the_budget_is_not_taken_from_the_seconds_added():
    experiment = ExperimentFactory(state="complete", spent=66.0)

    extend_experiment(experiment, seconds=10)

    assert clock.elapsed(again(experiment)) == pytest.approx(60.0, abs=1)


def test_two_people_who_press_at_once_add_it_once():
    experiment = ExperimentFactory(state="complete", spent=60.0)

    assert [extend_to(experiment, time_budget=120.0) for _ in range(2)] == [True, False]

    assert again(experiment).time_budget == 120


def test_a_late_press_does_not_start_a_search_again_that_has_had_its_seconds():
    experiment = ExperimentFactory(state="complete", spent=120.0, time_budget=120.0)

    assert not extend_to(experiment, time_budget=120.0)

    assert again(experiment).state == "complete"


def test_more_time_alone_is_refused_where_the_trials_are_used_up():
    experiment = ExperimentFactory(state="complete", max_trials=2, search="random")
    for _ in range(2):
        TrialFactory(experiment=experiment)

    with pytest.raises(InvalidInput) as caught:
        extend_experiment(experiment, seconds=60)

    assert "All of 2 trials are used up" in caught.value.fields["max_trials"]
    assert (again(experiment).state, experiment.time_budget) == ("complete", 60)


@pytest.mark.parametrize("most", [5, None])
def test_more_trials_and_time_go_on(most):
    experiment = ExperimentFactory(state="complete", max_trials=1)
    TrialFactory(experiment=experiment)

    extend_experiment(experiment, seconds=60, max_trials=most)

    assert (again(experiment).state, experiment.max_trials) == ("running", most)


def test_more_trials_without_time_left_are_refused():
    experiment = ExperimentFactory(state="complete", spent=60.0, max_trials=1)
    TrialFactory(experiment=experiment)

    with pytest.raises(InvalidInput, match="60 of 60 s are spent"):
        extend_experiment(experiment, max_trials=5)


def test_trials_that_were_cut_short_are_enough_to_go_on_for():
    experiment = ExperimentFactory(state="complete", max_trials=1)
    TrialFactory(experiment=experiment, state="cancelled", cut_short=True)

    extend_experiment(experiment, seconds=60)

    assert states(experiment) == ["waiting"]


def test_an_experiment_that_was_never_prepared_can_not_go_on():
    with pytest.raises(Conflict, match="never prepared"):
        extend_experiment(ExperimentFactory(state="failed", prepared=None), seconds=60)


def test_files_of_an_older_version_are_not_gone_on_with(private_files):
    experiment = ExperimentFactory(state="complete")
    (private_files / experiment.folder / "prepared").mkdir(parents=True)

    with pytest.raises(Conflict, match="An older version"):
        extend_experiment(experiment, seconds=60)


def test_a_budget_stays_within_the_limit_of_all(settings):
    settings.MAX_TIME_BUDGET = 100

    with pytest.raises(InvalidInput, match="120 s is out of range"):
        extend_experiment(ExperimentFactory(), seconds=60)


def test_going_on_counts_among_the_experiments_that_go_on(settings):
    settings.MAX_ACTIVE_EXPERIMENTS = 1
    ended = ExperimentFactory(state="complete")
    ExperimentFactory(owner=ended.owner)

    with pytest.raises(QuotaExceeded, match="1 experiments going on"):
        extend_experiment(ended, seconds=60)


def test_an_extension_in_the_middle_of_the_end_makes_that_end_void(seat, settings):
    settings.HEARTBEAT_SECONDS = 0.0
    experiment = ExperimentFactory(state="stopping")
    for score in (0.8, 0.9):
        TrialFactory(experiment=experiment, score=score)

    def extended_in_the_middle(*, on_tick, **_):
        extend_experiment(experiment, seconds=60)
        on_tick(0.5)
        return outcome("cancelled")

    seat.answers["blend"] = extended_in_the_middle
    finish_experiment(experiment.id)

    assert again(experiment).state == "running"
    assert not experiment.ensembles.exists()
    assert not TrainedModel.objects.exists()


def test_an_end_is_void_even_if_the_search_was_stopped_again_meanwhile(seat):
    experiment = ExperimentFactory(state="stopping")
    TrialFactory(experiment=experiment)

    def extended_and_stopped(**_):
        extend_experiment(experiment, seconds=60)
        stop_experiment(Experiment.objects.get(id=experiment.id))
        return outcome(result=RESULTS["package"])

    seat.answers["package"] = extended_and_stopped
    finish_experiment(experiment.id)
    assert again(experiment).state == "stopping"

    del seat.answers["package"]
    finish_experiment(experiment.id)
    assert again(experiment).state == "complete"


def test_a_packaging_that_an_extension_ends_leaves_no_model_behind(seat, settings):
    settings.HEARTBEAT_SECONDS = 0.0
    experiment = ExperimentFactory(state="stopping")
    TrialFactory(experiment=experiment)

    def extended_in_the_middle(*, on_tick, **_):
        extend_experiment(experiment, seconds=60)
        on_tick(0.5)
        return outcome("cancelled")

    seat.answers["package"] = extended_in_the_middle
    finish_experiment(experiment.id)

    assert again(experiment).state == "running"
    assert not TrainedModel.objects.exists()


def test_a_model_that_somebody_asked_for_is_packaged_in_spite_of_an_extension(sent):
    experiment = ExperimentFactory(state="stopping")
    asked = package_trial(TrialFactory(experiment=experiment))

    extend_experiment(experiment, seconds=60)
    reap_models()

    assert sent == [("package", asked.id)]


def test_what_was_decided_before_an_extension_does_not_end_it():
    experiment = ExperimentFactory(state="stopping", spent=58.0)
    stale = Experiment.objects.get(id=experiment.id)
    held = Experiment.objects.filter(state="stopping", attempt=stale.attempt)
    extend_experiment(experiment, seconds=60)

    fail_experiment(stale, "Its worker was lost 3 times.", held=held)
    plan_trials(experiment.id)

    assert again(experiment).state == "running"


def test_a_trial_whose_time_ended_as_more_was_given_waits_for_a_seat():
    experiment = ExperimentFactory(spent=60.0)
    trial = TrialFactory(experiment=experiment, state="running")
    extend_experiment(experiment, seconds=60)

    tell_trial(trial, outcome("cancelled"), out_of_time=True, seconds=5.0)

    assert (again(trial).state, trial.losses) == ("waiting", 0)


@pytest.mark.parametrize("give", [extend_experiment, change_time])
def test_what_was_cut_off_while_the_end_waited_for_another_is_taken_up_again(give):
    experiment = ExperimentFactory(spent=52.6)
    stored = TrialFactory(experiment=experiment, state="running", fold_scores=[0.9] * 5)
    trial = TrialFactory(experiment=experiment, state="running")
    tell_trial(trial, outcome("cancelled"), out_of_time=True, seconds=5.0)
    assert (again(trial).state, again(experiment).state) == ("cancelled", "running")

    give(experiment, seconds=60)

    assert (again(trial).state, again(stored).state) == ("waiting", "running")


def test_a_packaging_that_failed_is_tried_again_by_an_extension_only(seat):
    experiment = ExperimentFactory(state="stopping")
    TrialFactory(experiment=experiment)
    seat.answers["package"] = outcome("error", error="It does not fit.")
    finish_experiment(experiment.id)
    assert again(experiment).state == "failed"

    extend_experiment(experiment, seconds=60)
    stop_experiment(again(experiment))
    del seat.answers["package"]
    finish_experiment(experiment.id)

    assert again(experiment).state == "complete"


def test_the_old_model_is_the_answer_until_the_new_one_is_there(seat):
    experiment = ExperimentFactory(state="stopping", spent=58.0)
    for score in (0.8, 0.9):
        TrialFactory(experiment=experiment, score=score)
    finish_experiment(experiment.id)
    first = best_model_id(experiment)

    extend_experiment(experiment, seconds=60)
    assert best_model_id(experiment) == first
    new = TrialFactory(experiment=experiment, score=0.94)
    stop_experiment(again(experiment))

    def seen_while_packaging(**_):
        assert best_model_id(experiment) == first
        return outcome(result=RESULTS["package"])

    seat.answers["package"] = seen_while_packaging
    finish_experiment(experiment.id)

    second = TrainedModel.objects.get(id=best_model_id(again(experiment)))
    assert experiment.state == "complete"
    assert str(second.id) != first
    assert str(new.id) in second.ensemble.weights
    assert TrainedModel.objects.get(id=first).state == "ready"
    assert [row.name for row in leaderboard(experiment)][:2] == ["Ensemble of 2 #2", "Ensemble of 2"]
    assert TrainedModel.objects.filter(is_best=True).count() == 1


@pytest.mark.parametrize(("moved", "ensembles"), [(1e-6, 1), (0.05, 2)])
def test_an_ensemble_that_is_found_again_is_no_other_for_where_its_search_stopped_looking(
    seat, moved, ensembles
):
    experiment = ExperimentFactory(state="stopping", spent=58.0)
    for score in (0.8, 0.9):
        TrialFactory(experiment=experiment, score=score)
    power = -0.1

    def blended(*, args, **_):
        scores = {trial["id"]: trial["score"] for trial in args["trials"]}
        ids = sorted(scores, key=lambda id: scores[id])[:2]
        found = {"weights": dict.fromkeys(ids, 0.5), "powers": {ids[0]: power}, "tied": ids}
        found |= {"score": max(0.95, *scores.values()), "value": 0.95}
        return outcome(result={**found, "score_low": 0.9, "score_high": 1.0, "size": 1, "predict_time": 0.1})

    seat.answers["blend"] = blended
    finish_experiment(experiment.id)
    (kept,) = experiment.ensembles.get().powers.values()
    assert kept == -0.1
    extend_experiment(experiment, seconds=60)
    power += moved
    TrialFactory(experiment=experiment, score=0.96)
    stop_experiment(again(experiment))

    finish_experiment(experiment.id)

    assert experiment.ensembles.count() == ensembles
    # A trial that came since goes before it only if the blend says so.
    assert TrainedModel.objects.get(is_best=True).ensemble is not None


def test_an_end_that_finds_nothing_new_gives_the_same_answer(seat):
    experiment = ExperimentFactory(state="stopping", spent=58.0)
    for score in (0.8, 0.9):
        TrialFactory(experiment=experiment, score=score)
    finish_experiment(experiment.id)
    first = best_model_id(experiment)

    extend_experiment(experiment, seconds=60)
    stop_experiment(again(experiment))
    finish_experiment(experiment.id)

    assert (again(experiment).state, best_model_id(experiment)) == ("complete", first)
    assert experiment.ensembles.count() == 1


def test_a_bundle_that_failed_is_written_again_at_the_next_end(seat):
    experiment = ExperimentFactory(state="stopping", spent=58.0)
    TrialFactory(experiment=experiment)
    seat.answers["package"] = outcome("error", error="No space left on device.")
    finish_experiment(experiment.id)
    assert again(experiment).state == "failed"

    del seat.answers["package"]
    extend_experiment(experiment, seconds=60)
    stop_experiment(again(experiment))
    finish_experiment(experiment.id)

    assert again(experiment).state == "complete"


def test_an_ensemble_that_could_not_be_packaged_is_no_answer_of_a_later_end(seat):
    experiment = ExperimentFactory(state="stopping", spent=20.0)
    for score in (0.8, 0.9):
        TrialFactory(experiment=experiment, score=score)
    seat.answers["package"] = outcome("error", error="A file is damaged.")
    finish_experiment(experiment.id)
    first = experiment.ensembles.get()
    assert again(experiment).state == "failed"

    extend_experiment(experiment, seconds=60)
    TrialFactory(experiment=experiment, score=0.85)
    del seat.answers["package"]
    stop_experiment(again(experiment))
    finish_experiment(experiment.id)

    assert again(experiment).state == "complete"
    assert not experiment.ensembles.filter(id=first.id).exists()


def test_a_model_that_failed_during_the_search_is_written_anew_at_its_end(seat):
    experiment = ExperimentFactory(spent=58.0)
    trial = TrialFactory(experiment=experiment)
    seat.answers["package"] = outcome("memory", error="It took more than the seat has.")
    package_model(package_trial(trial).id)
    assert TrainedModel.objects.get().state == "failed"

    del seat.answers["package"]
    stop_experiment(again(experiment))
    finish_experiment(experiment.id)

    assert again(experiment).state == "complete"
    assert TrainedModel.objects.get().state == "ready"


def test_a_fit_at_its_deadline_goes_on_with_the_seconds_that_were_added(seat, settings):
    settings.HEARTBEAT_SECONDS = 0.0
    experiment = ExperimentFactory(time_budget=60.0, spent=56.3)  # 0.1 s before no trial may run
    trial = TrialFactory(experiment=experiment, state="waiting")
    goes_on = []

    def extended_in_the_middle(*, on_tick, **_):
        extend_experiment(experiment, seconds=60)
        time_is_over = timezone.now() + timedelta(seconds=0.3)
        while timezone.now() < time_is_over:
            goes_on.append(on_tick(0.1))
        return outcome(result=RESULTS["evaluate"])

    seat.answers["evaluate"] = extended_in_the_middle
    evaluate_trial("evaluate@here")

    assert all(goes_on)
    assert again(trial).state == "complete"


def test_a_fit_that_its_deadline_ended_is_taken_up_again_by_an_extension(seat):
    experiment = ExperimentFactory(time_budget=60.0, spent=56.39)
    trial = TrialFactory(experiment=experiment, state="waiting")

    def until_told(*, on_tick, **_):
        while on_tick(0.1):
            pass
        return outcome("cancelled")

    seat.answers["evaluate"] = until_told
    evaluate_trial("evaluate@here")
    assert (again(trial).state, trial.cut_short) == ("cancelled", True)
    assert trial.seconds > 0

    stop_experiment(again(experiment))
    extend_experiment(experiment, seconds=60)
    assert (again(trial).state, trial.cut_short, trial.error) == ("waiting", False, "")
    assert trial.seconds == 0
