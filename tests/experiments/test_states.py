from itertools import product

import pytest

from automl.engine.trial import TrialState
from automl.experiments.models import Experiment, ExperimentState, Trial
from automl.experiments.states import (
    EXPERIMENT_BEFORE,
    FINAL,
    TRIAL_BEFORE,
    advance_experiment,
    advance_trial,
)
from tests.factories import ExperimentFactory, TrialFactory

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(("before", "after"), product(ExperimentState, ExperimentState))
def test_an_experiment_makes_the_allowed_moves_and_no_other(before, after):
    experiment = ExperimentFactory(state=before)

    moved = advance_experiment(Experiment.objects.filter(id=experiment.id), to=after)

    experiment.refresh_from_db()
    assert moved == (before in EXPERIMENT_BEFORE[after])
    assert experiment.state == (after if moved else before)


@pytest.mark.parametrize(("before", "after"), product(TrialState, TrialState))
def test_a_trial_makes_the_allowed_moves_and_no_other(before, after):
    trial = TrialFactory(state=before.value)

    moved = advance_trial(Trial.objects.filter(id=trial.id), to=after)

    trial.refresh_from_db()
    assert moved == (before in TRIAL_BEFORE[after])
    assert trial.state == (after.value if moved else before.value)


def test_only_an_extension_leaves_a_final_state():
    for after, before in EXPERIMENT_BEFORE.items():
        assert not before & FINAL or after == ExperimentState.RUNNING
    for after, before in TRIAL_BEFORE.items():
        final = {state for state in before if state.is_final}
        # And a trial whose stored files are damaged turns out to have failed.
        allowed = {
            TrialState.WAITING: {TrialState.CANCELLED, TrialState.FAILED},
            TrialState.FAILED: {TrialState.COMPLETE},
        }
        assert final == allowed.get(after, set())


def test_only_the_first_of_two_moves_wins():
    trial = TrialFactory(state="waiting")
    rows = Trial.objects.filter(id=trial.id)

    assert [advance_trial(rows, to=TrialState.RUNNING) for _ in range(2)] == [True, False]
