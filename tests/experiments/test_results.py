from datetime import timedelta

import pytest
from django.utils import timezone

from automl.core import seats, storage
from automl.engine.blending import MOST_CANDIDATES
from automl.experiments.models import TrainedModel
from automl.experiments.services.packaging import reap_models
from automl.experiments.services.results import CANDIDATES, finish_experiment, reap_results
from tests.experiments.rows import again, best_model_id
from tests.factories import ExperimentFactory, TrainedModelFactory, TrialFactory
from tests.seats import outcome

pytestmark = pytest.mark.django_db


def stopping(*, trials=2, **fields):
    experiment = ExperimentFactory(state="stopping", **fields)
    for number in range(trials):
        TrialFactory(experiment=experiment, score=0.8 + number / 100)
    return experiment


def test_finishing_blends_packages_and_completes(seat):
    experiment = stopping()

    finish_experiment(experiment.id)

    experiment.refresh_from_db()
    model = TrainedModel.objects.get()
    assert [job for job, _ in seat.calls] == ["blend", "package"]
    assert (experiment.state, experiment.phase) == ("complete", "done")
    assert model.state == "ready"
    assert model.ensemble is not None
    assert best_model_id(experiment) == str(model.id)


def test_a_model_has_another_version_once_it_is_the_answer_and_once_it_is_not_any_more(seat):
    experiment = stopping(trials=1)
    other = TrainedModelFactory(trial=TrialFactory(experiment=experiment, score=0.1), is_best=True)
    answer = TrainedModelFactory(trial=experiment.trials.earliest("number"))
    seat.answers["blend"] = outcome("error", error="No ensemble.")

    finish_experiment(experiment.id)

    seen = [(model.is_best, model.version) for model in (again(other), again(answer))]
    assert seen == [(False, 1), (True, 1)]


def test_trials_below_the_candidates_are_tested_for_a_tie_as_well(seat):
    experiment = stopping(trials=CANDIDATES + 13)

    def blended(*, args, **_):
        tied = [args["trials"][0]["id"], args["others"][-1]["id"]]
        found = {"weights": {}, "score": 0, "value": 0, "score_low": 0, "score_high": 0}
        return outcome(result={**found, "tied": tied, "untested": 1})

    seat.answers["blend"] = blended
    finish_experiment(experiment.id)

    (_, args), *_ = seat.calls
    assert (len(args["trials"]), len(args["others"])) == (CANDIDATES, 13)
    tied = experiment.trials.filter(tied_with_best=True).values_list("number", flat=True)
    assert set(tied) == {0, CANDIDATES + 12}
    experiment.refresh_from_db()
    every = CANDIDATES + 13
    said = f"There was time to test only {every - 1} of {every} complete trials, the best ones, for a tie."
    assert experiment.warnings == [said]


def test_many_good_trials_of_one_family_leave_the_others_their_candidates(seat):
    experiment = stopping(trials=CANDIDATES + 5)
    TrialFactory(experiment=experiment, score=0.1, family="extra_trees")

    finish_experiment(experiment.id)

    (_, args), *_ = seat.calls
    assert args["trials"][-1]["family"] == "extra_trees"
    assert len(args["trials"]) == CANDIDATES + 1 == MOST_CANDIDATES + 1
    scores = [trial["score"] for trial in args["trials"]]
    assert scores == sorted(scores, reverse=True)


def test_an_ensemble_knows_where_what_it_is_judged_by_lies(seat):
    experiment = stopping()

    finish_experiment(experiment.id)

    ensemble = experiment.ensembles.get()
    assert seat.calls[0][1]["out"] == str(storage.path_of(ensemble.folder))


def test_the_best_trial_is_the_answer_where_no_ensemble_beats_it(seat):
    experiment = stopping()
    seat.answers["blend"] = outcome(
        result={"weights": {}, "score": 0, "value": 0, "score_low": 0, "score_high": 0, "tied": []}
    )

    finish_experiment(experiment.id)

    assert TrainedModel.objects.get().trial.number == 1


