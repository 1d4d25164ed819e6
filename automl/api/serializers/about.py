from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from automl.engine.trial import TaskType

TASK_TYPES = [task.value for task in TaskType]


class FieldErrorSerializer(serializers.Serializer[Any]):
    field = serializers.CharField()
    message = serializers.CharField()


class ProblemSerializer(serializers.Serializer[Any]):
    """RFC 9457: what went wrong."""

    type = serializers.CharField()
    title = serializers.CharField()
    status = serializers.IntegerField()
    detail = serializers.CharField()
    errors = FieldErrorSerializer(many=True, required=False)  # type: ignore[assignment]


class MetricSerializer(serializers.Serializer[Any]):
    """What scores are measured in; `direction` says whether more or less of it is better."""

    name = serializers.CharField()
    label = serializers.CharField()  # type: ignore[assignment]
    description = serializers.CharField()
    direction = serializers.ChoiceField(["maximize", "minimize"])
    task_types = serializers.ListField(child=serializers.ChoiceField(TASK_TYPES))
    default_for = serializers.ListField(child=serializers.CharField())


@extend_schema_field({"type": ["number", "string", "boolean"]})
class Value(serializers.JSONField):
    """The value of a hyperparameter."""


class ConditionSerializer(serializers.Serializer[Any]):
    """The hyperparameter is in use only while `name` has one of `values`."""

    name = serializers.CharField()
    values = serializers.ListField(child=Value(allow_null=True))


class HyperparameterSerializer(serializers.Serializer[Any]):
    """A dial that is set before training."""

    name = serializers.CharField()
    type = serializers.ChoiceField(["float", "int", "choice"])
    low = serializers.FloatField(allow_null=True)
    high = serializers.FloatField(allow_null=True)
    log = serializers.BooleanField()
    choices = serializers.ListField(child=Value(allow_null=True), allow_null=True)
    default = Value(allow_null=True)
    condition = ConditionSerializer(allow_null=True)
    effect = serializers.CharField()


class FamilySerializer(serializers.Serializer[Any]):
    """A family of models and its hyperparameters, for a table of middling size."""

    name = serializers.CharField()
    label = serializers.CharField()  # type: ignore[assignment]
    description = serializers.CharField()
    task_types = serializers.ListField(child=serializers.ChoiceField(TASK_TYPES))
    hyperparameters = HyperparameterSerializer(many=True)


class QuotasSerializer(serializers.Serializer[Any]):
    datasets = serializers.IntegerField()
    bytes = serializers.IntegerField()
    upload_bytes = serializers.IntegerField()
    active_experiments = serializers.IntegerField()
    time_budget = serializers.IntegerField(help_text="Most seconds for one experiment.")
    trials = serializers.IntegerField(help_text="Most trials of one experiment.")


class UseSerializer(serializers.Serializer[Any]):
    datasets = serializers.IntegerField()
    bytes = serializers.IntegerField()
    active_experiments = serializers.IntegerField()


class UserSerializer(serializers.Serializer[Any]):
    id = serializers.CharField()
    username = serializers.CharField()
    email = serializers.CharField()


class MeSerializer(serializers.Serializer[Any]):
    """Who is asking, what they may have, and what they have."""

    user = UserSerializer()
    quotas = QuotasSerializer()
    use = UseSerializer()


class HealthSerializer(serializers.Serializer[Any]):
    """`checks` has each part's name, with "ok" or the reason why it is not."""

    status = serializers.ChoiceField(["ok", "unavailable"])
    checks = serializers.DictField(child=serializers.CharField(), required=False)
