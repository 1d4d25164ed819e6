"""Trials: planned, claimed by one seat, evaluated, told, and taken back from a seat that was lost."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import UUID

import structlog
from django.conf import settings
from django.db import DatabaseError, IntegrityError, close_old_connections, transaction
from django.db.models import F, Max, Q
from django.utils import timezone

from automl.accounts.models import User
from automl.core import leases, seats, storage
from automl.core.dispatch import dispatcher
from automl.core.errors import Conflict, InvalidInput
from automl.core.health import live_workers
from automl.core.patience import patiently
from automl.engine.errors import UserError
from automl.engine.isolation import Outcome
from automl.engine.learners import LEARNERS, get_learner
from automl.engine.trial import Origin, ParamValue, Proposal, TrialState
from automl.experiments import clock
from automl.experiments.models import Experiment, ExperimentState, Phase, Trial
from automl.experiments.records import budget_of, history_of, profile_of, record_of, study_of
from automl.experiments.services.lifecycle import stop_experiment
from automl.experiments.states import FINAL, advance_trial

log = structlog.get_logger(__name__)
# A message for a waiting trial may have been lost: after this long another is sent.
NUDGE_SECONDS = 5


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
    if study.is_done(history, clock.elapsed(experiment)):
        stop_experiment(experiment, reason="The time budget ended before this trial did.")
        return
    waiting = sum(record.state is TrialState.WAITING for record in going)
    wanted = free_places(experiment) - waiting
    if wanted > 0:
        _add_planned(
            experiment, study.ask(history, count=wanted, remaining=time_left(experiment)), len(history)
        )


def time_left(experiment: Experiment) -> float:
    """Seconds of the budget that are left for trials; the rest is for the ensemble and the bundle."""
    return budget_of(experiment).remaining(clock.elapsed(experiment)) or 0.0


def free_places(experiment: Experiment) -> int:
    """How many trials the experiment may have waiting: one a seat, so that no seat has to wait for a plan."""
    machines = live_workers("evaluate").values_list("seats", flat=True)
    return sum(machines) or seats.seat_plan().seats


def _add_planned(experiment: Experiment, proposals: list[Proposal], first: int) -> None:
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
                )
                for position, proposal in enumerate(proposals)
            )
            for trial in trials:
                transaction.on_commit(partial(dispatcher().evaluate, trial.id))
    except IntegrityError:
        log.info("planned_by_somebody_else", experiment=str(experiment.id))


def add_trial(experiment: Experiment, *, family: str, hyperparameters: Mapping[str, Any]) -> Trial:
    """Add one trial by hand, also to a running search.

    Raises
    ------
    Conflict
        If the experiment is not running, or is still being prepared.
    InvalidInput
        If the family or a hyperparameter can't be used.
    """
    if experiment.state in FINAL or experiment.state == ExperimentState.STOPPING:
        raise Conflict(f"The experiment is {experiment.state}; a trial can be added to one that is running.")
    if experiment.prepared is None:
        raise Conflict("The experiment is still being prepared; try again in a moment.")
    params = _checked(experiment, family, hyperparameters)
    with transaction.atomic():
        if not Experiment.objects.filter(id=experiment.id, state=ExperimentState.RUNNING).update(
            version=F("version") + 1
        ):
            raise Conflict("The experiment ended a moment ago.")
        last = experiment.trials.aggregate(last=Max("number"))["last"]
        trial = Trial.objects.create(
            experiment=experiment,
            number=0 if last is None else last + 1,
            family=family,
            origin=Origin.MANUAL.value,
            hyperparameters=params,
        )
        transaction.on_commit(lambda: dispatcher().evaluate(trial.id))
    return trial


def _checked(experiment: Experiment, family: str, params: Mapping[str, Any]) -> dict[str, ParamValue]:
    profile = profile_of(experiment)
    if family not in LEARNERS or profile.task_type not in get_learner(family).task_types:
        offered = [key for key, learner in LEARNERS.items() if profile.task_type in learner.task_types]
        raise InvalidInput(
            {
                "family": f"{family!r} is not offered for {profile.task_type}. "
                f"Choose one of: {', '.join(offered)}."
            }
        )
    try:
        return dict(get_learner(family).space(profile).validate(params))
    except UserError as error:
        raise InvalidInput({"hyperparameters": str(error)}) from error


def claim_trial(worker: str) -> Trial | None:
    """Take the next waiting trial: of the user served longest ago, the manual ones and the oldest first."""
    ready = Trial.objects.filter(
        state=TrialState.WAITING.value, experiment__state=ExperimentState.RUNNING
    ).order_by(
        F("experiment__owner__served_at").asc(nulls_first=True),
        F("experiment__started_at").asc(nulls_first=True),
        "number",
    )
    for trial in ready.select_related("experiment__owner")[:8]:
        now = timezone.now()
        with transaction.atomic():
            if not advance_trial(
                Trial.objects.filter(id=trial.id),
                to=TrialState.RUNNING,
                attempt=F("attempt") + 1,
                worker=worker,
                lease_expires_at=leases.lease_end(),
                started_at=now,
                fold_scores=[],
            ):
                continue
            User.objects.filter(id=trial.experiment.owner_id).update(served_at=now)
            Experiment.objects.filter(id=trial.experiment_id, started_at=None).update(
                started_at=now, clock_at=now
            )
            Experiment.objects.filter(id=trial.experiment_id).update(version=F("version") + 1)
        return Trial.objects.select_related("experiment").get(id=trial.id)
    return None


def evaluate_trial(worker: str) -> bool:
    """Claim the next waiting trial, fit it fold by fold, and tell. False if there was none to claim.

    From `waiting` to `complete`, `pruned`, `failed` or `cancelled`. A worker that lost its lease
    meanwhile writes nothing.
    """
    trial = claim_trial(worker)
    if trial is None:
        return False
    with structlog.contextvars.bound_contextvars(
        experiment=str(trial.experiment_id), trial=str(trial.id), attempt=trial.attempt
    ):
        _evaluate(trial)
    return True


def _evaluate(trial: Trial) -> None:
    experiment = trial.experiment
    deadline = time.monotonic() + time_left(experiment)
    held = Trial.objects.filter(id=trial.id, attempt=trial.attempt, state=TrialState.RUNNING.value)
    heartbeat = leases.Heartbeat(lambda: held, deadline=deadline)
    study = study_of(experiment)
    began = time.monotonic()

    def on_report(report: dict[str, Any]) -> str:
        if report.get("event") != "fold":
            return "go"
        trial.fold_scores = [*trial.fold_scores, report["score"]]
        try:
            return judge(report)
        except DatabaseError as error:
            # A database that is away for a moment costs the judgement of one fold, not the fit.
            log.warning("fold_not_reported", error=str(error).strip())
            close_old_connections()
            return "go"

    def judge(report: dict[str, Any]) -> str:
        if not held.update(fold_scores=trial.fold_scores, lease_expires_at=leases.lease_end()):
            return "stop"
        if report["fold"] + 1 >= report["folds"]:
            return "go"
        return "stop" if study.should_prune(record_of(trial), history_of(experiment)) else "go"

    outcome = seats.run(
        "evaluate",
        {
            "prepared": str(storage.path_of(experiment.folder) / "prepared"),
            "family": trial.family,
            "params": trial.hyperparameters,
            "seed": study.next_seed(trial.number),
            "metric": experiment.metric,
            "threads": seats.seat_plan().threads,
            "out": str(storage.path_of(trial.folder)),
            "deadline_seconds": max(0.0, deadline - time.monotonic()),
        },
        seconds=settings.LONGEST_JOB_SECONDS,
        on_report=on_report,
        on_tick=heartbeat,
    )
    if outcome.status == "storage" and _postponed(trial, heartbeat):
        return
    spent = time.monotonic() - began
    told = patiently(
        lambda: (
            tell_trial(trial, outcome, out_of_time=heartbeat.out_of_time, seconds=spent)
            # Told already, where the answer to that was lost with the database.
            or Trial.objects.filter(
                id=trial.id, attempt=trial.attempt, state=TrialState.COMPLETE.value
            ).exists()
        )
    )
    log.info("trial_ended", outcome=outcome.status, seconds=round(spent, 2), told=told)
    if not told or outcome.status != "ok":
        storage.remove(trial.folder)


def _postponed(trial: Trial, heartbeat: leases.Heartbeat) -> bool:
    """Keep the seat until there is room again, then give the trial back; False if it is to be told instead.

    From `running` to `waiting`. A disk that stays full costs a loss each time, so this ends.
    """
    if trial.losses + 1 >= settings.MAX_ATTEMPTS:
        return False
    log.warning("no_room_for_trial", losses=trial.losses)
    storage.wait_for_room(heartbeat)
    if heartbeat.out_of_time:
        return False
    if heartbeat.lost:
        return True

    def give_back() -> bool:
        with transaction.atomic():
            given = advance_trial(
                Trial.objects.filter(id=trial.id, attempt=trial.attempt),
                to=TrialState.WAITING,
                losses=F("losses") + 1,
                fold_scores=[],
                lease_expires_at=None,
                nudged_at=timezone.now(),
            )
            transaction.on_commit(lambda: dispatcher().evaluate(trial.id))
        return given

    patiently(give_back)
    return True


def tell_trial(trial: Trial, outcome: Outcome, *, out_of_time: bool, seconds: float) -> bool:
    """Record what came of an attempt and plan again; False if the attempt no longer counts."""
    state, fields = _outcome_fields(outcome, out_of_time=out_of_time)
    if state is TrialState.FAILED:
        log.warning("trial_failed", error=fields["error"], detail=outcome.detail)
    with transaction.atomic():
        told = advance_trial(
            Trial.objects.filter(id=trial.id, attempt=trial.attempt),
            to=state,
            seconds=seconds,
            peak_memory=outcome.peak_bytes or None,
            lease_expires_at=None,
            finished_at=timezone.now(),
            **fields,
        )
        if told:
            Experiment.objects.filter(id=trial.experiment_id).update(version=F("version") + 1)
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
        return TrialState.CANCELLED, {"error": "The time budget ended before this trial did."}
    if outcome.status == "stopped":
        return TrialState.PRUNED, {"error": "Stopped early: its first folds showed that it could not win."}
    if outcome.status == "cancelled":
        return TrialState.CANCELLED, {"error": "Cancelled."}
    return TrialState.FAILED, {"error": outcome.error or "The fit ended without a word."}


def reap_trials() -> None:
    """Take trials back from seats that were lost, nudge waiting ones, and plan where nothing goes on."""
    now = timezone.now()
    lost = Trial.objects.filter(state=TrialState.RUNNING.value, lease_expires_at__lt=now)
    for trial in lost.select_related("experiment")[:100]:
        attempts = Trial.objects.filter(id=trial.id, attempt=trial.attempt, lease_expires_at__lt=now)
        given_up = trial.attempt >= settings.MAX_ATTEMPTS
        if given_up:
            taken = advance_trial(
                attempts,
                to=TrialState.FAILED,
                error=f"Lost {trial.attempt} times: the process that fitted it died each time, "
                f"last on {trial.worker}. It may need more memory than a seat has.",
                lease_expires_at=None,
                finished_at=now,
            )
        else:
            taken = advance_trial(attempts, to=TrialState.WAITING, lease_expires_at=None, nudged_at=now)
        if not taken:  # the worker was only late, and has told or renewed meanwhile
            continue
        storage.remove(trial.folder)
        if not given_up:
            dispatcher().evaluate(trial.id)
        log.warning("trial_taken_back", trial=str(trial.id), attempt=trial.attempt, worker=trial.worker)
    _nudge()


def _nudge() -> None:
    now = timezone.now()
    old = now - timedelta(seconds=NUDGE_SECONDS)
    stuck = Trial.objects.filter(
        Q(nudged_at__lt=old), state=TrialState.WAITING.value, experiment__state=ExperimentState.RUNNING
    )
    for trial_id in list(stuck.values_list("id", flat=True)[:200]):
        Trial.objects.filter(id=trial_id).update(nudged_at=now)
        dispatcher().evaluate(trial_id)
    running = Experiment.objects.filter(state=ExperimentState.RUNNING, phase=Phase.SEARCHING)
    for experiment_id in running.values_list("id", flat=True):
        dispatcher().plan(experiment_id)
