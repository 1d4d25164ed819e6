"""What a model gets right and wrong: a small page at once, each part of it when the reader comes to it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from automl.core.errors import Conflict
from automl.engine.metrics import METRICS
from automl.experiments import selectors
from automl.experiments.models import Diagnosis, DiagnosisState, Ensemble, Trial
from automl.experiments.services import diagnoses
from automl.pages.access import SignedInRequest, page
from automl.pages.charts import quality
from automl.pages.live import fragment, stamp_of
from automl.pages.templatetags import show
from automl.pages.thresholds import Table, costs_of, threshold_of

MAIN_METRICS = 6
# As many classes can be read as numbers in the cells of a matrix.
READ_AS_NUMBERS = 8
SHADES = 10
# A mistake of fewer of a class's rows is not drawn in full colour, however rare the others are.
LEAST_FULL = 0.1
FIT_ROWS = 50


@dataclass(frozen=True, slots=True)
class Place:
    """Where a diagnosis is shown: on the pages of a trial, or of a model."""

    kind: str
    id: UUID
    entry: Trial | Ensemble
    name: str

    def address(self, name: str = "", *parts: str) -> str:
        view = f"pages:{self.kind}_diagnostics{f'_{name}' if name else ''}"
        return reverse(view, args=[self.id, *parts])

    @property
    def page(self) -> str:
        return self.address()

    @property
    def thresholds(self) -> str:
        return self.address("part", "thresholds")

    @property
    def back(self) -> str:
        return reverse(f"pages:{self.kind}", args=[self.id])


def _of_trial(request: SignedInRequest, id: UUID) -> Place:
    trial = selectors.get_trial(user=request.user, id=id)
    return Place("trial", id, trial, selectors.trial_name(trial))


def _of_model(request: SignedInRequest, id: UUID) -> Place:
    model = selectors.get_model(user=request.user, id=id)
    entry = model.trial or model.ensemble
    assert entry is not None
    return Place("model", id, entry, model.name)


@require_safe
@page
def of_trial(request: SignedInRequest, id: UUID) -> HttpResponse:
    return _page(request, _of_trial(request, id))


@require_safe
@page
def of_model(request: SignedInRequest, id: UUID) -> HttpResponse:
    return _page(request, _of_model(request, id))


@require_safe
@page
def trial_state(request: SignedInRequest, id: UUID) -> HttpResponse:
    return _state(request, _of_trial(request, id))


@require_safe
@page
def model_state(request: SignedInRequest, id: UUID) -> HttpResponse:
    return _state(request, _of_model(request, id))


@require_safe
@page
def trial_part(request: SignedInRequest, id: UUID, part: str) -> HttpResponse:
    return _part(request, _of_trial(request, id), part)


@require_safe
@page
def model_part(request: SignedInRequest, id: UUID, part: str) -> HttpResponse:
    return _part(request, _of_model(request, id), part)


@require_POST
@page
def trial_again(request: SignedInRequest, id: UUID) -> HttpResponse:
    return _again(_of_trial(request, id))


@require_POST
@page
def model_again(request: SignedInRequest, id: UUID) -> HttpResponse:
    return _again(_of_model(request, id))


def _again(place: Place) -> HttpResponse:
    diagnoses.try_again(diagnoses.request_diagnosis(place.entry))
    return redirect(place.address())


def _page(request: HttpRequest, place: Place) -> HttpResponse:
    return render(request, "pages/diagnostics/page.html", _shown(request, place))


def _state(request: HttpRequest, place: Place) -> HttpResponse:
    shown = _shown(request, place)
    return fragment(request, "pages/diagnostics/_state.html", shown, final=not shown["live"])


def _part(request: HttpRequest, place: Place, part: str) -> HttpResponse:
    diagnosis = diagnoses.request_diagnosis(place.entry)
    if diagnosis.result is None:
        raise Conflict("The diagnosis is still being computed.")
    if part == "thresholds" and "classification" in diagnosis.result:
        answer: HttpResponse = JsonResponse(diagnosis.result["classification"].get("thresholds", {}))
    elif part in parts_of(diagnosis.result):
        context = {"place": place, "found": PARTS[part].context(request, diagnosis.result)}
        answer = render(request, f"pages/diagnostics/_{part}.html", context)
    else:
        raise Http404(f"There is no part {part!r} of this diagnosis.")
    answer.headers["Cache-Control"] = "private, max-age=60"
    return answer


def _shown(request: HttpRequest, place: Place) -> dict[str, Any]:
    diagnosis = diagnoses.request_diagnosis(place.entry)
    experiment = place.entry.experiment
    shown: dict[str, Any] = {
        "place": place,
        "experiment": experiment,
        "diagnosis": diagnosis,
        "metric_label": selectors.metric_label(experiment),
        "live": diagnosis.state == DiagnosisState.COMPUTING,
        "stamp": stamp_of(diagnosis.version, diagnosis.state),
        "addresses": {name: place.address(name) for name in ("", "state", "again")},
    }
    if diagnosis.result is not None:
        shown |= {"rows": diagnosis.result["rows"], "metrics": _metrics(diagnosis)}
        # Those from before it was told were judged by the rows that their weights were chosen by.
        shown["is_flattered"] = diagnosis.result.get("flattered", isinstance(place.entry, Ensemble))
        shown["parts"] = [
            {
                "key": key,
                "title": PARTS[key].title,
                "says": PARTS[key].says,
                "address": f"{place.address('part', key)}?{request.GET.urlencode()}",
                "template": f"pages/diagnostics/_{key}.html",
                **({"found": PARTS[key].context(request, diagnosis.result)} if "all" in request.GET else {}),
            }
            for key in parts_of(diagnosis.result)
        ]
        shown["everything"] = "all" in request.GET
    return shown


def _metrics(diagnosis: Diagnosis) -> list[dict[str, Any]]:
    """The metric of the search first, then the others in their own order."""
    assert diagnosis.result is not None
    found = diagnosis.result["metrics"]
    main = diagnosis.result["metric"]
    names = sorted(found, key=lambda name: name != main)[:MAIN_METRICS]
    return [{"label": METRICS[name].label, "found": found[name]} for name in names if name in METRICS]


def parts_of(result: Mapping[str, Any]) -> list[str]:
    """What there is to show of a diagnosis, in reading order."""
    keys = ["fit", "residuals"]
    if "classification" in result:
        is_binary = "thresholds" in result["classification"]
        keys = ["mistakes", *(["threshold"] if is_binary else []), "ranking", "calibration"]
    return [*keys, "importance", *(["dependence"] if result["dependence"] else []), "rows"]


def _mistakes(_: HttpRequest, result: Mapping[str, Any]) -> dict[str, Any]:
    found = result["classification"]["confusion"]
    counts = found["counts"]
    members = [sum(row) for row in counts]
    small = len(counts) <= READ_AS_NUMBERS
    # Where only colours tell, those of mistakes are held against the commonest: the rest would all be pale.
    mistakes = [
        count / max(total, 1)
        for i, (row, total) in enumerate(zip(counts, members, strict=True))
        for j, count in enumerate(row)
        if i != j
    ]
    full = 1.0 if small else max(*mistakes, LEAST_FULL)
    matrix = [
        {
            "class": label,
            "cells": [
                {
                    "count": count,
                    "share": count / max(total, 1),
                    "shade": _shade(count, total * (1.0 if i == j else full)),
                    "right": i == j,
                }
                for j, count in enumerate(row)
            ],
            "total": total,
        }
        for i, (label, row, total) in enumerate(zip(found["classes"], counts, members, strict=True))
    ]
    return {"confusion": found, "matrix": matrix, "small": small}


def _shade(count: int, full: float) -> int:
    """From 0 to 10 by the share of what is full; what is little is still seen."""
    if not count:
        return 0
    return min(max(1, round(SHADES * math.sqrt(count / full))), SHADES)


def _threshold(request: HttpRequest, result: Mapping[str, Any]) -> dict[str, Any]:
    costs = costs_of(request.GET)
    table = Table(result["classification"]["thresholds"], costs)
    asked = threshold_of(request.GET)
    best = table.best
    at = table.at(best.threshold if asked is None else asked)
    return {
        "costs": costs,
        "best": best,
        "at": at,
        "positive": result["classification"]["positive"],
        "negative": result["classes"][0],
        "charts": quality.costs(table.values, table.costs),
        "half": table.at(0.5),
        "own": result["classification"].get("threshold"),
        "steps": [table.at(step / 10) for step in range(1, 10)],
    }


def _ranking(_: HttpRequest, result: Mapping[str, Any]) -> dict[str, Any]:
    found = result["classification"]
    curves = found["curves"]
    lift = found.get("lift")
    return {
        "curves": curves,
        "several": len(curves["classes"]) > quality.HUES,
        "roc": quality.roc(curves),
        "precision_recall": quality.precision_recall(curves),
        "lines": quality.ranking_points(curves),
        "gain": quality.gain(lift) if lift else [],
        "lift": list(zip(lift["depth"], lift["gain"], lift["lift"], strict=True))[1::2] if lift else [],
        "positive": found.get("positive"),
    }


def _calibration(_: HttpRequest, result: Mapping[str, Any]) -> dict[str, Any]:
    found = result["classification"]["calibration"]
    return {"calibration": found, "charts": quality.calibration(found), "said": quality.said(found)}


def _fit(_: HttpRequest, result: Mapping[str, Any]) -> dict[str, Any]:
    found = result["regression"]
    sample = found["sample"]
    return {
        "regression": found,
        # A thousandth of a usual error is rounding.
        "unbiased": abs(found["bias"]) <= 1e-3 * found["median_error"],
        "charts": quality.against_actual(found),
        "table": sample[:: max(1, len(sample) // FIT_ROWS)],
    }


def _residuals(_: HttpRequest, result: Mapping[str, Any]) -> dict[str, Any]:
    found = result["regression"]
    return {
        "regression": found,
        "charts": quality.residuals(found),
        "bars": quality.error_bars(found["residuals"]),
        "counts": quality.error_counts(found["residuals"]),
    }


def _importance(_: HttpRequest, result: Mapping[str, Any]) -> dict[str, Any]:
    found = result["importance"]
    largest = max([row["high"] for row in found["columns"]] + [1e-12])
    return {
        "importance": found,
        "label": METRICS[result["metric"]].label,
        "bars": [
            {
                **row,
                "length": round(100 * max(row["loss"], 0) / largest, 1),
                "from": round(100 * max(row["low"], 0) / largest, 1),
                "to": round(100 * max(row["high"], 0) / largest, 1),
                "sure": row["low"] > 0,
                "said": [show.fixed(row[key], largest) for key in ("loss", "low", "high")],
            }
            for row in found["columns"]
        ],
    }


def _dependence(_: HttpRequest, result: Mapping[str, Any]) -> dict[str, Any]:
    label = "Prediction" if result["classes"] is None else "Probability"
    return {
        "curves": [
            {
                **curve,
                "charts": quality.dependence(curve, label),
                "table": _rows_of(curve),
                "several": len(curve["lines"]) > 1,
                "hues": [(quality.hue(place), line["class"]) for place, line in enumerate(curve["lines"])],
            }
            for curve in result["dependence"]
        ],
        "of": result["classes"][1] if result["classes"] and len(result["classes"]) == 2 else None,
        "is_number": result["classes"] is None,
        "thin": any(quality.shows_rows(each) for each in result["dependence"]),
    }


def _rows_of(curve: Mapping[str, Any]) -> list[tuple[Any, float, list[str]]]:
    """What the curve has at each value; means with the decimals that the largest needs for four digits."""
    means = list(zip(*(line["mean"] for line in curve["lines"]), strict=True))
    largest = max((abs(mean) for each in means for mean in each if mean is not None), default=0.0)
    return [
        (value, share, [show.fixed(mean, largest / 10) for mean in each])
        for value, share, each in zip(curve["grid"], curve["share"], means, strict=True)
    ]


def _worst(_: HttpRequest, result: Mapping[str, Any]) -> dict[str, Any]:
    return {"worst": result["worst"], "is_number": result["classes"] is None}


@dataclass(frozen=True, slots=True)
class Part:
    """A section of the page: its heading, one sentence that says how to read it, and what it shows."""

    title: str
    says: str
    context: Callable[[HttpRequest, Mapping[str, Any]], dict[str, Any]]


PARTS = {
    "mistakes": Part(
        "Mistakes",
        "How often each class was taken for which: rows are the truth, columns the call.",
        _mistakes,
    ),
    "threshold": Part(
        "Threshold and costs",
        "Say what a false alarm and a miss cost you; the threshold that costs least is found.",
        _threshold,
    ),
    "ranking": Part(
        "Ranking", "How well the model puts the right rows first, at every threshold at once.", _ranking
    ),
    "calibration": Part(
        "Calibration",
        "Whether what is given 80 % comes true 8 times in 10. On the diagonal it does.",
        _calibration,
    ),
    "fit": Part(
        "Predicted against actual", "Each dot is a row; on the diagonal the prediction is right.", _fit
    ),
    "residuals": Part(
        "Errors", "How far off to expect a prediction to be, from the lowest to the highest.", _residuals
    ),
    "importance": Part(
        "What it leans on", "How much worse the score gets when a column's cells are shuffled.", _importance
    ),
    "dependence": Part(
        "How its answer follows a column",
        "The mean prediction when every row gets one value of the column; bands and upright lines hold four "
        "rows in five.",
        _dependence,
    ),
    "rows": Part("Rows it gets most wrong", "Often the quickest way to find an error in the table.", _worst),
}