def test_it_is_said_why_the_first_of_the_board_is_not_the_answer(seat):
    experiment = stopping(trials=1, warnings=["52 rows are exact copies of others."])
    TrialFactory(experiment=experiment, family="neighbors", score=0.95)
    seat.answers["blend"] = outcome(
        result={"weights": {}, "score": 0, "value": 0, "score_low": 0, "score_high": 0, "tied": []}
    )

    finish_experiment(experiment.id)

    experiment.refresh_from_db()
    assert TrainedModel.objects.get().trial.family != "neighbors"
    assert experiment.warnings[0] == "52 rows are exact copies of others."
    assert "Nearest neighbours #1 is first on the board" in experiment.warnings[1]


def test_a_blend_that_breaks_costs_only_the_ensemble(seat):
    experiment = stopping()
    seat.answers["blend"] = outcome("crashed", error="The process ended by SIGSEGV.")

    finish_experiment(experiment.id)

    experiment.refresh_from_db()
    assert experiment.state == "complete"
    assert TrainedModel.objects.get().trial is not None
    assert experiment.warnings == ["No ensemble could be made: The process ended by SIGSEGV."]


def test_a_blend_is_told_the_memory_it_has(seat):
    finish_experiment(stopping().id)

    assert seat.calls[0][1]["memory_bytes"] == seats.memory_of("blend") > 0


@pytest.mark.parametrize("max_trials", [None, 30])
def test_a_blend_goes_by_time_only_where_that_is_the_budget(seat, max_trials):
    finish_experiment(stopping(time_budget=300.0, max_trials=max_trials).id)

    assert seat.calls[0][1]["time_budget"] == (300.0 if max_trials is None else None)


def test_one_trial_is_packaged_without_a_blend(seat):
    finish_experiment(stopping(trials=1).id)

    assert [job for job, _ in seat.calls] == ["package"]


def test_a_search_without_a_single_result_fails_and_says_why(seat):
    experiment = stopping(trials=0)
    TrialFactory(experiment=experiment, state="failed", error="LightGBM: out of memory.")

    finish_experiment(experiment.id)

    experiment.refresh_from_db()
    assert experiment.state == "failed"
    assert "LightGBM: out of memory." in experiment.error


def test_a_bundle_that_cannot_be_written_fails_the_experiment_with_the_reason(seat):
    experiment = stopping()
    seat.answers["package"] = outcome("error", error="No space left on device.")

    finish_experiment(experiment.id)

    experiment.refresh_from_db()
    assert experiment.state == "failed"
    assert "No space left on device." in experiment.error


def test_a_message_delivered_twice_finishes_once(seat):
    experiment = stopping()

    finish_experiment(experiment.id)
    finish_experiment(experiment.id)

    assert [job for job, _ in seat.calls] == ["blend", "package"]


def test_finishing_goes_on_where_a_lost_worker_left_it(seat, sent):
    experiment = stopping(attempt=1, lease_expires_at=timezone.now() - timedelta(seconds=1))

    reap_results()
    assert ("finish", experiment.id) in sent
    finish_experiment(experiment.id)

    experiment.refresh_from_db()
    assert (experiment.state, experiment.attempt) == ("complete", 2)


@pytest.mark.parametrize("asked", [False, True])
def test_what_a_lost_worker_had_begun_to_package_goes_where_another_is_the_answer(seat, sent, asked):
    experiment = stopping(attempt=1, phase="packaging")
    begun = experiment.trials.earliest("number")
    TrainedModelFactory(trial=begun, state="packaging", asked_for=asked)

    finish_experiment(experiment.id)
    reap_models()

    left = experiment.models.filter(is_best=False)
    assert [(model.trial, model.state) for model in left] == [(begun, "packaging")] * asked
    assert sent == [("package", model.id) for model in left]


def test_finishing_lost_three_times_fails_with_a_reason(sent):
    experiment = stopping(attempt=3, losses=2, lease_expires_at=timezone.now() - timedelta(seconds=1))

    reap_results()

    experiment.refresh_from_db()
    assert experiment.state == "failed"
    assert "lost 3 times" in experiment.error
