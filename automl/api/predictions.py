"""What models say about rows: at once where these are few, else by a worker."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from django.conf import settings
from django.core.files.uploadedfile import UploadedFile
from django.http import HttpResponse
from django.http.response import HttpResponseBase
from django.urls import reverse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from automl.api.conditional import weak_etag
from automl.api.encoding import (
    BodyParser,
    RowsParser,
    UploadParser,
    refuse_long_body,
)
from automl.api.idempotency import idempotent
from automl.api.resource import Paged, Resource, identifier, waiting
from automl.api.serializers.models import PredictionRequest, PredictionSerializer
from automl.api.serializers.predictions import FilePredictionSerializer, FileToPredict, LevelAsked
from automl.core.downloads import send_file
from automl.core.errors import InvalidInput
from automl.experiments import predictions as predicted
from automl.experiments import selectors, serving
from automl.experiments.models import Prediction, TrainedModel
from automl.experiments.services import predictions as services

CSV, PARQUET = predicted.RESULT_TYPES["csv"], predicted.RESULT_TYPES["parquet"]
YES_NO = {"true": True, "1": True, "false": False, "0": False}
BACKGROUND = OpenApiParameter(
    "background",
    bool,
    OpenApiParameter.QUERY,
    description="Have a worker do it, whatever the size of the file. `Prefer: respond-async` says the same.",
)
LEVEL = OpenApiParameter(
    "level",
    {"type": "number", "minimum": 0, "maximum": 1},
    OpenApiParameter.QUERY,
    description="Also tell an interval, or a set of classes, that holds the truth in this share of rows. "
    "JSON and forms may say it themselves.",
)


class CSVParser(BodyParser):
    media_type = CSV


class ParquetParser(BodyParser):
    media_type = PARQUET


class GzipParser(BodyParser):
    media_type = "application/gzip"


class AnyParser(BodyParser):
    media_type = "application/octet-stream"


class Predict(Resource):
    """What a model says about rows."""

    problems = {"create": ["507"]}
    parser_classes = [RowsParser, CSVParser, ParquetParser, GzipParser, AnyParser, UploadParser]

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        refuse_long_body(request)

    @extend_schema(
        operation_id="predict",
        request={
            "application/json": PredictionRequest,
            CSV: OpenApiTypes.BINARY,
            PARQUET: OpenApiTypes.BINARY,
            "application/gzip": OpenApiTypes.BINARY,
            "application/octet-stream": OpenApiTypes.BINARY,
            "multipart/form-data": FileToPredict,
        },
        parameters=[
            BACKGROUND,
            LEVEL,
            OpenApiParameter("Prefer", str, OpenApiParameter.HEADER, description="`respond-async`"),
        ],
        responses={
            (200, "application/json"): PredictionSerializer,
            (200, CSV): OpenApiResponse(OpenApiTypes.BINARY, description="The prediction columns."),
            (202, "application/json"): FilePredictionSerializer,
        },
    )
    def create(self, request: Request, id: str) -> HttpResponseBase:
        """Predict rows. Missing columns are named in the error, extra ones are ignored.

        JSON rows and small CSV files are answered at once; for larger ones, for Parquet and gzip, and
        where it is asked for, the answer is a prediction to follow. With a level, files get the columns
        `prediction_low` and `prediction_high`, or `prediction_set`.
        """
        model = selectors.get_model_in_use(user=self.user, id=identifier(id, "model"))
        level = _level_in_address(request)
        if (request.content_type or "").split(";")[0].strip().lower() == RowsParser.media_type:
            return self._rows(request, model, level)
        serving.ready(model, "used")
        asked = self.valid(FileToPredict)
        file: UploadedFile[Any] = asked["file"]
        level = _one_level(level, asked["level"])
        form = services.form_of(file)
        small = form == "csv" and (file.size or 0) <= settings.PREDICT_AT_ONCE_BYTES
        if small and not _wants_background(request):
            return self._table(request, model, file, level)
        return self._file(request, model, file, level)

    # Each of these has nothing to do twice, so that a key costs its two writes only where one is sent.
    @idempotent(atomic=False)
    def _rows(self, request: Request, model: TrainedModel, level: float | None) -> HttpResponseBase:
        asked = self.valid(PredictionRequest)
        level = _one_level(level, asked["level"])
        return Response(serving.predict_rows(model, asked["rows"], level=level))

    @idempotent(atomic=False)
    def _table(
        self, request: Request, model: TrainedModel, file: UploadedFile[Any], level: float | None
    ) -> HttpResponseBase:
        found = serving.predict_table(model, file, level=level)
        return HttpResponse(found, content_type=f"{CSV}; charset=utf-8")

    @idempotent(atomic=False)
    def _file(
        self, request: Request, model: TrainedModel, file: UploadedFile[Any], level: float | None
    ) -> HttpResponseBase:
        prediction = services.request_prediction(model, owner=self.user, file=file, level=level)
        return shown(request, prediction, status=202)


class Predictions(Paged, Resource):
    """Files that models predict."""

    problems = {"download": ["409", "416", "503"], "destroy": ["409"]}

    @extend_schema(operation_id="list_predictions", responses=FilePredictionSerializer(many=True))
    def list(self, request: Request, id: str) -> HttpResponseBase:
        """The files that a model predicts or has predicted, newest first."""
        model = selectors.get_model(user=self.user, id=identifier(id, "model"))
        paginator, rows = self.page(predicted.list_predictions(model), request)
        return paginator.get_paginated_response(_data(request, rows))

    @extend_schema(operation_id="get_prediction", responses=FilePredictionSerializer)
    def retrieve(self, request: Request, id: str) -> HttpResponseBase:
        """One file's prediction: how far it is, and where the result lies once it is there."""
        prediction = self._get(id)
        unchanged = self.unchanged(_etag(prediction), unfinished=not prediction.is_final)
        return unchanged or shown(request, prediction)

    @extend_schema(
        operation_id="download_prediction",
        parameters=[
            OpenApiParameter(
                "format", str, OpenApiParameter.QUERY, enum=[*predicted.RESULT_TYPES], default="csv"
            ),
            OpenApiParameter("Range", str, OpenApiParameter.HEADER, description="One range of bytes."),
            OpenApiParameter("If-Range", str, OpenApiParameter.HEADER),
        ],
        responses={
            (status, media): OpenApiResponse(OpenApiTypes.BINARY, description=text)
            for media in (CSV, PARQUET)
            for status, text in ((200, "The prediction columns."), (206, "The part asked for."))
        },
    )
    def download(self, request: Request, id: str) -> HttpResponseBase:
        """The prediction columns, in the order of the rows. Its ETag is its SHA-256."""
        prediction = self._get(id)
        result = predicted.result_of(prediction, request.query_params.get("format", "csv"))
        return send_file(request, **asdict(result))

    @extend_schema(operation_id="delete_prediction", responses={202: FilePredictionSerializer, 204: None})
    def destroy(self, request: Request, id: str) -> HttpResponseBase:
        """Cancel one that waits or runs (202); remove one that has ended, with its files (204)."""
        prediction = self._get(id)
        if services.cancel_prediction(prediction):
            return shown(request, self._get(id), status=202)
        services.delete_prediction(prediction)
        return Response(status=204)

    def _get(self, id: str) -> Prediction:
        return predicted.get_prediction(user=self.user, id=identifier(id, "prediction"))


