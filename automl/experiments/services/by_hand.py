"""What people add to a search themselves: a trial by hand, or a sweep of them; also when it has ended."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import F, Max, Q

from automl.core.dispatch import dispatcher
from automl.core.errors import Conflict, InvalidInput
from automl.engine.budget import Budget
from automl.engine.errors import UserError
from automl.engine.learners import families_for, get_learner, stacks
from automl.engine.reasons import WHY_ASKED
from automl.engine.samplers.base import signature
from automl.engine.space import InvalidValue, Space
from automl.engine.stacking import LEAST_BASES, may_be_base, too_few
from automl.engine.sweeping import combinations, grid_errors
from automl.engine.trial import Origin, Params, ParamValue, TrialState
from automl.experiments import forecasts
from automl.experiments.models import Experiment, ExperimentState, Sweep, Trial
from automl.experiments.records import history_of, profile_of, study_of
from automl.experiments.rows import read_trials
from automl.experiments.services.steering import begin_again, check_may_go_on, locked, spent_of
from automl.experiments.services.trials import free_places
from automl.experiments.states import FINAL

DEALT_TWICE = (
    "This experiment was made by an older version, which dealt rows to folds twice: its predictions are none "
    "that stacked families can learn from. Start a new experiment for them."
)
# A search that had ended gets this much for what is added, and twice what it should take.
LEAST_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Added:
    """A sweep, and the trials that it added."""

    sweep: Sweep
    trials: list[Trial]


def add_trial(experiment: Experiment, *, family: str, hyperparameters: Mapping[str, Any]) -> Trial:
    """Add one trial by hand, also to a search that goes on, or has ended: then it goes on for this alone.

    Raises
    ------
    Conflict
        If the experiment is being prepared, or is about to end.
    InvalidInput
        If the family or a hyperparameter can't be used, or there are too many trials.
    QuotaExceeded
        If it had ended, and its owner may not have one more experiment that goes on.
    """
    space = _space(experiment, family)
    try:
        params = dict(space.validate(hyperparameters))
    except UserError as error:
        raise InvalidInput({"hyperparameters": str(error)}) from error
    _check_bases(experiment, family)
    found = forecasts.Outlook(experiment).forecast(family, params)
    with transaction.atomic():
        row = _opened(experiment, family, [params], field="hyperparameters")
        trial = Trial.objects.create(
            experiment=row,
            number=_next_number(row),
            family=family,
            origin=Origin.MANUAL.value,
            hyperparameters=params,
            prediction=found.as_json(),
            reason=WHY_ASKED[Origin.MANUAL],
        )
        _send([trial])
    return trial


def add_sweep(
    experiment: Experiment,
    *,
    family: str,
    grid: Mapping[str, Any],
    base: Mapping[str, Any] | None = None,
) -> Added:
    """Add every combination of some values of a family's dials; what was tried before is not tried again.

    The same refusals as `add_trial`, and InvalidInput that names the count where there are too many.
    """
    base = dict(base or {})
    configurations = grid_of(experiment, family=family, grid=grid, base=base)
    _check_bases(experiment, family)
    with transaction.atomic():
        locked(experiment)
        there = _tried(experiment, family)
        new = [params for params in configurations if signature(family, params) not in there]
        row = _opened(experiment, family, new, field="grid")
        sweep = Sweep.objects.create(
            experiment=row,
            family=family,
            grid={name: list(values) for name, values in grid.items()},
            base=base,
            size=len(configurations),
            skipped=len(configurations) - len(new),
        )
        first = _next_number(row)
        trials = Trial.objects.bulk_create(
            Trial(
                experiment=row,
                number=first + place,
                family=family,
                origin=Origin.SWEEP.value,
                hyperparameters=params,
                sweep=sweep,
                reason=WHY_ASKED[Origin.SWEEP],
            )
            for place, params in enumerate(new)
        )
        _send(trials)
    return Added(sweep, trials)


def _send(trials: Sequence[Trial]) -> None:
    """Wake seats for new trials; one message a seat is enough, as whoever ends a trial looks for the next."""
    for trial in trials[: free_places(trials[0].experiment)] if trials else ():
        transaction.on_commit(partial(dispatcher().evaluate, trial.id))


def grid_of(
    experiment: Experiment, *, family: str, grid: Mapping[str, Any], base: Mapping[str, Any]
) -> list[dict[str, ParamValue]]:
    """The different configurations of a grid, or InvalidInput with what is wrong with it."""
    space = _space(experiment, family)
    if errors := grid_errors(grid, base, most=settings.MAX_SWEEP):
        raise InvalidInput(errors)
    try:
        space.validate(base)
    except InvalidValue as error:
        raise InvalidInput({"base": str(error)}) from error
    try:
        return combinations(space, grid, base)
    except InvalidValue as error:
        raise InvalidInput({"grid": str(error)}) from error


def _space(experiment: Experiment, family: str) -> Space:
    """The dials of a family on the experiment's table."""
    if experiment.prepared is None:
        if experiment.state in FINAL:
            raise Conflict(
                f"The experiment is {experiment.state}, and its table was never prepared. "
                "Start a new one instead."
            )
        raise Conflict("The experiment is still being prepared; try again in a moment.")
    profile = profile_of(experiment)
    offered = families_for(profile.task_type)
    if family not in offered:
        raise InvalidInput(
            {
                "family": f"{family!r} is not offered for {profile.task_type}. "
                f"Choose one of: {', '.join(offered)}."
            }
        )
    return get_learner(family).space(profile)


