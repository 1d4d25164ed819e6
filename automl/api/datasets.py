"""Uploading tables, reading what was found in them, correcting it."""

from __future__ import annotations

from typing import Any

from django.http.response import HttpResponseBase
from django.urls import reverse
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from automl.api.conditional import weak_etag
from automl.api.encoding import UploadParser, refuse_long_body
from automl.api.idempotency import idempotent
from automl.api.pagination import whole_number
from automl.api.resource import Paged, Resource, identifier, waiting
from automl.api.serializers.datasets import (
    DatasetChange,
    DatasetSerializer,
    DatasetUpload,
    PreviewSerializer,
)
from automl.core.errors import InvalidInput
from automl.datasets import selectors, services
from automl.datasets.models import Dataset, DatasetState

MOST_PREVIEW_ROWS = 1000


class Datasets(Paged, Resource):
    problems = {"preview": ["409"], "create": ["507"]}

    def get_parsers(self) -> list[Any]:
        uploads = getattr(self, "action", None) == "create" or getattr(self.request, "method", "") == "POST"
        return [UploadParser()] if uploads else super().get_parsers()

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        if request.method == "POST":
            refuse_long_body(request)

    @extend_schema(operation_id="list_datasets", responses=DatasetSerializer(many=True))
    def list(self, request: Request) -> HttpResponseBase:
        """Your datasets, newest first."""
        paginator, datasets = self.page(selectors.list_datasets(self.user), request)
        return paginator.get_paginated_response(DatasetSerializer(datasets, many=True).data)

    @extend_schema(
        operation_id="upload_dataset",
        request={"multipart/form-data": DatasetUpload},
        responses={201: DatasetSerializer},
    )
    @idempotent(atomic=False)
    def create(self, request: Request) -> HttpResponseBase:
        """Upload a table. It is `profiling` until a worker has read it, then `ready` or `failed`."""
        data = self.valid(DatasetUpload)
        dataset = services.create_dataset(owner=self.user, file=data["file"], name=data["name"])
        response = _shown(dataset, status=201)
        response.headers["Location"] = request.build_absolute_uri(
            reverse("api:dataset", kwargs={"id": dataset.id})
        )
        return response

    @extend_schema(operation_id="get_dataset", responses=DatasetSerializer)
    def retrieve(self, request: Request, id: str) -> HttpResponseBase:
        """One dataset."""
        dataset = self._get(id)
        unchanged = self.unchanged(_etag(dataset), unfinished=_is_unfinished(dataset))
        return unchanged or _shown(dataset)

    @extend_schema(operation_id="change_dataset", request=DatasetChange, responses=DatasetSerializer)
    def partial_update(self, request: Request, id: str) -> HttpResponseBase:
        """Rename a dataset, or correct the kinds of its columns."""
        dataset = self._get(id)
        data = self.valid(DatasetChange)
        if "columns" in data:
            kinds = {column["name"]: column["kind"] for column in data["columns"]}
            try:
                dataset = services.correct_kinds(dataset, kinds)
            except InvalidInput as error:
                raise InvalidInput({f"columns.{f}": m for f, m in error.fields.items()}) from error
        if "name" in data:
            dataset = services.rename_dataset(dataset, data["name"])
        return _shown(dataset)

    @extend_schema(operation_id="delete_dataset", responses={204: None})
    def destroy(self, request: Request, id: str) -> HttpResponseBase:
        """Delete a dataset with its experiments and models."""
        services.delete_dataset(self._get(id))
        return Response(status=204)

    @extend_schema(
        operation_id="preview_dataset",
        parameters=[
            OpenApiParameter(
                "rows", {"type": "integer", "minimum": 1, "maximum": MOST_PREVIEW_ROWS, "default": 20}
            ),
            OpenApiParameter("offset", {"type": "integer", "minimum": 0, "default": 0}),
        ],
        responses=PreviewSerializer,
    )
    def preview(self, request: Request, id: str) -> HttpResponseBase:
        """The first rows, with null for what is missing."""
        dataset = self._get(id)
        count = whole_number(request, "rows", default=20, low=1, high=MOST_PREVIEW_ROWS)
        offset = whole_number(request, "offset", default=0, low=0, high=10**12)
        etag = weak_etag("preview", dataset.sha256, dataset.state, count, offset)
        if dataset.state == DatasetState.READY and (unchanged := self.unchanged(etag)):
            return unchanged
        columns, rows = selectors.preview(dataset, rows=count, offset=offset)
        return Response({"columns": columns, "rows": rows}, headers={"ETag": etag})

    def _get(self, id: str) -> Dataset:
        return selectors.get_dataset(user=self.user, id=identifier(id, "dataset"))


def _is_unfinished(dataset: Dataset) -> bool:
    return dataset.state == DatasetState.PROFILING


def _etag(dataset: Dataset) -> str:
    return weak_etag("dataset", dataset.id, dataset.version, dataset.state)


def _shown(dataset: Dataset, *, status: int = 200) -> Response:
    response = Response(DatasetSerializer(dataset).data, status=status, headers={"ETag": _etag(dataset)})
    return waiting(response, _is_unfinished(dataset))
