"""A trial: one configuration of one learner, tried on the folds of one table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

ParamValue = float | int | str | bool | None
Params = Mapping[str, ParamValue]


class TaskType(StrEnum):
    """What is predicted: one of two classes, one of several, or a number."""

    BINARY = "binary"
    MULTICLASS = "multiclass"
    REGRESSION = "regression"

    @property
    def is_classification(self) -> bool:
        return self is not TaskType.REGRESSION


class TrialState(StrEnum):
    """Where a trial stands."""

    WAITING = "waiting"
    RUNNING = "running"
    COMPLETE = "complete"
    PRUNED = "pruned"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_final(self) -> bool:
        return self not in (TrialState.WAITING, TrialState.RUNNING)


class Origin(StrEnum):
    """Who asked for the configuration."""

    DEFAULT = "default"
    SEARCH = "search"
    SWEEP = "sweep"
    MANUAL = "manual"
    ENSEMBLE = "ensemble"


@dataclass(frozen=True, slots=True)
class Proposal:
    """A configuration that a sampler asks to be tried; a reason where it is not the sampler's usual one."""

    family: str
    params: Params
    origin: Origin = Origin.SEARCH
    reason: str = ""


@dataclass(frozen=True, slots=True)
class TrialRecord:
    """A trial as the search sees it: plain, immutable, with no way back to its storage.

    Attributes
    ----------
    number : int
        Position in the experiment, from 0. Decides ties and seeds.
    family : str
        Key of the learner.
    params : Params
        The hyperparameters, by name.
    origin : Origin
    state : TrialState
    score : float or None
        Of what all folds predict together; higher is better whatever the metric.
    fold_scores : tuple of float
        One score for each fold that is finished, in the order of the folds.
    seconds : float
        Wall seconds that the trial has taken on its seat so far.
    """

    number: int
    family: str
    params: Params = field(default_factory=dict)
    origin: Origin = Origin.SEARCH
    state: TrialState = TrialState.WAITING
    score: float | None = None
    fold_scores: tuple[float, ...] = ()
    seconds: float = 0.0
