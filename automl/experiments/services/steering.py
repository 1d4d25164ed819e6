"""What people do to a search that goes on, or has ended: pause, resume, stop, cancel, skip, extend, change.

Each may be asked for twice, late, or by two at once: what is so already is a success that changes nothing,
what is impossible is a `Conflict` that says why. Workers learn it from the rows, within about a second.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, TypedDict

from django.db import transaction
from django.db.models import F, Q, QuerySet
from django.utils import timezone

from automl.core import storage
from automl.core.dispatch import dispatcher
from automl.core.errors import Conflict, InvalidInput
from automl.engine.budget import SEARCHED, Budget
from automl.engine.sealing import SEAL
from automl.engine.study import Study
from automl.engine.trial import TrialRecord, TrialState
from automl.experiments import clock
from automl.experiments.models import Experiment, ExperimentState, ModelState, Phase, Trial
from automl.experiments.records import history_of, study_of
from automl.experiments.services.lifecycle import (
    cancel_experiment,
    check_quota,
    limit_errors,
    stop_experiment,
)
from automl.experiments.services.trials import failures_in_a_row, free_places, give_back
from automl.experiments.states import FINAL, advance_experiment, advance_trial

SKIPPED = "Skipped by hand."
ENDED = frozenset({*FINAL, ExperimentState.STOPPING})


class Limits(TypedDict, total=False):
    """What may be changed of a search, as absolute values; null of the last two: no limit."""

    time_budget: float
    max_trials: int | None
    seats: int | None


def pause_experiment(experiment: Experiment) -> bool:
    """Let the search rest: its clock stands still, and its running trials go back to waiting.

    Raises
    ------
    Conflict
        If it is still being prepared, or has ended.
    """
    with transaction.atomic():
        paused = advance_experiment(
            Experiment.objects.filter(id=experiment.id).exclude(prepared__isnull=True),
            to=ExperimentState.PAUSED,
            version=F("version") + 1,
            **clock.stopped(experiment),
        )
        if paused:
            give_back(experiment.trials.all())
    return paused or _is_so(experiment, {ExperimentState.PAUSED}, "only a search that runs can be paused")


def resume_experiment(experiment: Experiment) -> bool:
    """Go on with a paused search where it was.

    Raises
    ------
    Conflict
        If it is neither paused nor running.
    """
    with transaction.atomic():
        resumed = advance_experiment(
            Experiment.objects.filter(id=experiment.id, state=ExperimentState.PAUSED),
            to=ExperimentState.RUNNING,
            version=F("version") + 1,
            **clock.going_on(locked(experiment)),
        )
        if resumed:
            experiment.trials.filter(state=TrialState.WAITING.value).update(waiting_since=timezone.now())
            _wake(experiment)
    return resumed or _is_so(
        experiment,
        {ExperimentState.PENDING, ExperimentState.RUNNING},
        "only a paused search can be resumed; one that has ended can be extended",
    )


def stop_search(experiment: Experiment) -> bool:
    """End the search and keep the best: its ensemble and model are made.

    Raises
    ------
    Conflict
        If it has not begun, or has ended in another way.
    """
    return stop_experiment(experiment) or _is_so(
        experiment,
        {ExperimentState.STOPPING, ExperimentState.COMPLETE},
        "only a search that has begun can be stopped",
    )


def cancel_search(experiment: Experiment) -> bool:
    """End the experiment without a model of this search.

    Raises
    ------
    Conflict
        If it has ended in another way.
    """
    return cancel_experiment(experiment) or _is_so(
        experiment, {ExperimentState.CANCELLED}, "there is nothing left to cancel"
    )


def _is_so(experiment: Experiment, wanted: set[ExperimentState], otherwise: str) -> bool:
    """False, nothing was changed, if it is so already; else Conflict."""
    experiment.refresh_from_db(fields=["state", "prepared"])
    if experiment.state in wanted:
        return False
    if experiment.state not in FINAL and experiment.prepared is None:
        raise Conflict("The experiment is still being prepared; try again in a moment.")
    raise Conflict(f"The experiment is {experiment.state}; {otherwise}.")


def skip_trial(trial: Trial) -> bool:
    """Leave one trial out: it is cancelled, and the search plans on at once.

    Raises
    ------
    Conflict
        If it has ended in another way.
    """
    with transaction.atomic():
        # The experiment's row first, as everywhere: two locks taken in two orders would wait for each other.
        Experiment.objects.filter(id=trial.experiment_id).update(version=F("version") + 1)
        skipped = advance_trial(
            Trial.objects.filter(id=trial.id),
            to=TrialState.CANCELLED,
            error=SKIPPED,
            cut_short=False,
            finished_at=timezone.now(),
            lease_expires_at=None,
        )
        if skipped:
            transaction.on_commit(partial(dispatcher().plan, trial.experiment_id))
    if skipped:
        return True
    trial.refresh_from_db(fields=["state", "cut_short"])
    if trial.state != TrialState.CANCELLED.value or trial.cut_short:
        raise Conflict(f"The trial is {trial.state}; only one that waits or runs can be skipped.")
    return False


def extend_experiment(experiment: Experiment, *, seconds: float = 0.0, **limits: Any) -> bool:
    """Add seconds to the budget, and go on with a search that has ended. See `extend_to`."""
    with transaction.atomic():
        budget = locked(experiment).time_budget + seconds
        return extend_to(experiment, time_budget=budget, **limits)


def extend_to(experiment: Experiment, **limits: Any) -> bool:
    """Give the search a larger `time_budget` or other `max_trials`; one that has ended goes on.

    It goes on from all it has learnt, and from the trials that its end cut short. The model it has stays
    the answer until there is a new one. What it has already is nothing to add.

    Raises
    ------
    Conflict
        If it ended before its table was prepared.
    InvalidInput
        If a limit is out of range, or would leave the search nothing to do.
    QuotaExceeded
        If the owner may not have one more experiment that goes on.
    """
    with transaction.atomic():
        row = locked(experiment)
        if row.state in FINAL and row.prepared is None:
            raise Conflict(
                f"The experiment is {row.state}, and its table was never prepared. Start a new one instead."
            )
        wanted: dict[str, Any] = {
            "time_budget": max(row.time_budget, limits.get("time_budget", 0.0)),
            "max_trials": limits.get("max_trials", row.max_trials),
        }
        if (wanted["time_budget"], wanted["max_trials"]) == (row.time_budget, row.max_trials):
            return False
        row.by_hand_only = False  # as the search that goes on is
        _refuse(limit_errors(**wanted, seats=None))
        _refuse(_why_in_vain(row, Budget(seconds=wanted["time_budget"], max_trials=wanted["max_trials"])))
        if row.state in FINAL:
            check_may_go_on(row)
        if row.state in ENDED:
            wanted.update(begin_again(row))
            _take_up(_worth_another_try(row, study_of(row), history_of(row)))
        _take_up_again(row)
        Experiment.objects.filter(id=row.id).update(
            **{**wanted, "by_hand_only": False},
            limits_version=F("limits_version") + 1,
            version=F("version") + 1,
        )
        _wake(row)
    return True


def check_may_go_on(row: Experiment) -> None:
    """Raise the reason why an experiment that has ended can't be taken up again, if there is one."""
    check_quota(row.owner)
    prepared = storage.path_of(f"{row.folder}/prepared")
    if prepared.exists() and not (prepared / SEAL).exists():
        raise Conflict("An older version made the files of this experiment. Start a new one.")


