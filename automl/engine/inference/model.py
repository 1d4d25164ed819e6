"""A trained model: what its members predict, weighed, calibrated and put together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from .encoder import LARGEST, Encoder, whole_characters
from .errors import InputError
from .uncertainty import Uncertainty

# With words one by one, or with waves, rows are wide.
CHUNK_ROWS, WIDE_CHUNK_ROWS = 50_000, 10_000
LEAST_PROBABILITY = 1e-7
# To the power of less than nothing a chance of nothing would decide everything.
LEAST_POOLED = 1e-4
# By how much further than any member a corrected mean may be on the other side of zero.
SIGN_FACTOR = 100.0


@dataclass(frozen=True)
class FittedModel:
    """A fitted pipeline: preprocessing and estimator, and the layout in which they take the matrix.

    With `log_bounds` the estimator predicts logarithms of what is `log_offset` more; beyond the bounds it
    guesses, and is held there. With `bounds` the same holds for the numbers themselves.
    """

    preprocess: Any | None
    estimator: Any
    layout: str = "array"
    log_bounds: tuple[float, float] | None = None
    log_offset: float = 0.0
    bounds: tuple[float, float] | None = None

    def predict(
        self, X: np.ndarray[Any, Any], *, classes: int, categorical: Sequence[int]
    ) -> np.ndarray[Any, Any]:
        """Probabilities of shape (rows, classes), or numbers of shape (rows,) where there are no classes."""
        return self.predict_prepared(self.prepared(X, categorical=categorical), classes=classes)

    def prepared(self, X: np.ndarray[Any, Any], *, categorical: Sequence[int]) -> Any:
        """The matrix as the estimator takes it."""
        matrix = as_frame(X, categorical) if self.layout == "frame" else X
        return matrix if self.preprocess is None else self.preprocess.transform(matrix)

    def predict_prepared(self, matrix: Any, *, classes: int) -> np.ndarray[Any, Any]:
        """As `predict`, of what `prepared` gave."""
        if classes == 0:
            numbers = np.asarray(self.estimator.predict(matrix), dtype=np.float64).reshape(-1)
            if self.log_bounds is None:
                return numbers if self.bounds is None else np.asarray(np.clip(numbers, *self.bounds))
            return np.asarray(np.exp(np.clip(numbers, *self.log_bounds)) - self.log_offset)
        found = np.asarray(self.estimator.predict_proba(matrix), dtype=np.float64)
        codes = np.asarray(self.estimator.classes_).astype(int).ravel()
        if found.shape[1] == classes and np.array_equal(codes, np.arange(classes)):
            return found
        aligned = np.zeros((len(found), classes))
        aligned[:, codes] = found
        return aligned


def as_frame(X: np.ndarray[Any, Any], categorical: Sequence[int]) -> pd.DataFrame:
    """The matrix as a frame: columns f0, f1, ...; categories are int32 codes, -1 where missing."""
    chosen = set(categorical)
    return pd.DataFrame(
        {
            f"f{position}": np.nan_to_num(X[:, position], nan=-1.0).astype(np.int32)
            if position in chosen
            else X[:, position]
            for position in range(X.shape[1])
        }
    )


@dataclass(frozen=True)
class Member:
    """The fold models of one trial: their mean, calibrated, and what it weighs in the whole.

    `temperature` is for probabilities. `factor` is for numbers: the exponential of a mean logarithm is less
    than the mean, and errors as shares of the truth are least below the median. `power` is that of its
    probabilities by which the whole is multiplied, see `combine`.

    A stacked member has `bases`: each of its fold models gets what the bases' models of the same fold
    predict, as columns. So it predicts new rows in the very way in which it was judged, with neither more nor
    less noise in those columns.
    """

    weight: float
    models: Sequence[FittedModel]
    temperature: float = 1.0
    factor: float = 1.0
    power: float = 0.0
    bases: Sequence[Member] = ()

    @property
    def key(self) -> int:
        """What tells its trial from others."""
        return id(self.models)

    def predict(
        self,
        X: np.ndarray[Any, Any],
        *,
        classes: int,
        categorical: Sequence[int],
        known: Mapping[int, BasePrediction] | None = None,
    ) -> np.ndarray[Any, Any]:
        """As `FittedModel.predict`; what trials predict that are `known`, by key, is not asked again."""
        if known and self.key in known:
            return known[self.key].mean
        known = dict(known or {})
        for base in self.bases:
            if base.key not in known:
                known[base.key] = base.predict_base(X, classes=classes, categorical=categorical)
        bases = [known[base.key].columns for base in self.bases]
        total = sum(
            model.predict(
                np.concatenate([X, *(columns[fold] for columns in bases)], axis=1) if bases else X,
                classes=classes,
                categorical=categorical,
            )
            for fold, model in enumerate(self.models)
        )
        return self._scaled(np.asarray(total) / len(self.models))

    def predict_base(
        self, X: np.ndarray[Any, Any], *, classes: int, categorical: Sequence[int]
    ) -> BasePrediction:
        """Predict for members that are based on this one."""
        folds = [model.predict(X, classes=classes, categorical=categorical) for model in self.models]
        columns = [as_columns(self._scaled(found)) for found in folds]
        return BasePrediction(self._scaled(np.asarray(sum(folds)) / len(folds)), columns)

    def _scaled(self, found: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        found = found * self.factor
        return found if self.temperature == 1.0 else temper(finish_probabilities(found), self.temperature)


@dataclass(frozen=True)
class BasePrediction:
    """What a trial predicts of some rows: the mean, as of any member, and each fold's as columns."""

    mean: np.ndarray[Any, Any]
    columns: Sequence[np.ndarray[Any, Any]]


