from __future__ import annotations

from typing import Any

from django.urls import path

from automl.api.about import Docs, Families, Health, Me, Metrics, Schema
from automl.api.datasets import Datasets
from automl.api.diagnoses import Diagnoses
from automl.api.errors import nothing_here
from automl.api.experiments import Experiments, Leaderboard
from automl.api.insight import Insights
from automl.api.predictions import Predict, Predictions
from automl.api.sweeps import Sweeps
from automl.api.trained_models import Ensembles, ExperimentModels, Models
from automl.api.trials import ExperimentTrials, Trials

Actions = dict[str, Any]

app_name = "api"

ITEM: Actions = {"get": "retrieve", "delete": "destroy"}
LIST: Actions = {"get": "list"}

urlpatterns = [
    path("datasets/", Datasets.as_view({"get": "list", "post": "create"}), name="datasets"),
    path("datasets/<str:id>/", Datasets.as_view({**ITEM, "patch": "partial_update"}), name="dataset"),
    path("datasets/<str:id>/preview/", Datasets.as_view({"get": "preview"}), name="dataset-preview"),
    path("experiments/", Experiments.as_view({"get": "list", "post": "create"}), name="experiments"),
    path(
        "experiments/<str:id>/", Experiments.as_view({**ITEM, "patch": "partial_update"}), name="experiment"
    ),
    path("experiments/<str:id>/pause/", Experiments.as_view({"post": "pause"}), name="experiment-pause"),
    path("experiments/<str:id>/resume/", Experiments.as_view({"post": "resume"}), name="experiment-resume"),
    path("experiments/<str:id>/extend/", Experiments.as_view({"post": "extend"}), name="experiment-extend"),
    path("experiments/<str:id>/cancel/", Experiments.as_view({"post": "cancel"}), name="experiment-cancel"),
    path("experiments/<str:id>/stop/", Experiments.as_view({"post": "stop"}), name="experiment-stop"),
    path("experiments/<str:id>/leaderboard/", Leaderboard.as_view(LIST), name="leaderboard"),
    path("experiments/<str:id>/insight/", Insights.as_view({"get": "retrieve"}), name="insight"),
    path(
        "experiments/<str:id>/trials/",
        ExperimentTrials.as_view({"get": "list", "post": "create"}),
        name="experiment-trials",
    ),
    path(
        "experiments/<str:id>/sweeps/",
        Sweeps.as_view({"get": "list", "post": "create"}),
        name="experiment-sweeps",
    ),
    path(
        "experiments/<str:id>/models/",
        ExperimentModels.as_view({"get": "list", "post": "create"}),
        name="experiment-models",
    ),
    path("experiments/<str:id>/compare/", Diagnoses.as_view({"get": "compare"}), name="experiment-compare"),
    path("trials/<str:id>/diagnostics/", Diagnoses.as_view({"get": "of_trial"}), name="trial-diagnostics"),
    path("trials/<str:id>/", Trials.as_view({"get": "retrieve"}), name="trial"),
    path("trials/<str:id>/skip/", Trials.as_view({"post": "skip"}), name="trial-skip"),
    path("trials/<str:id>/model/", Trials.as_view({"post": "package"}), name="trial-model"),
    path("ensembles/<str:id>/model/", Ensembles.as_view({"post": "package"}), name="ensemble-model"),
    path("models/", Models.as_view(LIST), name="models"),
    path("models/<str:id>/", Models.as_view({"get": "retrieve"}), name="model"),
    path("models/<str:id>/diagnostics/", Diagnoses.as_view({"get": "of_model"}), name="model-diagnostics"),
    path("models/<str:id>/download/", Models.as_view({"get": "download"}), name="model-download"),
    path("models/<str:id>/predict/", Predict.as_view({"post": "create"}), name="model-predict"),
    path("models/<str:id>/predictions/", Predictions.as_view(LIST), name="model-predictions"),
    path("predictions/<str:id>/", Predictions.as_view(ITEM), name="prediction"),
    path(
        "predictions/<str:id>/download/",
        Predictions.as_view({"get": "download"}),
        name="prediction-download",
    ),
    path("families/", Families.as_view(LIST), name="families"),
    path("metrics/", Metrics.as_view(LIST), name="metrics"),
    path("me/", Me.as_view({"get": "retrieve"}), name="me"),
    path("health/live/", Health.as_view({"get": "live"}), name="health-live"),
    path("health/ready/", Health.as_view({"get": "ready"}), name="health-ready"),
    path("schema/", Schema.as_view({"get": "retrieve"}), name="schema"),
    path("docs/", Docs.as_view(), name="docs"),
    path("<path:rest>", nothing_here),
]
