from __future__ import annotations

from typing import Any

from rest_framework import serializers

from automl.api.serializers.fields import Choice, Number, Object, StrictSerializer, Text, Whole
from automl.engine.learners import LEARNERS
from automl.engine.metrics import METRICS
from automl.engine.trial import Origin, TaskType, TrialState
from automl.experiments.models import SEARCHES, ExperimentState, Phase

AUTO_TASK_TYPES = ["auto", *(task.value for task in TaskType)]
LARGEST_SEED = 2**31 - 1


class ExperimentCreation(StrictSerializer):
    """What a new experiment is made from. Only `dataset` and `target` have to be there."""

    dataset = Text(max_length=64)
    target = Text(trim_whitespace=False, max_length=500)
    task_type = Choice(AUTO_TASK_TYPES, default="auto")
    metric = Choice(["auto", *METRICS], default="auto")
    search = Choice([key for key, _ in SEARCHES], default="auto")
    time_budget = Number(default=60.0, help_text="Wall seconds from the first trial's start.")
    max_trials = Whole(default=None, allow_null=True, min_value=1)
    families = serializers.ListField(child=Choice(list(LEARNERS)), default=None, allow_null=True)
    ignore_columns = serializers.ListField(child=Text(trim_whitespace=False, max_length=500), default=list)
    test_dataset = Text(default=None, allow_null=True, max_length=64)
    seed = Whole(default=0, min_value=0, max_value=LARGEST_SEED)
    seats = Whole(
        default=None, allow_null=True, min_value=1, help_text="The most trials at once; null: no limit."
    )
    name = Text(default="", allow_blank=True, max_length=200)


class ExperimentChange(StrictSerializer):
    """Limits of a search as they shall be; what is left out stays."""

    time_budget = Number(required=False, help_text="Seconds in all; not less than are spent.")
    max_trials = Whole(required=False, allow_null=True, min_value=1)
    seats = Whole(
        required=False,
        allow_null=True,
        min_value=1,
        help_text="The most trials at once; null: no limit. Fewer take trials back at once.",
    )


