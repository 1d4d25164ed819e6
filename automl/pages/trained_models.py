from __future__ import annotations

import json
import zipfile
from typing import Any
from uuid import UUID

from django.http import Http404, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_safe

from automl.core.downloads import RangeNotSatisfiable, check_whole, send_file
from automl.core.errors import Conflict
from automl.core.storage import path_of
from automl.engine.metrics import METRICS
from automl.experiments import selectors
from automl.experiments.models import ModelState, TrainedModel
from automl.pages.access import SignedInRequest, page
from automl.pages.live import fragment, stamp_of

CARD = "model_card.html"
# The card is made of what users upload: it may be looked at, and do nothing.
CARD_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; sandbox"


@require_safe
@page
def model(request: SignedInRequest, id: UUID) -> HttpResponse:
    return render(request, "pages/model.html", _shown(request, id))


@require_safe
@page
def state(request: SignedInRequest, id: UUID) -> HttpResponse:
    shown = _shown(request, id)
    return fragment(request, "pages/_model.html", shown, final=not shown["live"])


@require_safe
@page
def download(request: SignedInRequest, id: UUID) -> HttpResponseBase:
    model = selectors.get_model(user=request.user, id=id)
    if model.state != ModelState.READY:
        raise Conflict(f"The model is {model.state}; it can be downloaded once it is ready. {model.error}")
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
    if model.state != ModelState.READY:
        raise Conflict(f"The model is {model.state}; its card can be read once it is ready. {model.error}")
    if not _has_card(model):
        raise Http404("The model was packaged before models had a card to look at.")
    bundle = path_of(model.bundle)
    check_whole(bundle, model.sha256)
    with zipfile.ZipFile(bundle) as archive:
        return HttpResponse(archive.read(CARD), headers={"Content-Security-Policy": CARD_POLICY})


def _has_card(model: TrainedModel) -> bool:
    return any(file["name"] == CARD for file in model.files)


def _shown(request: SignedInRequest, id: UUID) -> dict[str, Any]:
    model = selectors.get_model(user=request.user, id=id)
    filename = selectors.bundle_filename(model)
    return {
        "model": model,
        "experiment": model.experiment,
        "metric_label": selectors.metric_label(model.experiment),
        "metrics": _metrics(model),
        "tested": bool(model.metrics.get("test")),
        "columns": model.schema.get("columns") or [],
        "filename": filename,
        "has_card": _has_card(model),
        "example": _example_row(model),
        "folder": filename.removesuffix(".zip"),
        "predict_url": request.build_absolute_uri(reverse("api:model-predict", kwargs={"id": model.id})),
        "live": model.state == ModelState.PACKAGING,
        "stamp": stamp_of(model.version, model.state),
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
