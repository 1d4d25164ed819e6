"""Everything that the page of an experiment shows of its trials, from one query a table.

A search may hold thousands of trials: they are read as plain tuples, and what only an opened or a
running row shows is left in the database for all others.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any, NamedTuple
from uuid import UUID

from django.db.models import (
    Case,
    CharField,
    ExpressionWrapper,
    F,
    Field,
    Q,
    QuerySet,
    TextField,
    Value,
    When,
)

from automl.engine.learners import LEARNERS, stacks
from automl.engine.trial import Origin, TrialState
from automl.experiments import kept
from automl.experiments.models import Experiment, ModelState, Trial
from automl.experiments.rows import COMPLETE, GOING, moment
from automl.experiments.selectors import name_of

# What most curves say: told where the row is opened, and of no use as a mark on every second row.
AS_IT_SHOULD = "Converged"
UNDER_WAY = Q(state__in=GOING)
GLANCE = "glance"
_HAS_CURVE = Case(
    When(learning_curve__isnull=False, then=Value(1)), default=Value(0), output_field=TextField()
)


class Entry(NamedTuple):
    """A trial, or an ensemble (which has no number). `value` is in the metric's own unit."""

    key: Any  # the identifier as the database's driver gives it: to read thousands as UUIDs takes long
    number: int | None
    family: str
    origin: str
    state: str
    score: float | None
    value: float | None
    low: float | None
    high: float | None
    tied: int  # or a bool, as the driver has it
    fit_time: float | None
    predict_time: float | None
    size: int | None
    error: str
    ended_after: float | None
    has_curve: int
    hyperparameters_text: str | None
    fold_scores_text: str | None
    diagnosis: str | None
    began: str | datetime | None
    reason: str | None
    title: str = ""

    @property
    def id(self) -> UUID:
        return UUID(str(self.key))

    @property
    def started_at(self) -> datetime | None:
        """Of one that is under way."""
        return moment(self.began)

    @property
    def hyperparameters(self) -> dict[str, Any]:
        """Of an opened row."""
        return json.loads(self.hyperparameters_text) if self.hyperparameters_text else {}

    @property
    def fold_scores(self) -> list[float]:
        """Of an opened row, and of one that is under way."""
        return json.loads(self.fold_scores_text) if self.fold_scores_text else []

    @property
    def name(self) -> str:
        """What people call it: the family's name and the trial's number."""
        if self.number is None:
            return self.title
        return name_of(self.family, self.number)


@dataclass(frozen=True, slots=True)
class PackagedModel:
    """The model that was made of an entry."""

    id: UUID
    state: str
    is_best: bool


@dataclass(frozen=True, slots=True)
class Glance:
    """What is told of all trials together: no clock moves it, only the experiment's version."""

    counts: dict[str, int]
    answer: Entry | None
    best_default: Entry | None
    baseline: Entry | None
    ties: int
    best_model: UUID | None


@dataclass(frozen=True)
class Board:
    """What was read: every entry, in order of number, and what follows from all of them."""

    experiment: Experiment
    entries: Sequence[Entry]
    ranked: Sequence[Entry]
    ranks: dict[Any, int]  # by the entry's key
    models: dict[UUID, PackagedModel]

    @property
    def counts(self) -> dict[str, int]:
        """How many trials there are in all, and in each state."""
        found = Counter(entry.state for entry in self.entries if entry.number is not None)
        return {
            "total": sum(found.values()),
            **{str(state.value): found[state.value] for state in TrialState},
        }

    @property
    def shared(self) -> frozenset[int]:
        """The ranks that several entries hold."""
        return frozenset(rank for rank, holders in Counter(self.ranks.values()).items() if holders > 1)

    def rank_of(self, entry: Entry) -> int | None:
        """Its place among those that completed."""
        return self.ranks.get(entry.key)

    @property
    def answer(self) -> Entry | None:
        """The experiment's answer as far as it is known; models that hold training rows come last."""
        trials = [entry for entry in self.ranked if entry.number is not None]
        handed_out = (entry for entry in trials if not keeps_rows(entry.family))
        best = next(handed_out, trials[0] if trials else None)
        ensemble = next((entry for entry in self.ranked if entry.number is None), None)
        if best is None or (ensemble and (ensemble.score or 0.0) >= (best.score or 0.0)):
            return ensemble
        return best

    @property
    def best_default(self) -> Entry | None:
        """The best of the defaults, by which the search is judged."""
        ready = (entry for entry in self.ranked if entry.origin == Origin.DEFAULT)
        # Stacked ones have learned from what was tuned, too.
        return next((entry for entry in ready if not stacks(entry.family)), None)

    @property
    def baseline(self) -> Entry | None:
        """What needs no features at all."""
        return next((entry for entry in self.ranked if entry.family == "dummy"), None)

    @property
    def best_model(self) -> UUID | None:
        """The packaged answer, once it is there."""
        ready = (
            model.id for model in self.models.values() if model.is_best and model.state == ModelState.READY
        )
        return next(ready, None)

    @property
    def under_way(self) -> list[Entry]:
        """The trials that run or wait."""
        return [entry for entry in self.entries if entry.state in GOING]

    @cached_property
    def glance(self) -> Glance:
        """What is told of all of them above the board."""
        answer = self.answer
        return Glance(
            counts=self.counts,
            answer=answer,
            best_default=self.best_default,
            baseline=self.baseline,
            ties=sum(1 for entry in self.ranked if entry.tied and answer and entry.id != answer.id),
            best_model=self.best_model,
        )

    @property
    def history(self) -> list[tuple[float, float, str]]:
        """Each improvement: seconds on the search's clock, the best value so far, and what reached it."""
        found: list[tuple[float, float, str]] = []
        best = float("-inf")
        for entry in sorted(self.ranked, key=_moment):
            if entry.score is not None and entry.value is not None and entry.score > best:
                best = entry.score
                found.append((entry.ended_after or 0.0, entry.value, entry.name))
        return found


