"""What the service offers, how it feels, and what it says about itself."""

from __future__ import annotations

import functools
from dataclasses import asdict
from typing import Any

from django.db.models import Sum
from django.http.response import HttpResponseBase
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from drf_spectacular.views import SpectacularSwaggerSplitView
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response

from automl.accounts.quotas import quotas
from automl.api.pagination import BoardPagination
from automl.api.permissions import BearerToken, BrowserSession
from automl.api.resource import Paged, Resource
from automl.api.serializers.about import (
    TASK_TYPES,
    FamilySerializer,
    HealthSerializer,
    MeSerializer,
    MetricSerializer,
)
from automl.core.errors import InvalidInput
from automl.core.health import readiness
from automl.datasets.selectors import list_datasets
from automl.engine.learners import families_for, get_learner
from automl.engine.metrics import METRICS, default_metric
from automl.engine.schema import DataProfile
from automl.engine.trial import TaskType
from automl.experiments.selectors import list_experiments
from automl.experiments.states import FINAL

CLASSES = {TaskType.BINARY: 2, TaskType.MULTICLASS: 5, TaskType.REGRESSION: 0}
TASK_TYPE = OpenApiParameter("task_type", enum=TASK_TYPES, description="Only what can be used for it.")


class Families(Paged, Resource):
    pagination_class = BoardPagination

    @extend_schema(
        operation_id="list_families", parameters=[TASK_TYPE], responses=FamilySerializer(many=True)
    )
    def list(self, request: Request) -> HttpResponseBase:
        """The families of models and their hyperparameters.

        Some ranges depend on the table; these are for one of 10,000 rows and 12 columns.
        """
        task_type = _task_type(request)
        families = [
            {
                "name": learner.key,
                "label": learner.label,
                "description": learner.description,
                "task_types": sorted(learner.task_types),
                "hyperparameters": learner.space(_middling(task_type or min(learner.task_types))).to_json(),
            }
            for learner in map(get_learner, families_for(task_type))
        ]
        paginator, rows = self.page(families, request)
        return paginator.get_paginated_response(FamilySerializer(rows, many=True).data)


class Metrics(Paged, Resource):
    pagination_class = BoardPagination

    @extend_schema(operation_id="list_metrics", parameters=[TASK_TYPE], responses=MetricSerializer(many=True))
    def list(self, request: Request) -> HttpResponseBase:
        """What scores can be measured in, and which way each is better."""
        task_type = _task_type(request)
        metrics = [
            {
                "name": name,
                "label": metric.label,
                "description": metric.description,
                "direction": metric.direction,
                "task_types": sorted(metric.task_types),
                "default_for": [task for task in TaskType if default_metric(task) is metric],
            }
            for name, metric in METRICS.items()
            if task_type is None or task_type in metric.task_types
        ]
        paginator, rows = self.page(metrics, request)
        return paginator.get_paginated_response(MetricSerializer(rows, many=True).data)


class Me(Resource):
    @extend_schema(operation_id="get_me", responses=MeSerializer)
    def retrieve(self, request: Request) -> HttpResponseBase:
        """Who you are, what you may have and what you have."""
        used = list_datasets(self.user).aggregate(total=Sum("bytes"))["total"] or 0
        use = {
            "datasets": list_datasets(self.user).count(),
            "bytes": used,
            "active_experiments": list_experiments(self.user).exclude(state__in=FINAL).count(),
        }
        body = {"user": self.user, "quotas": asdict(quotas()), "use": use}
        return Response(MeSerializer(body).data)


class Health(Resource):
    """For whoever watches the service: asks for no token and counts against no rate."""

    authentication_classes = []
    permission_classes = []
    throttle_classes = []

    @extend_schema(operation_id="health_live", responses=HealthSerializer)
    def live(self, request: Request) -> HttpResponseBase:
        """The web process answers."""
        return Response({"status": "ok"})

    @extend_schema(operation_id="health_ready", responses={200: HealthSerializer, 503: HealthSerializer})
    def ready(self, request: Request) -> HttpResponseBase:
        """Database, broker, storage and workers are there; 503 names what is not."""
        checks = readiness()
        if all(answer == "ok" for answer in checks.values()):
            return Response({"status": "ok", "checks": checks})
        return Response({"status": "unavailable", "checks": checks}, status=503, headers={"Retry-After": "5"})


@functools.cache
def document() -> dict[str, Any]:
    """The OpenAPI document; it is the same for everybody."""
    found: dict[str, Any] = SchemaGenerator().get_schema(public=True)  # type: ignore[no-untyped-call]
    return found


class Schema(Resource):
    @extend_schema(operation_id="get_schema", responses=OpenApiTypes.OBJECT)
    def retrieve(self, request: Request) -> HttpResponseBase:
        """This document: OpenAPI 3.1."""
        return Response(document())


class Docs(SpectacularSwaggerSplitView):
    """The document for people. Script and style are files, as the Content-Security-Policy wants."""

    authentication_classes = [BearerToken, BrowserSession]
    permission_classes = [IsAuthenticated]
    url_name = "api:schema"
    template_name = "api/docs.html"


def _task_type(request: Request) -> TaskType | None:
    text = request.query_params.get("task_type")
    if text is None:
        return None
    if text not in TASK_TYPES:
        raise InvalidInput({"task_type": f"{text[:40]!r} is none of: {', '.join(TASK_TYPES)}."})
    return TaskType(text)


def _middling(task_type: TaskType) -> DataProfile:
    return DataProfile(
        rows=10_000,
        numeric=8,
        task_type=task_type,
        classes=CLASSES[task_type],
        cardinalities=(3, 8, 20, 100),
        categorical=(8, 9, 10, 11),
        missing_share=0.05,
        metric=default_metric(task_type).name,
    )
