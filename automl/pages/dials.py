"""Tuning by hand: a panel of dials, what they should give, and what they gave."""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.db.models import Q
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_safe

from automl.core.errors import InvalidInput
from automl.engine.space import InvalidValue, Space
from automl.engine.trial import Origin, TrialState
from automl.experiments import selectors
from automl.experiments.boards import keeps_rows
from automl.experiments.forecasts import Expected, Outlook
from automl.experiments.models import Experiment
from automl.experiments.rows import TrialRow, read_trials
from automl.experiments.services.by_hand import add_trial
from automl.experiments.states import FINAL
from automl.pages.access import SignedInRequest, page
from automl.pages.live import fragment, stamp_of
from automl.pages.panels import families_of, panel_of, read_dials

MINE_SHOWN = 12
STARTS_SHOWN = 40
SCALE_PAD = 0.12


@require_http_methods(["GET", "HEAD", "POST"])
@page
def dials(request: SignedInRequest, id: UUID) -> HttpResponse:
    found = selectors.get_experiment(user=request.user, id=id)
    if found.prepared is None:
        return render(request, "pages/dials.html", {"experiment": found, "live": found.state not in FINAL})
    outlook = Outlook(found)
    family = str(request.POST.get("family") or request.GET.get("family") or "")
    start = _start(outlook, request.GET.get("trial", ""))
    if start is not None:
        family = start.family
    if family not in outlook.families or not outlook.space(family).dimensions:
        return _shown(request, outlook, {"families": families_of(outlook)})
    space = outlook.space(family)
    values = read_dials(space, request.POST or request.GET)
    if request.method != "POST":
        return _panel(request, outlook, family, {**(space.clip(start.params) if start else {}), **values})
    if "preview" in request.POST:
        return _panel(request, outlook, family, values)
    try:
        space.validate(values)
        trial = add_trial(found, family=family, hyperparameters=values)
    except InvalidValue:
        return _panel(request, outlook, family, values, status=422)
    except InvalidInput as error:
        messages.error(request, str(error))
        return _panel(request, outlook, family, values, status=422)
    messages.success(request, f"{selectors.trial_name(trial)} is on its way. It is on the board as yours.")
    return redirect(reverse("pages:dials", args=[id]) + f"?trial={trial.id}#mine")


@require_safe
@page
def preview(request: SignedInRequest, id: UUID) -> HttpResponse:
    """What the dials should give as they stand; asked for while they are turned."""
    found = selectors.get_experiment(user=request.user, id=id)
    family = request.GET.get("family", "")
    if found.prepared is None:
        raise Http404("There are no dials yet.")
    outlook = Outlook(found)
    if family not in outlook.families:
        raise Http404("There is no such family.")
    context = {
        "experiment": found,
        **_expected(outlook, family, read_dials(outlook.space(family), request.GET)),
    }
    answer = render(request, "pages/_preview.html", context)
    answer.headers["Cache-Control"] = "no-store"
    return answer


@require_safe
@page
def mine(request: SignedInRequest, id: UUID) -> HttpResponse:
    """The trials by hand: polled, and sent only when one of them has moved."""
    found = selectors.get_experiment(user=request.user, id=id)
    leaders = selectors.best_first(found.trials.all()).values("id")[:2]
    rows = read_trials(found, Q(origin=Origin.MANUAL.value) | Q(id__in=leaders))
    return fragment(request, "pages/_mine.html", _mine(found, rows), final=found.state in FINAL)


def _shown(
    request: HttpRequest, outlook: Outlook, context: dict[str, Any], *, status: int = 200
) -> HttpResponse:
    experiment = outlook.experiment
    common = {
        "experiment": experiment,
        "prepared": True,
        "final": experiment.state in FINAL,
        "metric_label": selectors.metric_label(experiment),
        **_mine(experiment, outlook.rows),
    }
    return render(request, "pages/dials.html", {**common, **context}, status=status)


def _panel(
    request: HttpRequest, outlook: Outlook, family: str, values: Mapping[str, Any], *, status: int = 200
) -> HttpResponse:
    space, best = outlook.space(family), outlook.best(family)
    expected = _expected(outlook, family, values)
    context = {
        "family": family,
        "families": families_of(outlook, family),
        "dials": panel_of(
            family, space, values, best=best.params if best else None, errors=expected["errors"]
        ),
        "best": best,
        "best_value": outlook.value_of(best.score) if best else None,
        "starts": _starts(outlook, family),
        **expected,
    }
    return _shown(request, outlook, context, status=status)


def _start(outlook: Outlook, text: str) -> TrialRow | None:
    """The trial to start from; one of another experiment is not there."""
    if not text:
        return None
    try:
        wanted = UUID(text).hex
    except ValueError:
        wanted = ""
    found = next((row for row in outlook.rows if row.key.replace("-", "") == wanted), None)
    if found is None:
        raise Http404("There is no such trial here.")
    return found


