from __future__ import annotations

from typing import Any

from django.urls import reverse
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from automl.api.serializers.datasets import Upload
from automl.api.serializers.fields import NumberInText, StrictSerializer
from automl.experiments.models import Prediction, PredictionState
from automl.experiments.predictions import RESULT_TYPES


class LevelAsked(StrictSerializer):
    """The level of intervals or sets, as an address or a form says it."""

    level = NumberInText(
        required=False,
        default=None,
        allow_null=True,
        min_value=0,
        max_value=1,
        help_text="Also write an interval, or a set of classes, that holds the truth in this share of rows.",
    )


class FileToPredict(LevelAsked):
    """A file of rows, and the level of intervals or sets that are to be written too."""

    file = Upload(
        allow_empty_file=True,
        help_text="CSV, also compressed with gzip, or Parquet.",
        error_messages={"required": "There is no file, or it is empty. Send a header line and rows."},
    )


class LinksSerializer(serializers.Serializer[Any]):
    """Where the results are; null until they are there."""

    csv = serializers.URLField(allow_null=True)
    parquet = serializers.URLField(allow_null=True)


class FilePredictionSerializer(serializers.Serializer[Any]):
    """A file of rows that a model predicts on a worker."""

    id = serializers.UUIDField()
    model = serializers.UUIDField(source="model_id")
    filename = serializers.CharField()
    bytes = serializers.IntegerField(help_text="Of the file that was sent.")
    level = serializers.FloatField(
        allow_null=True, help_text="Of the intervals or sets that are written too; null where there are none."
    )
    status = serializers.ChoiceField(PredictionState.values, source="state")
    error = serializers.CharField(help_text="One readable sentence; empty unless it failed.")
    rows = serializers.IntegerField(help_text="Predicted so far.")
    progress = serializers.FloatField(source="share", help_text="From 0 to 1, by the size of the file.")
    seconds = serializers.FloatField(help_text="What these rows took.")
    rows_per_second = serializers.FloatField(allow_null=True)
    files = serializers.DictField(help_text="By format: `size` and `sha256` of the results.")
    links = serializers.SerializerMethodField()
    created_at = serializers.DateTimeField()
    finished_at = serializers.DateTimeField(allow_null=True)

    @extend_schema_field(LinksSerializer)
    def get_links(self, prediction: Prediction) -> dict[str, str | None]:
        address = reverse("api:prediction-download", kwargs={"id": prediction.id})
        absolute = self.context["request"].build_absolute_uri(address)
        return {
            form: f"{absolute}?format={form}" if form in prediction.files else None for form in RESULT_TYPES
        }
