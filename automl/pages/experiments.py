from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_safe

from automl.core.errors import Conflict, InvalidInput
from automl.core.health import live_workers
from automl.datasets import selectors as datasets
from automl.datasets.models import DatasetState
from automl.experiments import clock, selectors
from automl.experiments.boards import Entry, Glance, known_glance, read_board, read_glance
from automl.experiments.models import Experiment, Phase
from automl.experiments.services import lifecycle
from automl.experiments.states import FINAL
from automl.pages.access import SignedInRequest, page
from automl.pages.boards import BoardQuery, board_of, board_stamp
from automl.pages.datasets import start_context
from automl.pages.forms import ExperimentForm
from automl.pages.live import fragment, is_current, stamp_of
from automl.pages.paging import page_of
from automl.pages.steering import at_work, controls_of, limits_of
from automl.pages.templatetags.show import seconds

LIST_SIZE = 25
HOME_SIZE = 5


@require_safe
@page
def home(request: SignedInRequest) -> HttpResponse:
    context = {
        "datasets": datasets.list_datasets(request.user)[:HOME_SIZE],
        "experiments": _with_best(selectors.list_experiments(request.user)[:HOME_SIZE]),
        **start_context(),
    }
    return render(request, "pages/home.html", context)


@require_safe
@page
def index(request: SignedInRequest) -> HttpResponse:
    shown = page_of(request, selectors.list_experiments(request.user), LIST_SIZE)
    context = {"page": shown, "experiments": _with_best(shown.object_list)}
    return render(request, "pages/experiments.html", context)


def _with_best(experiments: Iterable[Experiment]) -> list[tuple[Experiment, float | None]]:
    """Each experiment, and the score of its answer so far in the metric's own unit."""
    found = list(experiments)
    rows = selectors.best_rows([experiment.id for experiment in found])
    return [(each, rows[each.id].score if each.id in rows else None) for each in found]


@require_http_methods(["GET", "HEAD", "POST"])
@page
def new(request: SignedInRequest, id: UUID) -> HttpResponse:
    dataset = datasets.get_dataset(user=request.user, id=id)
    if dataset.state != DatasetState.READY:
        raise Conflict(f"The dataset is {dataset.state}; an experiment needs one that is ready.")
    form = ExperimentForm(
        request.POST if request.method == "POST" else None, dataset=dataset, user=request.user
    )
    if request.method == "POST" and form.is_valid():
        try:
            made = lifecycle.create_experiment(owner=request.user, request=form.request())
            return redirect("pages:experiment", id=made.id)
        except InvalidInput as error:
            form.refuse(error.fields)
    status = 422 if request.method == "POST" else 200
    return render(request, "pages/new_experiment.html", {"dataset": dataset, "form": form}, status=status)


@require_safe
@page
def experiment(request: SignedInRequest, id: UUID) -> HttpResponse:
    found = selectors.get_experiment(user=request.user, id=id)
    query = BoardQuery.of(request)
    board = read_board(found, opened=query.opened)
    context = {
        **_progress(found, board.glance, board.under_way),
        "board": board_of(board, query),
        "limits": limits_of(found),
    }
    return render(request, "pages/experiment.html", context)


@require_safe
@page
def progress(request: SignedInRequest, id: UUID) -> HttpResponse:
    """What moves with the clock: polled every second, and all trials are read only for a new version."""
    found = selectors.get_experiment(user=request.user, id=id)
    final = found.state in FINAL
    known = known_glance(found)
    if not final and (known or not found.max_trials):
        stamp = _progress_stamp(found, known.counts if known else None)
        if is_current(request, stamp):
            return fragment(request, "", {"stamp": stamp}, final=False)
    return fragment(request, "pages/_progress.html", _progress(found, *read_glance(found)), final=final)


@require_safe
@page
def board(request: SignedInRequest, id: UUID) -> HttpResponse:
    """What moves with the trials: read only when the experiment's version has risen."""
    found = selectors.get_experiment(user=request.user, id=id)
    final = found.state in FINAL
    query = BoardQuery.of(request)
    if not final and is_current(request, stamp := board_stamp(found, query)):
        return fragment(request, "", {"stamp": stamp}, final=False)
    shown = board_of(read_board(found, opened=query.opened), query)
    return fragment(request, "pages/_board.html", {"board": shown, "stamp": shown["stamp"]}, final=final)


@require_http_methods(["GET", "HEAD", "POST"])
@page
def delete(request: SignedInRequest, id: UUID) -> HttpResponse:
    found = selectors.get_experiment(user=request.user, id=id)
    if request.method == "POST":
        lifecycle.delete_experiment(found)
        messages.success(request, f"Deleted {found.name}.")
        return redirect("pages:experiments")
    context = {
        "title": f"Delete {found.name}?",
        "text": "Its trials and models are removed; the dataset stays. This can't be undone.",
        "button": "Delete experiment",
        "back": reverse("pages:experiment", args=[found.id]),
    }
    return render(request, "pages/confirm.html", context)


def _progress(experiment: Experiment, glance: Glance, under_way: Sequence[Entry]) -> dict[str, Any]:
    spent = clock.elapsed(experiment)
    final = experiment.state in FINAL
    answer = glance.answer
    return {
        "experiment": experiment,
        "counts": glance.counts,
        "share": selectors.progress(experiment, glance.counts),
        "elapsed": spent,
        "left": _left(experiment, spent),
        "best": answer,
        "beaten": [
            (words, entry)
            for words, entry in (("best default", glance.best_default), ("baseline", glance.baseline))
            if entry and answer and entry.id != answer.id
        ],
        "ties": glance.ties,
        "best_model": glance.best_model,
        "metric": selectors.metric_of(experiment),
        "metric_label": selectors.metric_label(experiment),
        "final": final,
        "live": not final,
        **controls_of(experiment),
        **at_work(experiment, under_way),
        "no_workers": not final and not live_workers().exists(),
        "stamp": _progress_stamp(experiment, glance.counts),
    }


def _progress_stamp(experiment: Experiment, counts: dict[str, int] | None) -> str:
    share = selectors.progress(experiment, counts)
    left = _left(experiment, clock.elapsed(experiment))
    return stamp_of(experiment.version, experiment.state, round(share * 100), left)


def _left(experiment: Experiment, spent: float) -> str:
    """Only the search runs against the clock; what follows takes as long as it takes."""
    left = round(experiment.time_budget - spent)
    return seconds(left) if experiment.phase == Phase.SEARCHING and left > 0 else ""