def _check_bases(experiment: Experiment, family: str) -> None:
    """Raise InvalidInput where a family learns from trials of others, and these are not there yet."""
    if not stacks(family):
        return
    if experiment.prepared is not None and experiment.prepared["repeats"] > 1:
        raise InvalidInput({"family": DEALT_TWICE})
    complete = experiment.trials.filter(state=TrialState.COMPLETE.value).order_by()
    there = sum(map(may_be_base, complete.values_list("family", flat=True).distinct()))
    if there < LEAST_BASES:
        raise InvalidInput({"family": too_few(family, there)})


def _tried(experiment: Experiment, family: str) -> set[str]:
    rows = read_trials(experiment, Q(family=family))
    return {signature(family, row.params) for row in rows if row.would_tell_nothing_new}


def _next_number(row: Experiment) -> int:
    last = row.trials.aggregate(last=Max("number"))["last"]
    return 0 if last is None else last + 1


def _opened(experiment: Experiment, family: str, new: Sequence[Params], *, field: str) -> Experiment:
    """Lock the search, see that there is room, and have one that has ended go on for these trials alone."""
    row = locked(experiment)
    if row.state == ExperimentState.STOPPING:
        raise Conflict("The experiment is about to end; add this in a moment, when its model is there.")
    left = settings.MAX_TRIALS - row.trials.count()
    if len(new) > left:
        raise InvalidInput(
            {
                field: f"This would add {len(new):,} trials, and the experiment has room for "
                f"{max(left, 0):,} more ({settings.MAX_TRIALS:,} in all)."
            }
        )
    changes: dict[str, Any] = {}
    if row.state in FINAL and new:
        check_may_go_on(row)
        changes = {**begin_again(row), "by_hand_only": True, "time_budget": _enough(row, family, new)}
    # An end that was decided a moment ago knows nothing of these trials: it is void.
    Experiment.objects.filter(id=row.id).update(
        **changes, version=F("version") + 1, limits_version=F("limits_version") + 1
    )
    return row


def _enough(row: Experiment, family: str, new: Sequence[Params]) -> float:
    """The time budget of a search that goes on for these trials alone; time that was left over counts."""
    costs = study_of(row).costs(history_of(row))
    seconds = sum(costs.seconds(family, params) for params in new) / free_places(row)
    spent = spent_of(row)
    until = spent + max(LEAST_SECONDS, 2.0 * seconds)
    wanted = Budget.seconds_until(until)
    budget = max(row.time_budget, min(wanted, settings.MAX_TIME_BUDGET))
    if wanted > budget and Budget(seconds=budget).remaining(spent) == 0.0:
        raise Conflict(
            f"All of the {settings.MAX_TIME_BUDGET:,} s that an experiment may take are spent. "
            "Start a new one."
        )
    return round(float(budget), 1)
