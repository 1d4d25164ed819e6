"""On the page of a model: try it by hand, and have whole files predicted."""

from __future__ import annotations

from dataclasses import asdict
from uuid import UUID

from django.conf import settings
from django.contrib import messages
from django.http import HttpResponse, JsonResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from automl.core import storage
from automl.core.downloads import RangeNotSatisfiable, send_file
from automl.core.errors import InvalidInput, TooLarge
from automl.engine.errors import UserError
from automl.experiments import predictions as predicted
from automl.experiments import selectors
from automl.experiments.services import predictions as services
from automl.pages import trained_models
from automl.pages.access import SignedInRequest, by_script, page, status_of, uploaded
from automl.pages.live import fragment
from automl.pages.trained_models import files_of, trial_of

FILE, LEVEL = "file", "level"


@require_POST
@page
def try_row(request: SignedInRequest, id: UUID) -> HttpResponse:
    """Predict the row that was entered: the result alone for a script, else the whole page."""
    model = selectors.get_model(user=request.user, id=id)
    tried = trial_of(model, request.POST)
    if request.headers.get("HX-Request"):
        answer = render(request, "pages/_tried.html", {"tried": tried["tried"], "model": model})
        answer.headers["Cache-Control"] = "no-store"
        return answer
    status = 422 if tried["tried"].get("error") else 200
    context = {**trained_models.shown(request, model), **tried}
    return render(request, "pages/model.html", context, status=status)


@require_POST
@page
def predict_file(request: SignedInRequest, id: UUID) -> HttpResponse:
    """Take a file in and have it predicted; sent by a script with progress, or by the browser itself."""
    model = selectors.get_model(user=request.user, id=id)
    try:
        if getattr(request, "upload_too_large", False):
            raise TooLarge(f"The file is over the limit of {settings.MAX_UPLOAD_BYTES / 2**20:.0f} MB.")
        file = request.FILES.get(FILE)
        if file is None:
            raise InvalidInput({FILE: "Choose a file first."})
        level = _level(request.POST.get(LEVEL, ""))
        prediction = services.request_prediction(model, owner=request.user, file=file, level=level)
    except (UserError, OSError) as problem:
        error = problem if isinstance(problem, UserError) else storage.trouble(problem)
        if error is None:
            raise
        status, _ = status_of(error)
        if by_script(request):
            return JsonResponse({"error": str(error)}, status=status)
        context = {**trained_models.shown(request, model), "file_error": str(error)}
        return render(request, "pages/model.html", context, status=status)
    # A query makes it another address: to the same one with a fragment a browser only scrolls.
    address = reverse("pages:model", args=[model.id]) + f"?sent={prediction.id}#predictions"
    return uploaded(request, address)


def _level(text: str) -> float | None:
    try:
        return float(text) if text else None
    except ValueError:
        raise InvalidInput({LEVEL: f"{text[:40]!r} is not a number. Choose a level of the list."}) from None


@require_safe
@page
def predictions(request: SignedInRequest, id: UUID) -> HttpResponse:
    """The files of a model: polled while one of them waits or runs."""
    model = selectors.get_model(user=request.user, id=id)
    shown = {"model": model, **files_of(model)}
    shown["stamp"] = shown["files_stamp"]
    return fragment(request, "pages/_predictions.html", shown, final=not shown["files_live"])


@require_POST
@page
def remove(request: SignedInRequest, id: UUID) -> HttpResponse:
    """Cancel one that waits or runs, remove one that has ended."""
    prediction = predicted.get_prediction(user=request.user, id=id)
    if services.cancel_prediction(prediction):
        messages.success(request, f"Cancelled the prediction of {prediction.filename}.")
    else:
        services.delete_prediction(prediction)
        messages.success(request, f"Removed {prediction.filename} and its predictions.")
    return redirect(reverse("pages:model", args=[prediction.model_id]) + "#predictions")


@require_safe
@page
def download(request: SignedInRequest, id: UUID) -> HttpResponseBase:
    prediction = predicted.get_prediction(user=request.user, id=id)
    result = predicted.result_of(prediction, request.GET.get("format", "csv"))
    try:
        return send_file(request, **asdict(result))
    except RangeNotSatisfiable as error:
        return HttpResponse(status=416, headers={"Content-Range": f"bytes */{error.size}"})
