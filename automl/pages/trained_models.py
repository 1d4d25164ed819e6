from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from django.conf import settings
from django.http import Http404, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from automl.core.downloads import RangeNotSatisfiable, check_whole, send_file
from automl.core.storage import path_of
from automl.engine.metrics import METRICS
from automl.engine.model_card.html import policy_of
from automl.experiments import predictions as predicted
from automl.experiments import selectors, serving
from automl.experiments.models import ModelState, TrainedModel
from automl.experiments.services import choosing
from automl.pages import trying
from automl.pages.access import SignedInRequest, page
from automl.pages.live import fragment, stamp_of

CARD = "model_card.html"
FILES_SHOWN = 20


@require_safe
@page
def model(request: SignedInRequest, id: UUID) -> HttpResponse:
    found = selectors.get_model(user=request.user, id=id)
    return render(request, "pages/model.html", shown(request, found))


@require_safe
@page
def state(request: SignedInRequest, id: UUID) -> HttpResponse:
    context = shown(request, selectors.get_model(user=request.user, id=id))
    return fragment(request, "pages/_model.html", context, final=not context["live"])


@require_safe
@page
def bundle(request: SignedInRequest, id: UUID) -> HttpResponse:
    """The bundle's files: polled while it is being written anew."""
    model = selectors.get_model(user=request.user, id=id)
    stamp = stamp_of(model.version, model.state)
    context = {"model": model, "filename": selectors.bundle_filename(model), "stamp": stamp}
    return fragment(request, "pages/_bundle.html", context, final=not model.graph_due)


@require_POST
@page
def package(request: SignedInRequest, id: UUID) -> HttpResponse:
    """Package a line of the board, or the fastest of the nearly best."""
    experiment = selectors.get_experiment(user=request.user, id=id)
    if request.POST.get("choose") == "fastest":
        return redirect("pages:model", id=choosing.package_fastest(experiment).id)
    line = selectors.line_of(experiment, request.POST.get("entry", ""))
    return redirect("pages:model", id=choosing.package_entry(line).id)


@require_safe
@page
def download(request: SignedInRequest, id: UUID) -> HttpResponseBase:
    model = selectors.get_model(user=request.user, id=id)
    serving.ready(model, "downloaded")
    try:
        return send_file(
            request,
            path_of(model.bundle),
            filename=selectors.bundle_filename(model),
            content_type="application/zip",
            sha256=model.sha256,
        )
    except RangeNotSatisfiable as error:
        return HttpResponse(status=416, headers={"Content-Range": f"bytes */{error.size}"})


@require_safe
@page
def card(request: SignedInRequest, id: UUID) -> HttpResponse:
    model = selectors.get_model(user=request.user, id=id)
    serving.ready(model, "read")
    if not _has_card(model):
        raise Http404("The model was packaged before models had a card to look at.")
    bundle = path_of(model.bundle)
    check_whole(bundle, model.sha256)
    with zipfile.ZipFile(bundle) as archive:
        text = archive.read(CARD).decode()
    style = re.search("<style>(.*?)</style>", text, re.DOTALL)
    # The card is made of what users upload: it may be looked at, and do nothing.
    policy = f"{policy_of(style[1] if style else '')}; sandbox"
    return HttpResponse(text, headers={"Content-Security-Policy": policy})


def _called(model: TrainedModel) -> str:
    """What a row is called, where that is not the likeliest class."""
    factors = model.schema.get("label_factors")
    if not factors:
        return ""
    best = f"where {selectors.metric_label(model.experiment)} is best"
    if len(factors) > 2:
        return (
            f"A row is called the class whose probability, times a factor of the class, is largest, {best}."
        )
    threshold = factors[0] / sum(factors)
    return f"A row is called “{model.schema['classes'][1]}” from a probability of {threshold:.3g} on, {best}."


def _has_card(model: TrainedModel) -> bool:
    return any(file["name"] == CARD for file in model.files)


def shown(request: SignedInRequest, model: TrainedModel) -> dict[str, Any]:
    """What the page of a model shows."""
    filename = selectors.bundle_filename(model)
    return {
        "model": model,
        "experiment": model.experiment,
        "metric_label": selectors.metric_label(model.experiment),
        "metrics": _metrics(model),
        "uncertainty": model.metrics.get("uncertainty") or {},
        "tested": bool(model.metrics.get("test")),
        "called": _called(model),
        "columns": model.schema.get("columns") or [],
        "filename": filename,
        "has_card": _has_card(model),
        "example": _example_row(model),
        "folder": filename.removesuffix(".zip"),
        "predict_url": request.build_absolute_uri(reverse("api:model-predict", kwargs={"id": model.id})),
        "live": model.state == ModelState.PACKAGING,
        "stamp": stamp_of(model.version, model.state),
        **({**trial_of(model), **files_of(model)} if model.state == ModelState.READY else {}),
    }


def trial_of(model: TrainedModel, posted: Mapping[str, str] | None = None) -> dict[str, Any]:
    """The form to try the model with; and what it says about the row, once one was sent."""
    inputs = trying.inputs_of(model)
    filled = trying.fill(inputs[: trying.MOST_INPUTS], posted)
    typical = {each.column: each.typical for each in inputs}
    tried = trying.nothing_yet(model, filled) if posted is None else trying.predict(model, filled, typical)
    left_out = len(inputs) - len(filled)
    return {"filled": filled, "inputs_left_out": left_out, "tried": tried, "untried": posted is None}


def files_of(model: TrainedModel) -> dict[str, Any]:
    """The files that the model predicts or has predicted."""
    found = list(predicted.list_predictions(model)[:FILES_SHOWN])
    return {
        "predictions": found,
        "files_live": any(not each.is_final for each in found),
        "files_stamp": stamp_of(len(found), sum(each.version for each in found)),
        "file_levels": serving.levels_of(model),
        "held_in": (model.metrics.get("uncertainty") or {}).get("kind", ""),
        "file_limit": settings.MAX_UPLOAD_BYTES,
        "kept_days": settings.PREDICTION_DAYS,
    }


def _example_row(model: TrainedModel) -> str:
    """What to send, as JSON: one row of every column that is needed, with a value where one is known."""
    row = {
        column["name"]: (column.get("categories") or [None])[0]
        for column in model.schema.get("columns") or []
    }
    return json.dumps({"rows": [row]}, ensure_ascii=False, indent=2)


def _metrics(model: TrainedModel) -> list[dict[str, Any]]:
    """One line for each metric: by cross-validation, and on the test dataset where there is one."""
    validated = model.metrics.get("validation", model.metrics)
    tested = model.metrics.get("test") or {}
    rows = []
    for name, found in validated.items():
        if not isinstance(found, dict) or "value" not in found:
            continue
        known = METRICS.get(name)
        rows.append(
            {
                "label": known.label if known else name,
                "description": known.description if known else "",
                "found": found,
                "test": tested.get(name),
                "is_main": name == model.experiment.metric,
            }
        )
    return sorted(rows, key=lambda row: not row["is_main"])
