"""Trials of one experiment, or several experiments, side by side; ties are shown as ties."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from automl.experiments import clock, comparing, selectors
from automl.experiments.models import Diagnosis, DiagnosisState, Ensemble, Experiment, Trial
from automl.experiments.services import diagnoses
from automl.pages.access import SignedInRequest, page
from automl.pages.charts import curve_label, curve_series, off_scale, quality
from automl.pages.charts.figure import Figure
from automl.pages.live import fragment, stamp_of
from automl.pages.templatetags import show

OFFERED = 60
# The best of so many trials owes a part of its lead to luck.
MANY = 10
MOST_EXPERIMENTS = 6
# Two scores that are no further apart than this are the same: the rest is rounding.
SAME = 1e-12
Entry = Trial | Ensemble
Row = tuple[str, list[str], bool]


@require_safe
@page
def trials(request: SignedInRequest, id: UUID) -> HttpResponse:
    experiment = selectors.get_experiment(user=request.user, id=id)
    choice = comparing.chosen_entries(experiment, request.GET.getlist("trial"), offered=OFFERED)
    entries = choice.entries
    context: dict[str, Any] = {
        "experiment": experiment,
        "entries": [_headed(entry) for entry in entries],
        "offered": _offered(choice),
        "metric_label": selectors.metric_label(experiment),
        "most": diagnoses.MOST_COMPARED,
    }
    if len(entries) >= 2:
        context |= {
            "best_of_many": _best_of_many(choice),
            "facts": _facts(experiment, entries),
            "dials": _dials(entries),
            "curves": _curves(entries),
            **_comparison(request, experiment, entries),
        }
    return render(request, "pages/compare.html", context)


@require_safe
@page
def trials_state(request: SignedInRequest, id: UUID) -> HttpResponse:
    experiment = selectors.get_experiment(user=request.user, id=id)
    entries = comparing.chosen_entries(experiment, request.GET.getlist("trial")).entries
    shown = _comparison(request, experiment, entries)
    return fragment(request, "pages/_comparison.html", shown, final=not shown["live"])


@require_POST
@page
def trials_again(request: SignedInRequest, id: UUID) -> HttpResponse:
    experiment = selectors.get_experiment(user=request.user, id=id)
    asked = request.POST.getlist("trial")
    entries = comparing.chosen_entries(experiment, asked).entries
    diagnoses.try_again(diagnoses.request_comparison(experiment, entries))
    query = urlencode([("trial", each) for each in asked])
    return redirect(f"{reverse('pages:compare', args=[id])}?{query}")


@require_safe
@page
def experiments(request: SignedInRequest) -> HttpResponse:
    asked = request.GET.getlist("experiment")[:MOST_EXPERIMENTS]
    chosen, offered = comparing.chosen_experiments(request.user, asked, offered=OFFERED)
    context: dict[str, Any] = {
        "chosen": chosen,
        "offered": [{"experiment": each, "checked": each in chosen} for each in offered],
        "most": MOST_EXPERIMENTS,
    }
    if len(chosen) >= 2:
        ids = [each.id for each in chosen]
        ensembles = selectors.list_ensembles(ids)
        answers = selectors.best_entries(ids, ensembles)
        # Trials are asked for twice: everything of a few answers, and of thousands of others very little.
        went = selectors.courses(ids, ensembles)
        context |= {
            "facts": _settings(chosen, answers, went),
            "history": _histories(chosen, went),
            **_answers(request, chosen, answers),
        }
    return render(request, "pages/compare_experiments.html", context)


@require_safe
@page
def experiments_state(request: SignedInRequest) -> HttpResponse:
    asked = request.GET.getlist("experiment")[:MOST_EXPERIMENTS]
    chosen, _ = comparing.chosen_experiments(request.user, asked)
    ids = [each.id for each in chosen]
    best = selectors.best_entries(ids, selectors.list_ensembles(ids))
    shown = _answers(request, chosen, best)
    return fragment(request, "pages/_comparison.html", shown, final=not shown.get("live"))


def _headed(entry: Entry) -> dict[str, Any]:
    model = getattr(entry, "model", None)
    address = reverse("pages:trial", args=[entry.id]) if isinstance(entry, Trial) else ""
    if not address and model is not None:
        address = reverse("pages:model", args=[model.id])
    return {"id": str(entry.id), "name": selectors.entry_name(entry), "address": address}


def _offered(choice: comparing.Choice) -> list[dict[str, Any]]:
    """The best of the board to choose from, and whatever is chosen already."""
    checked = {entry.id for entry in choice.entries}
    return [
        {
            "id": str(row.id),
            "name": selectors.entry_name(row),
            "value": row.value,
            "checked": row.id in checked,
        }
        for row in choice.offered
    ]


def _best_of_many(choice: comparing.Choice) -> str:
    """The name of the trial among them that is the best of its search, if that tried many."""
    trials = [row for row in choice.offered if isinstance(row, Trial)]
    first = trials[0] if len(trials) >= MANY else None
    return selectors.entry_name(first) if first in choice.entries and first else ""


def _facts(experiment: Experiment, entries: Sequence[Entry]) -> list[Row]:
    label = selectors.metric_label(experiment)
    rows = [
        (label, [show.score(each.value) for each in entries]),
        (
            "95 % interval",
            [f"{show.score(each.value_low)} to {show.score(each.value_high)}" for each in entries],
        ),
        ("Family", [show.family(each.family) if isinstance(each, Trial) else "Ensemble" for each in entries]),
        ("Origin", [show.origin(each.origin) if isinstance(each, Trial) else "ensemble" for each in entries]),
        ("Fit", [show.seconds(each.fit_time) for each in entries]),
        ("Predict, 1,000 rows", [show.seconds(each.predict_time) for each in entries]),
        ("Size", [show.size(each.size) for each in entries]),
    ]
    return [_row(name, values) for name, values in rows]


def _row(name: str, values: list[str]) -> Row:
    return name, values, len(set(values)) > 1


def _dials(entries: Sequence[Entry]) -> list[Row]:
    """Every hyperparameter that any of them has, those that differ first; a dash where one has it not."""
    dials = [entry.hyperparameters if isinstance(entry, Trial) else {} for entry in entries]
    names = list(dict.fromkeys(name for each in dials for name in each))
    rows = [
        _row(show.words(name), [_dial(each[name]) if name in each else show.NOTHING for each in dials])
        for name in names
    ]
    return sorted(rows, key=lambda row: not row[2])


def _dial(value: Any) -> str:
    return show.dial(value) if isinstance(value, bool) else show.learned(value)


def _curves(entries: Sequence[Entry]) -> list[dict[str, Any]]:
    """Validation curves over each other: one drawing for each unit and metric, since others can't be held
    against each other."""
    groups: dict[tuple[str, str], list[tuple[str, Sequence[float], Sequence[float]]]] = {}
    for entry in entries:
        curve = entry.learning_curve if isinstance(entry, Trial) else None
        for series in curve_series(curve):
            if series.kind == "main" and curve:
                key = (str(curve.get("unit") or "rounds"), curve_label(curve))
                groups.setdefault(key, []).append((selectors.entry_name(entry), series.x, series.y))
    return [
        {
            "unit": unit,
            "charts": quality.overlaid(lines, unit.capitalize(), label),
            "hues": [(quality.hue(place), name) for place, (name, _, _) in enumerate(lines)],
            "label": label,
            "rows": [
                (name, at, value)
                for name, xs, ys in lines
                for at, value in quality.points(list(zip(xs, ys, strict=True)))
            ],
        }
        for (unit, label), lines in groups.items()
    ]


def _comparison(request: SignedInRequest, experiment: Experiment, entries: Sequence[Entry]) -> dict[str, Any]:
    query = urlencode([("trial", str(entry.id)) for entry in entries])
    return {
        **_told(diagnoses.request_comparison(experiment, entries), entries),
        "state_address": f"{reverse('pages:compare_state', args=[experiment.id])}?{query}",
        "again_address": reverse("pages:compare_again", args=[experiment.id]),
        "again_fields": [str(entry.id) for entry in entries],
    }


def _told(diagnosis: Diagnosis, entries: Sequence[Entry], names: Sequence[str] = ()) -> dict[str, Any]:
    """A comparison in words, as far as it is there; `names` where those of the entries say too little."""
    names = names or [selectors.entry_name(entry) for entry in entries]
    shown: dict[str, Any] = {
        "diagnosis": diagnosis,
        "live": diagnosis.state == DiagnosisState.COMPUTING,
        "stamp": stamp_of(diagnosis.version, diagnosis.state),
        "names": names,
    }
    if diagnosis.result is not None:
        result = diagnosis.result
        shown |= {
            "result": result,
            "flattered": [
                name
                for name, each in zip(names, result.get("entries", []), strict=False)
                if each.get("flattered")
            ],
            "verdicts": verdicts(result, dict(zip(diagnosis.entries, names, strict=True))),
            "is_number": result["task_type"] == "regression",
            "rows": result["disagreements"]["rows"],
            "columns": result["disagreements"]["columns"][:8],
        }
    return shown


def verdicts(result: Mapping[str, Any], names: Mapping[str, str]) -> list[dict[str, Any]]:
    """Each pair in words, the better one first, with its interval on a scale that all pairs share."""
    reach = max([abs(pair[end] or 0.0) for pair in result["pairs"] for end in ("low", "high")] + [SAME])
    found = []
    for pair in result["pairs"]:
        ahead = pair["gain"] >= 0
        low, high = (pair["low"], pair["high"]) if ahead else (-pair["high"], -pair["low"])
        found.append(
            {
                "better": names[pair["one" if ahead else "other"]],
                "worse": names[pair["other" if ahead else "one"]],
                "tied": pair["tied"],
                "one_of_many": pair["tied"] and not pair.get("tied_alone", True),
                "same": max(abs(low), abs(high)) <= SAME,
                "gain": abs(pair["gain"]),
                "low": low,
                "high": high,
                "said": [show.fixed(value, reach) for value in (abs(pair["gain"]), low, high)],
                "agreement": pair["agreement"],
                "from": round(50 + 50 * low / reach, 1),
                "to": round(50 + 50 * high / reach, 1),
            }
        )
    return found


def _settings(
    chosen: Sequence[Experiment], best: Mapping[UUID, Entry], went: Mapping[UUID, selectors.Course]
) -> list[Row]:
    counts = [went[each.id].counts for each in chosen]
    rows = [
        (
            "Best score",
            [show.score(best[each.id].value) if each.id in best else show.NOTHING for each in chosen],
        ),
        ("By", [selectors.entry_name(best[each.id]) if each.id in best else show.NOTHING for each in chosen]),
        ("Metric", [selectors.metric_label(each) for each in chosen]),
        ("Dataset", [each.dataset.name for each in chosen]),
        (
            "Rows learned from",
            [show.NOTHING if (count := each.rows_learned) is None else f"{count:,}" for each in chosen],
        ),
        ("Target", [each.target for each in chosen]),
        ("State", [each.state for each in chosen]),
        ("Search", [each.get_search_display() for each in chosen]),
        (
            "Families",
            [", ".join(map(show.family, each.families)) if each.families else "all" for each in chosen],
        ),
        ("Time used", [show.seconds(clock.elapsed(each)) for each in chosen]),
        ("Time budget", [show.seconds(each.time_budget) for each in chosen]),
        ("Trials", [f"{count['complete']} of {count.total()}" for count in counts]),
        ("Columns left out", [", ".join(each.ignore_columns) or "none" for each in chosen]),
        ("Seed", [str(each.seed) for each in chosen]),
    ]
    return [_row(name, values) for name, values in rows]


def _histories(chosen: Sequence[Experiment], went: Mapping[UUID, selectors.Course]) -> dict[str, Any]:
    """Best so far over time, over each other, of those that are judged by the same metric as the first."""
    lines: list[tuple[str, list[float], list[float]]] = []
    rows: list[tuple[str, float, float, str]] = []
    for each in chosen:
        history = went[each.id].history if each.metric == chosen[0].metric else []
        history = history[len(off_scale(history)) :]
        if not history:
            continue
        rows += [(each.name, *step) for step in history]
        x: list[float] = []
        y: list[float] = []
        for moment, value, _ in history:
            x += [moment, moment] if y else [moment]
            y += [y[-1], value] if y else [value]
        lines.append((each.name, [*x, max(clock.elapsed(each), x[-1])], [*y, y[-1]]))
    label = selectors.metric_label(chosen[0])
    charts: list[Figure] = quality.overlaid(lines, "Seconds since the start", label) if lines else []
    return {
        "charts": charts,
        "hues": [(quality.hue(place), name) for place, (name, _, _) in enumerate(lines)],
        "rows": rows,
        "label": label,
    }


def _answers(
    request: SignedInRequest, chosen: Sequence[Experiment], best: Mapping[UUID, Entry]
) -> dict[str, Any]:
    """The answers of experiments, paired where that can be done; else why not."""
    why = comparing.why_not_paired(chosen)
    entries = [] if why else [best.get(each.id) for each in chosen]
    if not why and any(entry is None for entry in entries):
        why = "One of them has no complete trial yet."
    if why:
        return {"why_not": why, "live": False, "stamp": "none"}
    there = [entry for entry in entries if entry is not None]
    query = urlencode([("experiment", str(each.id)) for each in chosen])
    names = [
        f"{each.name} ({selectors.entry_name(entry)})" for each, entry in zip(chosen, there, strict=True)
    ]
    told = _told(diagnoses.request_comparison(chosen[0], there), there, names)
    return {**told, "state_address": f"{reverse('pages:compare_experiments_state')}?{query}"}
