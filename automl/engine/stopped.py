"""What trials that were stopped early would have come to, so that they can be held against complete ones."""

from __future__ import annotations

import math
from collections.abc import Iterable
from statistics import fmean

from automl.engine.trial import TrialRecord, TrialState


class Comparison:
    """Gives trials scores that can be compared.

    Folds differ in difficulty, and a score of all rows is no mean of the folds' scores. A trial that was
    stopped counts by its first folds, moved by what complete trials gained or lost between these folds
    and all of them.

    Parameters
    ----------
    records : iterable of TrialRecord
        The trials by which first folds are judged; those that are not complete are left out.
    """

    def __init__(self, records: Iterable[TrialRecord]) -> None:
        self._complete = [
            record for record in records if record.state is TrialState.COMPLETE and _is_score(record.score)
        ]
        self._moves: dict[int, float | None] = {}

    def score(self, record: TrialRecord) -> float | None:
        """What a trial comes to; None where it has no folds, or no complete trial has as many."""
        if record.state is TrialState.COMPLETE:
            return record.score if _is_score(record.score) else None
        folds = len(record.fold_scores)
        if record.state is not TrialState.PRUNED or not folds:
            return None
        if folds not in self._moves:
            self._moves[folds] = self._move(folds)
        move = self._moves[folds]
        found = None if move is None else fmean(record.fold_scores) + move
        return found if _is_score(found) else None

    def _move(self, folds: int) -> float | None:
        """What complete trials gained or lost between so many first folds and all of them."""
        known = [each for each in self._complete if len(each.fold_scores) >= folds]
        moves = [(each.score or 0.0) - fmean(each.fold_scores[:folds]) for each in known]
        return fmean(moves) if moves else None


def _is_score(score: float | None) -> bool:
    return score is not None and math.isfinite(score)
