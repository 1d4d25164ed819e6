"""What whoever runs the service wants to see: seats, queues, leases and heartbeats, of all users."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import BigIntegerField, Count, F, Max, Min, Q, QuerySet, Sum
from django.db.models.fields.json import KT
from django.db.models.functions import Cast, Coalesce
from django.utils import timezone

from automl.core import health, pulses
from automl.core.models import Pulse, Worker
from automl.datasets.models import Dataset, DatasetState
from automl.engine.trial import TrialState
from automl.experiments import selectors
from automl.experiments.models import (
    Experiment,
    ExperimentState,
    Prediction,
    PredictionState,
    Trial,
)
from automl.experiments.predictions import RESULT_TYPES

# Budgets are judged by the searches that have finished in this time: totals over rows would fall with them.
LATELY = timedelta(hours=1)
WAITING, RUNNING = TrialState.WAITING.value, TrialState.RUNNING.value
WAITING_SINCE = Coalesce("waiting_since", "created_at")
# Within a second or two a search that keeps its budget is over it; the contract allows 5 s or 10 %.
OVERRUNS = (0, 1, 2, 5, 10, 30, 60)


@dataclass(frozen=True, kw_only=True)
class WorkerRow:
    """A worker, and how many of its seats are taken."""

    name: str
    queue: str
    seats: int
    threads: int
    memory: int
    busy: int
    started_at: datetime
    age: float


@dataclass(frozen=True, kw_only=True)
class QueueRow:
    """Trials of one experiment that wait for a seat."""

    experiment: Any
    name: str
    user: str
    state: str
    count: int
    age: float


@dataclass(frozen=True, kw_only=True)
class LeaseRow:
    """Work that somebody holds just now."""

    what: str
    experiment: Any
    name: str
    number: int | None
    family: str
    worker: str
    attempt: int
    losses: int | None
    left: float
    spent: float | None


@dataclass(frozen=True, kw_only=True)
class PredictionRow:
    """Files to predict in one state: how many, the room they and their results take, the oldest's age."""

    state: str
    count: int
    room: int
    age: float


def list_workers() -> list[WorkerRow]:
    """Every worker heard from in the last hour. Six queries."""
    now = timezone.now()
    busy = dict(_held(Trial.objects.filter(state=RUNNING)).values_list("worker").annotate(count=Count("id")))
    short = sum(_held(rows).count() for rows in (*_short_work(), _predicting()))
    rows = []
    for worker in Worker.objects.filter(seen_at__gte=now - timedelta(hours=1)).order_by("queue", "name"):
        rows.append(
            WorkerRow(
                name=worker.name,
                queue=worker.queue,
                seats=worker.seats,
                threads=worker.threads_per_seat,
                memory=worker.memory_per_seat,
                # What is held on the short queue does not say by whom.
                busy=min(short, worker.seats) if worker.queue == "short" else busy.get(worker.name, 0),
                started_at=worker.started_at,
                age=(now - worker.seen_at).total_seconds(),
            )
        )
    return rows


def list_queue() -> list[QueueRow]:
    """Waiting trials by experiment, the longest wait first. One query."""
    now = timezone.now()
    found = (
        Trial.objects.filter(state=WAITING, experiment__deleted_at=None)
        .values("experiment", "experiment__name", "experiment__owner__username", "experiment__state")
        .annotate(count=Count("id"), oldest=Min(WAITING_SINCE))
        .order_by("oldest")
    )
    return [
        QueueRow(
            experiment=row["experiment"],
            name=row["experiment__name"],
            user=row["experiment__owner__username"],
            state=row["experiment__state"],
            count=row["count"],
            age=(now - row["oldest"]).total_seconds(),
        )
        for row in found[:100]
    ]


def list_leases() -> list[LeaseRow]:
    """Everything that is held, and what should be: also leases that have run out. Five queries."""
    now = timezone.now()
    trials = Trial.objects.filter(state=RUNNING).select_related("experiment").order_by("started_at")[:200]
    rows = [
        LeaseRow(
            what="trial",
            experiment=trial.experiment_id,
            name=trial.experiment.name,
            number=trial.number,
            family=trial.family,
            worker=trial.worker,
            attempt=trial.attempt,
            losses=trial.losses,
            left=_seconds(now, trial.lease_expires_at),
            spent=(now - trial.started_at).total_seconds() if trial.started_at else None,
        )
        for trial in trials
    ]
    datasets, experiments, models = (rows.exclude(lease_expires_at=None)[:50] for rows in _short_work())
    files = _predicting().select_related("model")[:50]
    short: list[tuple[str, Any, str, Any]] = [
        *(("profile", None, dataset.name, dataset) for dataset in datasets),
        *((str(experiment.phase), experiment.id, experiment.name, experiment) for experiment in experiments),
        *(("package", model.experiment_id, model.name, model) for model in models),
        *(("predict", file.model.experiment_id, file.filename, file) for file in files),
    ]
    for what, experiment, name, held in short:
        rows.append(
            LeaseRow(
                what=what,
                experiment=experiment,
                name=name,
                number=None,
                family="",
                worker="short",
                attempt=held.attempt,
                losses=None,
                left=_seconds(now, held.lease_expires_at),
                spent=None,
            )
        )
    return rows


