from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from automl.api.serializers.fields import Choice, StrictSerializer, Text
from automl.datasets.models import DatasetState
from automl.engine.schema import ColumnKind

KINDS = [kind.value for kind in ColumnKind]


class ColumnSerializer(serializers.Serializer[Any]):
    name = serializers.CharField()
    kind = serializers.ChoiceField(KINDS)
    missing = serializers.IntegerField()
    unique = serializers.IntegerField()
    statistics = serializers.DictField()


class DatasetSerializer(serializers.Serializer[Any]):
    """An uploaded table. Its columns are there once `status` is `ready`."""

    id = serializers.CharField()
    name = serializers.CharField()
    filename = serializers.CharField()
    status = serializers.ChoiceField(DatasetState.values, source="state")
    progress = serializers.FloatField(help_text="How far profiling is, from 0 to 1.")
    error = serializers.CharField(help_text="Why the file could not be read; else empty.")
    rows = serializers.IntegerField(allow_null=True)
    bytes = serializers.IntegerField()
    sha256 = serializers.CharField()
    duplicates = serializers.IntegerField(help_text="Rows that repeat an earlier row.")
    warnings = serializers.ListField(child=serializers.CharField())
    columns = ColumnSerializer(many=True)
    suggested_target = serializers.CharField()
    suggested_task_type = serializers.CharField()
    created_at = serializers.DateTimeField()


@extend_schema_field({"type": "string", "contentMediaType": "application/octet-stream"})
class Upload(serializers.FileField):
    """A file; that an empty one can't be used is for the service to say."""


class DatasetUpload(StrictSerializer):
    file = Upload(allow_empty_file=True, help_text="CSV, TSV, Parquet or XLSX; CSV and TSV also gzipped.")
    name = Text(required=False, default="", allow_blank=True, max_length=200)


class KindCorrection(StrictSerializer):
    name = Text(trim_whitespace=False, max_length=500)
    kind = Choice(KINDS)


class DatasetChange(StrictSerializer):
    """What of a dataset can be corrected; what is left out stays."""

    name = Text(required=False, max_length=200)
    columns = KindCorrection(many=True, required=False)


@extend_schema_field({"type": ["number", "string", "boolean"]})
class Cell(serializers.JSONField):
    pass


class PreviewSerializer(serializers.Serializer[Any]):
    columns = serializers.ListField(child=serializers.CharField())
    rows = serializers.ListField(child=serializers.ListField(child=Cell(allow_null=True)))
