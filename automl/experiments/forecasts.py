"""What may be expected of a trial before it is tried: its score, its time, when it would start."""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from django.utils import timezone

from automl.engine.budget import RECENT, CostModel
from automl.engine.learners import families_for, get_learner
from automl.engine.samplers.base import signature
from automl.engine.schema import DataProfile
from automl.engine.space import Space
from automl.engine.study import Study
from automl.engine.surrogate import Forecast, Surrogate
from automl.engine.trial import Origin, Params, TrialRecord, TrialState
from automl.experiments import clock, kept, selectors
from automl.experiments.models import Experiment, ExperimentState
from automl.experiments.records import budget_of, profile_of, study_of
from automl.experiments.rows import GOING, TrialRow, read_trials
from automl.experiments.services.trials import free_places

LEAST_LEFT = 0.2


@dataclass(frozen=True, slots=True)
class Expected:
    """What is expected of one configuration. Scores are higher-is-better, values in the metric's own unit."""

    score: Forecast | None
    value: float | None
    low: float | None
    high: float | None
    seconds: float
    starts_in: float
    # The trial that has tried the same before, if there is one.
    same: TrialRow | None

    def as_json(self) -> dict[str, Any]:
        """What a trial keeps of it, to be held against what came of it."""
        return {"value": self.value, "low": self.low, "high": self.high, "seconds": round(self.seconds, 3)}


