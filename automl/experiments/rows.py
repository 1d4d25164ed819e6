"""Every trial of an experiment as plain rows, in one query.

A search may hold thousands: identifiers and JSON are parsed only where they are needed, and what only some
rows are asked for is left in the database for all others.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any, NamedTuple
from uuid import UUID

from django.db.models import Case, F, IntegerField, Q, TextField, When
from django.db.models.functions import Cast

from automl.engine.learners import stacks
from automl.engine.trial import Origin, TrialRecord, TrialState
from automl.experiments.models import Experiment

# Thousands of rows are turned into records: a look-up is a fifth of what calling an enumeration takes.
ORIGINS = {origin.value: origin for origin in Origin}
STATES = {state.value: state for state in TrialState}
COMPLETE, PRUNED, FAILED = (
    each.value for each in (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAILED)
)
GOING = (TrialState.RUNNING.value, TrialState.WAITING.value)
ASKED_FOR = (Origin.MANUAL.value, Origin.SWEEP.value)
NO_FOLDS = "[]"


class TrialRow(NamedTuple):
    """A trial as it was read. What people asked for has also what is shown beside it."""

    key: str
    number: int
    family: str
    origin: str
    state: str
    score: float | None
    value: float | None
    seconds: float
    ended_after: float | None
    hyperparameters: str
    fold_scores: str
    began: str | datetime | None  # of one that runs, as the driver has it
    value_low: float | None
    value_high: float | None
    fit_time: float | None
    error: str | None  # these three of what people asked for
    prediction: str | None
    sweep: str | None
    reason: str | None  # of one that is under way
    own_fault: int  # or a bool, as the driver has it

    @property
    def id(self) -> UUID:
        return UUID(self.key)

    @property
    def started_at(self) -> datetime | None:
        return moment(self.began)

    @property
    def sweep_id(self) -> UUID | None:
        return UUID(self.sweep) if self.sweep else None

    @property
    def params(self) -> dict[str, Any]:
        return json.loads(self.hyperparameters)  # type: ignore[no-any-return]

    @property
    def folds(self) -> list[float]:
        return json.loads(self.fold_scores)  # type: ignore[no-any-return]

    @property
    def predicted(self) -> dict[str, Any]:
        """What was expected of one by hand; nothing where it was too early to say."""
        return json.loads(self.prediction or "null") or {}

    @property
    def is_complete(self) -> bool:
        return self.state == COMPLETE and self.score is not None

    @property
    def would_tell_nothing_new(self) -> bool:
        """Whether to try the same once more is of no use to a sweep."""
        if self.state == COMPLETE:
            # A stacked trial learned from the best that there was; by now there may be better.
            return not stacks(self.family)
        return self.state in GOING or (self.state == FAILED and bool(self.own_fault))

    @property
    def is_timed(self) -> bool:
        """Whether it says how long trials take."""
        ended = self.state == COMPLETE or (self.state == PRUNED and self.fold_scores != NO_FOLDS)
        return ended and self.seconds > 0.0

    def record(self, *, params: bool = True, folds: bool = True) -> TrialRecord:
        """The trial as the search sees it, or without what is dear to parse."""
        return TrialRecord(
            number=self.number,
            family=self.family,
            params=self.params if params else {},
            origin=ORIGINS[self.origin],
            state=STATES[self.state],
            score=self.score,
            fold_scores=tuple(self.folds) if folds else (),
            seconds=self.seconds,
        )


def moment(raw: str | datetime | None) -> datetime | None:
    """A time as a driver gives it: asked for as one, it would be looked at in every row that has none."""
    if isinstance(raw, str):
        raw = datetime.fromisoformat(raw)
    return raw.replace(tzinfo=UTC) if raw is not None and raw.tzinfo is None else raw


def read_trials(experiment: Experiment, where: Q | None = None) -> list[TrialRow]:
    """The trials of the experiment by number, all of them or some, in one query."""
    trials = experiment.trials.filter(where) if where is not None else experiment.trials.all()
    fields = ("number", "family", "origin", "state", "score", "value", "seconds", "ended_after")
    key, *texts = (Cast(name, TextField()) for name in ("id", "hyperparameters", "fold_scores"))
    asked_for = Q(origin__in=ASKED_FOR)
    rows = trials.order_by("number").values_list(
        key,
        *fields,
        *texts,
        Case(When(state=TrialState.RUNNING.value, then=F("started_at")), output_field=TextField()),
        "value_low",
        "value_high",
        "fit_time",
        Case(When(asked_for, then=F("error")), output_field=TextField()),
        Case(When(asked_for, then=Cast("prediction", TextField())), output_field=TextField()),
        Case(When(asked_for, then=Cast("sweep", TextField())), output_field=TextField()),
        Case(When(state__in=GOING, then=F("reason")), output_field=TextField()),
        Cast("own_fault", IntegerField()),
    )
    return [TrialRow._make(row) for row in rows]
