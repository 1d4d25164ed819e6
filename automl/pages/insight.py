"""What mattered: the dials of a family, and whether tuning was worth it."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from automl.engine.learners import get_learner
from automl.engine.metrics import Metric
from automl.engine.space import Space
from automl.engine.trial import TrialRecord
from automl.experiments import insight as insights
from automl.experiments import selectors
from automl.experiments.insight import FamilyInsight
from automl.experiments.models import Experiment
from automl.experiments.records import profile_of
from automl.experiments.states import FINAL
from automl.pages import charts
from automl.pages.access import SignedInRequest, page
from automl.pages.live import fragment, is_current, stamp_of


@require_safe
@page
def insight(request: SignedInRequest, id: UUID) -> HttpResponse:
    """The frame only: what is in it takes longer, and comes by itself."""
    experiment = selectors.get_experiment(user=request.user, id=id)
    asked = request.GET.get("family", "")
    context: dict[str, Any] = {"experiment": experiment, "asked": asked, "live_insight": True}
    if "drawn" in request.GET:
        context.update(_shown(experiment, asked), drawn=True)
    return render(request, "pages/insight.html", context)


@require_safe
@page
def shown(request: SignedInRequest, id: UUID) -> HttpResponse:
    experiment = selectors.get_experiment(user=request.user, id=id)
    family, final = request.GET.get("family", ""), experiment.state in FINAL
    # What is found is kept for a while; to draw it takes longer than to see that it is drawn already.
    stamp = _stamp(experiment, insights.family_insight(experiment, family))
    if not final and is_current(request, stamp):
        return fragment(request, "", {"stamp": stamp}, final=False)
    return fragment(request, "pages/_insight.html", _shown(experiment, family), final=final)


@require_safe
@page
def worth(request: SignedInRequest, id: UUID) -> HttpResponse:
    """The card on the experiment's page."""
    experiment = selectors.get_experiment(user=request.user, id=id)
    found = insights.worth_of(experiment)
    metric = selectors.metric_of(experiment)
    turn = metric.score_of if metric else float
    context = {
        "experiment": experiment,
        "metric": metric,
        "metric_label": selectors.metric_label(experiment),
        "found": found.worth,
        "default": found.default,
        "tuned": found.tuned,
        "ensemble": found.ensemble,
        "default_value": turn(found.worth.default.score or 0.0) if found.worth.default else None,
        "tuned_value": turn(found.worth.tuned.score or 0.0) if found.worth.tuned else None,
        "has_ended": experiment.state in FINAL,
        "stamp": stamp_of("worth", found.worth.default_trials, found.worth.tuned_trials, experiment.state),
    }
    return fragment(request, "pages/_worth.html", context, final=experiment.state in FINAL)


def _shown(experiment: Experiment, family: str) -> dict[str, Any]:
    found = insights.family_insight(experiment, family)
    context: dict[str, Any] = {
        "experiment": experiment,
        "metric": selectors.metric_of(experiment),
        "metric_label": selectors.metric_label(experiment),
        "found": found,
        "live": experiment.state not in FINAL,
        "stamp": _stamp(experiment, found),
    }
    if found is not None:
        context.update(_drawn(experiment, found, get_learner(found.family).space(profile_of(experiment))))
    return context


def _stamp(experiment: Experiment, found: FamilyInsight | None) -> str:
    return stamp_of(found.family, found.trials, experiment.state) if found else "none"


def _drawn(experiment: Experiment, found: FamilyInsight, space: Space) -> dict[str, Any]:
    metric = selectors.metric_of(experiment)
    label = selectors.metric_label(experiment)
    most = max((dial.high for dial in found.importance.dials), default=1.0)
    order = [each.name for each in found.responses]
    cells = charts.pair_cells(space, found.pair, found.pair_points) if found.pair else None
    return {
        "importance": [
            {
                "dial": dial,
                "bar": charts.bar(dial.share, dial.low, dial.high, most=most),
                "effect": space.dimensions[dial.name].effect,
            }
            for dial in found.importance.dials
        ],
        "responses": [
            {
                "found": each,
                "chart": charts.response_chart(each, space.dimensions[each.name], metric, label),
                "rows": _table(each, metric),
            }
            for each in found.responses
        ],
        "pair": charts.pair_chart(space, found.pair, found.pair_points) if found.pair else None,
        "cells": _in_own_unit(cells, metric) if cells else None,
        "parallel": charts.parallel_chart(space, order, found.best),
        "best_names": order,
        "best": [
            (record, _value(record, metric), [record.params.get(name) for name in order])
            for record in found.best
        ],
        "best_count": len(found.best),
    }


def _table(found: Any, metric: Metric | None) -> list[tuple[Any, float, int]]:
    """Some steps of the curve as rows: the value, the mean score there, the trials near it."""
    known = [step for step in found.curve if step.mean is not None]
    step = max(1, len(known) // 10)
    turn = metric.score_of if metric else float
    return [(each.value, turn(each.mean), each.trials) for each in known[::step]]


def _in_own_unit(cells: charts.Cells, metric: Metric | None) -> charts.Cells:
    turn = metric.score_of if metric else float
    return charts.Cells(
        cells.columns,
        tuple(
            (label, tuple((turn(mean) if mean is not None else None, count) for mean, count in row))
            for label, row in cells.rows
        ),
    )


def _value(record: TrialRecord, metric: Metric | None) -> float:
    score = record.score or 0.0
    return metric.score_of(score) if metric else score
