"""Rows as they are by now."""

from __future__ import annotations

from typing import TypeVar

from django.db.models import Model

from automl.experiments.models import Experiment, ModelState

R = TypeVar("R", bound=Model)
ENDED = ("complete", "cancelled", "failed")


def again(row: R) -> R:
    """The row as it has become."""
    row.refresh_from_db()
    return row


def states(experiment: Experiment) -> list[str]:
    """The states of its trials, by number."""
    return list(experiment.trials.order_by("number").values_list("state", flat=True))


def best_model_id(experiment: Experiment) -> str | None:
    """The packaged best model, once it is there."""
    model = experiment.models.filter(is_best=True, state=ModelState.READY).only("id").first()
    return str(model.id) if model else None
