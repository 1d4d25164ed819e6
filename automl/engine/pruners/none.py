"""No pruning."""

from __future__ import annotations

from collections.abc import Sequence

from automl.engine.trial import TrialRecord


class NoPruner:
    """Lets every trial finish; saves every caller a test for None."""

    def should_prune(self, trial: TrialRecord, history: Sequence[TrialRecord]) -> bool:
        return False
