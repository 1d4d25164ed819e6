"""The seam between a search and the rules that stop a weak trial early."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from automl.engine.learners import stacks
from automl.engine.trial import Origin, TrialRecord, TrialState

# The family that knows no column.
BASELINE = "dummy"


class Pruner(Protocol):
    """Stops trials that cannot win. Keeps nothing between calls."""

    def should_prune(self, trial: TrialRecord, history: Sequence[TrialRecord]) -> bool:
        """Tell whether a running trial should be given up after the folds it has finished.

        Parameters
        ----------
        trial : TrialRecord
            With the scores of the folds finished so far.
        history : sequence of TrialRecord
            The other trials. Complete ones are compared with; all tell which families have been tried.
        """
        ...


def is_protected(trial: TrialRecord) -> bool:
    """Tell whether no pruner may stop a trial: somebody asked for it and wants its score."""
    return trial.origin not in (Origin.DEFAULT, Origin.SEARCH) or not trial.fold_scores


def is_first_look(trial: TrialRecord, history: Sequence[TrialRecord]) -> bool:
    """Tell whether a trial has finished the first fold that its family was ever tried on.

    The first default of a family says what that family is worth: one unlucky fold should not end it.
    """
    if trial.origin is not Origin.DEFAULT or len(trial.fold_scores) > 1:
        return False
    return not any(record.family == trial.family and record.number < trial.number for record in history)


def comparable(trial: TrialRecord, history: Sequence[TrialRecord]) -> list[TrialRecord]:
    """Give the complete trials that have the folds which the trial has finished.

    The baseline is none of them: who is better than that may still be hopeless. Nor are those that learn from
    the others: what they reach no other has to.
    """
    folds = len(trial.fold_scores)
    return [
        record
        for record in history
        if record.state is TrialState.COMPLETE
        and record.family != BASELINE
        and not stacks(record.family)
        and record.number != trial.number
        and record.score is not None
        and len(record.fold_scores) >= folds
    ]


def mean(values: Sequence[float]) -> float:
    """Give the mean of a few scores."""
    return sum(values) / len(values)
