"""What every model family declares: its dials, its cheap start, its cost, and how it is fitted."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, NotRequired, TypedDict

from automl.engine.schema import DataProfile
from automl.engine.space import Choice, Space
from automl.engine.trial import Params, TaskType

ALL_TASKS = frozenset(TaskType)
# Under this skewness of the target its logarithm is not worth a trial; over the next it comes first.
LEAST_SKEW, STRONG_SKEW = 1.0, 3.0
CURVE_POINTS = 100
# By these the middle of what may come is the best answer, and absolute errors are what leads to it.
MEDIAN_METRICS = ("mae", "median_absolute_error", "mape")


@dataclass(frozen=True, slots=True)
class Cost:
    """Roughly what one fold takes on one thread.

    Attributes
    ----------
    seconds : float
        Preprocessing, fit and prediction of the fold's validation part.
    bytes : int
        Memory that the fold needs beside the table itself.
    """

    seconds: float
    bytes: int


class LearningCurve(TypedDict):
    """The score of a fit as it went on; `best` is the value of `x` that was kept.

    `train_metric` is what the training line shows; without it, a loss. `train_rows` says of how many rows it
    is where these are a part of the training ones.
    """

    unit: Literal["rounds", "epochs"]
    x: list[int]
    train: list[float]
    valid: list[float]
    best: int
    metric: str
    train_metric: NotRequired[str]
    train_rows: NotRequired[int]
    of_logarithms: NotRequired[bool]  # of the target, which is what was learned


@dataclass(slots=True)
class Fit:
    """A fitted estimator and what is worth telling about it.

    Attributes
    ----------
    estimator : object
        Holds classes of its own library only, so that it can be stored and loaded without us.
    learning_curve : LearningCurve or None
    learned : dict
        JSON: a summary of the parameters that training found.
    whole : object
        For `Learner.describe`: the model with what was trained after the part that is kept.
    """

    estimator: Any
    learning_curve: LearningCurve | None = None
    learned: dict[str, Any] = field(default_factory=dict)
    whole: Any = None


class Learner(ABC):
    """A model family.

    A new one is one file and its line in ``learners/__init__.py``; the conformance suite in
    `automl.engine.testing` then tests it. Its own library is imported inside the methods that fit:
    the web process lists the families and must not pay for that.

    Attributes
    ----------
    key, label, description : str
        The name in the API, the name on the page, and two or three sentences for the page.
    task_types : frozenset of TaskType
    layout : {"array", "frame"}
        What `fit` gets as X: a float32 array, or a DataFrame with columns f0, f1, ... in which
        categories are int32 codes (-1: missing).
    keeps_rows : bool
        The fitted model holds rows of the training data.
    stacks : bool
        Learns from what trials of other families predict too: those are further columns of X.
    ends_in_time : bool
        A fit that its deadline cuts short keeps the rounds, trees or passes that it has.
    goes_beyond : bool
        The numbers that it predicts may lie far beyond those it has seen; they are held near them.
    most_rows : int or None
        On more rows than these no search tries it by itself.
    training : int
        Raised where the same hyperparameters come to another model than before.
    """

    key: ClassVar[str]
    label: ClassVar[str]
    description: ClassVar[str]
    task_types: ClassVar[frozenset[TaskType]] = ALL_TASKS
    layout: ClassVar[Literal["array", "frame"]] = "array"
    keeps_rows: ClassVar[bool] = False
    stacks: ClassVar[bool] = False
    ends_in_time: ClassVar[bool] = False
    goes_beyond: ClassVar[bool] = False
    most_rows: ClassVar[int | None] = None
    training: ClassVar[int] = 1

    @abstractmethod
    def dials(self, data: DataProfile) -> Space:
        """Give the learner's own dials and their ranges for a table."""

    @abstractmethod
    def cost(self, data: DataProfile, params: Params) -> Cost:
        """Estimate one fold on one thread."""

    @abstractmethod
    def build(self, data: DataProfile, params: Params, *, seed: int, threads: int) -> Any:
        """Make the unfitted estimator."""

    def is_installed(self, task_type: TaskType) -> bool:
        """Whether this machine has all that it needs; what it lacks is known by name and never offered."""
        return True

    def suits(self, data: DataProfile) -> bool:
        """Whether a search may try it by itself on a table."""
        is_small = self.most_rows is None or data.rows <= self.most_rows
        return is_small and self.is_installed(data.task_type)

    def space(self, data: DataProfile) -> Space:
        """Give all dials for a table: the learner's own, and what of a positive target is learned."""
        own = self.dials(data)
        if not own.dimensions or not (learns_logarithms(data) or data.skew >= LEAST_SKEW):
            return own
        return Space({**own.dimensions, "target": target_dial(data)})

    def first(self, data: DataProfile) -> Params:
        """Give a configuration that is cheap and safe."""
        return self.space(data).default()

    def portfolio(self, data: DataProfile) -> list[Params]:
        """Give strong configurations that are worth trying before any search, best first."""
        return [self.space(data).default()]

    def preprocess(self, data: DataProfile, params: Params) -> Any | None:
        """Make the unfitted transformer of X, or None where the estimator takes X as it is."""
        return None

    def fit(
        self,
        estimator: Any,
        X: Any,
        y: Any,
        X_valid: Any,
        y_valid: Any,
        *,
        data: DataProfile,
        deadline: float | None,
    ) -> Fit:
        """Fit the estimator on a fold.

        Parameters
        ----------
        estimator : object
            From `build`; fitted in place.
        X, y, X_valid, y_valid : array or DataFrame
            The fold's two parts, preprocessed. y holds class codes 0..k-1 or float64.
        data : DataProfile
        deadline : float or None
            In `time.monotonic` seconds; a learner that can stop early keeps what it has by then.

        Returns
        -------
        Fit
        """
        estimator.fit(X, y)
        return Fit(estimator, learned=self.learned(estimator))

    def describe(self, fit: Fit, X: Any, y: Any, *, data: DataProfile) -> None:  # noqa: B027 - most told all
        """Add to a fit what takes too long to find out for every fold; a trial shows its first.

        Parameters
        ----------
        fit : Fit
            From `fit`, not thinned; its curve and its summary are completed in place.
        X, y, data
            What was fitted.
        """

    def thin(self, estimator: Any, *, models: int) -> None:  # noqa: B027 - most have nothing to drop
        """Drop, in place, what a fitted estimator need not keep as one of several fold models."""

    def learned(self, estimator: Any) -> dict[str, Any]:
        """Summarise as JSON what training found."""
        return {}


