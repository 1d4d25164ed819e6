"""Sweeps: values chosen for one or more dials, how long they will take, and the response as it fills in."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib import messages
from django.db.models import Q
from django.http import Http404, HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_safe

from automl.core.errors import InvalidInput
from automl.engine.glossary import guide
from automl.engine.samplers.base import signature
from automl.engine.space import Choice, Dimension
from automl.engine.sweeping import spread_values
from automl.experiments import kept, selectors
from automl.experiments.forecasts import Outlook
from automl.experiments.models import Sweep
from automl.experiments.rows import read_trials
from automl.experiments.services.by_hand import add_sweep, grid_of
from automl.experiments.states import FINAL
from automl.pages.access import SignedInRequest, page
from automl.pages.live import fragment, is_current
from automl.pages.panels import Dial, decoded, families_of, label_of, panel_of
from automl.pages.sweep_responses import response_of, unused_dials

SWEEPS_SHOWN = 20
STEPS = 5
SPACINGS = (("log", "by factor"), ("linear", "even steps"), ("list", "a list"))


@dataclass(frozen=True, slots=True)
class Swept:
    """A dial as the builder shows it, with what was asked for."""

    dial: Dial
    on: bool
    spacing: str
    low: str
    high: str
    steps: str
    values: str
    picked: tuple[str, ...]
    error: str


@require_http_methods(["GET", "HEAD", "POST"])
@page
def sweeps(request: SignedInRequest, id: UUID) -> HttpResponse:
    found = selectors.get_experiment(user=request.user, id=id)
    if found.prepared is None:
        return render(request, "pages/sweeps.html", {"experiment": found, "live": found.state not in FINAL})
    outlook = Outlook(found)
    form = request.POST if request.method == "POST" else request.GET
    family = form.get("family", "")
    if not _is_offered(outlook, family):
        return _shown(request, outlook, {"families": families_of(outlook)})
    if request.method != "POST" or "count" in request.POST:
        return _builder(request, outlook, family, form)
    grid, base, errors = _read(outlook, family, form)
    if not errors:
        try:
            added = add_sweep(found, family=family, grid=grid, base=base)
        except InvalidInput as error:
            errors = error.fields
        else:
            messages.success(request, _told(len(added.trials), added.sweep.skipped))
            return redirect(reverse("pages:sweeps", args=[id]) + f"?sweep={added.sweep.id}#response")
    return _builder(request, outlook, family, form, errors=errors, status=422)


@require_safe
@page
def count(request: SignedInRequest, id: UUID) -> HttpResponse:
    """How many trials the sweep would be and how long it would take; asked for while it is put together."""
    found = selectors.get_experiment(user=request.user, id=id)
    if found.prepared is None:
        raise Http404("There are no dials yet.")
    outlook = Outlook(found)
    family = request.GET.get("family", "")
    if not _is_offered(outlook, family):
        raise Http404("There is no such family.")
    context = {"experiment": found, **_counted(outlook, family, request.GET)}
    answer = render(request, "pages/_sweep_count.html", context)
    answer.headers["Cache-Control"] = "no-store"
    return answer


@require_safe
@page
def response(request: SignedInRequest, id: UUID, sweep: UUID) -> HttpResponse:
    """What a sweep has found so far: polled, and sent only when one of its trials has moved."""
    found = selectors.get_experiment(user=request.user, id=id)
    chosen = _among(found.sweeps.filter(id=sweep), str(sweep))
    # Of a version of the experiment that was looked at before it is known what it shows.
    stamp = kept.recall(found, f"sweep:{sweep}")
    if stamp is not None and is_current(request, stamp):
        return fragment(request, "", {"stamp": stamp}, final=False)
    shown = response_of(found, chosen, read_trials(found, Q(family=chosen.family)))
    final = found.state in FINAL or shown["done"]
    if not final:
        kept.keep(found, f"sweep:{sweep}", shown["stamp"])
    return fragment(request, "pages/_sweep.html", shown, final=final)


def _is_offered(outlook: Outlook, family: str) -> bool:
    return family in outlook.families and bool(outlook.space(family).dimensions)


def _among(sweeps: Iterable[Sweep], id: str) -> Sweep:
    for each in sweeps:
        if str(each.id) == id:
            return each
    raise Http404("There is no such sweep.")


def _told(added: int, skipped: int) -> str:
    if not added:
        return "All of these had been tried before; nothing was added."
    before = f" {skipped} had been tried before." if skipped else ""
    return f"{added} {'trial is' if added == 1 else 'trials are'} on their way.{before}"


def _shown(
    request: HttpRequest, outlook: Outlook, context: dict[str, Any], *, status: int = 200
) -> HttpResponse:
    found = outlook.experiment
    every = list(found.sweeps.order_by("-created_at", "id"))
    listed = every[:SWEEPS_SHOWN]
    asked = request.GET.get("sweep", "")
    chosen = _among(every, asked) if asked else None
    if chosen is None and listed and not context.get("family"):
        chosen = listed[0]
    common: dict[str, Any] = {
        "experiment": found,
        "prepared": True,
        "final": found.state in FINAL,
        "metric_label": selectors.metric_label(found),
        "sweeps": [{"sweep": each, "by": _by(outlook, each), "chosen": each == chosen} for each in listed],
    }
    if chosen is not None:
        common.update(response_of(found, chosen, outlook.of(chosen.family)))
    # Without JavaScript the page loads itself anew, but not under a form that is being filled in.
    common["live"] = common.get("polled", False) and "family" not in context
    return render(request, "pages/sweeps.html", {**common, **context}, status=status)


def _by(outlook: Outlook, sweep: Sweep) -> str:
    """The dials of a sweep, for people."""
    space = outlook.space(sweep.family)
    parts = [
        f"{guide(sweep.family, name, space.dimensions[name]).label.lower()} ({len(values)})"
        for name, values in sweep.grid.items()
    ]
    return " and ".join(parts)


def _builder(
    request: HttpRequest,
    outlook: Outlook,
    family: str,
    form: QueryDict,
    *,
    errors: Mapping[str, str] | None = None,
    status: int = 200,
) -> HttpResponse:
    best = outlook.best(family)
    panel = panel_of(family, outlook.space(family), {}, best=best.params if best else None)
    errors = errors or {}
    context = {
        "family": family,
        "families": families_of(outlook, family),
        "swept": [_swept(dial, form, errors.get(dial.name, "")) for dial in panel],
        "others": form.get("others", "best" if best else "default"),
        "best": best,
        "best_value": outlook.value_of(best.score) if best else None,
        "spacings": SPACINGS,
        "refused": " ".join(errors[name] for name in ("grid", "base", "family") if name in errors),
        **_counted(outlook, family, form),
    }
    return _shown(request, outlook, context, status=status)


def _swept(dial: Dial, form: QueryDict, error: str) -> Swept:
    def said(part: str, default: str) -> str:
        return form.get(f"{dial.name}.{part}", default)

    return Swept(
        dial,
        on=dial.name in form.getlist("on"),
        spacing=said("spacing", "log" if dial.log else "linear"),
        low=said("low", dial.low),
        high=said("high", dial.high),
        steps=said("steps", str(STEPS)),
        values=said("values", ""),
        picked=tuple(form.getlist(f"{dial.name}.pick")) or tuple(each.value for each in dial.options),
        error=error,
    )


def _read(
    outlook: Outlook, family: str, form: QueryDict
) -> tuple[dict[str, list[Any]], dict[str, Any], dict[str, str]]:
    """The grid and the other dials that a form asks for, and what is wrong with it by dial."""
    space = outlook.space(family)
    grid: dict[str, list[Any]] = {}
    errors: dict[str, str] = {}
    for name in form.getlist("on"):
        if (dimension := space.dimensions.get(name)) is None:
            continue
        try:
            grid[name] = _values(dimension, name, form)
        except ValueError as error:
            errors[name] = str(error)
    if not grid and not errors:
        errors["grid"] = "Tick at least one dial."
    best = outlook.best(family)
    base = {}
    if best is not None and form.get("others") == "best":
        base = {name: value for name, value in space.clip(best.params).items() if name not in grid}
    return grid, base, errors


def _values(dimension: Dimension, name: str, form: QueryDict) -> list[Any]:
    """The values of one dial, or ValueError with what is wrong."""
    if isinstance(dimension, Choice):
        picked = form.getlist(f"{name}.pick")
        if not picked:
            raise ValueError("Tick at least one of its values.")
        return [decoded(dimension, text) for text in picked]
    spacing = form.get(f"{name}.spacing", "linear")
    if spacing == "list":
        texts = form.get(f"{name}.values", "").replace(";", " ").replace(",", " ").split()
        if not texts:
            raise ValueError("Write the values, such as 0.01, 0.1.")
        return [decoded(dimension, text) for text in texts]
    numbers = {}
    for part in ("low", "high", "steps"):
        text = form.get(f"{name}.{part}", "")
        try:
            numbers[part] = float(text)
        except ValueError:
            numbers[part] = math.nan
        if not math.isfinite(numbers[part]):
            raise ValueError(f"Fill in from, to and steps with numbers; {text[:40]!r} is none.")
    steps = int(min(max(numbers["steps"], 0), settings.MAX_SWEEP + 1))
    return list(
        spread_values(
            dimension,
            spacing="log" if spacing == "log" else "linear",
            low=numbers["low"],
            high=numbers["high"],
            steps=steps,
        )
    )


def _counted(outlook: Outlook, family: str, form: QueryDict) -> dict[str, Any]:
    """What is known before the sweep is begun."""
    grid, base, errors = _read(outlook, family, form)
    if errors:
        return {"count_error": "" if "grid" in errors else " ".join(errors.values()), "combos": 0}
    try:
        found = grid_of(outlook.experiment, family=family, grid=grid, base=base)
    except InvalidInput as error:
        return {"count_error": str(error), "combos": 0}
    there = {signature(family, row.params) for row in outlook.of(family) if row.would_tell_nothing_new}
    new = [params for params in found if signature(family, params) not in there]
    time = outlook.seconds_of(family, new) if new else 0.0
    left = outlook.time_left()
    return {
        "count_error": "",
        "combos": len(found),
        "combos_new": len(new),
        "combos_before": len(found) - len(new),
        "combos_unused": unused_dials(family, outlook.space(family), grid, found),
        "combos_seconds": time,
        "combos_left": left,
        "combos_late": left is not None and bool(new) and time > left,
        "combos_grid": [(name, [label_of(value) for value in values]) for name, values in grid.items()],
        "ended": outlook.experiment.state in FINAL,
    }
