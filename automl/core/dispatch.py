"""How a service starts work without knowing what carries it."""

from __future__ import annotations

from functools import cache
from typing import Protocol, cast
from uuid import UUID

from django.conf import settings
from django.utils.module_loading import import_string


class Dispatcher(Protocol):
    """Carries work to where it is done. Called on commit, with ids only.

    A message is a mere wake-up: rows say what is to be done, so a message that is lost, late or
    doubled changes nothing. No method may raise when the broker is gone.
    """

    def profile(self, dataset_id: UUID) -> None: ...

    def prepare(self, experiment_id: UUID) -> None: ...

    def plan(self, experiment_id: UUID) -> None: ...

    def evaluate(self, trial_id: UUID) -> None: ...

    def finish(self, experiment_id: UUID) -> None: ...

    def package(self, model_id: UUID) -> None: ...

    def predict(self, prediction_id: UUID) -> None: ...

    def diagnose(self, diagnosis_id: UUID) -> None: ...

    def ring(self) -> None:
        """Have a seat answer that is free, so that one that is deaf shows: see `automl.core.pulses`."""


@cache
def _dispatcher(path: str) -> Dispatcher:
    return cast(Dispatcher, import_string(path)())


def dispatcher() -> Dispatcher:
    """The dispatcher that the settings name."""
    return _dispatcher(settings.DISPATCHER)