def read_board(experiment: Experiment, *, opened: Collection[UUID] = ()) -> Board:
    """Read every trial, ensemble and model of the experiment: three queries, however many there are."""
    entries = [*_trials(experiment.trials.all(), opened), *_ensembles(experiment)]
    ranked = sorted((entry for entry in entries if entry.state == COMPLETE), key=_place)
    ranks: dict[UUID, int] = {}
    rank, before = 0, None
    for position, entry in enumerate(ranked, start=1):
        if entry.score != before:
            rank, before = position, entry.score
        ranks[entry.key] = rank
    rows = experiment.models.values_list("id", "trial_id", "ensemble_id", "state", "is_best")
    models = {trial or ensemble: PackagedModel(id, state, best) for id, trial, ensemble, state, best in rows}
    board = Board(experiment, entries, ranked, ranks, models)
    kept.keep(experiment, GLANCE, board.glance)
    return board


def known_glance(experiment: Experiment) -> Glance | None:
    """What was seen of this version before, if it was: nothing is read for it."""
    found: Glance | None = kept.recall(experiment, GLANCE)
    return found


def read_glance(experiment: Experiment) -> tuple[Glance, list[Entry]]:
    """What is told of all trials, and those that are under way, which move without a new version.

    Of a version that was seen before only these are read.
    """
    known = known_glance(experiment)
    if known is None:
        board = read_board(experiment)
        return board.glance, board.under_way
    return known, _trials(experiment.trials.filter(UNDER_WAY))


def _trials(trials: QuerySet[Trial], opened: Collection[UUID] = ()) -> list[Entry]:
    is_open = Q(id__in=list(opened))
    rows = trials.order_by("number").values_list(
        _as("id", CharField()), "number", "family", "origin", "state", "score", "value", "value_low",
        "value_high", _as("tied_with_best", TextField()), "fit_time", "predict_time", "size", "error",
        "ended_after", _HAS_CURVE,
        _only("hyperparameters", is_open, TextField()),
        _only("fold_scores", is_open | UNDER_WAY, TextField()),
        _only("diagnosis", is_open | ~Q(diagnosis__startswith=AS_IT_SHOULD), TextField()),
        _only("started_at", UNDER_WAY, TextField()),
        _only("reason", is_open, TextField()),
    )  # fmt: skip
    return [Entry(*row) for row in rows]


def _as(field: str, kind: Field[Any, Any]) -> ExpressionWrapper[Any]:
    """The field as the driver gives it, without the conversion that its own kind would cost for each row."""
    return ExpressionWrapper(F(field), output_field=kind)


def _only(field: str, where: Q, kind: Field[Any, Any]) -> Case:
    """The field where the condition holds, and nothing elsewhere."""
    return Case(When(where, then=_as(field, kind)), output_field=kind)


def _ensembles(experiment: Experiment) -> list[Entry]:
    """The newest first."""
    return [
        Entry(
            each.id, None, "ensemble", Origin.ENSEMBLE.value, COMPLETE, each.score, each.value,
            each.value_low, each.value_high, int(each.tied_with_best), each.fit_time,
            each.predict_time, each.size, "", each.made_after, 0, None, None, None, None, None, each.name,
        )
        for each in experiment.ensembles.order_by("-created_at")
    ]  # fmt: skip


def _place(entry: Entry) -> tuple[float, int]:
    """Best first; ensembles before trials of the same score."""
    return -(entry.score or 0.0), -1 if entry.number is None else entry.number


def _moment(entry: Entry) -> tuple[float, int]:
    """In order of time; an ensemble made in the same moment as a trial was made of it."""
    return entry.ended_after or 0.0, sys.maxsize if entry.number is None else entry.number


def keeps_rows(family: str) -> bool:
    """Whether models of the family hold training rows, which no bundle does."""
    learner = LEARNERS.get(family)
    return bool(learner and learner.keeps_rows)
