"""The buttons that steer a search: plain forms that lead back to it and may be pressed twice."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, cast
from uuid import UUID

from django import forms
from django.conf import settings
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from automl.core.errors import InvalidInput
from automl.engine.trial import TrialState
from automl.experiments import clock, selectors
from automl.experiments.boards import Entry
from automl.experiments.models import Experiment, ExperimentState
from automl.experiments.services import steering
from automl.experiments.states import FINAL
from automl.pages.access import SignedInRequest, page
from automl.pages.forms import ExtensionForm, LimitsForm
from automl.pages.live import fragment, stamp_of
from automl.pages.templatetags.show import seconds

MORE_SECONDS = (60, 300)
AT_WORK_SHOWN = 12
SAME_LIMITS = "these are its limits already"


@require_safe
@page
def limits(request: SignedInRequest, id: UUID) -> HttpResponse:
    """The forms in which something is typed: they are replaced only when a limit or the state changes."""
    found = selectors.get_experiment(user=request.user, id=id)
    shown = limits_of(found)
    context = {"limits": shown, "experiment": found, "stamp": shown["stamp"]}
    return fragment(request, "pages/_limits.html", context, final=found.state in FINAL)


@require_POST
@page
def pause(request: SignedInRequest, id: UUID) -> HttpResponse:
    return _act(
        request, id, steering.pause_experiment, "Paused. The clock stands still, and nothing is lost."
    )


@require_POST
@page
def resume(request: SignedInRequest, id: UUID) -> HttpResponse:
    return _act(request, id, steering.resume_experiment, "The search goes on.")


@require_POST
@page
def stop(request: SignedInRequest, id: UUID) -> HttpResponse:
    return _act(request, id, steering.stop_search, "Stopping: the best so far is kept and packaged.")


@require_POST
@page
def cancel(request: SignedInRequest, id: UUID) -> HttpResponse:
    return _act(request, id, steering.cancel_search, "Cancelled. Trials that had ended are kept.")


@require_POST
@page
def extend(request: SignedInRequest, id: UUID) -> HttpResponse:
    form = ExtensionForm(request.POST)

    def service(found: Experiment) -> bool:
        return steering.extend_to(found, **_limits(form, form.limits))

    return _act(request, id, service, "There is more to search with now.", same=SAME_LIMITS)


@require_POST
@page
def change(request: SignedInRequest, id: UUID) -> HttpResponse:
    form = LimitsForm(request.POST)

    def service(found: Experiment) -> bool:
        return steering.change_experiment(found, cast(steering.Limits, _limits(form, form.changes)))

    return _act(request, id, service, "Saved.", same=SAME_LIMITS)


@require_POST
@page
def skip(request: SignedInRequest, id: UUID) -> HttpResponse:
    trial = selectors.get_trial(user=request.user, id=id)
    name = selectors.trial_name(trial)
    if steering.skip_trial(trial):
        messages.success(request, f"Skipped {name}.")
    else:
        messages.info(request, f"Nothing was changed: {name} was cancelled already.")
    return redirect("pages:experiment", id=trial.experiment_id)


def _act(
    request: SignedInRequest, id: UUID, service: Callable[[Experiment], bool], done: str, *, same: str = ""
) -> HttpResponse:
    found = selectors.get_experiment(user=request.user, id=id)
    try:
        if service(found):
            messages.success(request, done)
        else:
            # Somebody was first, or the button was pressed twice.
            same = same or f"the search is {found.get_state_display().lower()} already"
            messages.info(request, f"Nothing was changed: {same}.")
    except InvalidInput as error:
        messages.error(request, str(error))
    return redirect("pages:experiment", id=id)


def _limits(form: forms.Form, read: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What the form says, or InvalidInput with what is wrong with it."""
    if not form.is_valid():
        raise InvalidInput(
            {
                name: f"{name.replace('_', ' ').capitalize()}: {found[0]}"
                for name, found in form.errors.items()
            }
        )
    return read()


def controls_of(experiment: Experiment) -> dict[str, bool]:
    """Which buttons make sense now."""
    begun = experiment.prepared is not None
    return {
        "can_pause": begun and experiment.state == ExperimentState.RUNNING,
        "can_resume": experiment.state == ExperimentState.PAUSED,
        "can_stop": begun and experiment.state in (ExperimentState.RUNNING, ExperimentState.PAUSED),
        "can_cancel": experiment.state not in FINAL,
    }


def limits_of(experiment: Experiment) -> dict[str, Any]:
    """What the forms below the progress show."""
    ended = experiment.state in steering.ENDED
    budget = experiment.time_budget
    return {
        "ended": ended,
        # What ended by its trials needs more of them, not only time.
        "by_trials": ended and experiment.max_trials is not None,
        "can_extend": experiment.prepared is not None or not ended,
        "more": [
            (seconds(more), f"{budget + more:g}")
            for more in MORE_SECONDS
            if budget + more <= settings.MAX_TIME_BUDGET
        ],
        "since": f"{budget:g}",
        "unspent": round(budget - clock.elapsed(experiment)) if experiment.state in FINAL else 0,
        "stamp": stamp_of(experiment.state, budget, experiment.max_trials, experiment.seats),
    }


def at_work(experiment: Experiment, under_way: Sequence[Entry]) -> dict[str, Any]:
    """The trials that run or wait, each of which can be skipped."""
    now = timezone.now()
    going = sorted(under_way, key=lambda each: each.state)  # what is running comes first
    prepared = experiment.prepared or {"folds": 0, "repeats": 0}
    return {
        "at_work": [{"trial": each, "seconds": _on_seat(each, now)} for each in going[:AT_WORK_SHOWN]],
        "at_work_left_out": max(0, len(going) - AT_WORK_SHOWN),
        "fold_count": prepared["folds"] * prepared["repeats"],
    }


def _on_seat(trial: Entry, now: datetime) -> int | None:
    if trial.state != TrialState.RUNNING or trial.started_at is None:
        return None
    return max(0, int((now - trial.started_at).total_seconds()))
