from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from automl.api.serializers.fields import Choice, Number, StrictSerializer
from automl.experiments.models import ModelState

MOST_ROWS = 10_000
SCALARS = (str, int, float, bool, type(None))


class BundleFileSerializer(serializers.Serializer[Any]):
    name = serializers.CharField()
    size = serializers.IntegerField()
    sha256 = serializers.CharField(required=False)


class ModelSerializer(serializers.Serializer[Any]):
    """A packaged trial or ensemble."""

    id = serializers.CharField()
    name = serializers.CharField()
    experiment = serializers.CharField(source="experiment_id")
    trial = serializers.CharField(source="trial_id", allow_null=True, help_text="Null for an ensemble.")
    ensemble = serializers.CharField(source="ensemble_id", allow_null=True, help_text="Null for a trial.")
    is_best = serializers.BooleanField(help_text="The experiment's answer.")
    status = serializers.ChoiceField(ModelState.values, source="state")
    error = serializers.CharField()
    score = serializers.FloatField(allow_null=True)
    metrics = serializers.DictField()
    schema = serializers.DictField()
    files = serializers.ListField(child=BundleFileSerializer())
    sha256 = serializers.CharField()
    size = serializers.IntegerField(allow_null=True)
    graph_due = serializers.BooleanField(
        help_text="Its ONNX graph is still to be tried; with it files, sha256 and size will change."
    )
    created_at = serializers.DateTimeField()


class ModelChoice(StrictSerializer):
    """Which line of the board is to be packaged."""

    choose = Choice(["best", "fastest"])
    within = Number(
        required=False,
        default=0.01,
        min_value=0,
        max_value=1,
        help_text="Of the fastest: the share of the best value by which its own may be worse.",
    )


@extend_schema_field(
    {
        "type": "array",
        "items": {
            "type": "object",
            "additionalProperties": {"type": ["string", "number", "boolean", "null"]},
        },
        "minItems": 1,
        "maxItems": MOST_ROWS,
    }
)
class Rows(serializers.Field[Any, Any, Any, Any]):
    """Rows of a table as objects; checked in one pass, since there may be many."""

    default_error_messages = {
        "no_list": 'This has to be a list of rows, each an object such as {{"age": 39}}.',
        "empty": "There are no rows. Send at least one.",
        "too_many": "There are {count} rows; at most {most} are taken at once. Send them in parts.",
        "no_cell": "Row {position}, {column!r}: a cell is text, a number, true, false or null.",
        "no_object": 'Row {position} is not an object such as {{"age": 39}}.',
    }

    def to_representation(self, value: Any) -> Any:
        return value

    def to_internal_value(self, data: Any) -> list[dict[str, Any]]:
        if not isinstance(data, list):
            self.fail("no_list")
        if not data:
            self.fail("empty")
        if len(data) > MOST_ROWS:
            self.fail("too_many", count=len(data), most=MOST_ROWS)
        for position, row in enumerate(data):
            if not isinstance(row, dict):
                self.fail("no_object", position=position)
            for column, value in row.items():
                if not isinstance(value, SCALARS):
                    self.fail("no_cell", position=position, column=column[:40])
        return data


class PredictionRequest(StrictSerializer):
    rows = Rows()
    level = Number(
        required=False,
        default=None,
        allow_null=True,
        min_value=0,
        max_value=1,
        help_text="Also tell an interval, or a set of classes, that holds the truth in this share of rows.",
    )


@extend_schema_field({"type": ["number", "string", "boolean"]})
class Label(serializers.JSONField):
    pass


class PredictionSerializer(serializers.Serializer[Any]):
    """One prediction a row; classes, probabilities and sets only for classification."""

    predictions = serializers.ListField(child=Label(allow_null=True))
    classes = serializers.ListField(child=Label(), required=False, allow_null=True)
    probabilities = serializers.ListField(
        child=serializers.ListField(child=serializers.FloatField(allow_null=True)),
        required=False,
        allow_null=True,
    )
    intervals = serializers.ListField(
        child=serializers.ListField(child=serializers.FloatField(allow_null=True)),
        required=False,
        allow_null=True,
    )
    sets = serializers.ListField(child=serializers.ListField(child=Label()), required=False, allow_null=True)
