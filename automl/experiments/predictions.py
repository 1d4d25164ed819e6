"""Reading files that models predict, always as somebody: what is not yours is not there."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from django.db.models import QuerySet
from django.http import Http404
from django.utils.text import slugify

from automl.accounts.models import User
from automl.core.errors import Conflict, InvalidInput
from automl.core.storage import path_of
from automl.experiments.models import Prediction, PredictionState, TrainedModel
from automl.experiments.selectors import list_models

RESULT_TYPES = {"csv": "text/csv", "parquet": "application/vnd.apache.parquet"}


def list_predictions(model: TrainedModel) -> QuerySet[Prediction]:
    """The files that a model predicts or has predicted, newest first."""
    return model.predictions.order_by("-created_at", "id")


def get_prediction(*, user: User, id: UUID | str) -> Prediction:
    """A prediction by one of the user's models, or Http404."""
    mine = Prediction.objects.filter(model__in=list_models(user).order_by())
    try:
        return mine.select_related("model__experiment").get(id=UUID(str(id)))
    except (Prediction.DoesNotExist, ValueError) as error:
        raise Http404("There is no such prediction.") from error


@dataclass(frozen=True, kw_only=True)
class Result:
    """A file to send: see `automl.core.downloads.send_file`."""

    path: Path
    filename: str
    content_type: str
    sha256: str
    what: str


def result_of(prediction: Prediction, form: str) -> Result:
    """The file of a complete prediction, as CSV or Parquet.

    Raises
    ------
    InvalidInput
        If the format is not known.
    Conflict
        If the prediction is not complete.
    """
    if form not in RESULT_TYPES:
        raise InvalidInput({"format": f"{form[:40]!r} is not known here. Choose csv or parquet."})
    if prediction.state != PredictionState.COMPLETE:
        reason = f" {prediction.error}" if prediction.error else ""
        raise Conflict(
            f"The prediction is {prediction.state}; its file is there once it is complete.{reason}"
        )
    stem = prediction.filename.partition(".")[0]
    return Result(
        path=path_of(prediction.results) / f"predictions.{form}",
        filename=f"{slugify(stem) or 'rows'}-predictions.{form}",
        content_type=RESULT_TYPES[form],
        sha256=prediction.files[form]["sha256"],
        what="prediction",
    )
