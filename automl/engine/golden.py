"""Golden rows: a small table that a bundle holds with what its model says of it, so that it can prove itself.

They are made column by column of what the bundle knows anyway, levels, words and quantiles, and so are no
rows of anybody's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from automl.engine.diagnostics.influence import columns_of
from automl.engine.inference import Model
from automl.engine.inference.verify import golden_frame, outcome

ROWS = 48
MISSING_SHARE = 0.08
# Of a long table, every so many rows say enough about quantiles.
LOOKED_AT = 20_000
UNSEEN = "never seen in training"


def golden(model: Model, X: np.ndarray[Any, Any], others: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Make golden rows and predict them.

    Parameters
    ----------
    model : Model
    X : array
        The encoded training table.
    others : mapping of str to model, optional
        Other runtimes of the same model.

    Returns
    -------
    dict
        `columns`; `rows`, a list of cells for each, None where one is empty; and `predicted`: by the name of
        the runtime, probabilities or numbers.
    """
    chance = np.random.default_rng(0)
    schema = model.encoder.schema
    looked_at = np.asarray(X[:: max(len(X) // LOOKED_AT, 1)])
    places = {column.name: column.positions[0] for column in columns_of(schema)}
    cells = [
        _cells(column, model, looked_at[:, places[column["name"]]], chance) for column in schema["columns"]
    ]
    found: dict[str, Any] = {
        "columns": [column["name"] for column in schema["columns"]],
        "rows": [list(row) for row in zip(*cells, strict=True)] or [[] for _ in range(ROWS)],
    }
    frame = golden_frame(found)
    predicted = {"skops": outcome(model, frame)}
    predicted |= {name: outcome(other, frame) for name, other in (others or {}).items()}
    # Far outside of what training saw a model may well overflow, which can't be compared.
    finite = np.all([np.isfinite(p).reshape(len(frame), -1).all(axis=1) for p in predicted.values()], axis=0)
    found["rows"] = [row for row, is_finite in zip(found["rows"], finite, strict=True) if is_finite]
    found["predicted"] = {name: values[finite].tolist() for name, values in predicted.items()}
    return found


def _cells(
    column: Mapping[str, Any], model: Model, values: np.ndarray[Any, Any], chance: np.random.Generator
) -> list[str | None]:
    """Cells of a column: ordinary ones, some empty; at the end an empty, a strange, a huge, a tiny one."""
    schema = model.encoder.schema
    if "categories" in column:
        cells = _levels(column, chance)
    elif column["kind"] == "text":
        cells = _texts(model.encoder.texts[column["text"]], chance)
    else:
        numbers = _numbers(values, chance)
        cells = (
            [_date(days, column.get("format")) for days in numbers]
            if column["kind"] == "datetime"
            else [f"{number:.4g}".replace(".", schema.get("decimal", ".")) for number in numbers]
        )
    gaps = chance.random(len(cells)) < MISSING_SHARE
    gaps[-3:] = False
    gaps[-4] = True
    cells[-3] = UNSEEN
    return [None if gap else cell for cell, gap in zip(cells, gaps, strict=True)]


def _levels(column: Mapping[str, Any], chance: np.random.Generator) -> list[str]:
    levels = column["categories"] or [UNSEEN]
    return [str(levels[place]) for place in chance.integers(len(levels), size=ROWS)]


def _texts(transformer: Any, chance: np.random.Generator) -> list[str]:
    words = sorted(transformer[0].vocabulary_)
    return [" ".join(chance.choice(words, size=chance.integers(1, 9))) for _ in range(ROWS)]


def _numbers(values: np.ndarray[Any, Any], chance: np.random.Generator) -> np.ndarray[Any, Any]:
    known = values[np.isfinite(values)].astype(np.float64)
    if not len(known):
        known = np.zeros(1)
    numbers = np.quantile(known, chance.random(ROWS))
    low, high = known.min(), known.max()
    spread = max(high - low, 1.0)
    numbers[-2:] = high + 20 * spread, low - 20 * spread
    return np.asarray(numbers)


def _date(days: float, date_format: str | None) -> str:
    # Beyond this pandas knows no time.
    moment = pd.Timestamp("1970-01-01") + pd.Timedelta(days=float(np.clip(round(days), -90_000, 90_000)))
    return moment.strftime("%Y-%m-%d" if date_format in (None, "ISO8601") else str(date_format))
