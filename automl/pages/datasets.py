from __future__ import annotations

from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib import messages
from django.core.files.uploadedfile import UploadedFile
from django.http import Http404, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from automl.core import storage
from automl.core.errors import InvalidInput, StorageUnavailable, TooLarge
from automl.datasets import selectors, services
from automl.datasets.models import Dataset, DatasetState
from automl.engine.errors import UserError
from automl.engine.schema import ColumnKind
from automl.pages import charts
from automl.pages.access import SignedInRequest, by_script, page, status_of, uploaded
from automl.pages.forms import UploadForm
from automl.pages.live import fragment, stamp_of
from automl.pages.paging import page_of

LIST_SIZE = 25
SAMPLE = settings.BASE_DIR / "examples" / "wine_quality_white.csv"
# A table may have thousands of columns; a page of them keeps the form within Django's limits.
COLUMNS_SHOWN = 100
PREVIEW_ROWS = 20
PREVIEW_COLUMNS = 60


@require_safe
@page
def index(request: SignedInRequest) -> HttpResponse:
    datasets = page_of(request, selectors.list_datasets(request.user), LIST_SIZE)
    return render(request, "pages/datasets.html", {"datasets": datasets, **start_context()})


@require_http_methods(["GET", "HEAD", "POST"])
@page
def upload(request: SignedInRequest) -> HttpResponse:
    """The form, and what it sends: by a script with progress, or by the browser itself."""
    if request.method != "POST":
        return render(request, "pages/upload.html", _upload_context(UploadForm()))
    form = UploadForm(request.POST, request.FILES)
    complete = form.is_valid()
    status = 422
    try:
        if getattr(request, "upload_too_large", False):
            raise TooLarge(_over_the_limit())
        if complete:
            dataset = services.create_dataset(
                owner=request.user, file=form.cleaned_data["file"], name=form.cleaned_data["name"]
            )
            return uploaded(request, reverse("pages:dataset", args=[dataset.id]))
    except (UserError, OSError) as problem:
        error = problem if isinstance(problem, UserError) else storage.trouble(problem)
        if error is None:
            raise
        status, _ = status_of(error)
        # An upload that was cut off has no file left: then "required" would be beside the point.
        form.errors.pop("file", None)
        form.add_error("file", str(error))
    if by_script(request):
        text = " ".join(str(message) for found in form.errors.values() for message in found)
        return JsonResponse({"error": text}, status=status)
    return render(request, "pages/upload.html", _upload_context(form), status=status)


@require_POST
@page
def sample(request: SignedInRequest) -> HttpResponse:
    """A table to try the service with, for who has none at hand."""
    if not SAMPLE.is_file():
        raise Http404("This installation has no sample table.")
    with SAMPLE.open("rb") as file:
        upload = UploadedFile(file, name=SAMPLE.name, size=SAMPLE.stat().st_size)
        dataset = services.create_dataset(owner=request.user, file=upload)
    return redirect("pages:dataset", id=dataset.id)


def start_context() -> dict[str, Any]:
    """What the first steps need: the form of an upload, and whether there is a sample."""
    return {**_upload_context(UploadForm()), "sample": SAMPLE.is_file()}


def _upload_context(form: UploadForm) -> dict[str, Any]:
    return {"form": form, "limit": settings.MAX_UPLOAD_BYTES}


def _over_the_limit() -> str:
    return (
        f"The file is over the limit of {settings.MAX_UPLOAD_BYTES / 2**20:.0f} MB. "
        "Compress it with gzip, save it as Parquet, or take a sample of its rows."
    )


@require_safe
@page
def dataset(request: SignedInRequest, id: UUID) -> HttpResponse:
    return _page(request, selectors.get_dataset(user=request.user, id=id))


