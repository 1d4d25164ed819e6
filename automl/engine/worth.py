"""Was tuning worth it: what a search added over the best defaults, what it cost, and whether to go on."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import mean, stdev
from typing import Literal

from automl.engine.learners import stacks
from automl.engine.trial import Origin, TrialRecord, TrialState

Verdict = Literal["better", "worse", "within chance", "unknown"]
Chance = Literal["unlikely", "possible", "likely", "unknown"]

# Quantiles of Student's t at 97.5 %, by degrees of freedom; beyond them it is the normal law's.
T975 = {1: 12.71, 2: 4.303, 3: 3.182, 4: 2.776, 5: 2.571, 6: 2.447, 7: 2.365, 8: 2.306, 9: 2.262,
        10: 2.228, 14: 2.145, 19: 2.093, 24: 2.064, 29: 2.045}  # fmt: skip
# The difference of two folds says next to nothing of what it would be on others.
LEAST_FOLDS = 3
# Fewer tuned trials than this say nothing of the next ones.
LEAST_TUNED = 12
# The part of the tuned trials, best first, that makes up the tail.
TAIL = 0.25
UNLIKELY, LIKELY = 0.1, 0.5


@dataclass(frozen=True, slots=True)
class Family:
    """What tuning did inside one family; scores are higher-is-better."""

    family: str
    default: float | None
    tuned: float | None
    trials: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Worth:
    """What tuning was worth.

    Attributes
    ----------
    default, tuned : TrialRecord or None
        The best of the ready-made settings, and the best of all that came after them.
    gain : float or None
        Tuned over default, each chosen without the fold it is judged on; higher is better.
    low, high : float or None
        95 % interval of the gain.
    plain_gain : float or None
        The difference of the two scores as the board shows them. Both are the best of many on the same
        folds, so it flatters whoever had more tries.
    verdict : {"better", "worse", "within chance", "unknown"}
    default_trials, tuned_trials : int
    default_seconds, tuned_seconds : float
        On the seats, also for what was stopped or failed.
    next_trials : int
        As many more trials, and how likely one of them is to be better by more than chance.
    next_chance : float or None
    outlook : {"unlikely", "possible", "likely", "unknown"}
    step : float or None
        The improvement that counts as more than chance.
    families : tuple of Family
    """

    default: TrialRecord | None
    tuned: TrialRecord | None
    gain: float | None
    low: float | None
    high: float | None
    plain_gain: float | None
    verdict: Verdict
    default_trials: int
    tuned_trials: int
    default_seconds: float
    tuned_seconds: float
    next_trials: int
    next_chance: float | None
    outlook: Chance
    step: float | None
    families: tuple[Family, ...]

    @property
    def next_seconds(self) -> float | None:
        """What as many more trials would take on the seats, if they take as long as the tuned ones did."""
        return self.next_trials * self.tuned_seconds / self.tuned_trials if self.tuned_trials else None


def tuning_worth(records: Sequence[TrialRecord]) -> Worth:
    """Say what tuning added over the best default, and how likely more of it is to help.

    Parameters
    ----------
    records : sequence of TrialRecord
        All trials of an experiment.

    Returns
    -------
    Worth

    Notes
    -----
    The gain: for each fold the best default and the best tuned trial are chosen by the *other* folds and
    compared on this one. That takes the winner's curse out of both sides. The interval is Student's with
    the correction of Nadeau and Bengio (2003), as models of different folds share most of their rows. Of two
    folds there is none: they share no row, and one difference has no spread.

    The outlook: the scores of the best quarter of the latest half of the tuned trials are taken as an
    exponential tail (peaks over a threshold), which gives the chance that one more trial beats the best by
    more than `step`, the standard error of the gain; from it follows the chance of as many more trials.
    It cannot see an idea that nobody has tried yet.
    """
    # Stacked trials are neither: they learn from both.
    ended = [record for record in records if record.state.is_final and not stacks(record.family)]
    defaults = [record for record in ended if record.origin is Origin.DEFAULT]
    tuned = [record for record in ended if record.origin is not Origin.DEFAULT]
    one, other = _best(defaults), _best(tuned)
    gain, error = _honest_gain(_complete(defaults), _complete(tuned))
    low = high = None
    verdict: Verdict = "unknown"
    if gain is not None and error is not None:
        low, high = gain - error[0] * error[1], gain + error[0] * error[1]
        verdict = "better" if low > 0 else "worse" if high < 0 else "within chance"
    step = error[1] if error is not None else None
    further = max(len(tuned), 20)
    chance = _chance_of_more(ended, tuned, step, further)
    outlook: Chance = "unknown"
    if chance is not None:
        outlook = "unlikely" if chance < UNLIKELY else "likely" if chance >= LIKELY else "possible"
    plain = (
        other.score - one.score
        if one and other and one.score is not None and other.score is not None
        else None
    )
    return Worth(
        default=one,
        tuned=other,
        gain=gain,
        low=low,
        high=high,
        plain_gain=plain,
        verdict=verdict,
        default_trials=len(defaults),
        tuned_trials=len(tuned),
        default_seconds=sum(record.seconds for record in defaults),
        tuned_seconds=sum(record.seconds for record in tuned),
        next_trials=further,
        next_chance=chance,
        outlook=outlook,
        step=step,
        families=tuple(_families(ended)),
    )


def _complete(records: Sequence[TrialRecord]) -> list[TrialRecord]:
    return [r for r in records if r.state is TrialState.COMPLETE and r.score is not None]


def _best(records: Sequence[TrialRecord]) -> TrialRecord | None:
    return max(_complete(records), key=lambda record: (record.score or 0.0, -record.number), default=None)


def _honest_gain(
    defaults: Sequence[TrialRecord], tuned: Sequence[TrialRecord]
) -> tuple[float | None, tuple[float, float] | None]:
    """The mean gain over the folds; the quantile and the standard error of its interval."""
    folds = max((len(record.fold_scores) for record in (*defaults, *tuned)), default=0)
    one = [record for record in defaults if len(record.fold_scores) == folds]
    other = [record for record in tuned if len(record.fold_scores) == folds]
    if folds < LEAST_FOLDS or not one or not other:
        return None, None
    gains = [_picked(other, fold) - _picked(one, fold) for fold in range(folds)]
    # Models of two folds share their rows but for a part of 1/(folds - 1).
    error = stdev(gains) * math.sqrt(1 / folds + 1 / (folds - 1))
    return mean(gains), (_quantile(folds - 1), error)


def _picked(records: Sequence[TrialRecord], fold: int) -> float:
    """The score on a fold of the trial that is best on all other folds."""
    chosen = max(records, key=lambda r: (sum(r.fold_scores) - r.fold_scores[fold], -r.number))
    return chosen.fold_scores[fold]


def _quantile(freedom: int) -> float:
    known = [value for count, value in T975.items() if count <= freedom]
    return known[-1] if freedom < 40 else 1.96


def _chance_of_more(
    ended: Sequence[TrialRecord], tuned: Sequence[TrialRecord], step: float | None, further: int
) -> float | None:
    """The chance that one of `further` trials like the latest is better than all by more than a step."""
    best = _best(ended)
    latest = sorted(tuned, key=lambda record: record.number)
    latest = latest[min(len(latest) // 2, max(0, len(latest) - LEAST_TUNED)) :]
    scores = sorted((record.score or 0.0 for record in _complete(latest)), reverse=True)
    if best is None or best.score is None or step is None or len(latest) < LEAST_TUNED or len(scores) < 4:
        return None
    tail = max(3, round(TAIL * len(scores)))
    threshold = scores[min(tail, len(scores) - 1)]
    excess = mean(score - threshold for score in scores[:tail])
    if excess <= 0:
        return 0.0
    # A gain that no table could show is no gain.
    wanted = best.score + max(step, 1e-3 * excess) - threshold
    each = tail / len(latest) * math.exp(-wanted / excess)
    return 1.0 - (1.0 - min(each, 1.0)) ** further


def _families(ended: Sequence[TrialRecord]) -> list[Family]:
    grouped: dict[str, list[TrialRecord]] = {}
    for record in ended:
        grouped.setdefault(record.family, []).append(record)
    rows = []
    for family, records in grouped.items():
        one = _best([record for record in records if record.origin is Origin.DEFAULT])
        other = _best([record for record in records if record.origin is not Origin.DEFAULT])
        rows.append(
            Family(
                family,
                one.score if one else None,
                other.score if other else None,
                len(records),
                sum(record.seconds for record in records),
            )
        )
    return sorted(rows, key=_top_score, reverse=True)


def _top_score(row: Family) -> float:
    return max(score if score is not None else -math.inf for score in (row.default, row.tuned))
