"""The whole diagnosis of a trial or an ensemble: one answer, as JSON."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from automl.engine.diagnostics.classification import classification
from automl.engine.diagnostics.figures import short, spread_out
from automl.engine.diagnostics.influence import MOST_ROWS, Clock, Column, columns_of, dependence, importance
from automl.engine.diagnostics.outoffold import OutOfFold
from automl.engine.diagnostics.regression import regression
from automl.engine.diagnostics.rows import Table, worst
from automl.engine.evaluation import are_decided, as_packaged, read_members
from automl.engine.honest import honest_predictions
from automl.engine.intervals import metrics_with_intervals
from automl.engine.labels import label_factors
from automl.engine.metrics import METRICS, metrics_for
from automl.engine.preparation import open_prepared
from automl.engine.reading import check_table

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]

    from automl.engine.jobs import Report


def diagnose(args: Mapping[str, Any], report: Report) -> dict[str, Any]:
    """Say what a model gets right and wrong; see `automl.engine.jobs.DiagnoseArgs` and `DiagnoseResult`."""
    began = time.monotonic()
    prepared = open_prepared(args["prepared"])
    schema = json.loads((prepared.folder / "schema.json").read_text(encoding="utf-8"))
    metric, classes = METRICS[args["metric"]], prepared.classes
    places, own, temperature = as_packaged(prepared, args["members"])
    y = np.asarray(prepared.y)[places]
    factors = label_factors(metric, y, own) if are_decided(args["members"]) else None
    predicted, called = honest_predictions(prepared, args, y, own)
    found: dict[str, Any] = {
        "rows": len(places),
        "task_type": prepared.meta["task_type"],
        "metric": args["metric"],
        "classes": classes,
        "metrics": metrics_with_intervals(
            [each.name for each in metrics_for(prepared.profile.task_type)], y, predicted, called
        ),
    }
    if classes is not None:
        found["classification"] = classification(y, predicted, classes, called)
        if factors is not None and len(factors) == 2:
            found["classification"]["threshold"] = short(1.0 / (1.0 + factors[1]))
    else:
        found["regression"] = regression(y, predicted, skew=prepared.profile.skew)
    report({"event": "curves"})
    columns = columns_of(schema)
    sample = places[np.sort(spread_out(y, MOST_ROWS))]
    model = OutOfFold(prepared, read_members(args["members"]), sample, temperature, factors)
    clock = Clock(model, args["seconds"])
    found["importance"] = importance(model, metric, columns, clock)
    ranked = _ranked(columns, found["importance"])
    report({"event": "importance"})
    found["dependence"] = dependence(model, ranked, clock, classes)
    check_table(Path(args["table"]))
    shown = [column.name for column in ranked]
    table = Table(Path(args["table"]), schema["target"], shown, prepared.drawn)
    found["worst"] = worst(metric.name, y, predicted, places, table, classes, called)
    found["flattered"] = len(args["members"]) > 1 and predicted is own
    found["seconds"] = short(time.monotonic() - began)
    return found


def _ranked(columns: list[Column], found: Mapping[str, Any]) -> list[Column]:
    """Columns by importance; those that were not measured after the others."""
    order = {entry["column"]: place for place, entry in enumerate(found["columns"])}
    return sorted(columns, key=lambda column: order.get(column.name, len(order)))
