"""The search as it goes on: who has the time, what is raced, what was dropped, what comes next."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from statistics import mean
from typing import Any
from uuid import UUID

from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from automl.engine.learners import stacks
from automl.engine.reasons import what_is_next, why_given_up, why_share, why_stacked, why_unsuited
from automl.engine.samplers.allocation import Merit, family_merits
from automl.engine.study import Study
from automl.engine.trial import TrialRecord, TrialState
from automl.experiments import clock, selectors
from automl.experiments.forecasts import predicted_seconds
from automl.experiments.insight import tried_beside
from automl.experiments.models import Experiment
from automl.experiments.records import study_of
from automl.experiments.rows import GOING, PRUNED, TrialRow, read_trials
from automl.experiments.states import FINAL
from automl.pages import charts
from automl.pages.access import SignedInRequest, page
from automl.pages.live import fragment, is_current, stamp_of

# The mark of a race is made by the leaders: by eight of them, and the latest eight trials may not count.
LEADERS_READ = 16
DROPPED_SHOWN = 12
RACED_SHOWN = 40


@require_safe
@page
def search(request: SignedInRequest, id: UUID) -> HttpResponse:
    experiment = selectors.get_experiment(user=request.user, id=id)
    return render(request, "pages/search.html", _shown(experiment))


@require_safe
@page
def shown(request: SignedInRequest, id: UUID) -> HttpResponse:
    experiment = selectors.get_experiment(user=request.user, id=id)
    final = experiment.state in FINAL
    seen = request.GET.get("version", "").startswith(stamp_of(experiment.version, experiment.state))
    # Of a new version all is read anyway; else only a fold may have ended.
    if seen and not final and is_current(request, stamp := _stamp(experiment)):
        return fragment(request, "", {"stamp": stamp}, final=False)
    return fragment(request, "pages/_search.html", _shown(experiment), final=final)


def _stamp(experiment: Experiment) -> str:
    return stamp_of(experiment.version, experiment.state, *selectors.scored_folds(experiment))


def _shown(experiment: Experiment) -> dict[str, Any]:
    final = experiment.state in FINAL
    context: dict[str, Any] = {
        "experiment": experiment,
        "metric": selectors.metric_of(experiment),
        "metric_label": selectors.metric_label(experiment),
        "final": final,
        "live": not final,
    }
    if not experiment.prepared:
        return {**context, "waits": True, "stamp": stamp_of(experiment.version, experiment.state)}
    study = study_of(experiment)
    rows = read_trials(experiment)
    leaders = _leaders(rows)
    history = [_record(row, is_leader=row.number in leaders) for row in rows]
    folds = [len(record.fold_scores) for record in history if record.state is TrialState.RUNNING]
    return {
        **context,
        "stamp": stamp_of(experiment.version, experiment.state, *folds),
        "next": "" if final else what_is_next(study, history, predicted_seconds(experiment, study, rows)),
        "raced": _raced(experiment, study, rows, history),
        **_families(study, rows, history),
        **_dropped(experiment, study, rows, history),
        **_best(experiment, rows),
    }


def _leaders(rows: Sequence[TrialRow]) -> set[int]:
    """The numbers of the best complete trials that can set a mark."""
    complete = [
        row
        for row in rows
        if row.score is not None and row.state == TrialState.COMPLETE.value and not stacks(row.family)
    ]
    complete.sort(key=lambda row: (-(row.score or 0.0), row.number))
    return {row.number for row in complete[:LEADERS_READ]}


def _record(row: TrialRow, *, is_leader: bool) -> TrialRecord:
    """What is dear to parse is parsed where it is asked for: of thousands that have ended it is not."""
    going = row.state in GOING
    return row.record(
        params=going or row.origin == "default", folds=going or is_leader or row.state == PRUNED
    )


def _raced(
    experiment: Experiment, study: Study, rows: Sequence[TrialRow], history: Sequence[TrialRecord]
) -> list[dict[str, Any]]:
    """What runs and waits now, why, and what it has to reach."""
    metric = selectors.metric_of(experiment)
    turn = metric.score_of if metric else float
    found = []
    for row, record in zip(rows, history, strict=True):
        if record.state.is_final:
            continue
        mark = study.mark(record, history) if record.fold_scores else None
        now = mean(record.fold_scores) if record.fold_scores else None
        found.append(
            {
                "id": row.id,
                "name": selectors.name_of(record.family, record.number),
                "state": record.state.value,
                "why": row.reason,
                "folds": len(record.fold_scores),
                "all_folds": study.folds,
                "now": turn(now) if now is not None else None,
                "mark": turn(mark.level - mark.margin) if mark else None,
                "ahead": mark is not None and now is not None and now >= mark.level,
            }
        )
    return found[:RACED_SHOWN]


def _families(study: Study, rows: Sequence[TrialRow], history: Sequence[TrialRecord]) -> dict[str, Any]:
    """Each family's part of the seats so far, what it gets now, and why."""
    keys = [*study.spaces, *tried_beside(study, rows)]
    merits = family_merits(list(study.sound(history)), history)
    spent = dict.fromkeys(keys, 0.0)
    counts: Counter[str] = Counter()
    for row in rows:
        if row.family in spent:
            spent[row.family] += row.seconds
            counts[row.family] += 1
    total = sum(spent.values())
    order = sorted(keys, key=lambda key: (-spent[key], keys.index(key)))
    spells = [
        (row.family, row.ended_after - row.seconds, row.ended_after)
        for row in rows
        if row.ended_after is not None and row.seconds > 0
    ]
    time = charts.shared_time(spells)
    most = max((spent[key] / total if total else 0.0 for key in keys), default=1.0)
    most = max(most, *(merit.share for merit in merits.values())) if merits else 1.0
    return {
        "families": [
            {
                "key": key,
                "trials": counts[key],
                "seconds": spent[key],
                "had": spent[key] / total if total else 0.0,
                "bar": charts.bar(spent[key] / total if total else 0.0, most=most),
                "share": merits[key].share if key in merits else 0.0,
                "why": _why(study, key, merits),
            }
            for key in order
        ],
        "shares": charts.shares_over_time(time, order),
        "shared_by": [key for key in order if spent[key] > 0],
        "shares_table": charts.shares_table(time, [key for key in order if spent[key] > 0]),
        "is_shared": study.search == "auto",
    }


