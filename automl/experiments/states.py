"""Which state may follow which, as data, and the one way to change a state."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet

from automl.engine.trial import TrialState
from automl.experiments.models import Experiment, ExperimentState, Trial

FINAL = frozenset({ExperimentState.COMPLETE, ExperimentState.CANCELLED, ExperimentState.FAILED})

# The states from which a state may be reached.
EXPERIMENT_BEFORE: dict[ExperimentState, frozenset[ExperimentState]] = {
    ExperimentState.PENDING: frozenset(),
    # From the last four by an extension: the search goes on from all that it has learnt.
    ExperimentState.RUNNING: frozenset(set(ExperimentState) - {ExperimentState.RUNNING}),
    ExperimentState.PAUSED: frozenset({ExperimentState.RUNNING}),
    ExperimentState.STOPPING: frozenset({ExperimentState.RUNNING, ExperimentState.PAUSED}),
    ExperimentState.COMPLETE: frozenset({ExperimentState.STOPPING}),
    ExperimentState.CANCELLED: frozenset(set(ExperimentState) - FINAL),
    ExperimentState.FAILED: frozenset(set(ExperimentState) - FINAL),
}

TRIAL_BEFORE: dict[TrialState, frozenset[TrialState]] = {
    # Its worker was lost, it was given back, or its search goes on after an end that cut it short, or that
    # came because so many had failed.
    TrialState.WAITING: frozenset({TrialState.RUNNING, TrialState.CANCELLED, TrialState.FAILED}),
    TrialState.RUNNING: frozenset({TrialState.WAITING}),
    TrialState.COMPLETE: frozenset({TrialState.RUNNING}),
    TrialState.PRUNED: frozenset({TrialState.RUNNING}),
    TrialState.FAILED: frozenset({TrialState.RUNNING, TrialState.COMPLETE}),  # its files were damaged
    TrialState.CANCELLED: frozenset({TrialState.WAITING, TrialState.RUNNING}),
}


def advance_experiment(experiments: QuerySet[Experiment], *, to: ExperimentState, **fields: Any) -> bool:
    """Move the one experiment to a state, by one conditional UPDATE; False if somebody was first."""
    return experiments.filter(state__in=EXPERIMENT_BEFORE[to]).update(state=to, **fields) == 1


def advance_trial(trials: QuerySet[Trial], *, to: TrialState, **fields: Any) -> bool:
    """Move the one trial to a state, by one conditional UPDATE; False if somebody was first."""
    before = [state.value for state in TRIAL_BEFORE[to]]
    return trials.filter(state__in=before).update(state=to.value, **fields) == 1
