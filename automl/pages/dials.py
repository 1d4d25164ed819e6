"""Tuning by hand: a panel of dials, what they should give, and what they gave."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_safe

from automl.core.errors import InvalidInput
from automl.engine.space import InvalidValue, Space
from automl.engine.trial import Origin, TrialRecord, TrialState
from automl.experiments import selectors
from automl.experiments.forecasts import Expected, Outlook
from automl.experiments.models import Experiment, Trial
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
    return fragment(request, "pages/_mine.html", _mine(found), final=found.state in FINAL)


def _shown(
    request: HttpRequest, outlook: Outlook, context: dict[str, Any], *, status: int = 200
) -> HttpResponse:
    experiment = outlook.experiment
    common = {
        "experiment": experiment,
        "prepared": True,
        "final": experiment.state in FINAL,
        "metric_label": selectors.metric_label(experiment),
        **_mine(experiment),
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
        "best_id": outlook.ids[best.number] if best else None,
        "best_value": outlook.value_of(best.score) if best else None,
        "starts": _starts(outlook, family),
        **expected,
    }
    return _shown(request, outlook, context, status=status)


def _start(outlook: Outlook, text: str) -> TrialRecord | None:
    """The trial to start from; one of another experiment is not there."""
    if not text:
        return None
    number = next((number for number, id in outlook.ids.items() if str(id) == text), None)
    if number is None:
        raise Http404("There is no such trial here.")
    return next(record for record in outlook.records if record.number == number)


def _starts(outlook: Outlook, family: str) -> list[dict[str, Any]]:
    """The family's trials to start from, best first."""
    complete = [r for r in outlook.of(family) if r.state is TrialState.COMPLETE and r.score is not None]
    complete.sort(key=lambda record: (-(record.score or 0.0), record.number))
    return [
        {
            "id": outlook.ids[record.number],
            "number": record.number,
            "value": outlook.value_of(record.score),
            "mine": record.origin is Origin.MANUAL,
        }
        for record in complete[:STARTS_SHOWN]
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
        "half": ((expected.high or 0.0) - (expected.low or 0.0)) / 2 if expected.score else None,
        "same_id": outlook.ids.get(expected.same) if expected.same is not None else None,
        "left": left,
        "too_late": too_late,
        "final": outlook.experiment.state in FINAL,
        "paused": outlook.experiment.state == "paused",
    }


def _best_score(outlook: Outlook) -> float | None:
    scores = [r.score for r in outlook.records if r.state is TrialState.COMPLETE and r.score is not None]
    return max(scores, default=None)


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


def _mine(experiment: Experiment) -> dict[str, Any]:
    """The trials by hand, newest first: what was expected, what came of it."""
    own = experiment.trials.filter(origin=Origin.MANUAL.value).order_by("-number")
    trials = list(own.defer("learning_curve", "learned")[: MINE_SHOWN + 1])
    has_ended = any(trial.state == TrialState.COMPLETE.value for trial in trials)
    best = list(selectors.best_first(experiment.trials).values_list("id", flat=True)[:2]) if has_ended else []
    rows = [
        {
            "trial": trial,
            "name": selectors.trial_name(trial),
            "verdict": _verdict(experiment, trial),
            "leads": trial.id in best[:1],
            "rival": next((id for id in best if id != trial.id), None),
        }
        for trial in trials[:MINE_SHOWN]
    ]
    states = "-".join(f"{trial.number}{trial.state[:2]}{len(trial.fold_scores)}" for trial in trials)
    return {
        "experiment": experiment,
        "mine": rows,
        "mine_more": len(trials) > MINE_SHOWN,
        "metric_label": selectors.metric_label(experiment),
        # Not `live`: without JavaScript the page would load itself anew under what is being typed.
        "polled": experiment.state not in FINAL,
        "stamp": stamp_of("mine", states, *best, experiment.state in FINAL),
    }


def _verdict(experiment: Experiment, trial: Trial) -> str:
    """How the result stands to the band that was predicted."""
    metric, told = selectors.metric_of(experiment), trial.prediction
    if trial.value is None or metric is None or not told or told.get("low") is None:
        return ""
    if told["low"] <= trial.value <= told["high"]:
        return "as expected"
    ahead = metric.score_of(trial.value) > metric.score_of(told["value"])
    return "better than expected" if ahead else "worse than expected"
