from __future__ import annotations

from typing import Any
from uuid import UUID

from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST, require_safe

from automl.engine.trial import TrialState
from automl.experiments import selectors
from automl.experiments.models import TrainedModel, Trial
from automl.experiments.services import results
from automl.pages import charts
from automl.pages.access import SignedInRequest, page
from automl.pages.live import fragment, stamp_of


@require_safe
@page
def trial(request: SignedInRequest, id: UUID) -> HttpResponse:
    return render(request, "pages/trial.html", _shown(selectors.get_trial(user=request.user, id=id)))


@require_safe
@page
def state(request: SignedInRequest, id: UUID) -> HttpResponse:
    shown = _shown(selectors.get_trial(user=request.user, id=id))
    return fragment(request, "pages/_trial.html", shown, final=not shown["live"])


@require_POST
@page
def package(request: SignedInRequest, id: UUID) -> HttpResponse:
    model = results.package_trial(selectors.get_trial(user=request.user, id=id))
    return redirect("pages:model", id=model.id)


def _shown(trial: Trial) -> dict[str, Any]:
    model: TrainedModel | None = getattr(trial, "model", None)
    return {
        "trial": trial,
        "experiment": trial.experiment,
        "name": selectors.trial_name(trial),
        "metric": selectors.metric_of(trial.experiment),
        "metric_label": selectors.metric_label(trial.experiment),
        "model": model,
        "folds": _in_own_unit(trial),
        "learned": _flat(trial.learned),
        "curve": charts.learning_curve(trial.learning_curve),
        "curve_table": _curve_table(trial),
        "live": not TrialState(trial.state).is_final,
        "stamp": stamp_of(trial.state, trial.attempt, len(trial.fold_scores)),
    }


def _curve_table(trial: Trial) -> list[tuple[float, tuple[float, ...]]]:
    """The drawn lines as rows of a table: the round, and the value of each line there."""
    series = charts.curve_series(trial.learning_curve)
    return (
        list(zip(series[0].x, zip(*(each.y for each in series), strict=True), strict=True)) if series else []
    )


def _in_own_unit(trial: Trial) -> list[float]:
    """Fold scores are kept so that higher is better; people read them in the metric's unit."""
    metric = selectors.metric_of(trial.experiment)
    return [metric.score_of(score) if metric else score for score in trial.fold_scores]


def _flat(learned: dict[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    """Names and values of what training found, with nested names joined by a dot."""
    rows: list[tuple[str, Any]] = []
    for name, value in learned.items():
        if isinstance(value, dict):
            rows += _flat(value, f"{prefix}{name}.")
        else:
            rows.append((f"{prefix}{name}", value))
    return rows
