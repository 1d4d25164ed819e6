"""The column that is predicted: what task it makes, and its values as numbers or codes of classes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from automl.engine.errors import UserError
from automl.engine.profiling import CLASS_VALUES
from automl.engine.splitting import USUAL_FOLDS
from automl.engine.trial import TaskType

MOST_CLASSES = 1_000


def resolve_task_type(target: pd.Series, name: str, asked: str) -> TaskType:
    """The task that is asked for, or for "auto" what the values of a target suggest."""
    distinct = target.nunique()
    if distinct < 2:
        raise UserError(
            f"The target {name!r} has one value, {target.iloc[0]!r}: there is nothing to predict."
        )
    if asked != "auto":
        chosen = TaskType(asked)
        if chosen is TaskType.BINARY and distinct != 2:
            raise UserError(
                f"The target {name!r} has {distinct:,} values; binary needs two. Choose multiclass "
                "or regression."
            )
        return chosen
    if distinct == 2:
        return TaskType.BINARY
    if not pd.api.types.is_numeric_dtype(target.dtype):
        return TaskType.MULTICLASS
    whole = bool((target.to_numpy(dtype=float) % 1 == 0).all())
    return TaskType.MULTICLASS if whole and distinct <= CLASS_VALUES else TaskType.REGRESSION


def encode_target(
    values: pd.Series, task_type: TaskType, name: str
) -> tuple[np.ndarray[Any, Any], list[Any] | None]:
    """Numbers as they are and None; or the codes of classes, and the classes."""
    if task_type is TaskType.REGRESSION:
        numbers = pd.to_numeric(values, errors="coerce").astype(float)
        if not np.isfinite(numbers).all():
            example = values[~np.isfinite(numbers)].iloc[0]
            raise UserError(f"Regression needs numbers; {name!r} holds {example!r}. Choose a classification.")
        return numbers.to_numpy(dtype=np.float64), None
    labels = sorted({_label(value) for value in values.unique()}, key=lambda label: (str(type(label)), label))
    if len(labels) > MOST_CLASSES:
        raise UserError(
            f"The target {name!r} has {len(labels):,} classes; at most {MOST_CLASSES:,} can be told apart. "
            "Choose regression if it is a quantity, or another column."
        )
    codes = {label: code for code, label in enumerate(labels)}
    found, uniques = pd.factorize(values)
    return np.array([codes[_label(unique)] for unique in uniques], dtype=np.int32)[found], labels


def _label(value: Any) -> Any:
    """A class as JSON holds it, of the type that pandas.read_csv gives."""
    if isinstance(value, bool | np.bool_):
        return bool(value)
    if isinstance(value, int | np.integer):
        return int(value)
    if isinstance(value, float | np.floating):
        return int(value) if float(value).is_integer() else float(value)
    return str(value)


def rarest(y: np.ndarray[Any, Any]) -> int | None:
    """Rows of the rarest class that can be divided; None if there is none.

    Of three classes and more, those that not even the fewest folds can share do not count.
    """
    counts = np.bincount(y)
    counts = counts[counts > 1]
    shared = counts[counts >= USUAL_FOLDS]
    return int((shared if len(shared) > 1 else counts).min()) if len(counts) else None


def check_classes(y: np.ndarray[Any, Any], classes: Sequence[Any], name: str) -> None:
    """Refuse a target by which no model can be judged: who is the only row of a class only trains."""
    counts = np.bincount(y, minlength=len(classes))
    if np.count_nonzero(counts > 1) >= 2:
        return
    alone = classes[int(np.argmin(counts))]
    raise UserError(
        f"Of the {len(classes):,} classes of {name!r} fewer than two have more than one row ({alone!r} has "
        "one): no model can be judged by rows that it has not seen. Add rows of the rare classes, or choose "
        "another column."
    )


def rare_classes(y: np.ndarray[Any, Any], classes: Sequence[Any]) -> list[str]:
    """Warn of classes that have a single row."""
    counts = np.bincount(y, minlength=len(classes))
    alone = [str(classes[int(code)]) for code in np.flatnonzero(counts == 1)]
    if not alone:
        return []
    return [
        f"{len(alone)} class(es) have a single row ({', '.join(alone[:5])}): it trains every model, "
        "so how well such rows are predicted is not known."
    ]
