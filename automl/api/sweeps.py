"""Sweeps: every combination of some values of a family's dials."""

from __future__ import annotations

from collections.abc import Iterable

from django.http.response import HttpResponseBase
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from automl.api.digests import Shown
from automl.api.idempotency import idempotent
from automl.api.resource import Paged, Resource, identifier
from automl.api.serializers.experiments import SweepCreation, SweepSerializer
from automl.experiments import selectors
from automl.experiments.models import Experiment, Sweep
from automl.experiments.services.by_hand import add_sweep


class Sweeps(Paged, Resource):
    """The sweeps of one experiment."""

    @extend_schema(operation_id="list_sweeps", responses=SweepSerializer(many=True))
    def list(self, request: Request, id: str) -> HttpResponseBase:
        """The experiment's sweeps, newest first."""
        paginator, sweeps = self.page(selectors.list_sweeps(self._experiment(id)), request)
        rows = [_shown(sweep, (trial.id for trial in sweep.trials.all())) for sweep in sweeps]
        return paginator.get_paginated_response(SweepSerializer(rows, many=True).data)

    @extend_schema(operation_id="add_sweep", request=SweepCreation, responses={201: SweepSerializer})
    @idempotent()
    def create(self, request: Request, id: str) -> HttpResponseBase:
        """Try every combination, also in a search that goes on or has ended.

        What was tried before is not tried again, and counted as `skipped`; but for stacked families, which
        may have better to learn from by now.
        """
        experiment = self._experiment(id)
        added = add_sweep(experiment, **self.valid(SweepCreation))
        row = _shown(added.sweep, (trial.id for trial in added.trials))
        return Response(SweepSerializer(row).data, status=201)

    def _experiment(self, id: str) -> Experiment:
        return selectors.get_experiment(user=self.user, id=identifier(id, "experiment"))


def _shown(sweep: Sweep, trials: Iterable[object]) -> Shown:
    return Shown(sweep, trials=[str(trial) for trial in trials])
