"""How sure a prediction is: intervals of numbers and sets of classes, from `conformal.json`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from .errors import InputError


class Uncertainty:
    """Intervals or sets that hold the truth with a stated probability.

    Parameters
    ----------
    conformal : mapping
        What `conformal.json` holds.

    Attributes
    ----------
    kind : {"intervals", "sets"}
    levels : list of float
        The probabilities that were calibrated; none where the training table was too small.
    """

    def __init__(self, conformal: Mapping[str, Any]) -> None:
        self.kind: str = conformal["kind"]
        self._by_level: dict[float, Mapping[str, Any]] = {
            float(entry["level"]): entry for entry in conformal["levels"]
        }
        self.levels = list(self._by_level)

    def intervals(self, predicted: np.ndarray[Any, Any], level: float = 0.9) -> np.ndarray[Any, Any]:
        """Give the interval of each number.

        Parameters
        ----------
        predicted : array of shape (rows,)
            What the model predicts.
        level : float
            The share of intervals that hold the truth.

        Returns
        -------
        array of shape (rows, 2)
            Lower and upper bound.

        Raises
        ------
        InputError
            If the model has no intervals of that level.
        """
        entry = self._entry("intervals", level)
        bins = np.searchsorted(np.asarray(entry["edges"]), predicted, side="right")
        bounds = np.column_stack(
            [predicted + np.asarray(entry["below"])[bins], predicted + np.asarray(entry["above"])[bins]]
        )
        return bounds if entry["floor"] is None else np.maximum(bounds, entry["floor"])

    def sets(self, probabilities: np.ndarray[Any, Any], level: float = 0.9) -> np.ndarray[Any, Any]:
        """Give the set of each row's plausible classes.

        A set may be empty: then no class is as likely as it is for the rows that it usually holds, and
        somebody should have a look.

        Parameters
        ----------
        probabilities : array of shape (rows, classes)
        level : float
            The share of sets that hold the truth.

        Returns
        -------
        array of bool, shape (rows, classes)

        Raises
        ------
        InputError
            If the model has no sets of that level.
        """
        entry = self._entry("sets", level)
        return np.asarray(probabilities >= np.asarray(entry["least"]))

    def _entry(self, kind: str, level: float) -> Mapping[str, Any]:
        if kind != self.kind:
            raise InputError(f"This model has {self.kind}, not {kind}.")
        if level not in self._by_level:
            known = ", ".join(f"{known:g}" for known in self.levels)
            raise InputError(
                f"This model has no {kind} of level {level:g}; "
                + (f"it has {known}." if known else "it was trained on too few rows to have any.")
            )
        return self._by_level[level]
