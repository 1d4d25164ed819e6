"""What models get right and wrong, and trials side by side: computed when it is first asked for."""

from __future__ import annotations

from django.http.response import HttpResponseBase
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from automl.api.conditional import weak_etag
from automl.api.resource import Resource, identifier, waiting
from automl.api.serializers.diagnoses import DiagnosisSerializer
from automl.experiments import comparing, selectors
from automl.experiments.models import Diagnosis, DiagnosisState
from automl.experiments.services.diagnoses import MOST_COMPARED, request_comparison, request_diagnosis

ANSWERS = {200: DiagnosisSerializer, 202: DiagnosisSerializer}


class Diagnoses(Resource):
    problems = {"of_trial": ["409"], "of_model": ["409"], "compare": ["409"]}

    @extend_schema(operation_id="get_trial_diagnostics", responses=ANSWERS)
    def of_trial(self, request: Request, id: str) -> HttpResponseBase:
        """What a complete trial gets right and wrong on out-of-fold predictions; 202 while it is computed."""
        trial = selectors.get_trial(user=self.user, id=identifier(id, "trial"))
        return self._answer(request_diagnosis(trial))

    @extend_schema(operation_id="get_model_diagnostics", responses=ANSWERS)
    def of_model(self, request: Request, id: str) -> HttpResponseBase:
        """The same of a model's trial or ensemble; 202 while it is computed."""
        model = selectors.get_model(user=self.user, id=identifier(id, "model"))
        entry = model.trial or model.ensemble
        assert entry is not None
        return self._answer(request_diagnosis(entry))

    @extend_schema(
        operation_id="compare_trials",
        parameters=[
            OpenApiParameter(
                "trial",
                str,
                many=True,
                required=True,
                description=f"From 2 to {MOST_COMPARED} times: a trial's id, or `ensemble` for the best one.",
            )
        ],
        responses=ANSWERS,
    )
    def compare(self, request: Request, id: str) -> HttpResponseBase:
        """Trials held against each other, row by row, with 95 % intervals; 202 while it is computed."""
        experiment = selectors.get_experiment(user=self.user, id=identifier(id, "experiment"))
        entries = comparing.chosen_entries(experiment, request.query_params.getlist("trial")).entries
        return self._answer(request_comparison(experiment, entries))

    def _answer(self, diagnosis: Diagnosis) -> HttpResponseBase:
        computing = diagnosis.state == DiagnosisState.COMPUTING
        etag = weak_etag("diagnosis", diagnosis.id, diagnosis.version, diagnosis.state)
        if unchanged := self.unchanged(etag, unfinished=computing):
            return unchanged
        data = DiagnosisSerializer(diagnosis).data
        response = Response(data, status=202 if computing else 200, headers={"ETag": etag})
        return waiting(response, computing)
