"""What readers ask for beside searches: diagnoses, and files to predict. Searches need the same processes.

Each worker for short work has two of them, and only one is for this. Who has to wait is sent again by
the one that ends, or by the sweep.
"""

from __future__ import annotations

from django.db.models import QuerySet

from automl.core import leases
from automl.core.dispatch import dispatcher
from automl.core.health import live_workers
from automl.experiments.models import Diagnosis, DiagnosisState, Prediction, PredictionState

UNFINISHED = (PredictionState.WAITING, PredictionState.RUNNING)


def open_diagnoses() -> QuerySet[Diagnosis]:
    """Those that are not there yet and still wanted."""
    return Diagnosis.objects.filter(state=DiagnosisState.COMPUTING, experiment__deleted_at=None)


def open_predictions() -> QuerySet[Prediction]:
    """Those that are not there yet and still wanted."""
    return Prediction.objects.filter(state__in=UNFINISHED, model__experiment__deleted_at=None)


def has_room() -> bool:
    """Whether one more may begin now."""
    held = sum(
        rows.exclude(leases.free_or_expired()).count() for rows in (open_diagnoses(), open_predictions())
    )
    return held < max(live_workers("short").count(), 1)


def wake_next() -> None:
    """Send the oldest of what waits; a diagnosis before a file, as somebody looks at an empty page."""
    free = leases.free_or_expired()
    diagnosis = open_diagnoses().filter(free).order_by("created_at").values_list("id", flat=True).first()
    if diagnosis is not None:
        dispatcher().diagnose(diagnosis)
        return
    prediction = open_predictions().filter(free).order_by("created_at").values_list("id", flat=True).first()
    if prediction is not None:
        dispatcher().predict(prediction)
