from datetime import timedelta

import pytest
from django.utils import timezone

from automl.core import storage
from automl.core.errors import Conflict, InvalidInput, QuotaExceeded
from automl.experiments.models import Experiment
from automl.experiments.services.lifecycle import (
    ExperimentRequest,
    cancel_experiment,
    create_experiment,
    delete_experiment,
    prepare_experiment,
    purge_experiments,
    stop_experiment,
)
from tests.factories import DatasetFactory, ExperimentFactory, TrialFactory
from tests.seats import outcome

pytestmark = pytest.mark.django_db


def test_a_request_becomes_a_pending_experiment_that_is_prepared_on_commit(
    alice, sent, django_capture_on_commit_callbacks
):
    dataset = DatasetFactory(owner=alice)

    with django_capture_on_commit_callbacks(execute=True):
        experiment = create_experiment(
            owner=alice, request=ExperimentRequest(dataset=dataset, target="income", time_budget=30)
        )

    assert experiment.state == "pending"
    assert sent == [("prepare", experiment.id)]


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"target": "salary"}, "There is no column 'salary'. The columns are: age, city, income."),
        ({"task_type": "ranking"}, "'ranking' is no task type"),
        ({"metric": "roc"}, "'roc' is no metric"),
        ({"metric": "rmse", "task_type": "binary"}, "'rmse' is for regression, not binary"),
        ({"search": "luck"}, "'luck' is no way to search"),
        ({"families": ["abacus"]}, "Not offered: abacus"),
        ({"families": []}, "The list is empty"),
        ({"families": ["linear", "stacked_trees"]}, "at least two others predict"),
        ({"time_budget": 1}, "1 s is out of range"),
        ({"max_trials": 0}, "0 is out of range"),
        ({"seed": -1}, "-1 is out of range"),
        ({"ignore_columns": ["nose"]}, "There are no columns: nose"),
        ({"ignore_columns": ["income"]}, "'income' is the target"),
        ({"ignore_columns": ["age", "city"]}, "Every column is ignored"),
    ],
)
def test_what_cannot_be_used_is_named_with_its_field(alice, wrong, words):
    request = ExperimentRequest(**{"dataset": DatasetFactory(owner=alice), "target": "income", **wrong})

    with pytest.raises(InvalidInput) as caught:
        create_experiment(owner=alice, request=request)

    field = next(name for name in wrong if name != "task_type" or len(wrong) == 1)
    assert words in caught.value.fields[field]
    assert Experiment.objects.count() == 0


def test_a_dataset_that_is_not_ready_is_a_conflict(alice):
    with pytest.raises(Conflict, match="The dataset is profiling"):
        create_experiment(
            owner=alice,
            request=ExperimentRequest(
                dataset=DatasetFactory(owner=alice, state="profiling"), target="income"
            ),
        )


def test_a_user_has_only_so_many_experiments_going_on(alice, settings):
    settings.MAX_ACTIVE_EXPERIMENTS = 1
    ExperimentFactory(owner=alice, state="complete")
    running = ExperimentFactory(owner=alice)

    with pytest.raises(QuotaExceeded, match="1 experiments going on"):
        create_experiment(owner=alice, request=ExperimentRequest(dataset=running.dataset, target="income"))


def test_preparing_resolves_what_was_auto_and_asks_for_a_plan(seat, sent, django_capture_on_commit_callbacks):
    experiment = ExperimentFactory(state="pending")

    with django_capture_on_commit_callbacks(execute=True):
        prepare_experiment(experiment.id)

    experiment.refresh_from_db()
    assert (experiment.state, experiment.phase) == ("running", "searching")
    assert (experiment.task_type, experiment.metric) == ("binary", "roc_auc")
    assert experiment.warnings == ["2 rows have no target and are left out."]
    assert experiment.lease_expires_at is None
    assert sent == [("plan", experiment.id)]


@pytest.mark.parametrize(("max_trials", "told"), [(None, 30.0), (12, None)])
def test_preparing_knows_the_time_only_where_that_is_the_budget(seat, max_trials, told):
    experiment = ExperimentFactory(state="pending", time_budget=30.0, max_trials=max_trials)

    prepare_experiment(experiment.id)

    assert [args["time_budget"] for job, args in seat.calls if job == "prepare"] == [told]


def test_a_message_delivered_twice_prepares_once(seat):
    experiment = ExperimentFactory(state="pending")

    prepare_experiment(experiment.id)
    prepare_experiment(experiment.id)

    assert len(seat.calls) == 1


def test_a_table_that_cannot_be_prepared_fails_the_experiment_with_the_reason(seat):
    experiment = ExperimentFactory(state="pending")
    seat.answers["prepare"] = outcome("error", error="The target 'income' has one value, 'low'.")

    prepare_experiment(experiment.id)

    experiment.refresh_from_db()
    assert (experiment.state, experiment.phase) == ("failed", "done")
    assert experiment.error == "The target 'income' has one value, 'low'."
    assert experiment.finished_at is not None


def test_preparing_that_was_cancelled_meanwhile_writes_nothing(seat):
    experiment = ExperimentFactory(state="pending")

    def cancelled_in_the_middle(**_):
        cancel_experiment(experiment)
        return outcome("cancelled")

    seat.answers["prepare"] = cancelled_in_the_middle
    prepare_experiment(experiment.id)

    experiment.refresh_from_db()
    assert experiment.state == "cancelled"
    assert experiment.prepared is None


def test_cancelling_cancels_what_has_not_ended_and_keeps_what_has():
    experiment = ExperimentFactory()
    states = ("waiting", "running", "complete")
    trials = [TrialFactory(experiment=experiment, state=state) for state in states]

    assert cancel_experiment(experiment)

    experiment.refresh_from_db()
    assert experiment.state == "cancelled"
    for trial in trials:
        trial.refresh_from_db()
    assert [trial.state for trial in trials] == ["cancelled", "cancelled", "complete"]


def test_cancelling_twice_or_too_late_changes_nothing():
    experiment = ExperimentFactory(state="complete")

    assert not cancel_experiment(experiment)

    experiment.refresh_from_db()
    assert experiment.state == "complete"


def test_stopping_twice_finishes_once(sent, django_capture_on_commit_callbacks):
    experiment = ExperimentFactory()
    TrialFactory(experiment=experiment)

    with django_capture_on_commit_callbacks(execute=True):
        assert [stop_experiment(experiment) for _ in range(2)] == [True, False]

    assert sent == [("finish", experiment.id)]


def test_a_deleted_experiment_goes_with_its_files_once_it_is_quiet():
    experiment = ExperimentFactory()
    folder = storage.make_folder(experiment.folder)
    delete_experiment(experiment)

    purge_experiments()
    assert Experiment.objects.filter(id=experiment.id).exists()

    Experiment.objects.update(deleted_at=timezone.now() - timedelta(minutes=5))
    purge_experiments()
    assert not Experiment.objects.exists()
    assert not folder.exists()
