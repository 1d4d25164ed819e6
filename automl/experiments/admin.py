from django.contrib import admin

from automl.experiments.models import Ensemble, Experiment, Prediction, TrainedModel, Trial


@admin.register(Experiment)
class ExperimentAdmin(admin.ModelAdmin[Experiment]):
    list_display = ("name", "owner", "state", "phase", "metric", "time_budget", "created_at")
    list_filter = ("state", "phase", "task_type")
    search_fields = ("name", "owner__username", "id")


@admin.register(Trial)
class TrialAdmin(admin.ModelAdmin[Trial]):
    list_display = ("number", "experiment", "family", "origin", "state", "attempt", "value", "worker")
    list_filter = ("state", "family", "origin")
    search_fields = ("experiment__name", "id")


@admin.register(TrainedModel)
class TrainedModelAdmin(admin.ModelAdmin[TrainedModel]):
    list_display = ("name", "experiment", "state", "is_best", "score", "size")
    list_filter = ("state", "is_best")


@admin.register(Prediction)
class PredictionAdmin(admin.ModelAdmin[Prediction]):
    list_display = ("filename", "model", "state", "rows", "attempt", "created_at")
    list_filter = ("state",)


admin.site.register(Ensemble)
