"""The life of an experiment: created, prepared, cancelled or stopped, deleted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

import structlog
from django.conf import settings
from django.db import transaction
from django.db.models import F, Q, QuerySet
from django.utils import timezone
from structlog.contextvars import bind_contextvars

from automl.accounts.models import User
from automl.core import leases, seats, storage
from automl.core.dispatch import dispatcher
from automl.core.errors import Conflict, InvalidInput, QuotaExceeded
from automl.core.patience import patiently
from automl.datasets.models import Dataset, DatasetState
from automl.engine.learners import families_for
from automl.engine.metrics import METRICS
from automl.engine.stacking import TOO_FEW_BASES, lacks_bases
from automl.engine.trial import TaskType, TrialState
from automl.experiments import clock, selectors
from automl.experiments.models import SEARCHES, Experiment, ExperimentState, ModelState, Phase, Trial
from automl.experiments.records import budget_of
from automl.experiments.states import FINAL, advance_experiment

log = structlog.get_logger(__name__)
LEAST_TIME_BUDGET = 5
MOST_SEATS = 1000
STOPPED = "The search was stopped before this trial ended."


@dataclass(frozen=True, kw_only=True)
class ExperimentRequest:
    """What a person asks for, before any of it is checked."""

    dataset: Dataset
    target: str
    task_type: str = "auto"
    metric: str = "auto"
    search: str = "auto"
    time_budget: float = 60.0
    max_trials: int | None = None
    families: Sequence[str] | None = None
    ignore_columns: Sequence[str] = ()
    test_dataset: Dataset | None = None
    seed: int = 0
    seats: int | None = None
    name: str = ""


def create_experiment(*, owner: User, request: ExperimentRequest) -> Experiment:
    """Check a request against its dataset, store it, and have it prepared.

    Raises
    ------
    Conflict
        If the dataset is not ready.
    InvalidInput
        If a field can't be used; every such field is named.
    QuotaExceeded
        If the user has too many experiments going on.
    StorageFull
        If the disk has no room for its files.
    """
    if request.dataset.state != DatasetState.READY:
        raise Conflict(f"The dataset is {request.dataset.state}; an experiment needs one that is ready.")
    if errors := _errors_of(request):
        raise InvalidInput(errors)
    check_quota(owner)
    storage.require_space()
    with transaction.atomic():
        experiment = Experiment.objects.create(
            owner=owner,
            dataset=request.dataset,
            test_dataset=request.test_dataset,
            name=(request.name.strip() or f"{request.target} of {request.dataset.name}")[:200],
            target=request.target,
            task_type=request.task_type,
            metric=request.metric,
            search=request.search,
            time_budget=request.time_budget,
            max_trials=request.max_trials,
            families=list(request.families) if request.families else None,
            ignore_columns=list(request.ignore_columns),
            seed=request.seed,
            seats=request.seats,
        )
        transaction.on_commit(lambda: dispatcher().prepare(experiment.id))
    return experiment


def check_quota(owner: User) -> None:
    """Raise QuotaExceeded if the user may not have one more experiment that goes on."""
    active = Experiment.objects.filter(owner=owner, deleted_at=None).exclude(state__in=FINAL).count()
    if active >= settings.MAX_ACTIVE_EXPERIMENTS:
        raise QuotaExceeded(
            f"You have {active} experiments going on, the most allowed. Wait for one to end, or cancel one."
        )


def _errors_of(request: ExperimentRequest) -> dict[str, str]:
    columns = {column["name"] for column in request.dataset.columns}
    errors = {
        **_column_errors(request, columns),
        **_choice_errors(request),
        **limit_errors(time_budget=request.time_budget, max_trials=request.max_trials, seats=request.seats),
    }
    if not 0 <= request.seed < 2**31:
        errors["seed"] = f"{request.seed} is out of range: from 0 to {2**31 - 1}."
    if request.test_dataset is not None:
        if request.test_dataset.state != DatasetState.READY:
            errors["test_dataset"] = f"The test dataset is {request.test_dataset.state}; it must be ready."
        elif (
            missing := columns
            - set(request.ignore_columns)
            - {column["name"] for column in request.test_dataset.columns}
        ):
            errors["test_dataset"] = f"The test dataset lacks columns: {', '.join(sorted(missing))}."
        elif _is_empty(request.test_dataset, request.target):
            errors["test_dataset"] = (
                f"The column {request.target!r} of the test dataset is empty, so there is nothing to judge "
                "predictions by. Choose one that has the answers, or none."
            )
    return errors


def _is_empty(dataset: Dataset, name: str) -> bool:
    """Whether a column has no cell that is filled."""
    return any(column["name"] == name and column["missing"] == dataset.rows for column in dataset.columns)


def _column_errors(request: ExperimentRequest, columns: set[str]) -> dict[str, str]:
    errors = {}
    if request.target not in columns:
        errors["target"] = (
            f"There is no column {request.target!r}. The columns are: {', '.join(sorted(columns)[:30])}."
        )
    unknown = sorted(set(request.ignore_columns) - columns)
    if unknown:
        errors["ignore_columns"] = f"There are no columns: {', '.join(unknown)}."
    elif request.target in request.ignore_columns:
        errors["ignore_columns"] = f"{request.target!r} is the target; it can't be ignored."
    elif columns and not columns - set(request.ignore_columns) - {request.target}:
        errors["ignore_columns"] = "Every column is ignored; leave at least one to learn from."
    return errors


def _choice_errors(request: ExperimentRequest) -> dict[str, str]:
    errors = {}
    types = ["auto", *(task.value for task in TaskType)]
    searches = [key for key, _ in SEARCHES]
    if request.task_type not in types:
        errors["task_type"] = f"{request.task_type!r} is no task type. Choose one of: {', '.join(types)}."
    if request.search not in searches:
        errors["search"] = f"{request.search!r} is no way to search. Choose one of: {', '.join(searches)}."
    if request.metric != "auto" and request.metric not in METRICS:
        errors["metric"] = f"{request.metric!r} is no metric. Choose one of: {', '.join(METRICS)}."
    elif request.metric != "auto" and request.task_type in set(TaskType):
        fitting = METRICS[request.metric].task_types
        if request.task_type not in fitting:
            errors["metric"] = (
                f"{request.metric!r} is for {', '.join(sorted(fitting))}, not {request.task_type}."
            )
    known = request.task_type in set(TaskType)
    offered = set(families_for(TaskType(request.task_type) if known else None))
    if request.families is not None:
        unknown = sorted(set(request.families) - offered)
        if unknown:
            errors["families"] = (
                f"Not offered: {', '.join(unknown)}. Choose from: {', '.join(sorted(offered))}."
            )
        elif not request.families:
            errors["families"] = "The list is empty. Leave it out to try every family."
        elif lacks_bases(request.families):
            errors["families"] = TOO_FEW_BASES
    return errors


def limit_errors(*, time_budget: float, max_trials: int | None, seats: int | None) -> dict[str, str]:
    """What is wrong with the limits of a search, by field; also when they are changed later."""
    errors = {}
    if not LEAST_TIME_BUDGET <= time_budget <= settings.MAX_TIME_BUDGET:
        errors["time_budget"] = (
            f"{time_budget:g} s is out of range: from {LEAST_TIME_BUDGET} to {settings.MAX_TIME_BUDGET} s."
        )
    if max_trials is not None and not 1 <= max_trials <= settings.MAX_TRIALS:
        errors["max_trials"] = f"{max_trials} is out of range: from 1 to {settings.MAX_TRIALS}."
    if seats is not None and not 1 <= seats <= MOST_SEATS:
        errors["seats"] = f"{seats} is out of range: from 1 to {MOST_SEATS}."
    return errors


def prepare_experiment(experiment_id: UUID) -> None:
    """Encode the table and cut the folds. From `pending` to `running` with a plan, or to `failed`."""
    rows = Experiment.objects.filter(
        id=experiment_id, state__in=[ExperimentState.PENDING, ExperimentState.RUNNING], prepared__isnull=True
    )
    if not leases.claim(
        rows.filter(deleted_at=None),
        state=ExperimentState.RUNNING,
        phase=Phase.PREPARING,
        version=F("version") + 1,
    ):
        return
    experiment = rows.select_related("dataset").get()
    held = rows.filter(attempt=experiment.attempt, state=ExperimentState.RUNNING)
    with leases.kept(experiment, held, send_again=lambda: dispatcher().prepare(experiment.id)):
        _prepare(experiment, held)


def _prepare(experiment: Experiment, held: QuerySet[Experiment]) -> None:
    heartbeat = leases.Heartbeat(lambda: held)
    bind_contextvars(attempt=experiment.attempt)
    storage.remove_drafts(f"{experiment.folder}/prepared")
    outcome = seats.run(
        "prepare",
        {
            "table": str(storage.path_of(experiment.dataset.folder) / "table.arrow"),
            "columns": experiment.dataset.columns,
            "dialect": experiment.dataset.dialect,
            "target": experiment.target,
            "task_type": experiment.task_type,
            "metric": experiment.metric,
            "ignore_columns": experiment.ignore_columns,
            "seed": experiment.seed,
            "time_budget": budget_of(experiment).seconds_alone,
            "out": str(storage.path_of(experiment.folder) / "prepared"),
        },
        seconds=settings.LONGEST_JOB_SECONDS,
        on_tick=heartbeat,
    )
    heartbeat.check(outcome)
    if heartbeat.lost:
        return
    if outcome.status == "storage" and experiment.losses + 1 < settings.MAX_ATTEMPTS:
        # Its lease goes with it, so the sweep has it prepared again.
        storage.wait_for_room(heartbeat)
        patiently(lambda: leases.let_go(held, counted=True))
        return
    if outcome.result is None:
        log.warning("prepare_failed", experiment=str(experiment.id), detail=outcome.detail)
        fail_experiment(experiment, outcome.error or "The table could not be prepared.", held=held)
        return
    patiently(lambda: _store_prepared(held, experiment.id, outcome.result or {}))
    log.info("experiment_prepared", seconds=round(outcome.seconds, 2))


def _store_prepared(held: QuerySet[Experiment], experiment_id: UUID, found: dict[str, Any]) -> None:
    with transaction.atomic():
        stored = held.update(
            prepared=found,
            task_type=found["task_type"],
            metric=found["metric"],
            warnings=found["warnings"],
            phase=Phase.SEARCHING,
            losses=0,
            lease_expires_at=None,
            version=F("version") + 1,
        )
        if stored:
            transaction.on_commit(lambda: dispatcher().plan(experiment_id))


def fail_experiment(experiment: Experiment, error: str, *, held: QuerySet[Experiment]) -> None:
    """End an experiment with a reason, if it is still among the rows that this attempt holds."""
    _end(held, experiment, to=ExperimentState.FAILED, error=error)


def cancel_experiment(experiment: Experiment) -> bool:
    """End an experiment without a model. A fit in progress learns it within about a second."""
    return _end(Experiment.objects.all(), experiment, to=ExperimentState.CANCELLED)


def _end(rows: QuerySet[Experiment], experiment: Experiment, *, to: ExperimentState, error: str = "") -> bool:
    with transaction.atomic():
        ended = advance_experiment(
            rows.filter(id=experiment.id),
            to=to,
            phase=Phase.DONE,
            error=error,
            finished_at=timezone.now(),
            lease_expires_at=None,
            version=F("version") + 1,
            **clock.stopped(experiment),
        )
        if ended:
            cancel_trials(experiment, reason="The experiment ended before this trial did.")
            # Its answer is wanted no more; what somebody asked for is made all the same.
            experiment.models.filter(state=ModelState.PACKAGING, asked_for=False).delete()
    return ended


def cancel_trials(experiment: Experiment, *, reason: str) -> int:
    """Cancel what has not ended; whoever runs one finds out at its next heartbeat."""
    going = [TrialState.WAITING.value, TrialState.RUNNING.value]
    return Trial.objects.filter(experiment=experiment, state__in=going).update(
        state=TrialState.CANCELLED.value,
        cut_short=True,
        error=reason,
        finished_at=timezone.now(),
        lease_expires_at=None,
    )


def stop_experiment(
    experiment: Experiment, *, reason: str = STOPPED, rows: QuerySet[Experiment] | None = None
) -> bool:
    """End the search and keep the best: from `running` or `paused` to `stopping`, then ensemble and package.

    Calling it twice, or from several places at once, finishes the experiment once. `rows` may say more
    of what must still hold.
    """
    rows = Experiment.objects.all() if rows is None else rows
    with transaction.atomic():
        stopped = advance_experiment(
            rows.filter(id=experiment.id).exclude(prepared__isnull=True),
            to=ExperimentState.STOPPING,
            phase=Phase.ENSEMBLING,
            losses=0,
            lease_expires_at=None,
            version=F("version") + 1,
        )
        if stopped:
            cancel_trials(experiment, reason=reason)
            transaction.on_commit(lambda: dispatcher().finish(experiment.id))
    return stopped


def delete_experiment(experiment: Experiment) -> None:
    """Hide an experiment at once; `purge_experiments` removes its rows and files."""
    cancel_experiment(experiment)
    Experiment.objects.filter(id=experiment.id).update(deleted_at=timezone.now(), version=F("version") + 1)


def tested_on() -> QuerySet[Any]:
    """The datasets on which models will be tested: of searches that go on, and those still to be written."""
    tests = ~Q(state__in=FINAL) | Q(models__in=selectors.unwritten_models())
    return Experiment.objects.exclude(test_dataset=None).filter(tests).values_list("test_dataset", flat=True)


def purge_experiments() -> None:
    """Remove deleted experiments, and those of deleted datasets, once nothing of them runs."""
    Experiment.objects.filter(deleted_at=None).exclude(dataset__deleted_at=None).update(
        deleted_at=timezone.now()
    )
    deleted = Experiment.objects.exclude(deleted_at=None)
    for experiment in deleted.exclude(state__in=FINAL):
        cancel_experiment(experiment)
    # A fit that was killed a moment ago may still be writing its last file.
    quiet = timezone.now() - timedelta(seconds=settings.LEASE_SECONDS)
    for experiment in deleted.filter(state__in=FINAL, deleted_at__lt=quiet)[:20]:
        for model in experiment.models.all():
            storage.remove(f"models/{model.id}")
        storage.remove(experiment.folder)
        experiment.delete()
