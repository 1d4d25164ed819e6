"""Everything that must not wait for a message: one sweep, called every few seconds."""

from __future__ import annotations

from datetime import timedelta

from django.utils import timezone

from automl.core.models import IdempotentAnswer, Worker
from automl.datasets.services import purge_datasets, reap_datasets
from automl.experiments import clock
from automl.experiments.models import Experiment
from automl.experiments.services.lifecycle import purge_experiments
from automl.experiments.services.results import reap_results
from automl.experiments.services.trials import reap_trials


def sweep() -> None:
    """Enforce every deadline: leases, budgets, and work whose message was lost."""
    clock.move_on(Experiment.objects.all())
    reap_datasets()
    reap_trials()
    reap_results()


def clean_up() -> None:
    """Remove what nobody needs any more."""
    now = timezone.now()
    purge_experiments()
    purge_datasets()
    IdempotentAnswer.objects.filter(created_at__lt=now - timedelta(days=1)).delete()
    Worker.objects.filter(seen_at__lt=now - timedelta(hours=1)).delete()
