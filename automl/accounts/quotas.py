"""How much one user may have at once."""

from __future__ import annotations

from dataclasses import dataclass

from django.conf import settings


@dataclass(frozen=True, slots=True)
class Quotas:
    """The limits of a user; what goes over one of them is refused with its figure."""

    datasets: int
    bytes: int
    upload_bytes: int
    active_experiments: int
    time_budget: int
    trials: int


def quotas() -> Quotas:
    """The limits that hold for every user now."""
    return Quotas(
        datasets=settings.MAX_DATASETS,
        bytes=settings.MAX_DATASET_BYTES,
        upload_bytes=settings.MAX_UPLOAD_BYTES,
        active_experiments=settings.MAX_ACTIVE_EXPERIMENTS,
        time_budget=settings.MAX_TIME_BUDGET,
        trials=settings.MAX_TRIALS,
    )