def _level_in_address(request: Request) -> float | None:
    query = request.query_params
    asked = LevelAsked(data={"level": query["level"]} if "level" in query else {})
    asked.is_valid(raise_exception=True)
    level: float | None = asked.validated_data["level"]
    return level


def _one_level(in_address: float | None, in_body: float | None) -> float | None:
    if None not in (in_address, in_body) and in_address != in_body:
        raise InvalidInput(
            {"level": f"The address says {in_address:g}, the body {in_body:g}. Say it in one of them."}
        )
    return in_address if in_body is None else in_body


def _wants_background(request: Request) -> bool:
    asked = request.query_params.get("background")
    if asked is not None:
        if asked.lower() not in YES_NO:
            raise InvalidInput({"background": f"{asked[:40]!r} is neither true nor false."})
        return YES_NO[asked.lower()]
    preferences = (word.strip().lower() for word in request.headers.get("Prefer", "").split(","))
    return "respond-async" in preferences


def _data(request: Request, predictions: Any) -> Any:
    return FilePredictionSerializer(predictions, many=True, context={"request": request}).data


def _etag(prediction: Prediction) -> str:
    return weak_etag("prediction", prediction.id, prediction.version, prediction.state)


def shown(request: Request, prediction: Prediction, *, status: int = 200) -> Response:
    headers = {"ETag": _etag(prediction)}
    if status == 202:
        headers["Location"] = request.build_absolute_uri(
            reverse("api:prediction", kwargs={"id": prediction.id})
        )
    (body,) = _data(request, [prediction])
    return waiting(Response(body, status=status, headers=headers), not prediction.is_final)