def _why(study: Study, family: str, merits: Mapping[str, Merit]) -> str:
    if family in merits:
        return why_share(merits[family], len(merits))
    if family in study.first_layer:
        return why_given_up()
    return why_stacked(study) if stacks(family) else why_unsuited(study, family)


def _dropped(
    experiment: Experiment, study: Study, rows: Sequence[TrialRow], history: Sequence[TrialRecord]
) -> dict[str, Any]:
    """How many were stopped after which fold, and which were the latest."""
    metric = selectors.metric_of(experiment)
    turn = metric.score_of if metric else float
    ended = [record for record in history if record.state in (TrialState.PRUNED, TrialState.COMPLETE)]
    rungs = Counter(len(r.fold_scores) for r in ended if r.state is TrialState.PRUNED)
    entered, left, table = len(ended), len(ended), []
    for rung in range(1, study.folds + 1):
        count = rungs.get(rung, 0)
        left -= count
        if rung < study.folds:
            table.append(
                {
                    "rung": rung,
                    "dropped": count,
                    "left": left,
                    "bar": charts.bar(left / entered if entered else 0),
                }
            )
    pruned = [
        (row, record)
        for row, record in zip(rows, history, strict=True)
        if record.state is TrialState.PRUNED and record.fold_scores
    ]
    latest = [
        {
            "id": row.id,
            "name": selectors.name_of(record.family, record.number),
            "rung": len(record.fold_scores),
            "at": turn(mean(record.fold_scores)),
        }
        for row, record in reversed(pruned[-DROPPED_SHOWN:])
    ]
    return {
        "rungs": table,
        "entered": entered,
        "finished": left,
        "dropped": len(ended) - left,
        "latest": latest,
        "failed": sum(record.state is TrialState.FAILED for record in history),
    }


def _best(experiment: Experiment, rows: Sequence[TrialRow]) -> dict[str, Any]:
    """Each improvement over time, as `selectors.courses` gives it, from rows that are there already."""
    points: list[tuple[float, float, float, float, str]] = [
        (row.ended_after or 0.0, row.number, row.score, row.value, row.family)
        for row in rows
        if row.score is not None and row.value is not None and row.state == TrialState.COMPLETE.value
    ]
    points += [
        (each.made_after or 0.0, selectors.AFTER_TRIALS, each.score, each.value, each.name)
        for each in experiment.ensembles.all()
    ]
    history = selectors.improvements(points)
    label = selectors.metric_label(experiment)
    return {
        "history": history,
        "best_chart": charts.best_over_time(history, clock.elapsed(experiment), label),
        "off_scale": charts.off_scale(history),
    }
