from __future__ import annotations

from typing import Any
from uuid import UUID

from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST, require_safe

from automl.engine.evidence import in_range
from automl.engine.importance import BY_POSITION
from automl.engine.space import same_value
from automl.engine.trial import TrialState
from automl.experiments import selectors
from automl.experiments.insight import space_of
from automl.experiments.models import TrainedModel, Trial
from automl.experiments.services import packaging
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
    model = packaging.package_trial(selectors.get_trial(user=request.user, id=id))
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
        "fold_dots": charts.dots(_in_own_unit(trial)),
        "dials": _dials(trial),
        "learned": _figures(trial.learned),
        "ranked": _ranked(trial.learned),
        "based_on": trial.learned.get("based_on", []),
        "curve": charts.learning_curve(trial.learning_curve),
        "curve_table": _curve_table(trial),
        "live": not TrialState(trial.state).is_final,
        "stamp": stamp_of(trial.state, trial.attempt, len(trial.fold_scores)),
    }


def _dials(trial: Trial) -> list[dict[str, Any]]:
    """What was set before training: each dial, where in its range it stands, and what it does."""
    space = space_of(trial.experiment, trial.family)
    rows = []
    for name, value in trial.hyperparameters.items():
        dimension = space.dimensions.get(name) if space else None
        at = in_range(space, name, trial.hyperparameters) if space and dimension else None
        rows.append(
            {
                "name": name,
                "value": value,
                "default": dimension.default if dimension else None,
                "is_default": dimension is not None and same_value(value, dimension.default),
                "effect": dimension.effect if dimension else "",
                "track": charts.track(dimension, at) if dimension and at is not None else None,
            }
        )
    return rows


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


def _figures(learned: dict[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    """What training found but for its lists of columns; nested names are joined by a dot."""
    rows: list[tuple[str, Any]] = []
    for name, value in learned.items():
        if isinstance(value, dict):
            rows += _figures(value, f"{prefix}{name}.")
        elif name not in (*BY_POSITION, "based_on"):
            rows.append((f"{prefix}{name}", value))
    return rows


def _ranked(learned: dict[str, Any]) -> list[dict[str, Any]]:
    """The lists of columns that training found, as bars: what the model uses, or its largest weights."""
    found = []
    for key in BY_POSITION:
        pairs = learned.get(key) or []
        if pairs:
            most = max(abs(float(weight)) for _, weight in pairs) or 1.0
            rows = [(name, weight, charts.bar(abs(float(weight)), most=most)) for name, weight in pairs]
            found.append({"key": key, "rows": rows})
    return found
