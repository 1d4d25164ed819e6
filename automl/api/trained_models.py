"""Models: what is downloaded, and predicts."""

from __future__ import annotations

from django.http.response import HttpResponseBase
from django.urls import reverse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from automl.api.conditional import weak_etag
from automl.api.idempotency import idempotent
from automl.api.resource import Paged, Resource, identifier, waiting
from automl.api.serializers.fields import NoFields
from automl.api.serializers.models import ModelChoice, ModelSerializer
from automl.core.downloads import send_file
from automl.core.storage import path_of
from automl.experiments import selectors, serving
from automl.experiments.models import Experiment, ModelState, TrainedModel
from automl.experiments.services import choosing, packaging


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
        return serving.ready(self._get(id), done)


class ExperimentModels(Paged, Resource):
    """The models of one experiment."""

    @extend_schema(operation_id="list_experiment_models", responses=ModelSerializer(many=True))
    def list(self, request: Request, id: str) -> HttpResponseBase:
        """The models that were packaged of an experiment, newest first."""
        models = selectors.list_models(self.user).filter(experiment=self._experiment(id))
        paginator, rows = self.page(models, request)
        return paginator.get_paginated_response(ModelSerializer(rows, many=True).data)

    @extend_schema(operation_id="choose_model", request=ModelChoice, responses={202: ModelSerializer})
    @idempotent()
    def create(self, request: Request, id: str) -> HttpResponseBase:
        """Package a line of the board by what it is: the best, or the fastest that is nearly as good.

        Asking again gives the same model, as long as the board says the same.
        """
        experiment = self._experiment(id)
        data = self.valid(ModelChoice)
        if data["choose"] == "fastest":
            return shown(request, choosing.package_fastest(experiment, within=data["within"]), status=202)
        return shown(request, choosing.package_best(experiment), status=202)

    def _experiment(self, id: str) -> Experiment:
        return selectors.get_experiment(user=self.user, id=identifier(id, "experiment"))


class Ensembles(Resource):
    """Lines of the board that are several trials at once."""

    @extend_schema(operation_id="package_ensemble", request=None, responses={202: ModelSerializer})
    @idempotent()
    def package(self, request: Request, id: str) -> HttpResponseBase:
        """Package an ensemble, also one that is not the best. Asking again gives the same model."""
        ensemble = selectors.get_ensemble(user=self.user, id=identifier(id, "ensemble"))
        self.valid(NoFields)
        return shown(request, packaging.package_ensemble(ensemble), status=202)


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