def _starts(outlook: Outlook, family: str) -> list[dict[str, Any]]:
    """The family's trials to start from, best first."""
    complete = [row for row in outlook.of(family) if row.is_complete]
    complete.sort(key=lambda row: (-(row.score or 0.0), row.number))
    return [
        {
            "id": row.id,
            "number": row.number,
            "value": outlook.value_of(row.score),
            "mine": row.origin == Origin.MANUAL.value,
        }
        for row in complete[:STARTS_SHOWN]
    ]


def _expected(outlook: Outlook, family: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """What the preview shows: the expectation, or what is wrong with a value."""
    space: Space = outlook.space(family)
    try:
        params = space.validate(values)
    except InvalidValue as error:
        return {"errors": {error.field: str(error)}, "expected": None}
    expected = outlook.forecast(family, params)
    best = _best_score(outlook)
    left = outlook.time_left()
    too_late = left is not None and expected.starts_in + expected.seconds > left
    return {
        "errors": {},
        "expected": expected,
        "trials": expected.score.trials if expected.score else 0,
        "known": len(outlook.of(family)),
        "top": outlook.value_of(best),
        "chances": _chances(outlook, expected, best),
        "scale": _scale(expected, outlook.value_of(best)),
        "half": _half(expected),
        "left": left,
        "too_late": too_late,
        "final": outlook.experiment.state in FINAL,
        "paused": outlook.experiment.state == "paused",
    }


def _half(expected: Expected) -> float | None:
    """Half of the band, where it lies about evenly around the value."""
    if expected.value is None or expected.low is None or expected.high is None:
        return None
    below, above = expected.value - expected.low, expected.high - expected.value
    return (below + above) / 2 if max(below, above) <= 1.5 * min(below, above) else None


def _best_score(outlook: Outlook) -> float | None:
    return max((row.score or 0.0 for row in outlook.rows if row.is_complete), default=None)


def _chances(outlook: Outlook, expected: Expected, best: float | None) -> str:
    if expected.score is None or best is None:
        return ""
    if expected.score.low > best:
        return "likely"
    return "unlikely" if expected.score.high < best else "may"


def _scale(expected: Expected, top: float | None) -> dict[str, float] | None:
    """Where the band and the best stand on a line, in per cent of its width."""
    if expected.value is None or expected.low is None or expected.high is None:
        return None
    known = [expected.low, expected.high, *([top] if top is not None else [])]
    low, high = min(known), max(known)
    pad = ((high - low) or abs(high) or 1.0) * SCALE_PAD
    low, high = low - pad, high + pad

    def at(value: float) -> float:
        return round(100 * (value - low) / (high - low), 2)

    found = {
        "low": at(expected.low),
        "value": at(expected.value),
        "width": round(at(expected.high) - at(expected.low), 2),
    }
    return {**found, "top": at(top)} if top is not None else found


def _leaders(rows: Sequence[TrialRow]) -> list[TrialRow]:
    """The two best, those that can't be handed out after all others: as `selectors.best_first` has them."""
    complete = [row for row in rows if row.state == TrialState.COMPLETE.value]
    return heapq.nsmallest(
        2, complete, key=lambda row: (keeps_rows(row.family), -(row.score or 0.0), row.number)
    )


def _mine(experiment: Experiment, rows: Sequence[TrialRow]) -> dict[str, Any]:
    """The trials by hand, newest first: what was expected, what came of it."""
    own = [row for row in rows if row.origin == Origin.MANUAL.value]
    latest = own[: -MINE_SHOWN - 1 : -1]
    folds = [len(row.folds) for row in latest]
    states = "-".join(f"{row.number}{row.state[:2]}{count}" for row, count in zip(latest, folds, strict=True))
    leaders = [row.id for row in _leaders(rows)]
    return {
        "experiment": experiment,
        "mine": [
            {
                "id": row.id,
                "name": selectors.name_of(row.family, row.number),
                "state": row.state,
                "folds": count,
                "told": row.predicted,
                "value": row.value,
                "seconds": row.seconds,
                "error": row.error,
                "verdict": _verdict(experiment, row),
                "leads": row.id in leaders[:1],
                "rival": next((id for id in leaders if id != row.id), None),
            }
            for row, count in zip(latest, folds, strict=True)
        ],
        "mine_more": len(own) > MINE_SHOWN,
        "metric_label": selectors.metric_label(experiment),
        # Not `live`: without JavaScript the page would load itself anew under what is being typed.
        "polled": experiment.state not in FINAL,
        "stamp": stamp_of("mine", len(own), states, *leaders, experiment.state in FINAL),
    }


def _verdict(experiment: Experiment, row: TrialRow) -> str:
    """How the result stands to the band that was predicted."""
    metric, told = selectors.metric_of(experiment), row.predicted
    if row.value is None or metric is None or told.get("low") is None:
        return ""
    if told["low"] <= row.value <= told["high"]:
        return "as expected"
    ahead = metric.score_of(row.value) > metric.score_of(told["value"])
    return "better than expected" if ahead else "worse than expected"
