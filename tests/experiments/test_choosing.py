from __future__ import annotations

import pytest

from automl.core.errors import Conflict
from automl.experiments.models import TrainedModel
from automl.experiments.services.choosing import fastest, package_best, package_entry, package_fastest
from tests.factories import EnsembleFactory, ExperimentFactory, TrialFactory

pytestmark = pytest.mark.django_db


def board(experiment, *lines):
    """Trials by their value in the metric's unit and the seconds in which they predict."""
    higher = experiment.metric in ("roc_auc", "accuracy", "r2")
    return [
        TrialFactory(
            experiment=experiment, score=value if higher else -value, value=value, predict_time=seconds
        )
        for value, seconds in lines
    ]


def test_the_fastest_within_a_share_of_the_best_value_is_chosen():
    experiment = ExperimentFactory()
    _, near, _ = board(experiment, (0.90, 0.5), (0.892, 0.1), (0.89, 0.01))
    assert fastest(experiment) == near
    assert fastest(experiment, within=0.02).predict_time == 0.01
    assert fastest(experiment, within=0.0).value == 0.90


def test_a_lower_value_may_be_that_share_higher():
    experiment = ExperimentFactory(metric="rmse", task_type="regression")
    _, near, _ = board(experiment, (100.0, 0.5), (101.0, 0.1), (101.1, 0.01))
    assert fastest(experiment) == near


def test_near_perfection_errors_may_double_but_not_be_ten_times_as_many():
    experiment = ExperimentFactory(metric="accuracy")
    _, near, _ = board(experiment, (0.999, 0.5), (0.998, 0.1), (0.99, 0.01))
    assert fastest(experiment) == near


def test_of_equally_fast_ones_the_better_is_chosen_and_ensembles_count():
    experiment = ExperimentFactory()
    board(experiment, (0.899, 0.1), (0.9, 0.1))
    assert fastest(experiment).value == 0.9
    EnsembleFactory(experiment=experiment, score=0.9, predict_time=0.05)
    assert fastest(experiment).name == "Ensemble of 3"


def test_of_an_ensemble_and_a_trial_with_its_score_the_ensemble_is_what_others_are_held_against():
    experiment = ExperimentFactory()
    _, near = board(experiment, (0.95, 0.5), (0.942, 0.1))
    assert fastest(experiment).value == near.value
    # Its score is that of the best trial, which was lucky; what it is worth is its value.
    EnsembleFactory(experiment=experiment, score=0.95, value=0.93, predict_time=0.6)
    near.delete()
    TrialFactory(experiment=experiment, score=0.925, value=0.925, predict_time=0.01)
    assert fastest(experiment).value == 0.925


def test_one_that_was_not_timed_or_holds_training_rows_is_not_chosen_before_others():
    experiment = ExperimentFactory()
    (timed, _) = board(experiment, (0.9, 0.5), (0.9, None))
    TrialFactory(experiment=experiment, family="neighbors", predict_time=0.001)
    assert fastest(experiment) == timed


def test_with_nothing_complete_there_is_nothing_to_choose():
    experiment = ExperimentFactory()
    TrialFactory(experiment=experiment, state="running")
    for choose in (package_fastest, package_best):
        with pytest.raises(Conflict, match="No trial has completed"):
            choose(experiment)


def test_what_is_chosen_is_packaged_once(sent, django_capture_on_commit_callbacks):
    experiment = ExperimentFactory()
    trial = TrialFactory(experiment=experiment, predict_time=0.001)
    ensemble = EnsembleFactory(experiment=experiment)
    with django_capture_on_commit_callbacks(execute=True):
        assert package_fastest(experiment, within=0.05).trial == trial
        assert package_best(experiment).ensemble == ensemble
        assert package_entry(ensemble).ensemble == ensemble
    assert len(sent) == TrainedModel.objects.count() == 2
