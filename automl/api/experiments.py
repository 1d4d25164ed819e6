"""Experiments: asked for, followed, ended."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from django.http import Http404
from django.http.response import HttpResponseBase
from django.urls import reverse
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from automl.api.conditional import weak_etag
from automl.api.digests import shown_experiments
from automl.api.errors import NoSuchReference
from automl.api.idempotency import idempotent
from automl.api.pagination import BoardPagination
from automl.api.resource import Paged, Resource, identifier, waiting
from automl.api.serializers.experiments import (
    ExperimentChange,
    ExperimentCreation,
    ExperimentExtension,
    ExperimentSerializer,
    LeaderboardRowSerializer,
)
from automl.api.serializers.fields import NoFields
from automl.datasets.models import Dataset
from automl.datasets.selectors import get_dataset
from automl.experiments import selectors
from automl.experiments.models import Experiment
from automl.experiments.services import lifecycle, steering
from automl.experiments.states import FINAL


class Experiments(Paged, Resource):
    problems = {"create": ["404", "507"]}

    @extend_schema(operation_id="list_experiments", responses=ExperimentSerializer(many=True))
    def list(self, request: Request) -> HttpResponseBase:
        """Your experiments, newest first."""
        paginator, experiments = self.page(selectors.list_experiments(self.user), request)
        versions = [(experiment.id, experiment.version) for experiment in experiments]
        etag = weak_etag("experiments", request.META.get("QUERY_STRING", ""), versions)
        if unchanged := self.unchanged(etag):
            return unchanged
        rows = ExperimentSerializer(shown_experiments(experiments), many=True).data
        response = paginator.get_paginated_response(rows)
        response.headers["ETag"] = etag
        return response

    @extend_schema(
        operation_id="create_experiment", request=ExperimentCreation, responses={201: ExperimentSerializer}
    )
    @idempotent()
    def create(self, request: Request) -> HttpResponseBase:
        """Start an experiment on a dataset that is `ready`."""
        data = self.valid(ExperimentCreation)
        for field in ("dataset", "test_dataset"):
            if data[field] is not None:
                data[field] = self._dataset(field, data[field])
        asked = lifecycle.ExperimentRequest(**data)
        experiment = lifecycle.create_experiment(owner=self.user, request=asked)
        response = shown(experiment, status=201)
        response.headers["Location"] = request.build_absolute_uri(
            reverse("api:experiment", kwargs={"id": experiment.id})
        )
        return response

    @extend_schema(operation_id="get_experiment", responses=ExperimentSerializer)
    def retrieve(self, request: Request, id: str) -> HttpResponseBase:
        """One experiment: how far it is, its best row, and its model once it is there."""
        experiment = self._get(id)
        return self.unchanged(_etag(experiment), unfinished=is_unfinished(experiment)) or shown(experiment)

    @extend_schema(operation_id="delete_experiment", responses={204: None})
    def destroy(self, request: Request, id: str) -> HttpResponseBase:
        """Delete an experiment with its trials and models; one that goes on is cancelled."""
        lifecycle.delete_experiment(self._get(id))
        return Response(status=204)

    @extend_schema(operation_id="cancel_experiment", request=None, responses={202: ExperimentSerializer})
    @idempotent()
    def cancel(self, request: Request, id: str) -> HttpResponseBase:
        """End an experiment without a model. Asking again changes nothing."""
        return self._steer(id, steering.cancel_search)

    @extend_schema(operation_id="stop_experiment", request=None, responses={202: ExperimentSerializer})
    @idempotent()
    def stop(self, request: Request, id: str) -> HttpResponseBase:
        """End the search and keep the best: its ensemble and model are made. Asking again changes nothing."""
        return self._steer(id, steering.stop_search)

    @extend_schema(operation_id="pause_experiment", request=None, responses={202: ExperimentSerializer})
    @idempotent()
    def pause(self, request: Request, id: str) -> HttpResponseBase:
        """Let the search rest: its clock stands still, its seats are free. Asking again changes nothing."""
        return self._steer(id, steering.pause_experiment)

    @extend_schema(operation_id="resume_experiment", request=None, responses={202: ExperimentSerializer})
    @idempotent()
    def resume(self, request: Request, id: str) -> HttpResponseBase:
        """Go on with a paused search where it was. Asking again changes nothing."""
        return self._steer(id, steering.resume_experiment)

    @extend_schema(
        operation_id="extend_experiment",
        request=ExperimentExtension,
        responses={202: ExperimentSerializer},
    )
    @idempotent()
    def extend(self, request: Request, id: str) -> HttpResponseBase:
        """Add seconds; a search that has ended goes on from all it learnt. Each call adds them."""
        experiment = self._get(id)
        data = self.valid(ExperimentExtension)
        steering.extend_experiment(experiment, seconds=data.pop("time_budget", 0.0), **data)
        experiment.refresh_from_db()
        return shown(experiment, status=202)

    @extend_schema(operation_id="change_experiment", request=ExperimentChange, responses=ExperimentSerializer)
    def partial_update(self, request: Request, id: str) -> HttpResponseBase:
        """Change the limits of a search: seconds in all, trials, seats."""
        experiment = self._get(id)
        changes = self.valid(ExperimentChange)
        steering.change_experiment(experiment, cast(steering.Limits, changes))
        experiment.refresh_from_db()
        return shown(experiment)

    def _steer(self, id: str, service: Callable[[Experiment], bool]) -> Response:
        experiment = self._get(id)
        self.valid(NoFields)
        service(experiment)
        experiment.refresh_from_db()
        return shown(experiment, status=202)

    def _get(self, id: str) -> Experiment:
        return selectors.get_experiment(user=self.user, id=identifier(id, "experiment"))

    def _dataset(self, field: str, id: str) -> Dataset:
        try:
            return get_dataset(user=self.user, id=identifier(id, "dataset"))
        except Http404 as error:
            raise NoSuchReference({field: f"There is no dataset {id!r}."}) from error


class Leaderboard(Paged, Resource):
    pagination_class = BoardPagination

    @extend_schema(operation_id="get_leaderboard", responses=LeaderboardRowSerializer(many=True))
    def list(self, request: Request, id: str) -> HttpResponseBase:
        """Complete trials and ensembles, best first; equal scores share a rank."""
        experiment = selectors.get_experiment(user=self.user, id=identifier(id, "experiment"))
        etag = weak_etag("board", experiment.id, experiment.version, request.META.get("QUERY_STRING", ""))
        if unchanged := self.unchanged(etag, unfinished=is_unfinished(experiment)):
            return unchanged
        paginator, rows = self.page(selectors.leaderboard(experiment), request)
        response = paginator.get_paginated_response(LeaderboardRowSerializer(rows, many=True).data)
        response.headers["ETag"] = etag
        return waiting(response, is_unfinished(experiment))


def is_unfinished(experiment: Experiment) -> bool:
    return experiment.state not in FINAL


def _etag(experiment: Experiment) -> str:
    return weak_etag("experiment", experiment.id, experiment.version, experiment.state)


def shown(experiment: Experiment, *, status: int = 200) -> Response:
    body: Any = ExperimentSerializer(shown_experiments([experiment])[0]).data
    response = Response(body, status=status, headers={"ETag": _etag(experiment)})
    return waiting(response, is_unfinished(experiment))
