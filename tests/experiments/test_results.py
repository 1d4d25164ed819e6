from datetime import timedelta
from pathlib import Path

import pytest
from django.conf import settings
from django.utils import timezone

from automl.core import seats, storage
from automl.core.errors import Conflict
from automl.experiments.models import TrainedModel
from automl.experiments.services.results import (
    finish_experiment,
    package_ensemble,
    package_model,
    package_trial,
    reap_results,
)
from automl.experiments.services.sweep import clean_up
from tests.experiments.rows import best_model_id
from tests.factories import EnsembleFactory, ExperimentFactory, TrialFactory
from tests.seats import RESULTS, outcome

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


def test_trials_below_the_candidates_are_tested_for_a_tie_as_well(seat):
    experiment = stopping(trials=43)

    def blended(*, args, **_):
        tied = [args["trials"][0]["id"], args["others"][-1]["id"]]
        found = {"weights": {}, "score": 0, "value": 0, "score_low": 0, "score_high": 0}
        return outcome(result={**found, "tied": tied, "untested": 1})

    seat.answers["blend"] = blended
    finish_experiment(experiment.id)

    (_, args), *_ = seat.calls
    assert (len(args["trials"]), len(args["others"])) == (40, 3)
    assert set(experiment.trials.filter(tied_with_best=True).values_list("number", flat=True)) == {0, 42}
    experiment.refresh_from_db()
    said = "There was time to test only 42 of 43 complete trials, the best ones, for a tie."
    assert experiment.warnings == [said]


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


def test_finishing_lost_three_times_fails_with_a_reason(sent):
    experiment = stopping(attempt=3, losses=2, lease_expires_at=timezone.now() - timedelta(seconds=1))

    reap_results()

    experiment.refresh_from_db()
    assert experiment.state == "failed"
    assert "lost 3 times" in experiment.error


def test_any_complete_trial_becomes_a_model_once(seat, sent, django_capture_on_commit_callbacks):
    trial = TrialFactory()

    with django_capture_on_commit_callbacks(execute=True):
        model = package_trial(trial)
        assert package_trial(trial) == model
    assert sent == [("package", model.id)]
    package_model(model.id)

    model.refresh_from_db()
    assert (model.state, model.size, model.is_best) == ("ready", 1234, False)


@pytest.mark.parametrize("state", ["waiting", "running", "pruned", "failed", "cancelled"])
def test_a_trial_that_did_not_complete_is_no_model(state):
    with pytest.raises(Conflict, match=f"The trial is {state}"):
        package_trial(TrialFactory(state=state))


def test_a_model_that_failed_may_be_asked_for_again(seat, sent, django_capture_on_commit_callbacks):
    seat.answers["package"] = outcome("error", error="No space left on device.")
    model = package_trial(TrialFactory())
    package_model(model.id)
    model.refresh_from_db()
    assert (model.state, model.error) == ("failed", "No space left on device.")

    del seat.answers["package"]
    with django_capture_on_commit_callbacks(execute=True):
        package_trial(model.trial)
    package_model(model.id)

    model.refresh_from_db()
    assert (model.state, model.error) == ("ready", "")
    assert sent == [("package", model.id)]


def test_an_ensemble_that_is_not_the_best_is_packaged_of_its_own_members(
    seat, sent, django_capture_on_commit_callbacks
):
    first = TrialFactory(experiment__state="complete", score=0.9)
    experiment = first.experiment
    second = TrialFactory(experiment=experiment, score=0.95)
    TrialFactory(experiment=experiment, score=0.99)
    weights = {str(first.id): 0.25, str(second.id): 0.75}
    ensemble = EnsembleFactory(experiment=experiment, score=0.91, weights=weights)

    with django_capture_on_commit_callbacks(execute=True):
        model = package_ensemble(ensemble)
        assert package_ensemble(ensemble) == model
    assert sent == [("package", model.id)]
    package_model(model.id)

    model.refresh_from_db()
    assert (model.state, model.is_best) == ("ready", False)
    ((job, args),) = seat.calls
    assert (job, args["name"]) == ("package", ensemble.name)
    assert {member["id"]: member["weight"] for member in args["members"]} == weights
    assert args["members"][0]["dir"] == str(storage.path_of(first.folder))


def without_a_graph(*, args, **_):
    """What packaging says that left the graph out because a search's end waited."""
    Path(args["out"]).parent.mkdir(parents=True, exist_ok=True)
    Path(args["out"]).write_bytes(b"hurried" if args["hurry"] else b"with its graph")
    return outcome(result={**RESULTS["package"], "graph_due": args["hurry"], "sha256": f"{args['hurry']}"})


def contents(model):
    return storage.path_of(model.bundle).read_bytes()


def test_a_graph_that_a_search_did_not_wait_for_is_written_after_it(seat, sent):
    seat.answers["package"] = without_a_graph
    experiment = stopping()
    finish_experiment(experiment.id)
    model = TrainedModel.objects.get()
    assert (model.state, model.graph_due, contents(model)) == ("ready", True, b"hurried")
    assert sent == [("package", model.id)]
    before = storage.path_of(model.bundle)

    package_model(model.id)

    model.refresh_from_db()
    assert (model.state, model.graph_due, contents(model)) == ("ready", False, b"with its graph")
    assert (model.is_best, model.sha256) == (True, "False")
    assert before.read_bytes() == b"hurried"  # somebody may be reading it


def test_bundles_that_were_replaced_are_removed_an_hour_later(seat):
    seat.answers["package"] = without_a_graph
    finish_experiment(stopping().id)
    model = TrainedModel.objects.get()
    before = storage.path_of(model.bundle)
    package_model(model.id)
    kept = storage.make_folder(f"models/{model.id}/predictions/1")

    clean_up()
    assert before.exists()
    TrainedModel.objects.update(replaced_at=timezone.now() - timedelta(hours=1, minutes=1))
    clean_up()

    model.refresh_from_db()
    assert not before.exists()
    assert (contents(model), model.replaced_at, kept.exists()) == (b"with its graph", None, True)


@pytest.mark.parametrize("status", ["error", "crashed"])
def test_a_graph_that_cannot_be_written_takes_nothing_from_the_model(seat, status):
    seat.answers["package"] = without_a_graph
    finish_experiment(stopping().id)
    seat.answers["package"] = outcome(status, error="It is too large.")
    model = TrainedModel.objects.get()

    package_model(model.id)

    model.refresh_from_db()
    assert (model.state, model.error, model.graph_due, contents(model)) == ("ready", "", False, b"hurried")


def test_a_graph_whose_worker_was_lost_is_begun_again_and_given_up_in_the_end(seat, sent):
    seat.answers["package"] = without_a_graph
    experiment = stopping()
    finish_experiment(experiment.id)
    model = TrainedModel.objects.get()
    sent.clear()

    reap_results()
    assert sent == [("package", model.id)]
    ran_out = timezone.now() - timedelta(seconds=1)
    TrainedModel.objects.update(lease_expires_at=ran_out, losses=settings.MAX_ATTEMPTS - 1)
    sent.clear()
    reap_results()

    model.refresh_from_db()
    assert sent == []
    assert (model.state, model.graph_due, contents(model)) == ("ready", False, b"hurried")


def test_a_message_that_comes_twice_writes_the_graph_once(seat):
    seat.answers["package"] = without_a_graph
    finish_experiment(stopping().id)
    model = TrainedModel.objects.get()

    package_model(model.id)
    package_model(model.id)

    assert [args["hurry"] for job, args in seat.calls if job == "package"] == [True, False]
