"""Predicting rows again, changed or not, each by the fold models that never saw it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from automl.engine.inference import Member, as_columns, bases_of, combine, finish_probabilities, temper

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from automl.engine.preparation import Prepared

    Array = NDArray[Any]


class OutOfFold:
    """A trial's or an ensemble's models, for some rows of the table.

    Parameters
    ----------
    prepared : Prepared
    members : sequence of Member
        Loaded, see `automl.engine.evaluation.read_members`.
    rows : array of int
        Positions in the prepared table; of rows that folds judge.
    temperature : float
        Of the whole: see `automl.engine.inference.temper`.
    factors : array or None
        By which labels are decided, see `automl.engine.labels`.
    """

    def __init__(
        self,
        prepared: Prepared,
        members: Sequence[Member],
        rows: Array,
        temperature: float = 1.0,
        factors: Array | None = None,
    ) -> None:
        self._profile = prepared.profile
        self._members = list(members)
        self._temperature = temperature
        self._factors = factors
        self._folds = np.asarray(prepared.folds)[:, rows]
        # Models are kept in the order in which folds were fitted; a fold that judges no row has none.
        folds = np.asarray(prepared.folds)
        self._plan = [
            (repeat, fold)
            for repeat in range(len(folds))
            for fold in range(prepared.meta["folds"])
            if (folds[repeat] == fold).any()
        ]
        self.X = np.asarray(prepared.X[rows])
        self.y = np.asarray(prepared.y[rows])

    def subset(self, places: Array) -> OutOfFold:
        """The same for some of its rows; the models are shared."""
        found: OutOfFold = object.__new__(OutOfFold)
        found.__dict__ = {**self.__dict__, "_folds": self._folds[:, places]}
        found.X, found.y = self.X[places], self.y[places]
        return found

    def judged(self, X: Array) -> Array:
        """As `predict`, for a metric: where that decides labels, their factors are in it."""
        found = self.predict(X)
        return found if self._factors is None else found * self._factors

    def predict(self, X: Array) -> Array:
        """Predict as many rows as it has, or a multiple of them: its rows again and again, in order."""
        copies = len(X) // len(self.y)
        folds = np.tile(self._folds, copies)
        known: dict[int, Array] = {}
        for base in bases_of(self._members):
            known[base.key] = self._of_member(base, X, folds, known)
        total = combine(
            (self._of_member(member, X, folds, known) for member in self._members),
            [member.weight for member in self._members],
            [member.power for member in self._members],
        )
        if not self._profile.classes:
            return total
        return temper(finish_probabilities(total), self._temperature)

    def _of_member(self, member: Member, X: Array, folds: Array, known: Mapping[int, Array]) -> Array:
        if member.key in known:
            return known[member.key]
        profile = self._profile
        columns = [as_columns(known[base.key]) for base in member.bases]
        matrix = np.concatenate([X, *columns], axis=1) if columns else X
        total = np.zeros((len(X), profile.classes) if profile.classes else len(X))
        times = np.zeros(len(X))
        for model, (repeat, fold) in zip(member.models, self._plan, strict=True):
            here = np.flatnonzero(folds[repeat] == fold)
            if not len(here):
                continue
            found = model.predict(matrix[here], classes=profile.classes, categorical=profile.categorical)
            total[here] += finish_probabilities(found) if profile.classes else found
            times[here] += 1
        mean = total / (times[:, None] if total.ndim == 2 else times)
        if profile.classes:
            return temper(finish_probabilities(mean), member.temperature)
        return np.asarray(mean * member.factor)
