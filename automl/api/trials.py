"""Trials: every configuration that was tried, also the pruned and failed ones."""

from __future__ import annotations

from django.http.response import HttpResponseBase
from django.urls import reverse
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from automl.api.conditional import weak_etag
from automl.api.digests import shown_trials
from automl.api.experiments import is_unfinished
from automl.api.idempotency import idempotent
from automl.api.pagination import TrialPagination
from automl.api.resource import Paged, Resource, identifier, waiting
from automl.api.serializers.experiments import TrialCreation, TrialSerializer
from automl.api.serializers.fields import NoFields
from automl.api.serializers.models import ModelSerializer
from automl.api.trained_models import shown as shown_model
from automl.engine.trial import TrialState
from automl.experiments import selectors
from automl.experiments.models import Experiment, Trial
from automl.experiments.services.by_hand import add_trial
from automl.experiments.services.packaging import package_trial
from automl.experiments.services.steering import skip_trial


class ExperimentTrials(Paged, Resource):
    """The trials of one experiment."""

    pagination_class = TrialPagination

    @extend_schema(operation_id="list_trials", responses=TrialSerializer(many=True))
    def list(self, request: Request, id: str) -> HttpResponseBase:
        """Every trial of the experiment, in the order in which they were asked for."""
        experiment = self._experiment(id)
        folds = selectors.scored_folds(experiment)
        etag = weak_etag(
            "trials", experiment.id, experiment.version, folds, request.META.get("QUERY_STRING", "")
        )
        if unchanged := self.unchanged(etag, unfinished=is_unfinished(experiment)):
            return unchanged
        paginator, trials = self.page(selectors.list_trials(experiment), request)
        rows = shown_trials(experiment, trials)
        response = paginator.get_paginated_response(TrialSerializer(rows, many=True).data)
        response.headers["ETag"] = etag
        return waiting(response, is_unfinished(experiment))

    @extend_schema(operation_id="add_trial", request=TrialCreation, responses={201: TrialSerializer})
    @idempotent()
    def create(self, request: Request, id: str) -> HttpResponseBase:
        """Add one trial by hand, also to a running search."""
        experiment = self._experiment(id)
        data = self.valid(TrialCreation)
        trial = add_trial(experiment, family=data["family"], hyperparameters=data["hyperparameters"])
        response = _shown(trial, status=201)
        response.headers["Location"] = request.build_absolute_uri(
            reverse("api:trial", kwargs={"id": trial.id})
        )
        return response

    def _experiment(self, id: str) -> Experiment:
        return selectors.get_experiment(user=self.user, id=identifier(id, "experiment"))


class Trials(Resource):
    @extend_schema(operation_id="get_trial", responses=TrialSerializer)
    def retrieve(self, request: Request, id: str) -> HttpResponseBase:
        """One trial: what was set, what training found, and how it went on each fold."""
        trial = self._get(id)
        return self.unchanged(_etag(trial), unfinished=_is_unfinished(trial)) or _shown(trial)

    @extend_schema(operation_id="package_trial", request=None, responses={202: ModelSerializer})
    @idempotent()
    def package(self, request: Request, id: str) -> HttpResponseBase:
        """Package a complete trial as a model. Asking again gives the same model."""
        trial = self._get(id)
        self.valid(NoFields)
        return shown_model(request, package_trial(trial), status=202)

    @extend_schema(operation_id="skip_trial", request=None, responses={202: TrialSerializer})
    @idempotent()
    def skip(self, request: Request, id: str) -> HttpResponseBase:
        """Leave out a trial that waits or runs; the search goes on. Asking again changes nothing."""
        trial = self._get(id)
        self.valid(NoFields)
        skip_trial(trial)
        return _shown(self._get(id), status=202)

    def _get(self, id: str) -> Trial:
        return selectors.get_trial(user=self.user, id=identifier(id, "trial"))


def _is_unfinished(trial: Trial) -> bool:
    return not TrialState(trial.state).is_final


def _etag(trial: Trial) -> str:
    # Its rank moves with the board, so it is the experiment's version that counts; a fold raises none.
    folds = len(trial.fold_scores)
    return weak_etag("trial", trial.id, trial.experiment.version, trial.state, trial.attempt, folds)


def _shown(trial: Trial, *, status: int = 200) -> Response:
    (row,) = shown_trials(trial.experiment, [trial])
    response = Response(TrialSerializer(row).data, status=status, headers={"ETag": _etag(trial)})
    return waiting(response, _is_unfinished(trial))