@require_safe
@page
def state(request: SignedInRequest, id: UUID) -> HttpResponse:
    shown = _shown(request, selectors.get_dataset(user=request.user, id=id), with_table=False)
    if not shown["live"]:
        # The rest of the page has to come too: let the browser fetch it whole.
        answer = HttpResponse(status=200)
        answer.headers["HX-Refresh"] = "true"
        return answer
    return fragment(request, "pages/_dataset_state.html", shown, final=False)


@require_POST
@page
def kinds(request: SignedInRequest, id: UUID) -> HttpResponse:
    """Corrects the kinds on one page of the columns: `kind-3` is that of the column at position 3.

    What is as the page showed it is left alone: it may be somebody else's correction meanwhile.
    """
    dataset = selectors.get_dataset(user=request.user, id=id)
    posted = {}
    for position, column in enumerate(dataset.columns):
        shown = request.POST.get(f"shown-{position}", column["kind"])
        if (kind := request.POST.get(f"kind-{position}", shown)) != shown:
            posted[column["name"]] = kind
    try:
        services.correct_kinds(dataset, posted)
    except InvalidInput as error:
        return _page(request, dataset, errors=error.fields, posted=posted)
    if posted:
        messages.success(request, f"Corrected: {', '.join(posted)}.")
    return redirect(f"{reverse('pages:dataset', args=[id])}?page={request.POST.get('page', 1)}#columns")


@require_http_methods(["GET", "HEAD", "POST"])
@page
def delete(request: SignedInRequest, id: UUID) -> HttpResponse:
    dataset = selectors.get_dataset(user=request.user, id=id)
    if request.method == "POST":
        services.delete_dataset(dataset)
        messages.success(request, f"Deleted {dataset.name}, with its experiments and models.")
        return redirect("pages:datasets")
    context = {
        "title": f"Delete {dataset.name}?",
        "text": "The table, its experiments and their models are removed. This can't be undone.",
        "button": "Delete dataset",
        "back": reverse("pages:dataset", args=[dataset.id]),
    }
    return render(request, "pages/confirm.html", context)


def _page(
    request: SignedInRequest,
    dataset: Dataset,
    *,
    errors: dict[str, str] | None = None,
    posted: dict[str, str] | None = None,
) -> HttpResponse:
    shown = _shown(request, dataset, with_table=True)
    for entry in shown["columns"]:
        entry["error"] = (errors or {}).get(entry["column"]["name"])
        entry["kind"] = (posted or {}).get(entry["column"]["name"], entry["column"]["kind"])
    return render(request, "pages/dataset.html", shown, status=422 if errors else 200)


def _shown(request: SignedInRequest, dataset: Dataset, *, with_table: bool) -> dict[str, Any]:
    ready = dataset.state == DatasetState.READY
    context: dict[str, Any] = {
        "dataset": dataset,
        "live": dataset.state == DatasetState.PROFILING,
        "ready": ready,
        "stamp": stamp_of(dataset.version, dataset.state),
    }
    if not with_table:
        return context
    columns = page_of(request, list(enumerate(dataset.columns)), COLUMNS_SHOWN)
    context["page"] = columns
    context["kinds"] = list(ColumnKind)
    context["columns"] = [_column(dataset, position, column) for position, column in columns]
    if ready:
        context["preview"] = _preview(dataset)
    return context


def _column(dataset: Dataset, position: int, column: dict[str, Any]) -> dict[str, Any]:
    statistics = column.get("statistics") or {}
    return {
        "position": position,
        "column": column,
        "statistics": statistics,
        "top": (statistics.get("top") or [])[:3],
        "histogram": charts.histogram(statistics),
        "missing_share": column["missing"] / dataset.rows if dataset.rows else 0.0,
        "error": None,
    }


def _preview(dataset: Dataset) -> dict[str, Any] | None:
    try:
        names, rows = selectors.preview(dataset, rows=PREVIEW_ROWS)
    except StorageUnavailable:
        return None
    return {
        "names": names[:PREVIEW_COLUMNS],
        "rows": [row[:PREVIEW_COLUMNS] for row in rows],
        "left_out": max(0, len(names) - PREVIEW_COLUMNS),
    }
