"""What a search may spend, and what the next trial is going to cost."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from automl.engine.pruners.base import BASELINE
from automl.engine.trial import Origin, Params, TrialRecord, TrialState

# Seconds that a trial takes on its seat beside its fits: fork, reading the memory map, writing results.
OVERHEAD = 0.05
# The first guess of a cost may be wrong by this factor; it counts as this many observed trials.
PRIOR_WEIGHT = 1.0
# Only the latest trials of a family tell how fast the machine is now.
RECENT = 12
# Families of which no trial takes as many seconds, or was expected to take as many, tell other families
# nothing: what they took was starting and writing, on a busy machine some seconds of it, but not more.
LEAST_TOLD, LEAST_EXPECTED, MOMENTS = 0.5, 0.2, 5.0
SEARCHED = (Origin.DEFAULT, Origin.SEARCH)
# What of a budget is kept back for the ensemble and the package: this share, in seconds at least and at most.
KEPT_SHARE, LEAST_KEPT, MOST_KEPT = 1 / 8, 0.5, 20.0
# Models of so much, as they are stored before they are packaged, there is always the time to package; of more
# only after a search of minutes.
USUAL_BYTES, MOST_BYTES, BYTES_A_SECOND = 256 << 20, 400 << 20, 1.5 * 2**20
# Packaging holds them as they are and as they are written, and what checks them.
PACKAGING_FACTOR = 4
# Judging and storing a trial whose folds are all fitted takes less than a fold: it may use so much of what is
# kept back.
GRACE_SHARE = 0.125


@dataclass(frozen=True, slots=True)
class Budget:
    """How long a search may go on.

    Parameters
    ----------
    seconds : float or None
        Wall seconds from the first trial's start to the packaged model; None: no limit in time.
    max_trials : int or None
        Trials that the search itself may ask for; those added by hand or by sweep do not count.
    reserve : float or None
        Seconds kept back for the ensemble and the package. None: an eighth of `seconds`, at least half
        a second and at most 20 s.
    """

    seconds: float | None = None
    max_trials: int | None = None
    reserve: float | None = None

    @property
    def seconds_alone(self) -> float | None:
        """The seconds, where nothing else ends the search; None of one in trials."""
        return self.seconds if self.max_trials is None else None

    def threads(self, seat: int) -> int:
        """How many of a seat's threads a fit may use.

        One where trials are counted: sums are in another order with more of them, and the same seed is to
        give the same scores on any number of seats.
        """
        return seat if self.max_trials is None else 1

    @property
    def kept_back(self) -> float:
        """Seconds at the end in which no trial may run."""
        if self.seconds is None:
            return 0.0
        if self.reserve is not None:
            return min(self.reserve, self.seconds)
        return min(max(KEPT_SHARE * self.seconds, LEAST_KEPT), MOST_KEPT, self.seconds / 2)

    @property
    def grace(self) -> float:
        """Seconds past that end in which a trial whose folds are all fitted may still be stored."""
        return GRACE_SHARE * self.kept_back

    @staticmethod
    def seconds_until(end: float) -> float:
        """Give the least seconds of a budget whose trials may run until so many have passed."""
        return max(min(end / (1.0 - KEPT_SHARE), end + MOST_KEPT), min(2.0 * end, end + LEAST_KEPT))

    def remaining(self, elapsed: float) -> float | None:
        """Give the seconds left for trials, or None when time is not limited."""
        if self.seconds is None:
            return None
        return max(self.seconds - self.kept_back - elapsed, 0.0)

    def trials_left(self, history: Sequence[TrialRecord]) -> int | None:
        """Count the trials that the search may still ask for, or None when there is no limit."""
        if self.max_trials is None:
            return None
        return max(self.max_trials - sum(record.origin in SEARCHED for record in history), 0)


def most_bytes(seconds: float | None, memory: float | None = None) -> int:
    """Say how large the models of an ensemble may be, together.

    Parameters
    ----------
    seconds : float or None
        The budget of the search, if that is in time.
    memory : float or None
        Bytes that packaging may use: where they are few there is no more room after a long search.
    """
    most = MOST_BYTES if seconds is None else min(max(seconds * BYTES_A_SECOND, USUAL_BYTES), MOST_BYTES)
    return int(most if memory is None else min(most, max(memory / PACKAGING_FACTOR, USUAL_BYTES)))


Predict = Callable[[str, Params], float]


@dataclass(frozen=True)
class CostModel:
    """Predicts the wall seconds of a trial, corrected by what trials have taken so far.

    Parameters
    ----------
    predict : callable
        ``(family, params)`` to the seconds of one fold, before any correction.
    folds : int
    ratios : mapping
        By family: how many times longer its trials took than predicted.
    ratio : float
        The same over all families, for those that have none yet.
    """

    predict: Predict
    folds: int
    ratios: Mapping[str, float]
    ratio: float = 1.0

    @classmethod
    def learn(cls, predict: Predict, folds: int, history: Sequence[TrialRecord]) -> CostModel:
        """Make a model from a first guess and the trials that have been timed."""
        timed: dict[str, list[TrialRecord]] = {}
        for record in history:
            # What guessing takes on a large table, which is next to nothing, says nothing of learning.
            if record.family != BASELINE and _share_done(record, folds) > 0.0 and record.seconds > 0.0:
                timed.setdefault(record.family, []).append(record)
        # Only what counts is predicted: in a search of thousands the rest would take half a second.
        logs = {
            family: [_log_ratio(record, predict, folds) for record in records[-RECENT:]]
            for family, records in timed.items()
        }
        means = {family: _mean(values) for family, values in logs.items()}
        telling = [
            mean
            for family, mean in means.items()
            if any(_tells(record, predict, folds) for record in timed[family][-RECENT:])
        ]
        overall = sum(telling) / (len(telling) + PRIOR_WEIGHT)
        ratios = {}
        for family, mean in means.items():
            weight = len(logs[family])
            ratios[family] = math.exp((mean * weight + overall * PRIOR_WEIGHT) / (weight + PRIOR_WEIGHT))
        return cls(predict, folds, ratios, math.exp(overall))

    def seconds(self, family: str, params: Params) -> float:
        """Predict the wall seconds of a whole trial: all folds and the overhead."""
        ratio = self.ratios.get(family, self.ratio)
        return OVERHEAD + self.folds * self.predict(family, params) * ratio


def _tells(record: TrialRecord, predict: Predict, folds: int) -> bool:
    if record.seconds >= MOMENTS:
        return True
    return record.seconds >= LEAST_TOLD and _expected(record, predict, folds) >= LEAST_EXPECTED


def _expected(record: TrialRecord, predict: Predict, folds: int) -> float:
    return predict(record.family, record.params) * folds * _share_done(record, folds)


def _log_ratio(record: TrialRecord, predict: Predict, folds: int) -> float:
    """Give the logarithm of how many times longer a trial took than predicted."""
    expected = _expected(record, predict, folds)
    observed = max(record.seconds - OVERHEAD, 0.2 * record.seconds)
    return math.log(observed / max(expected, 1e-4))


def _share_done(record: TrialRecord, folds: int) -> float:
    """Give the share of a trial's folds that its seconds have paid for; 0 where that is not known."""
    if record.state is TrialState.COMPLETE:
        return 1.0
    if record.state is TrialState.PRUNED:
        return min(len(record.fold_scores) / folds, 1.0)
    return 0.0


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
