"""Trials and ensembles side by side: paired differences on out-of-fold predictions, and disagreements."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from automl.engine.diagnostics.figures import short
from automl.engine.diagnostics.rows import Table, losses, said
from automl.engine.errors import UserError
from automl.engine.evaluation import are_decided, as_packaged
from automl.engine.intervals import difference, interval, ties_of_many
from automl.engine.labels import decided
from automl.engine.metrics import METRICS, Metric
from automl.engine.preparation import Prepared, open_prepared
from automl.engine.reading import check_table

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]

MOST_DISAGREEMENTS = 15


def compare_models(args: Mapping[str, Any]) -> dict[str, Any]:
    """Compare; see `automl.engine.jobs.CompareArgs` and `CompareResult`.

    Raises
    ------
    UserError
        If they were not judged on the same rows with the same truth.
    """
    entries = args["entries"]
    prepared = [open_prepared(entry["prepared"]) for entry in entries]
    _require_same_rows(entries, prepared)
    metric, classes = METRICS[args["metric"]], prepared[0].classes
    truth = np.asarray(prepared[0].y)
    places, predictions, judged = _common(prepared, entries, metric)
    y = truth[places]
    found = []
    for entry, prediction in zip(entries, judged, strict=True):
        value, low, high = interval(metric, y, prediction)
        figures = {"value": short(value), "low": short(low), "high": short(high)}
        told = {"id": entry["id"], "name": entry["name"], "flattered": bool(entry.get("flattered"))}
        found.append({**told, **figures})
    both = list(combinations(range(len(entries)), 2))
    gaps = [difference(metric, y, judged[one], judged[other]) for one, other in both]
    pairs = []
    for (one, other), gap, tied in zip(both, gaps, ties_of_many(gaps), strict=True):
        pairs.append(
            {
                "one": entries[one]["id"],
                "other": entries[other]["id"],
                "gain": short(gap.gain),
                "low": short(gap.low),
                "high": short(gap.high),
                "tied": tied,
                "tied_alone": gap.is_tie,
                "agreement": short(agreement(judged[one], judged[other])),
            }
        )
    return {
        "rows": len(places),
        "task_type": prepared[0].meta["task_type"],
        "metric": metric.name,
        "entries": found,
        "pairs": pairs,
        "disagreements": _disagreements(args, prepared[0], places, y, (predictions, judged), classes),
    }


def _require_same_rows(entries: Sequence[Mapping[str, Any]], prepared: Sequence[Prepared]) -> None:
    first = prepared[0]
    for entry, other in zip(entries, prepared, strict=True):
        pairs = [(other.y, first.y), (other.folds, first.folds), (other.drawn, first.drawn)]
        if other.classes != first.classes or not all(np.array_equal(*pair) for pair in pairs):
            raise UserError(
                f"{entry['name']} was not judged on the same rows and folds as {entries[0]['name']}, so they "
                "can't be paired: compare searches of one table with the same target and seed, of "
                "one version, and where it is large of as much time at first."
            )


def _common(
    prepared: Sequence[Prepared], entries: Sequence[Mapping[str, Any]], metric: Metric
) -> tuple[Array, list[Array], list[Array]]:
    """The rows that all have predicted, each one's predictions of them, and what their labels go by."""
    each = [as_packaged(table, entry["members"])[:2] for table, entry in zip(prepared, entries, strict=True)]
    places = each[0][0]
    for others, _ in each[1:]:
        places = np.intersect1d(places, others)
    y = np.asarray(prepared[0].y)
    judged = [
        decided(metric, y[own], prediction) if are_decided(entry["members"]) else prediction
        for (own, prediction), entry in zip(each, entries, strict=True)
    ]
    kept = [np.searchsorted(own, places) for own, _ in each]
    predictions = [prediction[rows] for rows, (_, prediction) in zip(kept, each, strict=True)]
    return places, predictions, [found[rows] for rows, found in zip(kept, judged, strict=True)]


def agreement(one: Array, other: Array) -> float:
    """The share of rows that both call the same; of numbers, their correlation."""
    if one.ndim == 2:
        return float((one.argmax(axis=1) == other.argmax(axis=1)).mean())
    if np.std(one) == 0 or np.std(other) == 0:
        return 0.0
    return float(np.corrcoef(one, other)[0, 1])


def _disagreements(
    args: Mapping[str, Any],
    prepared: Prepared,
    places: Array,
    y: Array,
    both: tuple[Sequence[Array], Sequence[Array]],
    classes: Sequence[Any] | None,
) -> dict[str, Any]:
    """The rows about which they are furthest apart, and who was nearer to the truth."""
    predictions, judged = both
    lowest, highest = predictions[0].copy(), predictions[0].copy()
    for prediction in predictions[1:]:
        np.minimum(lowest, prediction, out=lowest)
        np.maximum(highest, prediction, out=highest)
    apart = (highest - lowest).max(axis=1) if lowest.ndim == 2 else highest - lowest
    order = np.argsort(-apart, kind="stable")[:MOST_DISAGREEMENTS]
    schema = json.loads((prepared.folder / "schema.json").read_text(encoding="utf-8"))
    check_table(Path(args["table"]))
    shown = [column["name"] for column in schema["columns"]]
    table = Table(Path(args["table"]), schema["target"], shown, prepared.drawn)
    wrong = [losses(args["metric"], y[order], prediction[order]) for prediction in predictions]
    rows = []
    for number, (row, place) in enumerate(zip(table.rows(places[order]), order, strict=True)):
        answers = [
            said(y[place], prediction[place], decides[place], classes)
            for prediction, decides in zip(predictions, judged, strict=True)
        ]
        rows.append(
            {
                **row,
                "apart": short(apart[place]),
                "true": answers[0]["true"],
                "nearest": int(np.argmin([loss[number] for loss in wrong])),
                "predictions": [
                    {key: value for key, value in answer.items() if key != "true"} for answer in answers
                ],
            }
        )
    return {"columns": table.columns, "rows": rows}
