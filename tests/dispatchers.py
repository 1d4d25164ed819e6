from __future__ import annotations

from uuid import UUID


class Recorder:
    """Remembers what it was asked to carry and does nothing: rows are what tests look at."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, UUID]] = []

    def profile(self, dataset_id: UUID) -> None:
        self.sent.append(("profile", dataset_id))

    def prepare(self, experiment_id: UUID) -> None:
        self.sent.append(("prepare", experiment_id))

    def plan(self, experiment_id: UUID) -> None:
        self.sent.append(("plan", experiment_id))

    def evaluate(self, trial_id: UUID) -> None:
        self.sent.append(("evaluate", trial_id))

    def finish(self, experiment_id: UUID) -> None:
        self.sent.append(("finish", experiment_id))

    def package(self, model_id: UUID) -> None:
        self.sent.append(("package", model_id))

    def predict(self, prediction_id: UUID) -> None:
        self.sent.append(("predict", prediction_id))

    def diagnose(self, diagnosis_id: UUID) -> None:
        self.sent.append(("diagnose", diagnosis_id))

    def ring(self) -> None:
        pass
