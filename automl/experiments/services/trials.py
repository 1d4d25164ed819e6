"""Trials: planned, claimed by one seat, evaluated, told, and taken back from a seat that was lost."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import timedelta
from functools import partial
from itertools import takewhile
from typing import Any
from uuid import UUID

import structlog
from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import Case, Count, F, OuterRef, Q, QuerySet, Subquery, When
from django.db.models.functions import Coalesce
from django.utils import timezone

from automl.accounts.models import User
from automl.core import holdings, leases, leaving, seats, storage, store
from automl.core.dispatch import dispatcher
from automl.core.health import live_workers
from automl.core.patience import patiently
from automl.engine.budget import SEARCHED, most_bytes
from automl.engine.isolation import Outcome
from automl.engine.learners import stacks
from automl.engine.reasons import why_proposed
from automl.engine.stacking import choose_bases
from automl.engine.study import Study
from automl.engine.trial import Origin, Proposal, TrialRecord, TrialState
from automl.experiments import clock
from automl.experiments.models import Experiment, ExperimentState, Trial
from automl.experiments.records import budget_of, candidate_of, history_of, record_of, study_of
from automl.experiments.services.lifecycle import stop_experiment
from automl.experiments.services.losses import NUDGE_SECONDS, lose_trial, remove_files
from automl.experiments.states import advance_trial

log = structlog.get_logger(__name__)
OUT_OF_TIME = "The time budget ended before this trial did."
# In a row: damaged files, or a family that can't do this table, would else burn the whole budget.
MOST_FAILURES = 12
HOPELESS = f"The search ended before this trial did, as {MOST_FAILURES} in a row had failed."


def plan_trials(experiment_id: UUID) -> None:
    """Give free seats something to do, or end the search. Needs `running` and prepared.

    The unique trial number makes two plans at once harmless: the second finds its number taken
    and leaves the field to the first.
    """
    experiment = (
        Experiment.objects.filter(id=experiment_id, state=ExperimentState.RUNNING)
        .exclude(prepared__isnull=True)
        .first()
    )
    if experiment is None:
        return
    study = study_of(experiment)
    history = history_of(experiment)
    going = [record for record in history if not record.state.is_final]
    # Reopened for trials by hand alone, it ends with the last of them.
    hopeless = not experiment.by_hand_only and bool(failures_in_a_row(study, history))
    over = hopeless or (experiment.by_hand_only and not going)
    if over or study.is_done(history, clock.elapsed(experiment)):
        # Somebody may have given it more since it was read; then the next plan goes by that.
        unchanged = Experiment.objects.filter(
            state=ExperimentState.RUNNING, limits_version=experiment.limits_version
        )
        stop_experiment(experiment, reason=HOPELESS if hopeless else OUT_OF_TIME, rows=unchanged)
        return
    waiting = sum(record.state is TrialState.WAITING for record in going)
    places, left = free_places(experiment), time_left(experiment)
    wanted = places - waiting
    # With none left the end waits for a trial that is being stored.
    if wanted > 0 and left > 0:
        proposals = study.ask(history, count=wanted, remaining=left)
        _add_planned(experiment, proposals, why_proposed(study, proposals, history), first=len(history))


def failures_in_a_row(study: Study, history: Sequence[TrialRecord]) -> list[TrialRecord]:
    """The latest trials, where so many in a row have failed that what they have in common is at fault.

    What people try is no sign of that: a sweep may well lead through ruin. Nor is a family that the search
    has given up.
    """
    sound = study.sound(history)
    own = [r for r in history if r.origin in SEARCHED and (r.family in sound or stacks(r.family))]
    ended = [r for r in own if r.state.is_final and r.state is not TrialState.CANCELLED]
    row = list(takewhile(lambda record: record.state is TrialState.FAILED, reversed(ended)))
    return row if len(row) >= MOST_FAILURES else []


def time_left(experiment: Experiment) -> float:
    """Seconds of the budget that are left for trials; the rest is for the ensemble and the bundle."""
    return budget_of(experiment).remaining(clock.elapsed(experiment)) or 0.0


def _time_left_now(experiment_id: UUID) -> float:
    """The same as the row says now: an extension moves the end of trials that run already."""
    return time_left(
        Experiment.objects.only("spent", "clock_at", "time_budget", "max_trials").get(id=experiment_id)
    )


def free_places(experiment: Experiment) -> int:
    """How many trials the experiment may have waiting: one a seat, so that no seat has to wait for a plan."""
    machines = live_workers("evaluate").values_list("seats", flat=True)
    there = sum(machines) or seats.seat_plan().seats
    return there if experiment.seats is None else min(there, experiment.seats)


def _add_planned(
    experiment: Experiment, proposals: Sequence[Proposal], reasons: Sequence[str], *, first: int
) -> None:
    try:
        with transaction.atomic():
            # Locks the row, so that a cancel comes wholly before or wholly after.
            if not Experiment.objects.filter(id=experiment.id, state=ExperimentState.RUNNING).update(
                version=F("version") + 1
            ):
                return
            trials = Trial.objects.bulk_create(
                Trial(
                    experiment=experiment,
                    number=first + position,
                    family=proposal.family,
                    origin=proposal.origin.value,
                    hyperparameters=dict(proposal.params),
                    reason=reason,
                )
                for position, (proposal, reason) in enumerate(zip(proposals, reasons, strict=True))
            )
            for trial in trials:
                transaction.on_commit(partial(dispatcher().evaluate, trial.id))
    except IntegrityError:
        log.info("planned_by_somebody_else", experiment=str(experiment.id))


def claim_trial(worker: str) -> Trial | None:
    """Take the next waiting trial: of the user served longest ago, by hand before sweeps before the rest."""
    full: set[UUID] = set()
    # All that were read may have been taken meanwhile. Those, and who has its seats, are not read again.
    while found := list(_ready().exclude(experiment__in=full)[:8]):
        for trial in found:
            if trial.experiment_id in full:
                continue
            with transaction.atomic():
                has_seat = _has_seat(trial.experiment_id)
                is_taken = has_seat and _take(trial, worker)
                if not is_taken:
                    transaction.set_rollback(True)
            if is_taken:
                clock.look_after(trial.experiment_id)
                return Trial.objects.select_related("experiment").get(id=trial.id)
            if not has_seat:
                full.add(trial.experiment_id)
    return None


def _take(trial: Trial, worker: str) -> bool:
    """Let a worker have a trial, if nobody else has it; in a transaction."""
    now = timezone.now()
    if not advance_trial(
        Trial.objects.filter(id=trial.id),
        to=TrialState.RUNNING,
        attempt=F("attempt") + 1,
        worker=worker,
        lease_expires_at=leases.lease_end(),
        started_at=now,
        fold_scores=[],
        fit_time=None,
    ):
        return False
    User.objects.filter(id=trial.experiment.owner_id).update(served_at=now)
    Experiment.objects.filter(id=trial.experiment_id, started_at=None).update(started_at=now, clock_at=now)
    return True


def _ready() -> QuerySet[Trial]:
    """What may be claimed, in order; nothing of an experiment that has its seats already."""
    busy = (
        Trial.objects.filter(experiment=OuterRef("experiment"), state=TrialState.RUNNING.value)
        .order_by()
        .values("experiment")
        .annotate(count=Count("id"))
        .values("count")
    )
    # What a person waits for goes before what the search has thought of.
    asked_for = Case(
        When(origin=Origin.MANUAL.value, then=0), When(origin=Origin.SWEEP.value, then=1), default=2
    )
    waiting = Trial.objects.filter(
        state=TrialState.WAITING.value, experiment__state=ExperimentState.RUNNING
    ).annotate(busy=Coalesce(Subquery(busy), 0), turn=asked_for)
    free = waiting.filter(Q(experiment__seats=None) | Q(experiment__seats__gt=F("busy")))
    return free.select_related("experiment__owner").order_by(
        F("experiment__owner__served_at").asc(nulls_first=True),
        F("experiment__started_at").asc(nulls_first=True),
        "experiment",
        "turn",
        "number",
    )


def _has_seat(experiment_id: UUID) -> bool:
    """Whether one more trial of the experiment may run now.

    Locks its row, so that a pause, an end or another claim comes wholly before or wholly after.
    """
    running = Experiment.objects.filter(id=experiment_id, state=ExperimentState.RUNNING)
    if not running.update(version=F("version") + 1):
        return False
    limit = running.values_list("seats", flat=True).get()
    busy = Trial.objects.filter(experiment=experiment_id, state=TrialState.RUNNING.value).count()
    return limit is None or busy < limit


def evaluate_trial(worker: str) -> bool:
    """Claim the next waiting trial, fit it fold by fold, and tell. False if there was none to claim.

    From `waiting` to `complete`, `pruned`, `failed` or `cancelled`. A worker that lost its lease
    meanwhile writes nothing.
    """
    if leaving.is_asked():
        pass_on()
        return False
    trial = claim_trial(worker) if store.is_ours() else None
    if trial is None:
        return False
    with (
        structlog.contextvars.bound_contextvars(
            experiment=str(trial.experiment_id), trial=str(trial.id), attempt=trial.attempt
        ),
        holdings.noted(holdings.Holding(trial._meta.label_lower, trial.id, trial.attempt)),
    ):
        _evaluate(trial)
    return True


def pass_on() -> None:
    """Send a wake-up call again that a leaving worker has taken: another worker is to have it."""
    waiting = Trial.objects.filter(
        state=TrialState.WAITING.value, experiment__state=ExperimentState.RUNNING
    ).first()
    if waiting is not None:
        # Until this worker's connection is closed the call may come back to it.
        time.sleep(0.2)
        dispatcher().evaluate(waiting.id)


def _evaluate(trial: Trial) -> None:
    experiment = trial.experiment
    deadline = time.monotonic() + time_left(experiment)
    ours = Trial.objects.filter(id=trial.id, attempt=trial.attempt)
    held = ours.filter(state=TrialState.RUNNING.value)
    attended = clock.attended(held, experiment.id)
    heartbeat = leases.Heartbeat(attended, deadline=deadline, more=lambda: _time_left_now(experiment.id))
    study = study_of(experiment)
    began = time.monotonic()

    def on_report(report: dict[str, Any]) -> str:
        if report.get("event") != "fold":
            return "go"
        trial.fold_scores = [*trial.fold_scores, report["score"]]
        trial.fit_time = report.get("fit_time")
        last = report["fold"] + 1 >= report["folds"]
        if last:
            # All of it would be lost for the moment that storing takes.
            heartbeat.allow(grace=budget_of(experiment).grace)
        # The fit waits for the answer, so that what it is does not depend on a database that was away.
        return patiently(lambda: _after_fold(trial, held, study, last=last))

    bases = patiently(lambda: _bases(trial, study))
    outcome = seats.run(
        "evaluate",
        {
            "prepared": str(storage.path_of(experiment.folder) / "prepared"),
            "family": trial.family,
            "params": trial.hyperparameters,
            "seed": study.next_seed(trial.number),
            "metric": experiment.metric,
            "threads": budget_of(experiment).threads(seats.seat_plan().threads),
            "out": str(storage.path_of(trial.folder)),
            "deadline_seconds": max(0.0, deadline - time.monotonic()),
            "bases": bases,
        },
        seconds=settings.LONGEST_JOB_SECONDS,
        on_report=on_report,
        on_tick=heartbeat,
    )
    if outcome.status == "storage" and _postponed(trial, held, heartbeat):
        patiently(lambda: _note_cut_off(ours, experiment.id, seconds=time.monotonic() - began))
        return
    told, spent = False, time.monotonic() - began
    if outcome.status == "cancelled" and (heartbeat.leaving or heartbeat.lost):
        # Lost to nobody, after an outage that was too long: what is still ours is to be tried again.
        patiently(lambda: give_back(held))
    else:
        told = patiently(lambda: tell_trial(trial, outcome, out_of_time=heartbeat.out_of_time, seconds=spent))
    if not told:
        patiently(lambda: _note_cut_off(ours, experiment.id, seconds=spent))
    log.info("trial_ended", outcome=outcome.status, seconds=round(spent, 2), told=told)
    # A write that went through without our hearing so is found done at the next try.
    if outcome.status != "ok" or (not told and not ours.filter(state=TrialState.COMPLETE.value).exists()):
        remove_files(trial)


def _note_cut_off(ours: QuerySet[Trial], experiment_id: UUID, *, seconds: float) -> None:
    """Write down how long a trial had the seat that was skipped meanwhile, or cut off with its search."""
    cut_off = ours.filter(state=TrialState.CANCELLED.value)
    if not cut_off.exists():
        return
    with transaction.atomic():
        # The experiment's row first, as everywhere: two locks taken in two orders would wait for each other.
        Experiment.objects.filter(id=experiment_id).update(version=F("version") + 1)
        cut_off.update(seconds=seconds, ended_after=clock.reading(experiment_id))


def _bases(trial: Trial, study: Study) -> list[dict[str, Any]]:
    """What a trial of a family that stacks learns from, as things stand now."""
    if not stacks(trial.family):
        return []
    history = history_of(trial.experiment)
    known = {record.number for record in study.known_to(record_of(trial), history)}
    complete = trial.experiment.trials.filter(state=TrialState.COMPLETE.value).defer(
        "learned", "learning_curve"
    )
    candidates = [candidate_of(other) for other in complete if other.number in known]
    room = most_bytes(study.budget.seconds_alone)
    return [dict(base) for base in choose_bases(candidates, room)]


def _after_fold(trial: Trial, held: QuerySet[Trial], study: Study, *, last: bool) -> str:
    """Store the scores so far and say whether the fit may go on."""
    folds = {"fold_scores": trial.fold_scores, "fit_time": trial.fit_time}
    if not held.update(**folds, lease_expires_at=leases.lease_end()):
        return "stop"
    # The history is of all trials: it is read where it can decide.
    record = record_of(trial)
    if last or not study.may_prune(record):
        return "go"
    return "stop" if study.should_prune(record, history_of(trial.experiment)) else "go"


def _postponed(trial: Trial, held: QuerySet[Trial], heartbeat: leases.Heartbeat) -> bool:
    """Keep the seat until there is room again, then let the trial wait; False if it is to be told instead.

    A disk that stays full costs a loss each time, so this ends.
    """
    if trial.losses + 1 >= settings.MAX_ATTEMPTS:
        return False
    log.warning("no_room_for_trial", losses=trial.losses)
    storage.wait_for_room(heartbeat)
    if heartbeat.out_of_time:
        return False
    if heartbeat.leaving:
        give_back(held)
    elif not heartbeat.lost:
        patiently(lambda: lose_trial(trial))
    return True


def tell_trial(trial: Trial, outcome: Outcome, *, out_of_time: bool, seconds: float) -> bool:
    """Record what came of an attempt and plan again; False if the attempt no longer counts.

    Where the fit was ended from outside there is nothing to record: the trial is tried again.
    """
    if outcome.lost and not out_of_time:
        lose_trial(trial)
        return False
    state, fields = _outcome_fields(outcome, out_of_time=out_of_time)
    if state is TrialState.FAILED:
        log.warning("trial_failed", error=fields["error"], detail=outcome.detail)
    with transaction.atomic():
        # The experiment's row first, as everywhere: two locks taken in two orders would wait for each other.
        Experiment.objects.filter(id=trial.experiment_id).update(version=F("version") + 1)
        if out_of_time and state is TrialState.CANCELLED and _time_left_now(trial.experiment_id) > 0:
            # The search was given more time in the very moment.
            give_back(Trial.objects.filter(id=trial.id, attempt=trial.attempt))
            return False
        clock.look_after(trial.experiment_id)
        told = advance_trial(
            # One that was given back waits under the same attempt: it is no longer this worker's to end.
            Trial.objects.filter(id=trial.id, attempt=trial.attempt, state=TrialState.RUNNING.value),
            to=state,
            seconds=seconds,
            peak_memory=outcome.peak_bytes or None,
            lease_expires_at=None,
            finished_at=timezone.now(),
            ended_after=clock.reading(trial.experiment_id),
            **fields,
        )
        transaction.on_commit(lambda: dispatcher().plan(trial.experiment_id))
    return told


def _outcome_fields(outcome: Outcome, *, out_of_time: bool) -> tuple[TrialState, dict[str, Any]]:
    if outcome.status == "ok" and outcome.result is not None:
        found = outcome.result
        return TrialState.COMPLETE, {
            "score": found["score"],
            "value": found["value"],
            "value_low": found["score_low"],
            "value_high": found["score_high"],
            "fold_scores": found["fold_scores"],
            "fit_time": found["fit_time"],
            "predict_time": found["predict_time"],
            "size": found["size"],
            "learned": found["learned"],
            "learning_curve": found["learning_curve"],
            "diagnosis": found["diagnosis"] or "",
        }
    if out_of_time:
        return TrialState.CANCELLED, {"error": OUT_OF_TIME, "cut_short": True}
    if outcome.status == "stopped":
        return TrialState.PRUNED, {"error": "Stopped early: its first folds showed that it could not win."}
    if outcome.status == "cancelled":
        return TrialState.CANCELLED, {"error": "Cancelled."}
    error = outcome.error or "The fit ended without a word."
    if outcome.status == "memory":
        error += (
            " A seat has more with a higher AUTOML_MEMORY_PER_SEAT_MB, or with fewer seats (AUTOML_SEATS)."
        )
    # What ran into a limit, or died, may fare better on another day; what raised would raise again.
    return TrialState.FAILED, {"error": error, "own_fault": outcome.status == "error"}


def give_back(trials: QuerySet[Trial]) -> int:
    """Put running trials back among the waiting ones, without a loss; gives how many.

    Whoever ran one finds its lease gone at the next heartbeat, kills the fit and writes nothing.
    """
    with transaction.atomic():
        running = trials.filter(state=TrialState.RUNNING.value)
        found = list(running.values_list("id", "experiment_id"))
        long_ago = timezone.now() - timedelta(seconds=NUDGE_SECONDS)
        Experiment.objects.filter(id__in={experiment_id for _, experiment_id in found}).update(
            version=F("version") + 1
        )
        count = running.filter(id__in=[trial_id for trial_id, _ in found]).update(
            state=TrialState.WAITING.value,
            lease_expires_at=None,
            fold_scores=[],
            fit_time=None,
            nudged_at=long_ago,
            waiting_since=timezone.now(),
        )
        for trial_id, _ in found:
            transaction.on_commit(partial(dispatcher().evaluate, trial_id))
    return count