def list_failures(count: int = 10) -> QuerySet[Trial]:
    """The trials that failed last."""
    failed = Trial.objects.filter(state=TrialState.FAILED.value).select_related("experiment__owner")
    return failed.order_by(F("finished_at").desc(nulls_last=True))[:count]


def pulse_ages() -> dict[str, float]:
    """Seconds since the last sweep, and since each queue moved anything. One query."""
    now = timezone.now()
    found = Pulse.objects.filter(name__in=[pulses.SWEEP, *health.QUEUES])
    return {name: (now - at).total_seconds() for name, at in found.values_list("name", "beat_at")}


def trial_totals() -> dict[str, dict[str, float]]:
    """By state: how many trials, their seconds on a seat, losses, and leases held and run out. One query."""
    now = timezone.now()
    found = (
        Trial.objects.order_by()
        .values("state")
        .annotate(
            count=Count("id"),
            seconds_sum=Sum("seconds"),
            losses_sum=Sum("losses"),
            held=Count("id", filter=Q(lease_expires_at__gte=now)),
            expired=Count("id", filter=Q(lease_expires_at__lt=now)),
        )
    )
    return {row.pop("state"): row for row in found}  # type: ignore[misc]


def experiment_totals() -> dict[str, int]:
    """How many experiments are in each state. One query."""
    counts = dict(
        Experiment.objects.filter(deleted_at=None).order_by().values_list("state").annotate(count=Count("id"))
    )
    return {state.value: counts.get(state.value, 0) for state in ExperimentState}


def prediction_totals() -> list[PredictionRow]:
    """The files to predict and predicted, in each state. One query."""
    now = timezone.now()
    results = [Coalesce(Sum(_size_of(form)), 0) for form in RESULT_TYPES]
    found = (
        Prediction.objects.order_by()
        .values("state")
        .annotate(count=Count("id"), sent=Sum("bytes"), made=sum(results[1:], results[0]))
        .annotate(oldest=Min("created_at"))
    )
    by_state = {row["state"]: row for row in found}
    return [
        PredictionRow(
            state=state.value,
            count=row["count"] if row else 0,
            room=row["sent"] + row["made"] if row else 0,
            age=-_seconds(now, row["oldest"]) if row else 0.0,
        )
        for state in PredictionState
        for row in [by_state.get(state.value)]
    ]


def _size_of(form: str) -> Cast:
    return Cast(KT(f"files__{form}__size"), BigIntegerField())


def budget_overruns() -> dict[str, float]:
    """Of the searches finished lately: how many, how far the furthest went over its budget, and how many
    went over it by more than each of `OVERRUNS`. One query.
    """
    over = F("spent") - F("time_budget")
    finished = Experiment.objects.filter(
        state=ExperimentState.COMPLETE, started_at__isnull=False, finished_at__gte=timezone.now() - LATELY
    )
    beyond = {f"over_{most}": Count("id", filter=Q(over__gt=most)) for most in OVERRUNS}
    found = finished.annotate(over=over).aggregate(count=Count("id"), most=Max("over"), **beyond)
    return {name: value or 0 for name, value in found.items()}


def oldest_waiting() -> dict[str, tuple[int, float]]:
    """By queue: how much waits to be taken, and for how long the oldest has. Four queries."""
    now = timezone.now()
    ready = Trial.objects.filter(state=WAITING, experiment__state=ExperimentState.RUNNING)
    evaluate = ready.aggregate(count=Count("id"), oldest=Min(WAITING_SINCE))
    short = [
        rows.filter(lease_expires_at=None).aggregate(count=Count("id"), oldest=Min("created_at"))
        for rows in _short_work(beginning=True)
    ]
    oldest = min((found["oldest"] for found in short if found["oldest"]), default=None)
    return {
        "evaluate": (evaluate["count"], -_seconds(now, evaluate["oldest"])),
        "short": (sum(found["count"] for found in short), -_seconds(now, oldest)),
    }


def _short_work(*, beginning: bool = False) -> tuple[QuerySet[Any], QuerySet[Any], QuerySet[Any]]:
    """What the short queue works at: profiling, preparing or finishing, packaging."""
    experiments = Q(state=ExperimentState.PENDING) | Q(state=ExperimentState.RUNNING, prepared__isnull=True)
    if not beginning:
        experiments |= Q(state=ExperimentState.STOPPING)
    return (
        Dataset.objects.filter(state=DatasetState.PROFILING, deleted_at=None),
        Experiment.objects.filter(experiments, deleted_at=None),
        selectors.unwritten_models(),
    )


def _predicting() -> QuerySet[Prediction]:
    return Prediction.objects.filter(state=PredictionState.RUNNING)


def _held(rows: QuerySet[Any]) -> QuerySet[Any]:
    return rows.filter(lease_expires_at__gte=timezone.now()).order_by()


def _seconds(now: datetime, then: datetime | None) -> float:
    return 0.0 if then is None else (then - now).total_seconds()
