"""Work beside searches, which need the same processes: diagnoses, graphs of models, files to predict.

Each worker for short work has two of them, and only one is for this. Who has to wait is sent again by
the one that ends, or by the sweep.
"""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet

from automl.core import leases
from automl.core.dispatch import dispatcher
from automl.core.health import live_workers
from automl.experiments import selectors
from automl.experiments.models import (
    Diagnosis,
    DiagnosisState,
    ModelState,
    Prediction,
    PredictionState,
    TrainedModel,
)
from automl.experiments.states import FINAL

UNFINISHED = (PredictionState.WAITING, PredictionState.RUNNING)


def open_diagnoses() -> QuerySet[Diagnosis]:
    """Those that are not there yet and still wanted."""
    return Diagnosis.objects.filter(state=DiagnosisState.COMPUTING, experiment__deleted_at=None)


def open_predictions() -> QuerySet[Prediction]:
    """Those that are not there yet and still wanted."""
    return Prediction.objects.filter(state__in=UNFINISHED, model__experiment__deleted_at=None)


def due_graphs() -> QuerySet[TrainedModel]:
    """Models that are ready and get a graph, unless their own search goes on: that needs its time more."""
    return selectors.unwritten_models().filter(state=ModelState.READY, experiment__state__in=FINAL)


def has_room() -> bool:
    """Whether one more may begin now."""
    work: tuple[QuerySet[Any], ...] = (open_diagnoses(), due_graphs(), open_predictions())
    held = sum(rows.exclude(leases.free_or_expired()).count() for rows in work)
    return held < max(live_workers("short").count(), 1)


def wake_next() -> None:
    """Send the oldest of what waits: diagnoses first, as somebody looks at an empty page, then short work."""
    free = leases.free_or_expired()
    diagnosis = open_diagnoses().filter(free).order_by("created_at").values_list("id", flat=True).first()
    if diagnosis is not None:
        dispatcher().diagnose(diagnosis)
        return
    graph = due_graphs().filter(free).order_by("created_at").values_list("id", flat=True).first()
    if graph is not None:
        dispatcher().package(graph)
        return
    prediction = open_predictions().filter(free).order_by("created_at").values_list("id", flat=True).first()
    if prediction is not None:
        dispatcher().predict(prediction)
