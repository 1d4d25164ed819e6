"""Work done in this very process: for tests, for `manage.py run_experiment`, for a try with no Redis."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from uuid import UUID

from automl.datasets.services import profile_dataset
from automl.experiments.services.diagnoses import compute_diagnosis
from automl.experiments.services.lifecycle import prepare_experiment
from automl.experiments.services.packaging import package_model
from automl.experiments.services.predictions import predict_file
from automl.experiments.services.results import finish_experiment
from automl.experiments.services.trials import evaluate_trial, plan_trials


class InlineDispatcher:
    """Does what it is asked to carry, one thing after another, before it returns."""

    def __init__(self) -> None:
        self._queue: deque[Callable[[], object]] = deque()
        self._working = False

    def profile(self, dataset_id: UUID) -> None:
        self._do(lambda: profile_dataset(dataset_id))

    def prepare(self, experiment_id: UUID) -> None:
        self._do(lambda: prepare_experiment(experiment_id))

    def plan(self, experiment_id: UUID) -> None:
        self._do(lambda: plan_trials(experiment_id))

    def evaluate(self, trial_id: UUID) -> None:
        self._do(lambda: evaluate_trial("inline"))

    def finish(self, experiment_id: UUID) -> None:
        self._do(lambda: finish_experiment(experiment_id))

    def package(self, model_id: UUID) -> None:
        self._do(lambda: package_model(model_id))

    def predict(self, prediction_id: UUID) -> None:
        self._do(lambda: predict_file(prediction_id))

    def diagnose(self, diagnosis_id: UUID) -> None:
        self._do(lambda: compute_diagnosis(diagnosis_id))

    def ring(self) -> None:
        """Nobody is behind it who could be deaf."""

    def _do(self, work: Callable[[], object]) -> None:
        # A service that dispatches is itself being carried: its work queues up behind it.
        self._queue.append(work)
        if self._working:
            return
        self._working = True
        try:
            while self._queue:
                self._queue.popleft()()
        finally:
            self._queue.clear()
            self._working = False
