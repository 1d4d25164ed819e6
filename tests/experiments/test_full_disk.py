"""Work that meets a full disk waits for room, and ends with words where there is none."""

import pytest

from automl.datasets.services import profile_dataset
from automl.experiments.models import Trial
from automl.experiments.services.lifecycle import prepare_experiment
from automl.experiments.services.packaging import package_model
from automl.experiments.services.results import finish_experiment
from automl.experiments.services.trials import evaluate_trial
from tests.factories import DatasetFactory, ExperimentFactory, TrainedModelFactory, TrialFactory
from tests.seats import outcome

pytestmark = pytest.mark.django_db
FULL = outcome("storage", error="The disk is full: what was computed could not be stored. Make room on it.")


@pytest.fixture
def waits(monkeypatch) -> list[bool]:
    """How often somebody waited for room; it comes at once."""
    waited: list[bool] = []
    monkeypatch.setattr("automl.core.storage.wait_for_room", lambda go_on: waited.append(go_on()) or True)
    return waited


def test_a_trial_keeps_its_seat_until_there_is_room_and_is_tried_again(seat, sent, waits):
    seat.answers["evaluate"] = FULL
    trial = TrialFactory(state="waiting")

    evaluate_trial("here")

    trial.refresh_from_db()
    assert (trial.state, trial.losses, trial.lease_expires_at) == ("waiting", 1, None)
    assert waits == [True]

    del seat.answers["evaluate"]
    evaluate_trial("here")
    trial.refresh_from_db()
    assert (trial.state, trial.losses) == ("complete", 1)


def test_a_trial_on_a_disk_that_stays_full_fails_the_third_time_and_says_why(seat, waits):
    seat.answers["evaluate"] = FULL
    trial = TrialFactory(state="waiting")
    for _ in range(3):
        evaluate_trial("here")
    trial.refresh_from_db()
    assert (trial.state, len(waits)) == ("failed", 2)
    assert "The disk is full" in trial.error


def test_a_trial_cancelled_while_it_waits_stays_cancelled(seat, monkeypatch):
    seat.answers["evaluate"] = FULL
    trial = TrialFactory(state="waiting")

    def cancel(go_on):
        Trial.objects.update(state="cancelled")
        return True

    monkeypatch.setattr("automl.core.storage.wait_for_room", cancel)
    evaluate_trial("here")
    trial.refresh_from_db()
    assert (trial.state, trial.losses) == ("cancelled", 0)


@pytest.mark.parametrize("count", [1, 3])
def test_a_profile_is_tried_three_times(seat, waits, count):
    seat.answers["profile"] = FULL
    dataset = DatasetFactory(state="profiling")
    for _ in range(count):
        profile_dataset(dataset.id)
    dataset.refresh_from_db()
    assert dataset.lease_expires_at is None
    assert dataset.state == ("profiling" if count < 3 else "failed")
    assert ("The disk is full" in dataset.error) == (count == 3)


@pytest.mark.parametrize("count", [1, 3])
def test_a_preparation_is_tried_three_times(seat, waits, count):
    seat.answers["prepare"] = FULL
    experiment = ExperimentFactory(state="pending")
    for _ in range(count):
        prepare_experiment(experiment.id)
    experiment.refresh_from_db()
    assert experiment.lease_expires_at is None
    assert experiment.state == ("running" if count < 3 else "failed")
    assert ("The disk is full" in experiment.error) == (count == 3)


@pytest.mark.parametrize("count", [1, 3])
def test_the_answer_of_a_search_is_packaged_three_times(seat, waits, count):
    seat.answers["package"] = FULL
    experiment = ExperimentFactory(state="stopping")
    TrialFactory(experiment=experiment)
    for _ in range(count):
        finish_experiment(experiment.id)
    experiment.refresh_from_db()
    assert experiment.lease_expires_at is None
    assert experiment.state == ("stopping" if count < 3 else "failed")
    assert ("The disk is full" in experiment.error) == (count == 3)


def test_a_model_asked_for_waits_too(seat, waits):
    seat.answers["package"] = FULL
    model = TrainedModelFactory(state="packaging", trial=TrialFactory(), sha256="")
    package_model(model.id)
    model.refresh_from_db()
    assert (model.state, model.lease_expires_at, waits) == ("packaging", None, [True])
    del seat.answers["package"]
    package_model(model.id)
    model.refresh_from_db()
    assert model.state == "ready"
