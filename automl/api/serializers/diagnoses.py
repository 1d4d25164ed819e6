from __future__ import annotations

from typing import Any

from rest_framework import serializers

from automl.api.serializers.fields import Object
from automl.experiments.models import DiagnosisState


class DiagnosisSerializer(serializers.Serializer[Any]):
    """What was found out about a model, or about several side by side."""

    id = serializers.UUIDField()
    experiment = serializers.UUIDField(source="experiment_id")
    status = serializers.ChoiceField(choices=DiagnosisState.choices, source="state")
    error = serializers.CharField(help_text="One readable sentence; empty unless it failed.")
    entries = serializers.ListField(
        child=serializers.UUIDField(), help_text="The trials and ensembles that it is about, in order."
    )
    seconds = serializers.FloatField(allow_null=True, help_text="What it took.")
    result = Object(allow_null=True, help_text="Null until `status` is `ready`.")
    created_at = serializers.DateTimeField()
