"""Single rows of the uploaded table: those that are predicted worst, with their cells."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from automl.engine.diagnostics.figures import exact, short
from automl.engine.reading.stored import cells_of, read_stored

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]

MOST_WORST = 50
MOST_CELLS = 30
LONGEST_CELL = 80


class Table:
    """The stored table beside what was prepared from it.

    Parameters
    ----------
    path : Path
    target : str
        Rows without it were left out when the table was prepared.
    columns : sequence of str
        Whose cells to show, in this order.
    drawn : array of int or None
        Places of the prepared rows among those with a target; None where all were prepared.
    """

    def __init__(self, path: Path, target: str, columns: Sequence[str], drawn: Array | None = None) -> None:
        self._table = read_stored(path)
        known = self._table.column(target).is_valid().to_numpy(zero_copy_only=False)
        if pa.types.is_floating(self._table.schema.field(target).type):
            known &= ~np.isnan(self._table.column(target).to_numpy(zero_copy_only=False))
        self._places = np.flatnonzero(known) if drawn is None else np.flatnonzero(known)[drawn]
        there = set(self._table.column_names)
        self.columns = [name for name in columns if name in there and name != target][:MOST_CELLS]

    def rows(self, places: Array) -> list[dict[str, Any]]:
        """Rows by their position in the prepared table: their number in the upload, from 1, and cells."""
        stored = self._places[places]
        part = cells_of(self._table.select(self.columns), stored.tolist())
        return [
            {"row": int(number) + 1, "cells": [_short(value) for value in cells]}
            for number, cells in zip(stored, part or [[]] * len(stored), strict=True)
        ]


def _short(value: Any) -> Any:
    if isinstance(value, str) and len(value) > LONGEST_CELL:
        return f"{value[: LONGEST_CELL - 1]}…"
    return value


def losses(metric: str, y: Array, predicted: Array) -> Array:
    """How wrong each prediction is: surprise at what happened, or the distance from it."""
    if predicted.ndim == 2:
        return np.asarray(-np.log(np.maximum(predicted[np.arange(len(y)), y], 1e-15)))
    if metric == "mape":
        return np.asarray(np.abs(predicted - y) / np.maximum(np.abs(y), 1e-9))
    if metric == "rmsle":
        return np.asarray(np.abs(np.log1p(np.clip(predicted, 0, None)) - np.log1p(np.clip(y, 0, None))))
    return np.asarray(np.abs(predicted - y))


def worst(
    metric: str,
    y: Array,
    predicted: Array,
    places: Array,
    table: Table,
    classes: Sequence[Any] | None,
    called: Array | None = None,
) -> dict[str, Any]:
    """The rows that a model gets most wrong, worst first.

    Returns
    -------
    dict
        `columns`, and `rows`: each with `row` (its number in the uploaded table, from 1), `cells`, `true`,
        `predicted`, `loss`; of classes also `chance`, the probability that the true one was given, and
        `called_chance`, that of the class that was called.
    """
    called = predicted if called is None else called
    loss = losses(metric, y, predicted)
    order = np.argsort(-loss, kind="stable")[:MOST_WORST]
    rows = [
        {**row, "loss": short(loss[place]), **said(y[place], predicted[place], called[place], classes)}
        for row, place in zip(table.rows(places[order]), order, strict=True)
    ]
    return {"columns": table.columns, "rows": rows, "share": short(_share_of(loss, order))}


def said(true: Any, predicted: Any, decided: Any, classes: Sequence[Any] | None) -> dict[str, Any]:
    """One prediction, and what its label is decided by, beside what is true."""
    if classes is None:
        return {"true": exact(true), "predicted": short(predicted)}
    called = int(np.argmax(decided))
    return {
        "true": classes[int(true)],
        "predicted": classes[called],
        "chance": short(predicted[int(true)]),
        "called_chance": short(predicted[called]),
    }


def _share_of(loss: Array, order: Array) -> float:
    """How much of all error these rows make."""
    total = float(loss.sum())
    return float(loss[order].sum() / total) if total > 0 else 0.0
