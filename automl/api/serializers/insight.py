from __future__ import annotations

from typing import Any

from rest_framework import serializers

from automl.api.serializers.about import Value


class DialSerializer(serializers.Serializer[Any]):
    """How much one hyperparameter decides."""

    name = serializers.CharField()
    share = serializers.FloatField(help_text="Of what all hyperparameters of the family decide.")
    low = serializers.FloatField(help_text="90 % interval of the share.")
    high = serializers.FloatField()
    beyond_chance = serializers.BooleanField()
    trials = serializers.IntegerField(help_text="Those in which it was in use.")


class ImportanceSerializer(serializers.Serializer[Any]):
    """Empty `dials`: too few trials, by `missing_trials`."""

    method = serializers.CharField()
    trials = serializers.IntegerField()
    missing_trials = serializers.IntegerField()
    dials = DialSerializer(many=True)


class StepSerializer(serializers.Serializer[Any]):
    """The mean score near one value, with the 95 % band of the mean; null where nothing was tried."""

    value = Value(allow_null=True)
    score = serializers.FloatField(allow_null=True)
    score_low = serializers.FloatField(allow_null=True)
    score_high = serializers.FloatField(allow_null=True)
    trials = serializers.IntegerField()


class DangerSerializer(serializers.Serializer[Any]):
    """Values that mostly ruin the result."""

    low = Value(allow_null=True)
    high = Value(allow_null=True)
    ruined = serializers.IntegerField()
    trials = serializers.IntegerField()
    summary = serializers.CharField()


class ResponseSerializer(serializers.Serializer[Any]):
    """How the score follows one hyperparameter."""

    name = serializers.CharField()
    summary = serializers.CharField()
    curve = StepSerializer(many=True)
    dangers = DangerSerializer(many=True)


class ComparedSerializer(serializers.Serializer[Any]):
    trial = serializers.CharField(allow_null=True)
    family = serializers.CharField(allow_null=True)
    score = serializers.FloatField(allow_null=True)


class OutlookSerializer(serializers.Serializer[Any]):
    """How likely as many more trials are to bring a gain of more than `step`."""

    verdict = serializers.ChoiceField(["unlikely", "possible", "likely", "unknown"])
    trials = serializers.IntegerField()
    chance = serializers.FloatField(allow_null=True)
    step = serializers.FloatField(allow_null=True)


class WorthSerializer(serializers.Serializer[Any]):
    """What tuning added over the best default. A gain is positive where it is one, whatever the metric."""

    verdict = serializers.ChoiceField(["better", "worse", "within chance", "unknown"])
    gain = serializers.FloatField(allow_null=True, help_text="Each side chosen by the other folds.")
    gain_low = serializers.FloatField(allow_null=True, help_text="95 % interval.")
    gain_high = serializers.FloatField(allow_null=True)
    plain_gain = serializers.FloatField(allow_null=True, help_text="The difference on the board.")
    ensemble_gain = serializers.FloatField(
        allow_null=True, help_text="Over the best trial, both chosen without the rows they are judged by."
    )
    default = ComparedSerializer()
    tuned = ComparedSerializer()
    default_trials = serializers.IntegerField()
    default_seconds = serializers.FloatField(help_text="On the seats.")
    tuned_trials = serializers.IntegerField()
    tuned_seconds = serializers.FloatField()
    outlook = OutlookSerializer()


class InsightSerializer(serializers.Serializer[Any]):
    """What the trials say together. Scores are in the metric's own unit."""

    experiment = serializers.CharField()
    family = serializers.CharField(allow_null=True)
    families = serializers.DictField(child=serializers.IntegerField(), help_text="Trials by family.")
    importance = ImportanceSerializer()
    responses = ResponseSerializer(many=True)
    worth = WorthSerializer()
