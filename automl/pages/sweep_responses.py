"""What a sweep has found: its combinations with what became of each, drawn as a curve or a map of heat."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from automl.engine.glossary import guide
from automl.engine.learners import get_learner
from automl.engine.samplers.base import signature
from automl.engine.space import Choice, Space
from automl.engine.sweeping import combinations
from automl.experiments import selectors
from automl.experiments.models import Experiment, Sweep
from automl.experiments.records import profile_of
from automl.experiments.rows import GOING, TrialRow
from automl.experiments.states import FINAL
from automl.pages import charts
from automl.pages.live import stamp_of
from automl.pages.panels import label_of
from automl.pages.templatetags.show import NOTHING

# Where the values of others leave a dial out of use.
UNUSED = "not in use"


def response_of(experiment: Experiment, sweep: Sweep, trials: Sequence[TrialRow]) -> dict[str, Any]:
    """The combinations of a sweep with what became of each; `trials` are those of its family."""
    space = _space(experiment, sweep)
    metric = selectors.metric_of(experiment)
    entries = _entries(sweep, space, trials)
    done = [each for each in entries if each["value"] is not None]
    best = max(done, key=lambda each: each["score"], default=None)
    going = sum(1 for each in entries if each["state"] in GOING)
    names = [name for name, values in sweep.grid.items() if len(values) > 1] or list(sweep.grid)
    labels = {name: guide(sweep.family, name, space.dimensions[name]).label for name in sweep.grid}
    drawn: dict[str, Any] = {}
    if len(names) == 1:
        drawn["curve"] = charts.response_curve(
            space.dimensions[names[0]],
            [(each["params"].get(names[0]), each["value"], each["low"], each["high"]) for each in entries],
            x_label=labels[names[0]],
            y_label=selectors.metric_label(experiment),
        )
    else:
        rows, across = sorted(names, key=lambda name: (len(sweep.grid[name]), -names.index(name)))[-2:]
        drawn["heat"] = charts.heat_map(
            entries,
            rows=(rows, _steps(space, sweep, rows, entries)),
            across=(across, _steps(space, sweep, across, entries)),
            labels=labels,
        )
        drawn["heat_over"] = [labels[name] for name in names if name not in (rows, across)]
    return {
        "experiment": experiment,
        "sweep": sweep,
        "entries": sorted(entries, key=lambda each: each["place"]),
        "sweep_labels": list(labels.values()),
        "sweep_best": best,
        "sweep_unused": unused_dials(sweep.family, space, sweep.grid, [each["params"] for each in entries]),
        "sweep_done": len(entries) - going,
        "sweep_size": len(entries),
        "going": going,
        "done": not going,
        "better_is": "higher" if metric is None or metric.higher_is_better else "lower",
        "metric_label": selectors.metric_label(experiment),
        "polled": bool(going) and experiment.state not in FINAL,
        "stamp": stamp_of("sweep", *_states(entries), experiment.state in FINAL),
        **drawn,
    }


def _space(experiment: Experiment, sweep: Sweep) -> Space:
    return get_learner(sweep.family).space(profile_of(experiment))


def _ordered(space: Space, sweep: Sweep, name: str) -> list[Any]:
    values = [space.dimensions[name].check(name, value) for value in sweep.grid[name]]
    unique = list(dict.fromkeys(values))
    return unique if isinstance(space.dimensions[name], Choice) else sorted(unique, key=float)


def _steps(space: Space, sweep: Sweep, name: str, entries: Sequence[Mapping[str, Any]]) -> list[str]:
    """The values of a dial along an edge of the map, with a place for where it is out of use."""
    unused = [UNUSED] if any(name not in each["params"] for each in entries) else []
    return unused + [label_of(value) for value in _ordered(space, sweep, name)]


def unused_dials(
    family: str, space: Space, names: Iterable[str], tried: Sequence[Mapping[str, Any]]
) -> list[str]:
    """Which dials some of the combinations have no use for, and why."""
    said = []
    for name in names:
        condition = space.dimensions[name].condition
        if condition is not None and any(name not in params for params in tried):
            label = guide(family, name, space.dimensions[name]).label
            needed = guide(family, condition["name"], space.dimensions[condition["name"]]).label.lower()
            values = " or ".join(label_of(value) for value in condition["values"])
            said.append(f"{label} is in use only where {needed} is {values}.")
    return said


def _states(entries: list[dict[str, Any]]) -> list[str]:
    counts: dict[str, int] = {}
    for each in entries:
        counts[each["state"]] = counts.get(each["state"], 0) + 1
    return [f"{state[:2]}{count}" for state, count in sorted(counts.items())]


def _entries(sweep: Sweep, space: Space, rows: Sequence[TrialRow]) -> list[dict[str, Any]]:
    """One for each combination, with the trial that has most to tell; some were tried before the sweep."""
    wanted = {
        signature(sweep.family, params): (place, params)
        for place, params in enumerate(combinations(space, sweep.grid, sweep.base))
    }
    # Of thousands of trials few are on the grid, which one dial of it tells sooner than a whole text.
    dial = next(iter(sweep.grid))
    on_grid = {params.get(dial) for _, params in wanted.values()}
    found: dict[str, TrialRow] = {}
    for row in rows:
        if (params := row.params).get(dial) not in on_grid:
            continue
        key = signature(row.family, params)
        if key in wanted and (key not in found or _tells(row) > _tells(found[key])):
            found[key] = row
    return [_entry(sweep, place, params, found.get(key)) for key, (place, params) in wanted.items()]


def _tells(row: TrialRow) -> int:
    order = ("cancelled", "failed", "pruned", "waiting", "running", "complete")
    return order.index(row.state)


def _entry(sweep: Sweep, place: int, params: Mapping[str, Any], row: TrialRow | None) -> dict[str, Any]:
    return {
        "place": place,
        "params": params,
        "labels": {name: label_of(params[name]) if name in params else UNUSED for name in sweep.grid},
        "cells": [label_of(params[name]) if name in params else NOTHING for name in sweep.grid],
        "trial": row,
        "name": selectors.name_of(row.family, row.number) if row else "",
        "state": row.state if row else "cancelled",
        "score": row.score if row else None,
        "value": row.value if row else None,
        "low": row.value_low if row else None,
        "high": row.value_high if row else None,
        "seconds": row.fit_time if row else None,
        "before": row is not None and row.sweep_id != sweep.id,
    }
