"""Everything that must not wait for a message: one sweep, called every few seconds."""

from __future__ import annotations

import time
from collections.abc import Iterable
from datetime import timedelta

import structlog
from django.apps import apps
from django.utils import timezone

from automl.core import leases, pulses, store
from automl.core.dispatch import dispatcher
from automl.core.holdings import Holding
from automl.core.models import IdempotentAnswer, Worker
from automl.core.queues import queue_lengths
from automl.datasets.models import Dataset
from automl.datasets.services import purge_datasets, reap_datasets
from automl.engine.trial import TrialState
from automl.experiments import clock
from automl.experiments.models import Diagnosis, Experiment, Prediction, TrainedModel, Trial
from automl.experiments.services.diagnoses import reap_diagnoses
from automl.experiments.services.leftovers import remove_leftovers
from automl.experiments.services.lifecycle import purge_experiments, tested_on
from automl.experiments.services.losses import lose_trial, reap_trials, remove_files
from automl.experiments.services.packaging import purge_bundles, reap_models
from automl.experiments.services.predictions import purge_predictions, reap_predictions
from automl.experiments.services.results import reap_results

log = structlog.get_logger(__name__)
# Sweeps come every two seconds. After a longer silence the database or the broker was away, or all of us.
SILENCE_SECONDS = 8.0


def sweep() -> None:
    """Enforce every deadline: leases, budgets, and work whose message was lost."""
    began = time.monotonic()
    silence = pulses.age(pulses.SWEEP)
    if silence is None or silence > SILENCE_SECONDS:
        leases.forbear(
            *(
                model.objects.all()
                for model in (Dataset, Experiment, Trial, TrainedModel, Prediction, Diagnosis)
            )
        )
        pulses.beat(pulses.SWEEPS_AGAIN)
    clock.move_on(Experiment.objects.all())
    for reap in (reap_datasets, reap_trials, reap_results, reap_models, reap_predictions, reap_diagnoses):
        # Held up in the middle by a database that hung: what it is about to judge has changed since.
        if time.monotonic() - began > SILENCE_SECONDS:
            log.warning("sweep_held_up", seconds=round(time.monotonic() - began, 1))
            return
        reap()
    pulses.beat(pulses.SWEEP)
    # A message that lies there is as good as a ring; behind long fits those would grow to a heap.
    if not queue_lengths()["evaluate"]:
        dispatcher().ring()


def take_over(left: Iterable[Holding]) -> None:
    """Take back what processes held that are known to be dead, as if their leases had run out."""
    found = list(left)
    for holding in found:
        log.warning("found_a_dead_process", kind=holding.kind, row=str(holding.row), attempt=holding.attempt)
        if holding.kind == Trial._meta.label_lower:
            for trial in Trial.objects.filter(id=holding.row):
                _lose_attempt(trial, holding.attempt)
        else:
            rows = apps.get_model(holding.kind).objects.filter(id=holding.row, attempt=holding.attempt)
            leases.let_go(rows.exclude(lease_expires_at=None), counted=True)
    if found:
        reap_datasets()
        reap_results()
        reap_models()
        reap_predictions()
        reap_diagnoses()


def _lose_attempt(trial: Trial, attempt: int) -> None:
    if trial.attempt == attempt:
        lose_trial(trial)
        trial.refresh_from_db()
    if trial.attempt != attempt or trial.state != TrialState.COMPLETE.value:
        # Cancelled or given back just before: then nobody has removed what it had begun.
        trial.attempt = attempt
        remove_files(trial)


def clean_up() -> None:
    """Remove what nobody needs any more."""
    now = timezone.now()
    IdempotentAnswer.objects.filter(created_at__lt=now - timedelta(days=1)).delete()
    Worker.objects.filter(seen_at__lt=now - timedelta(hours=1)).delete()
    if not store.is_ours():
        return
    purge_experiments()
    purge_datasets(in_use=tested_on())
    purge_predictions()
    purge_bundles()
    remove_leftovers()
