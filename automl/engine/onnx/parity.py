"""Whether a graph says what its model says: on training rows, beside split points, and on raw rows."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from automl.engine.inference import Model, categorical_positions
from automl.engine.inference.encoder import is_code
from automl.engine.inference.onnx_model import OnnxModel, session_of
from automl.engine.onnx.export import MATRIX, Exported

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]

TOLERANCE = 1e-5
# Members are slow to start: of few rows at once, most of the time is that. How slow they are is seen by the
# first rows.
MOST_ROWS, ROWS_AT_ONCE, FIRST_ROWS = 20_000, 1_000, 200
SECONDS = 3.0
NEAR_ROWS = 2_000
RAW_ROWS = 200
MISSING_SHARE = 0.05
EXTREMES = (0.0, -1.0, 1e6, -1e6, 1e12)


@dataclass(slots=True)
class Parity:
    """How far a graph is from its model, and on how many rows that was seen.

    Probabilities differ by the figure itself, numbers by their share of the target's spread, or of
    themselves where they are larger.
    """

    rows: int = 0
    largest_difference: float = 0.0

    @property
    def holds(self) -> bool:
        return self.largest_difference <= TOLERANCE

    def complaint(self) -> str:
        """What to say where it does not hold."""
        return (
            f"it differs from the trained model by up to {self.largest_difference:.2g} "
            f"on {self.rows:,} rows, and {TOLERANCE:g} is allowed"
        )

    def add(self, expected: Array, found: Array, spread: float | None) -> None:
        """Take rows in."""
        if spread is not None:
            expected, found = expected.reshape(-1), found.reshape(-1)
            unit = np.maximum(np.abs(expected), max(spread, np.finfo(float).tiny))
        else:
            unit = np.ones(())
        difference = np.abs(expected - found) / unit
        # What is not a number differs from everything.
        largest = float(np.nan_to_num(difference, nan=np.inf).max(initial=0.0))
        self.rows += len(expected)
        self.largest_difference = max(self.largest_difference, largest)


def compare_matrix(model: Model, exported: Exported, X: Array, y: Array, seconds: float = SECONDS) -> Parity:
    """Compare a graph with its model on the encoded table.

    Parameters
    ----------
    model : Model
    exported : Exported
    X, y : arrays
        The encoded table; it is read in parts, in random order, until there was enough or time is over.
    seconds : float
        For comparing; some rows are compared in any case.
    """
    spread = _spread(model, y)
    generator = np.random.default_rng(0x0A11)
    parity = Parity()
    session = session_of(exported.core())

    def compare(wanted: int, ends: float, rows_of: Callable[[int, int], Array]) -> None:
        """Compare a few rows, then as many at once as there is time for, until all are that were wanted."""
        done, size = 0, FIRST_ROWS
        while done < wanted:
            began = time.monotonic()
            rows = rows_of(done, min(done + size, wanted))
            parity.add(model.predict_matrix(rows), session.run(None, {MATRIX: rows})[0], spread)
            done += len(rows)
            took, left = time.monotonic() - began, ends - time.monotonic()
            if took > left:
                break
            size = min(int(size * left / max(took, 1e-9)), ROWS_AT_ONCE)

    began = time.monotonic()
    # Between codes there is nothing, and each encoding makes something else of that.
    codes = set(categorical_positions(model.encoder.schema))
    thresholds = [found for found in exported.thresholds if found[0] not in codes]
    compare(
        min(NEAR_ROWS, 3 * len(thresholds)),
        began + seconds / 2,
        lambda start, stop: _near_splits(thresholds, X, stop - start, generator),
    )
    order = generator.choice(len(X), min(len(X), MOST_ROWS), replace=False)
    compare(len(order), began + seconds, lambda start, stop: np.asarray(X[np.sort(order[start:stop])]))
    return parity


def compare_raw(model: Model, graph: OnnxModel, X: Array, y: Array, *, parity: Parity) -> None:
    """Compare a whole graph with its model on rows of a table; `parity` takes them in."""
    frame = raw_rows(model, X, np.random.default_rng(0x0A12))
    parity.add(model.predict_raw(frame), graph.predict_raw(frame), _spread(model, y))


def _spread(model: Model, y: Array) -> float | None:
    return None if model.encoder.schema.get("classes") else float(np.std(y)) or 1.0


def _near_splits(
    thresholds: list[tuple[int, float]], X: Array, count: int, generator: np.random.Generator
) -> Array:
    """Rows with one number moved to where a tree splits, or to the next number on either side of it."""
    rows = np.array(X[np.sort(generator.integers(0, len(X), count))])
    for row, chosen in zip(rows, generator.integers(0, len(thresholds), count), strict=True):
        column, value = thresholds[chosen]
        side = generator.choice([-np.inf, 0.0, np.inf])
        near = np.float32(value) if side == 0.0 else np.nextafter(np.float32(value), np.float32(side))
        if abs(near) < 1e38:
            row[column] = near
    return rows


def raw_rows(model: Model, X: Array, generator: np.random.Generator) -> pd.DataFrame:
    """Rows as a table may have them, column by column: known and unknown levels, gaps, extremes, dates."""
    schema = model.encoder.schema
    made: dict[str, Any] = {}
    positions = {feature["name"]: place for place, feature in enumerate(schema["features"])}
    for column in schema["columns"]:
        name, kind = column["name"], column["kind"]
        values: Any
        if kind == "numeric":
            known = X[generator.integers(0, len(X), RAW_ROWS), positions[name]].astype(np.float64)
            values = np.where(generator.random(RAW_ROWS) < MISSING_SHARE, generator.choice(EXTREMES), known)
        elif kind == "datetime":
            days = X[generator.integers(0, len(X), RAW_ROWS), positions[f"{name}: days"]].astype(np.float64)
            seconds = np.round(days * 86_400) + generator.integers(0, 86_400, RAW_ROWS)
            values = pd.to_datetime(seconds, unit="s")
        elif kind == "text":
            values = _texts(model, column, generator)
        else:
            known = column["categories"][:200]
            # Of a level that training did not know, numbers and letters are told all the same.
            others = [f"{level}7" for level in known] if is_code(column) else []
            levels = [*known, *others, "never seen before", ""]
            values = generator.choice(np.array(levels, dtype=object), RAW_ROWS)
        series = pd.Series(values)
        made[name] = series.mask(generator.random(RAW_ROWS) < MISSING_SHARE)
    return pd.DataFrame(made)


def _texts(model: Model, column: dict[str, Any], generator: np.random.Generator) -> list[str]:
    words = [*model.encoder.texts[column["text"]][0].get_feature_names_out(), "unheardof", "Straße,", "-"]
    return [" ".join(generator.choice(words, generator.integers(0, 12))) for _ in range(RAW_ROWS)]
