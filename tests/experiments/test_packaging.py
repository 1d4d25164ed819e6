"""Bundles: when they are written, by whom, and what happens to those who read or lose one."""

from datetime import timedelta
from pathlib import Path

import pytest
from django.conf import settings
from django.utils import timezone

from automl.core import storage
from automl.core.errors import Conflict
from automl.core.holdings import Holding
from automl.experiments.models import Experiment, TrainedModel
from automl.experiments.services.lifecycle import cancel_experiment
from automl.experiments.services.packaging import (
    package_ensemble,
    package_model,
    package_trial,
    reap_models,
)
from automl.experiments.services.results import finish_experiment
from automl.experiments.services.sweep import clean_up, sweep, take_over
from tests.experiments.rows import again
from tests.factories import EnsembleFactory, ExperimentFactory, PredictionFactory, TrialFactory
from tests.seats import RESULTS, outcome

pytestmark = pytest.mark.django_db


def test_any_complete_trial_becomes_a_model_once(seat, sent, django_capture_on_commit_callbacks):
    trial = TrialFactory()

    with django_capture_on_commit_callbacks(execute=True):
        model = package_trial(trial)
        assert package_trial(trial) == model
    assert sent == [("package", model.id)]
    package_model(model.id)

    model.refresh_from_db()
    assert (model.state, model.size, model.is_best) == ("ready", 1234, False)


@pytest.mark.parametrize("is_kept", [True, False])
def test_an_ensemble_is_told_by_the_predictions_that_it_is_judged_by(seat, is_kept):
    ensemble = EnsembleFactory()
    kept = storage.path_of(ensemble.folder)
    if is_kept:
        kept.mkdir(parents=True)
    model = package_ensemble(ensemble)
    package_model(model.id)

    (args,) = (args for job, args in seat.calls if job == "package")
    assert args["honest"] == (str(kept) if is_kept else None)


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


@pytest.mark.parametrize("answer", [None, outcome("error", error="No space left on device.")])
def test_a_board_has_another_version_once_a_model_is_asked_for_and_once_it_is_there(seat, answer):
    trial = TrialFactory()
    if answer:
        seat.answers["package"] = answer
    versions = [trial.experiment.version]
    model = package_trial(trial)
    versions.append(again(trial.experiment).version)
    package_model(model.id)
    versions.append(again(trial.experiment).version)
    assert versions == sorted(set(versions))
    package_trial(trial)
    assert (again(trial.experiment).version > versions[-1]) == (again(model).state == "packaging")


def test_an_ensemble_that_is_not_the_best_is_packaged_of_its_own_members(
    seat, sent, django_capture_on_commit_callbacks
):
    first = TrialFactory(experiment__state="complete", score=0.9)
    experiment = first.experiment
    second = TrialFactory(experiment=experiment, score=0.95)
    TrialFactory(experiment=experiment, score=0.99)
    weights = {str(first.id): 0.25, str(second.id): 0.75}
    powers = {str(second.id): -0.1}
    ensemble = EnsembleFactory(experiment=experiment, score=0.91, weights=weights, powers=powers)

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
    assert [member["power"] for member in args["members"]] == [0.0, -0.1]
    assert args["members"][0]["dir"] == str(storage.path_of(first.folder))


def packaged(*, args, **_):
    """What packaging gives that leaves the graph out where a search's end waits."""
    Path(args["out"]).parent.mkdir(parents=True, exist_ok=True)
    Path(args["out"]).write_bytes(b"hurried" if args["hurry"] else b"with its graph")
    found = {"graph_due": args["hurry"], "sha256": "hurried" if args["hurry"] else "whole"}
    return outcome(result={**RESULTS["package"], **found})


def contents(model):
    return storage.path_of(model.bundle).read_bytes()


@pytest.fixture
def model(seat, sent):
    """The answer of a short search, whose graph is due."""
    seat.answers["package"] = packaged
    experiment = ExperimentFactory(state="stopping")
    TrialFactory(experiment=experiment, score=0.8)
    finish_experiment(experiment.id)
    model = TrainedModel.objects.get()
    assert (model.state, model.graph_due, contents(model)) == ("ready", True, b"hurried")
    sent.clear()
    return model


def test_a_graph_that_a_search_did_not_wait_for_is_asked_for_at_its_end(
    seat, sent, django_capture_on_commit_callbacks
):
    seat.answers["package"] = packaged
    experiment = ExperimentFactory(state="stopping")
    TrialFactory(experiment=experiment)
    with django_capture_on_commit_callbacks(execute=True):
        finish_experiment(experiment.id)
    assert sent == [("package", TrainedModel.objects.get().id)]


def test_a_bundle_is_written_anew_beside_the_one_that_may_be_read(model, seat):
    before, score = storage.path_of(model.bundle), model.score
    TrainedModel.objects.update(metrics={"kept": True})

    package_model(model.id)

    model.refresh_from_db()
    assert (model.state, model.graph_due, contents(model)) == ("ready", False, b"with its graph")
    assert (model.is_best, model.sha256, model.score, model.metrics) == (True, "whole", score, {"kept": True})
    assert before.read_bytes() == b"hurried"