class ExperimentExtension(StrictSerializer):
    """What is added to a search, also to one that has ended. One of the two has to be there."""

    time_budget = Number(required=False, min_value=1, help_text="Seconds to add.")
    max_trials = Whole(
        required=False, allow_null=True, min_value=1, help_text="The new limit; null: no limit."
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if not attrs:
            raise serializers.ValidationError({"time_budget": "Say how many seconds to add."})
        return attrs


class LeaderboardRowSerializer(serializers.Serializer[Any]):
    """A line of the board. Scores are in the metric's own unit, with a 95 % interval."""

    rank = serializers.IntegerField()
    trial = serializers.CharField(allow_null=True, help_text="Null for an ensemble.")
    ensemble = serializers.CharField(allow_null=True, help_text="Null for a trial.")
    name = serializers.CharField()
    family = serializers.CharField()
    origin = serializers.ChoiceField([origin.value for origin in Origin])
    hyperparameters = serializers.DictField()
    score = serializers.FloatField(allow_null=True)
    score_low = serializers.FloatField(allow_null=True)
    score_high = serializers.FloatField(allow_null=True)
    tied_with_best = serializers.BooleanField()
    fit_time = serializers.FloatField(allow_null=True, help_text="Seconds.")
    predict_time = serializers.FloatField(allow_null=True, help_text="Seconds per 1,000 rows.")
    size = serializers.IntegerField(allow_null=True, help_text="Bytes.")
    model = serializers.CharField(allow_null=True, help_text="The packaged model, once there is one.")


class TrialCountsSerializer(serializers.Serializer[Any]):
    total = serializers.IntegerField()
    waiting = serializers.IntegerField()
    running = serializers.IntegerField()
    complete = serializers.IntegerField()
    pruned = serializers.IntegerField()
    failed = serializers.IntegerField()
    cancelled = serializers.IntegerField()


class ExperimentSerializer(serializers.Serializer[Any]):
    """What was posted, resolved, and what has come of it so far."""

    id = serializers.CharField()
    name = serializers.CharField()
    dataset = serializers.CharField(source="dataset_id")
    target = serializers.CharField()
    task_type = serializers.ChoiceField(AUTO_TASK_TYPES)
    metric = serializers.CharField()
    search = serializers.CharField()
    time_budget = serializers.FloatField()
    max_trials = serializers.IntegerField(allow_null=True)
    families = serializers.ListField(child=serializers.CharField(), allow_null=True)
    ignore_columns = serializers.ListField(child=serializers.CharField())
    test_dataset = serializers.CharField(source="test_dataset_id", allow_null=True)
    seed = serializers.IntegerField()
    seats = serializers.IntegerField(allow_null=True, help_text="The most trials at once; null: no limit.")
    status = serializers.ChoiceField(ExperimentState.values, source="state")
    phase = serializers.ChoiceField(Phase.values)
    elapsed = serializers.FloatField()
    progress = serializers.FloatField()
    trials = TrialCountsSerializer()
    best = LeaderboardRowSerializer(allow_null=True)
    model = serializers.CharField(allow_null=True)
    rows_learned = serializers.IntegerField(
        allow_null=True,
        help_text="Rows that trials learn from: those with a target, of a large table as many as there is "
        "time for. Null until it is prepared.",
    )
    warnings = serializers.ListField(child=serializers.CharField())
    error = serializers.CharField()
    created_at = serializers.DateTimeField()
    started_at = serializers.DateTimeField(allow_null=True)
    finished_at = serializers.DateTimeField(allow_null=True)


class ExpectationSerializer(serializers.Serializer[Any]):
    """What was expected of a trial, from those before it; the band holds four results of five."""

    value = serializers.FloatField(allow_null=True, help_text="Null while there are too few trials.")
    low = serializers.FloatField(allow_null=True)
    high = serializers.FloatField(allow_null=True)
    seconds = serializers.FloatField()


class TrialSerializer(LeaderboardRowSerializer):
    """A configuration that is or was tried; its rank and scores are null until it is complete."""

    rank = serializers.IntegerField(allow_null=True)
    id = serializers.CharField()
    experiment = serializers.CharField()
    number = serializers.IntegerField()
    status = serializers.ChoiceField([state.value for state in TrialState])
    attempts = serializers.IntegerField(help_text="How often it was begun; what was given back counts not.")
    worker = serializers.CharField()
    sweep = serializers.CharField(
        source="sweep_id", allow_null=True, help_text="The sweep that asked for it, if one did."
    )
    prediction = ExpectationSerializer(
        allow_null=True, help_text="Of a trial by hand: what was expected of it when it was added."
    )
    fold_scores = serializers.ListField(child=serializers.FloatField())
    learning_curve = serializers.DictField(allow_null=True)
    diagnosis = serializers.CharField()
    learned = serializers.DictField()
    error = serializers.CharField()
    started_at = serializers.DateTimeField(allow_null=True)
    finished_at = serializers.DateTimeField(allow_null=True)


class TrialCreation(StrictSerializer):
    """A configuration by hand; hyperparameters that are left out keep their defaults."""

    family = Choice(list(LEARNERS))
    hyperparameters = Object(default=dict)


class SweepCreation(StrictSerializer):
    """Values of one or more dials; every combination is tried. Other dials are as `base` says, or default."""

    family = Choice(list(LEARNERS))
    grid = Object(help_text="Each dial with the list of its values.")
    base = Object(default=dict)


class SweepSerializer(serializers.Serializer[Any]):
    """Trials that were asked for together."""

    id = serializers.CharField()
    experiment = serializers.CharField(source="experiment_id")
    family = serializers.CharField()
    grid = serializers.DictField()
    base = serializers.DictField()
    combinations = serializers.IntegerField(source="size", help_text="Different configurations.")
    skipped = serializers.IntegerField(help_text="Of these, were tried before.")
    trials = serializers.ListField(child=serializers.CharField(), help_text="Those that it added.")
    created_at = serializers.DateTimeField()
