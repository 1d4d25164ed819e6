"""Carries work to the workers by messages that hold ids only."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import structlog
from celery import Task
from kombu.exceptions import OperationalError

from workers import tasks
from workers.app import app
from workers.schedule import SWEEP_EXPIRES

log = structlog.get_logger(__name__)
# A broker that does not answer must not hold up a request: the sweep sends the message again.
SEND_SECONDS = 3.0
RETRY = {"max_retries": 1, "interval_start": 0.0, "interval_step": 0.1, "interval_max": 0.2}


class CeleryDispatcher:
    """Sends messages. One that can't be sent is only late: the waiting row is found by the sweep."""

    def __init__(self) -> None:
        # A worker may wait long for a message, but nobody long for a broker that takes one and is silent.
        options = {**app.conf.broker_transport_options, "socket_timeout": SEND_SECONDS}
        app.conf.broker_transport_options = options

    def profile(self, dataset_id: UUID) -> None:
        _send(tasks.profile_dataset, dataset_id)

    def prepare(self, experiment_id: UUID) -> None:
        _send(tasks.prepare_experiment, experiment_id)

    def plan(self, experiment_id: UUID) -> None:
        _send(tasks.plan_trials, experiment_id)

    def evaluate(self, trial_id: UUID) -> None:
        _send(tasks.evaluate_trial)

    def finish(self, experiment_id: UUID) -> None:
        _send(tasks.finish_experiment, experiment_id)

    def package(self, model_id: UUID) -> None:
        _send(tasks.package_model, model_id)

    def predict(self, prediction_id: UUID) -> None:
        _send(tasks.predict_file, prediction_id)

    def diagnose(self, diagnosis_id: UUID) -> None:
        _send(tasks.compute_diagnosis, diagnosis_id)

    def ring(self) -> None:
        # Seats that are busy need not find a heap of these afterwards.
        _send(tasks.evaluate_trial, expires=SWEEP_EXPIRES)


def _send(task: Task, *ids: UUID, **options: Any) -> None:  # type: ignore[type-arg]
    try:
        task.apply_async(tuple(str(id) for id in ids), retry=True, retry_policy=RETRY, **options)
    except (OperationalError, OSError) as error:
        log.warning("message_not_sent", task=task.name, error=str(error))
