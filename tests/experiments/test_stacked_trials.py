"""What trials of the second layer learn from."""

from pathlib import Path

import pytest

from automl.core import storage
from automl.experiments.services.by_hand import add_trial
from automl.experiments.services.trials import (
    evaluate_trial,
)
from tests.factories import ExperimentFactory, TrialFactory

pytestmark = pytest.mark.django_db


def test_a_stacked_trial_learns_from_the_best_of_each_family_so_far(seat):
    experiment = ExperimentFactory()
    for number, (family, score, state) in enumerate(
        [
            ("dummy", 0.5, "complete"),
            ("linear", 0.7, "complete"),
            ("linear", 0.8, "complete"),
            ("lightgbm", 0.9, "complete"),
            ("xgboost", 0.95, "running"),
            ("stacked_trees", 0.99, "complete"),
        ]
    ):
        TrialFactory(experiment=experiment, number=number, family=family, score=score, state=state)
    trial = add_trial(experiment, family="stacked_network", hyperparameters={})

    assert evaluate_trial("worker")

    given = next(args for job, args in seat.calls if job == "evaluate")
    assert [base["number"] for base in given["bases"]] == [3, 2]
    # Where its files lie beside theirs, both may be moved.
    beside = {Path(base["dir"]).parent for base in given["bases"]}
    assert beside == {storage.path_of(trial.folder).parent}


@pytest.mark.parametrize(
    ("limits", "bases"),
    [
        ({"time_budget": 60.0}, [0, 2]),
        ({"time_budget": 300.0}, [0, 1, 2]),
        ({"time_budget": 60.0, "max_trials": 30}, [0, 1, 2]),
    ],
)
def test_how_large_the_models_are_that_it_learns_from_is_a_matter_of_time_where_that_is_the_budget(
    seat, limits, bases
):
    experiment = ExperimentFactory(**limits)
    sizes = {"lightgbm": 140 << 20, "xgboost": 140 << 20, "linear": 1_000}
    for number, (family, size) in enumerate(sizes.items()):
        TrialFactory(
            experiment=experiment,
            number=number,
            family=family,
            score=0.9 - number / 10,
            size=size,
            state="complete",
        )
    add_trial(experiment, family="stacked_network", hyperparameters={})

    assert evaluate_trial("worker")

    given = next(args for job, args in seat.calls if job == "evaluate")
    assert [base["number"] for base in given["bases"]] == bases


def test_other_trials_learn_from_columns_alone(seat):
    experiment = ExperimentFactory()
    TrialFactory(experiment=experiment, number=0, family="linear", score=0.7, state="complete")
    add_trial(experiment, family="lightgbm", hyperparameters={})

    assert evaluate_trial("worker")

    assert next(args for job, args in seat.calls if job == "evaluate")["bases"] == []