class Model:
    """A trained model: an encoder and one or more weighted members.

    Attributes
    ----------
    classes_ : array
        Labels as training had them, in the order of the columns of `predict_proba`.
    temperature : float
        See `temper`.
    label_factors : array or None
        What probabilities are multiplied by where the label is not simply the likeliest class.
    feature_names_in_ : list of str
    runtime : {"skops", "onnx"}
        What predicts.
    """

    runtime = "skops"
    uncertainty: Uncertainty | None = None
    label_factors: np.ndarray[Any, Any] | None = None

    def __init__(
        self,
        encoder: Encoder,
        members: Sequence[Member],
        temperature: float = 1.0,
    ) -> None:
        self.encoder = encoder
        self.members = list(members)
        self.temperature = temperature
        self.task_type: str = encoder.schema["task_type"]
        if encoder.schema.get("classes"):
            self.classes_ = labels_of(encoder.schema)
        if encoder.schema.get("label_factors"):
            self.label_factors = np.array(encoder.schema["label_factors"], dtype=np.float64)
        self.feature_names_in_ = encoder.columns

    def predict(self, frame: pd.DataFrame) -> np.ndarray[Any, Any]:
        """Predict labels, or numbers; one for each row of the frame."""
        found = self.predict_raw(frame)
        return found if self.task_type == "regression" else self.labels(found)

    def predict_proba(self, frame: pd.DataFrame) -> np.ndarray[Any, Any]:
        """Predict the probability of each class; rows sum to 1."""
        if self.task_type == "regression":
            raise AttributeError("A regression model has no probabilities; use predict.")
        return self.predict_raw(frame)

    def labels(self, probabilities: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """Give the label of each row: the likeliest class, or what the metric of the search asks for."""
        return np.asarray(self.classes_[self.weighed(probabilities).argmax(axis=1)])

    def weighed(self, probabilities: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """Give what labels go by: probabilities, times the factors of the classes if there are any."""
        return probabilities if self.label_factors is None else probabilities * self.label_factors

    def predict_raw(self, frame: pd.DataFrame) -> np.ndarray[Any, Any]:
        """Predict probabilities, or numbers, whichever the task is."""
        return self._finished(self._combine(frame))

    def predict_matrix(self, X: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """As `predict_raw`, of rows that are encoded."""
        return self._finished(self._combine_matrix(X))

    def predict_rows(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """Predict rows as JSON has them.

        Parameters
        ----------
        rows : sequence of mapping
            By column; None is a missing cell.

        Returns
        -------
        dict
            `predictions`, and for classification `classes` and `probabilities`.

        Raises
        ------
        InputError
            If a column is in no row.
        """
        try:
            return self._predict_rows(rows)
        except UnicodeEncodeError:  # to look at every text before would be felt
            return self._predict_rows([whole_characters(row) for row in rows])

    def _predict_rows(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        # As they come: beside a missing cell a long whole number would be rounded, and be another level.
        return self._answer(self.predict_raw(pd.DataFrame([dict(row) for row in rows], dtype=object)))

    def predict_interval(self, frame: pd.DataFrame, level: float = 0.9) -> np.ndarray[Any, Any]:
        """Give the interval of each row's number, see `Uncertainty.intervals`."""
        return self.known_uncertainty().intervals(self.predict(frame), level)

    def predict_set(self, frame: pd.DataFrame, level: float = 0.9) -> np.ndarray[Any, Any]:
        """Give the set of each row's plausible classes, see `Uncertainty.sets`."""
        return self.known_uncertainty().sets(self.predict_proba(frame), level)

    def uncertainty_of(self, found: Mapping[str, Any], level: float) -> dict[str, Any]:
        """Say how sure predictions of rows are: `intervals`, or `sets` of labels, as JSON has them.

        Parameters
        ----------
        found : mapping
            `predictions`, and for classification `classes` and `probabilities`.
        level : float
        """
        known = self.known_uncertainty()
        if known.kind == "intervals":
            return {
                "intervals": known.intervals(np.asarray(found["predictions"], dtype=float), level).tolist()
            }
        labels = found["classes"]
        return {
            "sets": [
                [label for label, is_in in zip(labels, row, strict=True) if is_in]
                for row in known.sets(np.reshape(found["probabilities"], (-1, len(labels))), level)
            ]
        }

    def known_uncertainty(self) -> Uncertainty:
        """Give what says how sure predictions are; InputError if the model was packaged without."""
        if self.uncertainty is None:
            raise InputError("This model was packaged without intervals and sets. Package it again.")
        return self.uncertainty

    def _answer(self, found: np.ndarray[Any, Any]) -> dict[str, Any]:
        if self.task_type == "regression":
            return {"predictions": found.tolist()}
        return {
            "predictions": self.labels(found).tolist(),
            "classes": self.classes_.tolist(),
            "probabilities": found.tolist(),
        }

    def _finished(self, found: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        if self.task_type == "regression":
            return found
        return temper(finish_probabilities(found), self.temperature)

    def _combine(self, frame: pd.DataFrame) -> np.ndarray[Any, Any]:
        # What bases predict is in memory at once, fold by fold.
        folds = max((len(base.models) for base in bases_of(self.members)), default=1)
        step = (WIDE_CHUNK_ROWS if self._is_wide() else CHUNK_ROWS) // folds
        parts = [
            self._combine_chunk(frame.iloc[start : start + step])
            for start in range(0, max(len(frame), 1), step)
        ]
        return np.concatenate(parts)

    def _is_wide(self) -> bool:
        members = [*self.members, *bases_of(self.members)]
        return self.encoder.tells_words or any(
            hasattr(model.estimator, "steps") for member in members for model in member.models
        )

    def _combine_chunk(self, frame: pd.DataFrame) -> np.ndarray[Any, Any]:
        count = len(self.encoder.schema.get("classes") or [])
        if not len(frame):
            return np.empty((0, count) if count else 0)
        X = self.encoder.transform(frame)
        try:
            return self._combine_matrix(X)
        except ValueError as error:
            largest = self.encoder.largest(frame)
            # By a small spread of training a number is scaled to one that no matrix can hold.
            if "infinity" not in str(error) or largest is None:
                raise
            raise InputError(
                f"A number is too large for this model. The largest is {largest[1]!r}, in the column "
                f"{largest[0]!r}. Mend it, or leave the cell empty."
            ) from error

    def _combine_matrix(self, X: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        count = len(self.encoder.schema.get("classes") or [])
        categorical = categorical_positions(self.encoder.schema)
        known = {
            base.key: base.predict_base(X, classes=count, categorical=categorical)
            for base in bases_of(self.members)
        }
        predicted = (
            member.predict(X, classes=count, categorical=categorical, known=known) for member in self.members
        )
        weights, powers = zip(*((member.weight, member.power) for member in self.members), strict=True)
        return combine(predicted, weights, powers)


def bases_of(members: Sequence[Member]) -> list[Member]:
    """Those whose predictions any of the members takes for columns, each once."""
    return list({base.key: base for member in members for base in member.bases}.values())


def as_columns(predicted: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """What a stacked model is told of a prediction.

    Of two classes the logarithm of the odds, of more that of each probability; numbers stay what they are.

    Parameters
    ----------
    predicted : array of shape (rows,) or (rows, classes)

    Returns
    -------
    array of float32, shape (rows, columns)
    """
    if predicted.ndim == 1:
        return np.asarray(np.clip(predicted[:, None], -LARGEST, LARGEST).astype(np.float32))
    logs = np.log(np.maximum(predicted, LEAST_POOLED))
    columns = logs[:, 1:] - logs[:, :1] if logs.shape[1] == 2 else logs
    return np.asarray(columns.astype(np.float32))


def combine(
    predicted: Iterable[np.ndarray[Any, Any]], weights: Iterable[float], powers: Iterable[float]
) -> np.ndarray[Any, Any]:
    """Put what members predict together.

    A sign that all members agree on stays.

    Parameters
    ----------
    predicted : iterable of arrays
        Each of shape (rows,) or (rows, classes).
    weights : iterable of float
        Of each in the mean; of numbers some may be negative.
    powers : iterable of float
        Of each one's probabilities, by which their mean is multiplied; 0 for numbers.

    Returns
    -------
    array
        As each of them.
    """
    weights, powers = list(weights), list(powers)
    total: Any = 0.0
    logs: Any = None
    lowest: Any = np.inf
    highest: Any = -np.inf
    has_signs = min(weights) < 0
    for found, weight, power in zip(predicted, weights, powers, strict=True):
        if weight:
            total = total + weight * found
        if weight and has_signs:
            lowest, highest = np.minimum(lowest, found), np.maximum(highest, found)
        if power:
            own = power * np.log(np.maximum(found, LEAST_POOLED))
            logs = own if logs is None else logs + own
    if has_signs:
        total = np.maximum(total, SIGN_FACTOR * np.minimum(lowest, 0.0))
        total = np.minimum(total, SIGN_FACTOR * np.maximum(highest, 0.0))
    if logs is None:
        return np.asarray(total)
    logs = logs + np.log(np.maximum(total, LEAST_PROBABILITY))
    chances = np.exp(logs - logs.max(axis=1, keepdims=True))
    return np.asarray(chances / chances.sum(axis=1, keepdims=True))


def finish_probabilities(raw: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """No class is impossible, and every row sums to 1."""
    clipped = np.clip(raw, LEAST_PROBABILITY, None)
    return np.asarray(clipped / clipped.sum(axis=1, keepdims=True))


def temper(probabilities: np.ndarray[Any, Any], temperature: float) -> np.ndarray[Any, Any]:
    """Probabilities raised to 1 / temperature: surer below 1, more cautious above it."""
    if temperature == 1.0:
        return probabilities
    logs = np.log(probabilities) / temperature
    return finish_probabilities(np.exp(logs - logs.max(axis=1, keepdims=True)))


def categorical_positions(schema: dict[str, Any]) -> list[int]:
    """Positions in the matrix that hold codes."""
    return [position for position, feature in enumerate(schema["features"]) if feature["kind"] == "category"]


def labels_of(schema: dict[str, Any]) -> np.ndarray[Any, Any]:
    """Labels as training had them, in the order of their codes."""
    labels = schema["classes"]
    return np.array(labels, dtype=object if len({type(label) for label in labels}) > 1 else None)