def locked(experiment: Experiment) -> Experiment:
    """The row as it is now; nobody changes it until the transaction ends."""
    return Experiment.objects.select_for_update(of=("self",)).select_related("owner").get(id=experiment.id)


def _refuse(errors: dict[str, str]) -> None:
    if errors:
        raise InvalidInput(errors)


def _why_in_vain(row: Experiment, budget: Budget) -> dict[str, str]:
    """Why a search with this budget would have nothing to do, by the field that has to be larger."""
    spent = spent_of(row)
    if row.state in ENDED and budget.remaining(spent) == 0.0:
        return {
            "time_budget": f"{spent:.0f} of {budget.seconds:g} s are spent, so no trial could run. Add more."
        }
    if row.search == "manual":
        return {}
    history = history_of(row)
    if row.state in ENDED and (error := _what_stays_in_the_way(row, history)):
        return {
            "time_budget": "So many trials have failed by their own fault that the search would end at once, "
            f"the latest with: {error[:200]} Try settings by hand, or start another search."
        }
    if budget.trials_left(history) != 0:
        return {}
    going = Q(state__in=[TrialState.WAITING.value, TrialState.RUNNING.value]) | Q(cut_short=True)
    if row.trials.filter(going).exists():
        return {}
    return {
        "max_trials": f"All of {budget.max_trials} trials are used up, so more time alone changes nothing: "
        "give a larger max_trials too, or none."
    }


def spent_of(row: Experiment) -> float:
    """Seconds of its budget that are gone, for one that is to go on."""
    # The end itself takes time; what it took over the budget is not taken from what is added.
    return min(row.spent, row.time_budget) if row.state in FINAL else clock.elapsed(row)


def _take_up_again(row: Experiment) -> None:
    """Let what the end of the search cut short wait for a seat again."""
    _take_up(row.trials.filter(state=TrialState.CANCELLED.value, cut_short=True))


