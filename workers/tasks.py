"""Thin tasks: each takes ids and calls one service. A message is a wake-up; rows say what to do.

What is logged meanwhile carries the ids, and the attempt once a service has claimed one.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

from celery import Task, shared_task
from structlog.contextvars import bound_contextvars

from automl.datasets.services import profile_dataset as profile
from automl.experiments.services import diagnoses, lifecycle, packaging, predictions, results, trials
from automl.experiments.services import sweep as sweeping


@shared_task
def profile_dataset(dataset_id: str) -> None:
    """Needs a dataset that is profiling; leaves it ready or failed."""
    with bound_contextvars(dataset=dataset_id, attempt=0):
        profile(UUID(dataset_id))


@shared_task
def prepare_experiment(experiment_id: str) -> None:
    """Needs an experiment that is pending; leaves it running or failed."""
    with bound_contextvars(experiment=experiment_id, attempt=0):
        lifecycle.prepare_experiment(UUID(experiment_id))


@shared_task
def plan_trials(experiment_id: str) -> None:
    """Needs an experiment that is running; adds waiting trials, or leaves it stopping."""
    with bound_contextvars(experiment=experiment_id):
        trials.plan_trials(UUID(experiment_id))


@shared_task(bind=True)
def evaluate_trial(self: Task[Any, Any]) -> None:
    """Needs a waiting trial, of any experiment; leaves it complete, pruned, failed or cancelled."""
    trials.evaluate_trial(self.request.hostname or "worker")


@shared_task
def finish_experiment(experiment_id: str) -> None:
    """Needs an experiment that is stopping; leaves it complete or failed."""
    with bound_contextvars(experiment=experiment_id, attempt=0):
        results.finish_experiment(UUID(experiment_id))


@shared_task
def package_model(model_id: str) -> None:
    """Needs a model that is packaging, or ready with its graph due; leaves it ready or failed."""
    with bound_contextvars(model=model_id):
        packaging.package_model(UUID(model_id))


@shared_task
def predict_file(prediction_id: str) -> None:
    """Needs a prediction that waits; leaves it complete, failed or cancelled."""
    with bound_contextvars(prediction=prediction_id, attempt=0):
        predictions.predict_file(UUID(prediction_id))


@shared_task
def compute_diagnosis(diagnosis_id: str) -> None:
    """Needs a diagnosis that is computing; leaves it ready or failed."""
    with bound_contextvars(diagnosis=diagnosis_id):
        diagnoses.compute_diagnosis(UUID(diagnosis_id))


@shared_task
def sweep() -> None:
    """Enforces deadlines of rows in any state that is not final."""
    sweeping.sweep()


@shared_task
def clean_up() -> None:
    """Removes what was deleted."""
    sweeping.clean_up()
