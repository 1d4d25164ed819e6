"""Stop what is worse than half of the others."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from automl.engine.pruners.base import comparable, is_first_look, is_protected, mean
from automl.engine.trial import TrialRecord


class MedianPruner:
    """Stops a trial whose mean so far is under the median of the others on the same folds.

    Parameters
    ----------
    startup : int
        Complete trials, other than the baseline, before anything is stopped.
    """

    def __init__(self, startup: int = 5) -> None:
        self.startup = startup

    def should_prune(self, trial: TrialRecord, history: Sequence[TrialRecord]) -> bool:
        others = comparable(trial, history)
        if len(others) < self.startup or is_protected(trial) or is_first_look(trial, history):
            return False
        folds = len(trial.fold_scores)
        return mean(trial.fold_scores) < median(mean(other.fold_scores[:folds]) for other in others)