class Outlook:
    """The trials of an experiment so far, read once, and what they let expect. One query."""

    def __init__(self, experiment: Experiment) -> None:
        self.experiment = experiment
        self.metric = selectors.metric_of(experiment)
        self.rows = read_trials(experiment)
        self._spaces: dict[str, Space] = {}
        self._surrogates: dict[str, Surrogate | None] = {}
        self._records: dict[str, list[TrialRecord]] = {}

    @cached_property
    def profile(self) -> DataProfile:
        return profile_of(self.experiment)

    @cached_property
    def costs(self) -> CostModel:
        latest = [row for rows in self._by_family.values() for row in _timed(rows)]
        return study_of(self.experiment).costs([row.record() for row in latest])

    @cached_property
    def places(self) -> int:
        return free_places(self.experiment)

    @property
    def families(self) -> list[str]:
        """The families that can be turned by hand here."""
        return families_for(self.profile.task_type)

    def space(self, family: str) -> Space:
        """The dials of a family on this table."""
        if family not in self._spaces:
            self._spaces[family] = get_learner(family).space(self.profile)
        return self._spaces[family]

    def of(self, family: str) -> list[TrialRow]:
        """The trials of a family, by number."""
        return self._by_family.get(family, [])

    @cached_property
    def _by_family(self) -> dict[str, list[TrialRow]]:
        found: dict[str, list[TrialRow]] = {}
        for row in self.rows:
            found.setdefault(row.family, []).append(row)
        return found

    def records(self, family: str) -> list[TrialRecord]:
        """The same as the search sees them."""
        if family not in self._records:
            self._records[family] = [row.record() for row in self.of(family)]
        return self._records[family]

    def best(self, family: str) -> TrialRow | None:
        """The best complete trial of a family."""
        complete = (row for row in self.of(family) if row.is_complete)
        return max(complete, key=lambda row: (row.score or 0.0, -row.number), default=None)

    def value_of(self, score: float | None) -> float | None:
        """A score in the metric's own unit."""
        return self.metric.score_of(score) if self.metric and score is not None else score

    def _allowed(self, score: float) -> float:
        """A predicted score in the metric's own unit, within what the metric can be."""
        if self.metric is None:
            return score
        low, high = self.metric.bounds
        return min(max(self.metric.score_of(score), low), high)

    def seconds(self, family: str, params: Params) -> float:
        """How long a trial should take on its seat."""
        return self.costs.seconds(family, self.space(family).clip(params))

    def time_left(self) -> float | None:
        """Seconds in which trials of a search that goes on may still run; None where more would be given."""
        going = (ExperimentState.RUNNING, ExperimentState.PAUSED)
        if self.experiment.state not in going or self.experiment.by_hand_only:
            return None
        return budget_of(self.experiment).remaining(clock.elapsed(self.experiment))

    def forecast(self, family: str, params: Params) -> Expected:
        """What to expect of a valid configuration."""
        guess = self._guess(family, params)
        value, *ends = (
            [self._allowed(each) for each in (guess.score, guess.low, guess.high)] if guess else [None] * 3
        )
        if guess and (ends[0] or 0.0) > (ends[1] or 0.0):
            ends.reverse()
        return Expected(
            score=guess,
            value=value,
            low=ends[0],
            high=ends[1],
            seconds=self.seconds(family, params),
            starts_in=self.starts_in(Origin.MANUAL),
            same=self.same_as(family, params),
        )

    def same_as(self, family: str, params: Mapping[str, Any]) -> TrialRow | None:
        """The first trial that has a score for this already, else the first that has tried it.

        A cancelled one has not.
        """
        wanted, plain = signature(family, params), dict(params)
        found = None
        for row, record in zip(self.of(family), self.records(family), strict=True):
            # Equal texts have equal values, which are compared much sooner.
            if record.params != plain or record.state is TrialState.CANCELLED:
                continue
            if signature(family, record.params) == wanted:
                if row.is_complete:
                    return row
                found = found or row
        return found

    def starts_in(self, origin: Origin) -> float:
        """Seconds until a seat of this search is free for it; other searches may come first."""
        now = timezone.now()
        seats: list[float] = []
        going = [row for row in self.rows if row.state in GOING]
        for row in going:
            if row.state == TrialState.RUNNING.value:
                gone = (now - row.started_at).total_seconds() if row.started_at else 0.0
                seats.append(max(self.seconds(row.family, row.params) - gone, LEAST_LEFT))
        heapq.heapify(seats)
        while len(seats) < self.places:
            heapq.heappush(seats, 0.0)
        before = (Origin.MANUAL,) if origin is Origin.MANUAL else (Origin.MANUAL, Origin.SWEEP)
        for row in going:
            if row.state == TrialState.WAITING.value and row.origin in before:
                heapq.heapreplace(seats, seats[0] + self.seconds(row.family, row.params))
        return seats[0]

    def seconds_of(self, family: str, configurations: Sequence[Params]) -> float:
        """How long a sweep should take, from now to its last trial."""
        seats = [self.starts_in(Origin.SWEEP)] * max(min(self.places, len(configurations)), 1)
        for params in configurations:
            heapq.heapreplace(seats, seats[0] + self.seconds(family, params))
        return max(seats)

    def _guess(self, family: str, params: Params) -> Forecast | None:
        if family not in self._surrogates:
            self._surrogates[family] = Surrogate.learn(self.space(family), self.records(family), family)
        surrogate = self._surrogates[family]
        return surrogate.predict(params) if surrogate else None


def _timed(rows: Sequence[TrialRow]) -> list[TrialRow]:
    """The latest trials of a family that say how long such trials take: no others are asked for it."""
    found: list[TrialRow] = []
    for row in reversed(rows):
        if row.is_timed:
            found.append(row)
        if len(found) == RECENT:
            break
    return found[::-1]


def predicted_seconds(experiment: Experiment, study: Study, rows: Sequence[TrialRow]) -> dict[int, float]:
    """By number, what trials should take: with a budget in trials that counts, and not what they took.

    It never changes, so of thousands only the new ones are asked for it.
    """
    if experiment.max_trials is None:
        return {}
    known: dict[int, float] = kept.recall(experiment, "predicted", fresh=kept.KEPT_SECONDS) or {}
    new = {row.number: study.predicted(row.family, row.params) for row in rows if row.number not in known}
    if new:
        known |= new
        kept.keep(experiment, "predicted", known)
    return known
