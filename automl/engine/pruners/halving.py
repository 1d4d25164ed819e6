"""Racing over folds: after each one, what can no longer catch up with the leaders is stopped."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median, pstdev, stdev

from automl.engine.pruners.base import comparable, is_first_look, is_protected, mean
from automl.engine.trial import TrialRecord

# The median of a standard deviation of so few normal numbers is less than that of five by this factor.
UNDERSTATED = {2: 1.36, 3: 1.10}


@dataclass(frozen=True, slots=True)
class Mark:
    """What a trial has to reach after the folds that it has finished.

    Attributes
    ----------
    level : float
        The mean score of the last of the leaders on the same folds.
    margin : float
        How far under it is not yet hopeless.
    """

    level: float
    margin: float


class HalvingPruner:
    """Stops a trial that is clearly behind the leaders on the folds that it has finished.

    Parameters
    ----------
    leaders : int
        How many of the best trials make up the field to catch up with. The last of them is the mark:
        who beats it would still be of use to an ensemble.
    startup : int
        Complete trials, other than the baseline, before anything is stopped.
    width : float
        How many standard errors behind the mark is hopeless.
    first_look : float
        How many times wider the margin is on the first fold that a family is ever tried on; it is never
        less then than what the folds of the best trial differ by.

    Notes
    -----
    Folds differ in difficulty, so scores are compared on the same folds only. After ``i`` folds let
    ``gap`` be the mean difference to the mark and ``noise`` the usual standard deviation, over folds,
    of the difference between two good trials. The trial is stopped when ``gap > width * noise /
    sqrt(i)``. The margin shrinks as folds come in, which is what makes it a race: about half of the
    random configurations die after one fold, close ones run to the end. The baseline is no leader, and the
    first fold of a family that is new has a wider margin.
    """

    def __init__(
        self, leaders: int = 8, startup: int = 4, width: float = 2.0, first_look: float = 4.0
    ) -> None:
        self.leaders = leaders
        self.startup = startup
        self.width = width
        self.first_look = first_look

    def should_prune(self, trial: TrialRecord, history: Sequence[TrialRecord]) -> bool:
        mark = self.mark(trial, history)
        return mark is not None and mark.level - mean(trial.fold_scores) > mark.margin

    def mark(self, trial: TrialRecord, history: Sequence[TrialRecord]) -> Mark | None:
        """Give what a trial has to reach now; None while nothing can stop it."""
        others = comparable(trial, history)
        if len(others) < self.startup or is_protected(trial):
            return None
        field = sorted(others, key=lambda record: (-(record.score or 0.0), record.number))[: self.leaders]
        folds = len(trial.fold_scores)
        level = min(mean(record.fold_scores[:folds]) for record in field)
        margin = self.width * _noise(field) / math.sqrt(folds)
        if is_first_look(trial, history):
            # Leaders of one family hardly differ from each other; a fold of another one's says less.
            margin = max(self.first_look * margin, pstdev(field[0].fold_scores))
        return Mark(level, margin)


def _noise(field: Sequence[TrialRecord]) -> float:
    """Give the usual spread, over folds, of the difference between the first and another leader."""
    first = field[0].fold_scores
    spreads = []
    for record in field[1:]:
        differences = [a - b for a, b in zip(first, record.fold_scores, strict=False)]
        if len(differences) > 1:
            spreads.append(stdev(differences) * UNDERSTATED.get(len(differences), 1.0))
    return median(spreads) if spreads else 0.0
