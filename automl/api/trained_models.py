"""Models: what is downloaded, and predicts."""

from __future__ import annotations

import functools

from django.http.response import HttpResponseBase
from django.urls import reverse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from automl.api.conditional import weak_etag
from automl.api.encoding import RowsParser
from automl.api.idempotency import idempotent
from automl.api.resource import Paged, Resource, identifier, waiting
from automl.api.serializers.models import ModelSerializer, PredictionRequest, PredictionSerializer
from automl.core.downloads import check_whole, send_file
from automl.core.errors import Conflict, Unavailable
from automl.core.storage import path_of
from automl.engine.errors import Retryable
from automl.engine.serving import PredictionServer
from automl.experiments import selectors
from automl.experiments.models import ModelState, TrainedModel

PREDICTION_SECONDS = 60.0


@functools.cache
def prediction_server() -> PredictionServer:
    """One a process, started with the first prediction: it holds loaded models outside of the web process."""
    return PredictionServer()


class Models(Paged, Resource):
    problems = {"download": ["409", "416", "503"]}

    @extend_schema(operation_id="list_models", responses=ModelSerializer(many=True))
    def list(self, request: Request) -> HttpResponseBase:
        """Your models, newest first."""
        paginator, models = self.page(selectors.list_models(self.user), request)
        return paginator.get_paginated_response(ModelSerializer(models, many=True).data)

    @extend_schema(operation_id="get_model", responses=ModelSerializer)
    def retrieve(self, request: Request, id: str) -> HttpResponseBase:
        """One model, with its metrics and the columns that it needs."""
        model = self._get(id)
        return self.unchanged(_etag(model), unfinished=_is_unfinished(model)) or shown(request, model)

    @extend_schema(
        operation_id="download_model",
        parameters=[
            OpenApiParameter("Range", str, OpenApiParameter.HEADER, description="One range of bytes."),
            OpenApiParameter("If-Range", str, OpenApiParameter.HEADER),
        ],
        responses={
            (200, "application/zip"): OpenApiResponse(OpenApiTypes.BINARY, description="The bundle, a ZIP."),
            (206, "application/zip"): OpenApiResponse(OpenApiTypes.BINARY, description="The part asked for."),
        },
    )
    def download(self, request: Request, id: str) -> HttpResponseBase:
        """The bundle: model, predict.py, requirements, model card. Its ETag is its SHA-256."""
        model = self._ready(id, "downloaded")
        return send_file(
            request,
            path_of(model.bundle),
            filename=selectors.bundle_filename(model),
            content_type="application/zip",
            sha256=model.sha256,
        )

    def _get(self, id: str) -> TrainedModel:
        return selectors.get_model(user=self.user, id=identifier(id, "model"))

    def _ready(self, id: str, done: str) -> TrainedModel:
        return ready(self._get(id), done)


class Predictions(Resource):
    """What a model says about rows."""

    parser_classes = [RowsParser]

    @extend_schema(operation_id="predict", request=PredictionRequest, responses={200: PredictionSerializer})
    @idempotent(atomic=False)
    def create(self, request: Request, id: str) -> HttpResponseBase:
        """Predict rows. Missing columns are named in the error, extra ones are ignored."""
        model = ready(selectors.get_model(user=self.user, id=identifier(id, "model")), "used")
        rows = self.valid(PredictionRequest)["rows"]
        check_whole(path_of(model.bundle), model.sha256)
        try:
            answer = prediction_server().predict(path_of(model.bundle), rows, PREDICTION_SECONDS)
        except Retryable as error:
            raise Unavailable(str(error)) from error
        return Response(answer)


def ready(model: TrainedModel, done: str) -> TrainedModel:
    """The model, if it can be used; Conflict if not."""
    if model.state != ModelState.READY:
        reason = f" {model.error}" if model.error else ""
        raise Conflict(f"The model is {model.state}; it can be {done} once it is ready.{reason}")
    return model


def _is_unfinished(model: TrainedModel) -> bool:
    return model.state == ModelState.PACKAGING


def _etag(model: TrainedModel) -> str:
    return weak_etag("model", model.id, model.version, model.state)


def shown(request: Request, model: TrainedModel, *, status: int = 200) -> Response:
    headers = {"ETag": _etag(model)}
    if status == 202:
        headers["Location"] = request.build_absolute_uri(reverse("api:model", kwargs={"id": model.id}))
    return waiting(
        Response(ModelSerializer(model).data, status=status, headers=headers), _is_unfinished(model)
    )
