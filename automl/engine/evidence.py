"""What the trials of one family say together: scores that can be compared, and which settings ruin it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, median, stdev
from typing import TYPE_CHECKING, Any

from automl.engine.space import Space
from automl.engine.trial import Origin, ParamValue, TrialRecord, TrialState

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[Any]

# Who loses this part of all that the reference has learned over guessing has not lost by chance.
RUINED_PART = 0.1
# Or so many times the usual distance between good settings.
RUINED_SPREADS = 4.0
# Trials are shuffled among those of the same part of the search, a part having at least so many.
ERAS, LEAST_OF_AN_ERA = 5, 10


@dataclass(frozen=True, slots=True)
class Judged:
    """A trial and what it is worth.

    Attributes
    ----------
    record : TrialRecord
    score : float or None
        Comparable with the others', also of a trial that was stopped early; None where it failed.
    ruined : bool
        It failed, or lies under the floor.
    """

    record: TrialRecord
    score: float | None
    ruined: bool


@dataclass(frozen=True, slots=True)
class Evidence:
    """The trials of one family that ended by themselves.

    Attributes
    ----------
    trials : tuple of Judged
        By number.
    reference : float or None
        The score of the family's defaults; of the middle trial where there are none.
    floor : float or None
        Scores under it count as ruined.
    """

    trials: tuple[Judged, ...]
    reference: float | None
    floor: float | None

    @property
    def scored(self) -> list[Judged]:
        """Those that have a score."""
        return [trial for trial in self.trials if trial.score is not None]


def gather(records: Sequence[TrialRecord], *, guessing: float | None = None) -> Evidence:
    """Make the trials of one family comparable.

    Parameters
    ----------
    records : sequence of TrialRecord
        Of one family; unfinished and cancelled ones are left out.
    guessing : float, optional
        The score of the baseline that knows no column.

    Notes
    -----
    Folds differ in difficulty. A trial that was stopped after some of them is given the score of the
    family's best trial plus its mean difference to that on the same folds.
    """
    complete = [r for r in records if r.state is TrialState.COMPLETE and r.score is not None]
    best = max(complete, key=lambda record: (record.score or 0.0, -record.number), default=None)
    if best is None or best.score is None:
        failed = [r for r in records if r.state is TrialState.FAILED]
        return Evidence(tuple(Judged(record, None, True) for record in failed), None, None)
    scores = sorted((record.score or 0.0 for record in complete), reverse=True)
    defaults = [record.score or 0.0 for record in complete if record.origin is Origin.DEFAULT]
    reference = median(defaults or scores)
    spread = max(best.score - scores[len(scores) // 4], _noise(best, complete))
    lost = max(RUINED_SPREADS * spread, RUINED_PART * (reference - guessing) if guessing is not None else 0.0)
    # Among equals nothing is ruined.
    floor = reference - (lost or max(abs(reference) * 1e-3, 1e-9))
    judged = []
    for record in sorted(records, key=lambda record: record.number):
        score = _comparable(record, best)
        if score is not None:
            judged.append(Judged(record, score, score < floor))
        elif record.state is TrialState.FAILED:
            judged.append(Judged(record, None, True))
    return Evidence(tuple(judged), reference, floor)


def _comparable(record: TrialRecord, best: TrialRecord) -> float | None:
    if record.state is TrialState.COMPLETE:
        return record.score
    if record.state is TrialState.PRUNED and record.fold_scores and best.score is not None:
        same = best.fold_scores[: len(record.fold_scores)]
        return best.score + fmean(record.fold_scores) - fmean(same or [best.score])
    return None


def _noise(best: TrialRecord, complete: Sequence[TrialRecord]) -> float:
    """The usual standard error of the difference between the best trial and another good one."""
    leaders = sorted(complete, key=lambda record: -(record.score or 0.0))[1:8]
    errors = []
    for record in leaders:
        differences = [a - b for a, b in zip(best.fold_scores, record.fold_scores, strict=False)]
        if len(differences) > 1:
            errors.append(stdev(differences) / len(differences) ** 0.5)
    return median(errors) if errors else 0.0


PairPoint = tuple[float, float, float, bool]


def on_two_dials(space: Space, pair: Sequence[str], evidence: Evidence) -> list[PairPoint]:
    """Give each trial's position on two dials, its score, and whether it is ruined."""
    found = []
    for trial in evidence.trials:
        x, y = (in_range(space, name, trial.record.params) for name in pair)
        if x is not None and y is not None and trial.score is not None:
            found.append((x, y, trial.score, trial.ruined))
    return found


def in_range(space: Space, name: str, params: Mapping[str, ParamValue]) -> float | None:
    """Give the position of a dial from 0 to 1; None where it is not in use or lies outside of its range."""
    if name not in params:
        return None
    try:
        position = space.dimensions[name].position(params[name])
    except (TypeError, ValueError, StopIteration):
        return None
    return position if -1e-9 <= position <= 1 + 1e-9 else None


def shuffled(numbers: Sequence[int], times: int, rng: np.random.Generator) -> Array:
    """Shuffle trials within each fifth of the search.

    A search narrows all its dials while its scores rise: across its whole length every dial goes with
    the score. Neighbours in time are what a dial that does nothing would not tell apart.

    Parameters
    ----------
    numbers : sequence of int
        Of the trials, in any order.
    times : int
    rng : numpy.random.Generator

    Returns
    -------
    array of shape (times, trials)
        Each row says which trial takes the place of each.
    """
    import numpy as np

    order = np.argsort(numbers, kind="stable")
    eras = np.array_split(order, max(1, min(ERAS, len(order) // LEAST_OF_AN_ERA)))
    found = np.empty((times, len(order)), dtype=np.intp)
    for era in eras:
        found[:, era] = rng.permuted(np.tile(era, (times, 1)), axis=1)
    return found