def test_bundles_that_were_replaced_are_removed_an_hour_later(model):
    before = storage.path_of(model.bundle)
    package_model(model.id)
    predictions = storage.make_folder(f"models/{model.id}/predictions/1")

    clean_up()
    assert before.exists()
    TrainedModel.objects.update(replaced_at=timezone.now() - timedelta(hours=1, minutes=1))
    clean_up()

    model.refresh_from_db()
    assert not before.exists()
    assert (contents(model), model.replaced_at, predictions.exists()) == (b"with its graph", None, True)


@pytest.mark.parametrize("status", ["error", "memory"])
def test_a_graph_that_cannot_be_written_takes_nothing_from_the_model(model, seat, status):
    seat.answers["package"] = outcome(status, error="It is too large.")

    package_model(model.id)

    model.refresh_from_db()
    assert (model.state, model.error, model.graph_due, contents(model)) == ("ready", "", False, b"hurried")


def test_a_graph_whose_worker_was_killed_is_begun_again_without_what_it_left(model, seat, sent):
    def killed(*, args, **_):
        packaged(args=args)
        Path(args["out"]).with_name(f".{Path(args['out']).name}.77").write_bytes(b"half")
        raise SystemExit

    seat.answers["package"] = killed
    with pytest.raises(SystemExit):
        package_model(model.id)
    model.refresh_from_db()
    take_over([Holding("experiments.trainedmodel", model.id, model.attempt)])
    assert contents(model) == b"hurried"
    assert ("package", model.id) in sent

    seat.answers["package"] = packaged
    package_model(model.id)

    model.refresh_from_db()
    folder = storage.path_of(model.bundle).parent
    assert sorted(path.name for path in folder.iterdir()) == ["bundle-1.zip", "bundle-3.zip"]
    assert (model.graph_due, contents(model)) == (False, b"with its graph")


def test_a_graph_that_was_lost_too_often_is_given_up(model, sent):
    ran_out = timezone.now() - timedelta(seconds=1)
    TrainedModel.objects.update(lease_expires_at=ran_out, losses=settings.MAX_ATTEMPTS - 1)

    reap_models()

    model.refresh_from_db()
    assert (model.state, model.graph_due, contents(model)) == ("ready", False, b"hurried")


def test_a_message_that_comes_twice_writes_the_graph_once(model, seat):
    package_model(model.id)
    package_model(model.id)

    assert [args["hurry"] for job, args in seat.calls if job == "package"] == [True, False]


def test_a_graph_waits_for_other_work_aside_and_is_sent_for_again(model, seat, sent):
    lease = timezone.now() + timedelta(minutes=1)
    busy = PredictionFactory(state="running", lease_expires_at=lease)
    package_model(model.id)
    assert contents(TrainedModel.objects.get(id=model.id)) == b"hurried"

    busy.delete()
    sweep()
    assert ("package", model.id) in sent


def test_a_graph_waits_while_its_own_search_goes_on(model, sent):
    Experiment.objects.update(state="running")
    package_model(model.id)
    assert contents(TrainedModel.objects.get(id=model.id)) == b"hurried"


@pytest.mark.parametrize("asked", [False, True])
def test_a_cancelled_search_leaves_no_model_but_what_somebody_asked_for(seat, sent, settings, asked):
    settings.HEARTBEAT_SECONDS = 0.0
    trial = TrialFactory(experiment__state="stopping")

    def cancelled(*, on_tick, **_):
        if asked:
            package_trial(trial)
        cancel_experiment(trial.experiment)
        on_tick(5.0)
        return outcome("cancelled")

    seat.answers["package"] = cancelled
    finish_experiment(trial.experiment_id)
    del seat.answers["package"]
    reap_models()

    left = TrainedModel.objects.values_list("state", "id")
    assert sent == [("package", id) for _, id in left]
    assert [state for state, _ in left] == ["packaging"] * asked
    assert again(trial.experiment).state == "cancelled"


def test_no_graph_is_written_for_what_was_deleted(model, seat):
    Experiment.objects.update(deleted_at=timezone.now())
    package_model(model.id)
    assert [args["hurry"] for job, args in seat.calls if job == "package"] == [True]


def test_an_attempt_that_comes_late_removes_nothing_of_the_one_that_won(model, seat):
    """A worker stood still for longer than its lease; meanwhile another was done."""
    TrainedModel.objects.update(state="packaging", bundle_attempt=0, graph_due=False)
    kept = storage.make_folder(f"models/{model.id}/predictions/1")

    def overtaken(*, args, on_tick, **_):
        winner = TrainedModel.objects.get()
        TrainedModel.objects.update(attempt=winner.attempt + 1, lease_expires_at=None)
        seat.answers["package"] = packaged
        package_model(winner.id)
        on_tick(5.0)
        return outcome("cancelled")

    seat.answers["package"] = overtaken
    package_model(model.id)

    model.refresh_from_db()
    assert (model.state, contents(model), kept.exists()) == ("ready", b"with its graph", True)
