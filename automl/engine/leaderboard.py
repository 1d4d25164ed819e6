"""The leaderboard as a table of text, as a bundle holds it."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from typing import Any

COLUMNS = (
    "rank",
    "name",
    "family",
    "origin",
    "score",
    "score_low",
    "score_high",
    "tied_with_best",
    "fit_time",
    "predict_time",
    "size",
    "hyperparameters",
)


def leaderboard_csv(rows: Sequence[Mapping[str, Any]]) -> str:
    """Write rows as CSV, hyperparameters as JSON in the last column."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in rows:
        cells = [row.get(column) for column in COLUMNS[:-1]]
        writer.writerow([*cells, json.dumps(row.get("hyperparameters") or {}, ensure_ascii=False)])
    return text.getvalue()
