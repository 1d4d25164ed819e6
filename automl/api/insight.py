"""What the trials of an experiment say together."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

from django.http.response import HttpResponseBase
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from automl.api.experiments import is_unfinished
from automl.api.resource import Resource, identifier, waiting
from automl.api.serializers.insight import InsightSerializer
from automl.core.errors import InvalidInput
from automl.engine.dial_importance import Importance
from automl.engine.response import Response as DialResponse
from automl.engine.trial import TrialRecord
from automl.experiments import insight, selectors
from automl.experiments.insight import FamilyInsight, TuningWorth

Turn = Callable[[float], float]


class Insights(Resource):
    @extend_schema(
        operation_id="get_insight",
        parameters=[
            OpenApiParameter("family", description="Whose dials; of the best trial's family if left out.")
        ],
        responses=InsightSerializer,
    )
    def retrieve(self, request: Request, id: str) -> HttpResponseBase:
        """Which hyperparameters decided, how the score follows each, and whether tuning was worth it."""
        experiment = selectors.get_experiment(user=self.user, id=identifier(id, "experiment"))
        family = request.query_params.get("family")
        if family and family not in (known := insight.families_of(experiment)):
            names = ", ".join(known) or "none yet"
            raise InvalidInput({"family": f"{family!r} is not tried in this experiment; there are: {names}."})
        found = insight.family_insight(experiment, family)
        metric = selectors.metric_of(experiment)
        turn: Turn = metric.score_of if metric else float
        body = {
            "experiment": str(experiment.id),
            "family": found.family if found else None,
            "families": dict(found.families) if found else {},
            "importance": _importance(found),
            "responses": [_response(each, turn) for each in found.responses] if found else [],
            "worth": _worth(insight.worth_of(experiment), turn),
        }
        return waiting(Response(InsightSerializer(body).data), is_unfinished(experiment))


def _importance(found: FamilyInsight | None) -> dict[str, Any]:
    importance = found.importance if found else Importance((), 0, 0)
    return {
        "method": "ped_anova",
        "trials": importance.trials,
        "missing_trials": importance.missing,
        "dials": [
            {
                "name": dial.name,
                "share": dial.share,
                "low": dial.low,
                "high": dial.high,
                "beyond_chance": dial.is_beyond_chance,
                "trials": dial.trials,
            }
            for dial in importance.dials
        ],
    }


def _response(found: DialResponse, turn: Turn) -> dict[str, Any]:
    curve = []
    for step in found.curve:
        # Where lower is better the ends of a band change places.
        ends = sorted(turn(end) for end in (step.low, step.high) if end is not None)
        curve.append(
            {
                "value": step.value,
                "score": turn(step.mean) if step.mean is not None else None,
                "score_low": ends[0] if ends else None,
                "score_high": ends[-1] if ends else None,
                "trials": step.trials,
            }
        )
    dangers = [
        {
            "low": danger.values[0],
            "high": danger.values[1],
            "ruined": danger.ruined,
            "trials": danger.trials,
            "summary": danger.sentence,
        }
        for danger in found.dangers
    ]
    return {"name": found.name, "summary": found.sentence, "curve": curve, "dangers": dangers}


def _worth(tuning: TuningWorth, turn: Turn) -> dict[str, Any]:
    found = tuning.worth
    return {
        "verdict": found.verdict,
        "gain": found.gain,
        "gain_low": found.low,
        "gain_high": found.high,
        "plain_gain": found.plain_gain,
        "ensemble_gain": tuning.ensemble,
        "default": _compared(found.default, tuning.default, turn),
        "tuned": _compared(found.tuned, tuning.tuned, turn),
        "default_trials": found.default_trials,
        "default_seconds": found.default_seconds,
        "tuned_trials": found.tuned_trials,
        "tuned_seconds": found.tuned_seconds,
        "outlook": {
            "verdict": found.outlook,
            "trials": found.next_trials,
            "chance": found.next_chance,
            "step": found.step,
        },
    }


def _compared(record: TrialRecord | None, id: UUID | None, turn: Turn) -> dict[str, Any]:
    return {
        "trial": str(id) if id else None,
        "family": record.family if record else None,
        "score": turn(record.score) if record and record.score is not None else None,
    }