def _take_up(trials: QuerySet[Trial]) -> None:
    trials.update(
        state=TrialState.WAITING.value,
        cut_short=False,
        error="",
        fold_scores=[],
        fit_time=None,
        seconds=0.0,
        losses=0,
        finished_at=None,
        ended_after=None,
        nudged_at=timezone.now(),
        waiting_since=timezone.now(),
    )


def _worth_another_try(row: Experiment, study: Study, history: Sequence[TrialRecord]) -> QuerySet[Trial]:
    """What ran into a limit, or died, and may fare better once more: of the failures in a row that a search
    ends for, and of families that it has given up for nothing else."""
    numbers = [record.number for record in failures_in_a_row(study, history)]
    failed = row.trials.filter(state=TrialState.FAILED.value, origin__in=[o.value for o in SEARCHED])
    given_up = study.first_layer.keys() - study.sound(history).keys()
    given_up -= set(failed.filter(own_fault=True).values_list("family", flat=True))
    return failed.filter(Q(number__in=numbers) | Q(family__in=given_up), own_fault=False)


def _what_stays_in_the_way(row: Experiment, history: Sequence[TrialRecord]) -> str:
    """The latest error, where a search that goes on would end at once for what it would not try again."""
    study = study_of(row)
    again = set(_worth_another_try(row, study, history).values_list("number", flat=True))
    rest = [record for record in history if record.number not in again]
    if not failures_in_a_row(study, rest) and (
        study.sound(rest) or row.trials.filter(cut_short=True).exists()
    ):
        return ""
    failed = row.trials.filter(state=TrialState.FAILED.value, own_fault=True).order_by("-number")
    return failed.values_list("error", flat=True).first() or ""


def begin_again(row: Experiment) -> dict[str, Any]:
    """The columns of a search that goes on after its end; whoever was finishing it has lost its lease."""
    assert row.prepared is not None
    # The answer of the end that is void now; its new end packages its own.
    row.models.filter(state=ModelState.PACKAGING, asked_for=False).delete()
    return {
        "state": ExperimentState.RUNNING,
        "phase": Phase.SEARCHING,
        "attempt": F("attempt") + 1,
        "losses": 0,
        "lease_expires_at": None,
        "finished_at": None,
        "error": "",
        "warnings": row.prepared.get("warnings", row.warnings),
        "spent": spent_of(row),
        **clock.going_on(row),
    }


def change_experiment(experiment: Experiment, changes: Limits) -> bool:
    """Set limits of a search. Fewer seats take trials back at once; a lower limit ends it at the next plan.

    Raises
    ------
    Conflict
        If the time is changed of a search that has ended.
    InvalidInput
        If a limit is out of range, or under what is spent already.
    """
    with transaction.atomic():
        row = locked(experiment)
        wanted: Limits = {"time_budget": row.time_budget, "max_trials": row.max_trials, "seats": row.seats}
        before = dict(wanted)
        wanted.update(changes)
        if before == wanted:
            return False
        _refuse({name: why for name, why in limit_errors(**wanted).items() if name in changes})
        if wanted["time_budget"] != row.time_budget:
            _check_time(row, wanted["time_budget"])
            # Of a search whose end waits for a trial that is being stored some may be cut off already.
            _take_up_again(row)
        fence = 0 if row.state in ENDED else 1
        Experiment.objects.filter(id=row.id).update(
            **wanted, limits_version=F("limits_version") + fence, version=F("version") + 1
        )
        if wanted["seats"] is not None:
            _give_back_beyond(row, wanted["seats"])
        _wake(row)
    return True


def _check_time(row: Experiment, wanted: float) -> None:
    if row.state in ENDED:
        raise Conflict(f"The experiment is {row.state}; extend it to go on, its time can't be changed now.")
    spent = clock.elapsed(row)
    if wanted < spent:
        raise InvalidInput(
            {
                "time_budget": f"{wanted:g} s is less than the {spent:.0f} s that are spent. "
                "Stop the search to end it now."
            }
        )


def _give_back_beyond(row: Experiment, seats: int) -> None:
    """The trials with the highest numbers have run for the shortest time, as a rule."""
    running = row.trials.filter(state=TrialState.RUNNING.value).order_by("number")
    give_back(row.trials.filter(id__in=list(running.values_list("id", flat=True)[seats:])))


def _wake(experiment: Experiment) -> None:
    """Have the search planned, and what waits taken up, without waiting for the sweep."""
    waiting = experiment.trials.filter(state=TrialState.WAITING.value).order_by("number")
    # One message a seat is enough: whoever ends a trial looks for the next.
    for trial_id in waiting.values_list("id", flat=True)[: free_places(experiment)]:
        transaction.on_commit(partial(dispatcher().evaluate, trial_id))
    transaction.on_commit(partial(dispatcher().plan, experiment.id))
