"""Which columns of the table a fitted model used most."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

# What learners say of their own input columns, as pairs of position and weight.
BY_POSITION = ("importance", "largest")
MOST_COLUMNS = 20
_MARKED = re.compile(r"f(\d+)f")


def name_columns(
    learned: Mapping[str, Any], preprocess: Any | None, features: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """Replace positions in what a learner told by names of the table's columns.

    Parameters
    ----------
    learned : mapping
        What `Fit` holds: under "importance" and "largest", pairs of a position in the estimator's input
        and a weight.
    preprocess : ColumnTransformer or None
        Fitted; what stands between the encoded matrix and the estimator.
    features : sequence of mapping
        The columns of the encoded matrix, each with the "column" of the table that it comes from.

    Returns
    -------
    dict
        The same, with pairs of a column's name and the sum of what its parts weigh, largest first.
    """
    if not any(key in learned for key in BY_POSITION):
        return dict(learned)
    columns = [str(features[position]["column"]) for position in _sources(preprocess, len(features))]
    return {key: _summed(value, columns) if key in BY_POSITION else value for key, value in learned.items()}


def _sources(preprocess: Any | None, width: int) -> list[int]:
    """The position in the encoded matrix that each input of the estimator comes from."""
    if preprocess is None:
        return list(range(width))
    names = preprocess.get_feature_names_out([f"f{position}f" for position in range(width)])
    return [int(found.group(1)) for name in names if (found := _MARKED.search(name))]


def _summed(pairs: Sequence[Sequence[Any]], columns: Sequence[str]) -> list[list[Any]]:
    totals: dict[str, float] = defaultdict(float)
    for position, weight in pairs:
        totals[columns[int(position)]] += float(weight)
    ranked = sorted(totals.items(), key=lambda item: -item[1])[:MOST_COLUMNS]
    return [[name, float(f"{weight:.5g}")] for name, weight in ranked]