def asks_median(data: DataProfile) -> bool:
    """Tell whether absolute errors are to be learned by, as the metric asks for a median."""
    return data.metric in MEDIAN_METRICS


def learns_logarithms(data: DataProfile) -> bool:
    """Tell whether the target's logarithm comes first: by what the metric compares, or for a strong skew."""
    compares_shares = data.metric == "mape" and data.is_positive
    return bool(data.log_offset) or compares_shares or data.skew >= STRONG_SKEW


def target_dial(data: DataProfile) -> Choice:
    """Give the dial that says what of a positive target is learned."""
    return Choice(
        ("raw", "log"),
        "log" if learns_logarithms(data) else "raw",
        effect="What is learned: raw is the number itself, log its logarithm, so that errors count by their "
        "share of it. Log suits prices and amounts, whose influences multiply.",
    )


def thin_curve(
    unit: Literal["rounds", "epochs"], metric: str, train: Sequence[float], valid: Sequence[float], best: int
) -> LearningCurve:
    """Keep about a hundred points of a curve that begins at 1; the best and the last are among them."""
    count = len(valid)
    step = max(1, -(-count // CURVE_POINTS))
    kept = sorted({*range(1, count + 1, step), count, min(max(best, 1), count)} - {0})
    return {
        "unit": unit,
        "x": kept,
        "train": [float(f"{train[x - 1]:.6g}") for x in kept] if len(train) == count else [],
        "valid": [float(f"{valid[x - 1]:.6g}") for x in kept],
        "best": best,
        "metric": metric,
    }
