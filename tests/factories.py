"""Rows for tests, in a state asked for: `TrialFactory(state="running")`."""

from __future__ import annotations

import copy
from datetime import timedelta

import factory
from django.utils import timezone

from automl.accounts.models import User
from automl.datasets.models import Dataset
from automl.experiments.models import Ensemble, Experiment, Prediction, TrainedModel, Trial

COLUMNS = [
    {
        "name": "age",
        "kind": "numeric",
        "missing": 2,
        "unique": 61,
        "dtype": "int64",
        "datetime_format": None,
        "statistics": {
            "min": 18.0,
            "max": 90.0,
            "mean": 41.5,
            "std": 12.0,
            "median": 40.0,
            "histogram": {"edges": [18.0, 42.0, 66.0, 90.0], "counts": [50, 38, 10]},
        },
    },
    {
        "name": "city",
        "kind": "categorical",
        "missing": 0,
        "unique": 3,
        "dtype": "string",
        "datetime_format": None,
        "statistics": {"top": [["Paris", 60], ["Rome", 30], ["Oslo", 10]]},
    },
    {
        "name": "income",
        "kind": "boolean",
        "missing": 0,
        "unique": 2,
        "dtype": "string",
        "datetime_format": None,
        "statistics": {"top": [["low", 76], ["high", 24]]},
    },
]


class UserFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = User
        skip_postgeneration_save = True

    username = factory.Sequence(lambda n: f"user{n}")
    email = factory.LazyAttribute(lambda o: f"{o.username}@example.org")
    password = factory.PostGenerationMethodCall("set_password", "correct horse battery")

    @classmethod
    def _after_postgeneration(cls, instance, create, results=None):
        if create and results:
            instance.save()


class DatasetFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = Dataset

    owner = factory.SubFactory(UserFactory)
    name = factory.Sequence(lambda n: f"table {n}")
    filename = "table.csv"
    state = "ready"
    bytes = 2048
    sha256 = "ab" * 32
    rows = factory.LazyAttribute(lambda o: 100 if o.state == "ready" else None)
    columns = factory.LazyAttribute(lambda o: copy.deepcopy(COLUMNS) if o.state == "ready" else [])
    dialect = factory.LazyFunction(
        lambda: {"format": "csv", "encoding": "utf-8", "delimiter": ",", "decimal": "."}
    )
    suggested_target = factory.LazyAttribute(lambda o: "income" if o.state == "ready" else "")
    suggested_task_type = factory.LazyAttribute(lambda o: "binary" if o.state == "ready" else "")


PREPARED = {
    "profile": {
        "rows": 100,
        "numeric": 1,
        "task_type": "binary",
        "classes": 2,
        "cardinalities": [3],
        "categorical": [1],
        "missing_share": 0.02,
        "metric": "roc_auc",
    },
    "classes": ["high", "low"],
    "folds": 5,
    "repeats": 1,
    "features": [],
}


class ExperimentFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = Experiment

    owner = factory.SubFactory(UserFactory)
    dataset = factory.SubFactory(DatasetFactory, owner=factory.SelfAttribute("..owner"))
    name = factory.Sequence(lambda n: f"experiment {n}")
    target = "income"
    state = "running"
    time_budget = 60.0

    class Params:
        begun = factory.LazyAttribute(lambda o: o.state != "pending")
        ended = factory.LazyAttribute(lambda o: o.state in ("complete", "cancelled", "failed"))

    task_type = factory.LazyAttribute(lambda o: "binary" if o.begun else "auto")
    metric = factory.LazyAttribute(lambda o: "roc_auc" if o.begun else "auto")
    prepared = factory.LazyAttribute(lambda o: copy.deepcopy(PREPARED) if o.begun else None)
    started_at = factory.LazyAttribute(lambda o: timezone.now() - timedelta(seconds=30) if o.begun else None)
    finished_at = factory.LazyAttribute(lambda o: timezone.now() if o.ended else None)
    spent = factory.LazyAttribute(
        lambda o: ((o.finished_at or timezone.now()) - o.started_at).total_seconds() if o.started_at else 0.0
    )
    clock_at = factory.LazyAttribute(
        lambda o: timezone.now() if o.started_at and o.state in ("running", "stopping") else None
    )
    phase = factory.LazyAttribute(
        lambda o: "done" if o.ended else "searching" if o.begun else "queued",
    )


class TrialFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = Trial

    experiment = factory.SubFactory(ExperimentFactory)
    number = factory.LazyAttribute(lambda o: o.experiment.trials.count())
    family = "lightgbm"
    origin = "default"
    hyperparameters = factory.LazyFunction(lambda: {"learning_rate": 0.05, "num_leaves": 31})
    state = "complete"

    class Params:
        scored = factory.LazyAttribute(lambda o: o.state == "complete")
        begun = factory.LazyAttribute(lambda o: o.state != "waiting")

    score = factory.LazyAttribute(lambda o: 0.9 if o.scored else None)
    value = factory.LazyAttribute(lambda o: o.score)
    value_low = factory.LazyAttribute(lambda o: o.value - 0.01 if o.value is not None else None)
    value_high = factory.LazyAttribute(lambda o: o.value + 0.01 if o.value is not None else None)
    fold_scores = factory.LazyAttribute(lambda o: [o.score] * 5 if o.score is not None else [])
    fit_time = factory.LazyAttribute(lambda o: 1.5 if o.scored else None)
    predict_time = factory.LazyAttribute(lambda o: 0.01 if o.scored else None)
    size = factory.LazyAttribute(lambda o: 120_000 if o.scored else None)
    attempt = factory.LazyAttribute(lambda o: 1 if o.begun else 0)
    worker = factory.LazyAttribute(lambda o: "evaluate@host" if o.begun else "")
    error = factory.LazyAttribute(lambda o: "The fit used 1.2 GB." if o.state == "failed" else "")
    started_at = factory.LazyAttribute(lambda o: timezone.now() - timedelta(seconds=5) if o.begun else None)
    lease_expires_at = factory.LazyAttribute(
        lambda o: timezone.now() + timedelta(seconds=15) if o.state == "running" else None
    )
    finished_at = factory.LazyAttribute(
        lambda o: timezone.now() if o.state not in ("waiting", "running") else None
    )
    ended_after = factory.LazyAttribute(
        lambda o: (
            max((o.finished_at - o.experiment.started_at).total_seconds(), 0.0)
            if o.finished_at and o.experiment.started_at
            else None
        )
    )


class EnsembleFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = Ensemble

    experiment = factory.SubFactory(ExperimentFactory)
    name = "Ensemble of 3"
    score = 0.92
    value = factory.LazyAttribute(lambda o: o.score)
    value_low = factory.LazyAttribute(lambda o: o.value - 0.01)
    value_high = factory.LazyAttribute(lambda o: o.value + 0.01)
    fit_time = 4.5
    predict_time = 0.03
    size = 360_000
    made_after = 55.0


class TrainedModelFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = TrainedModel

    experiment = factory.LazyAttribute(lambda o: o.trial.experiment)
    trial = factory.SubFactory(TrialFactory)
    name = "LightGBM"
    state = "ready"
    score = 0.9
    sha256 = "cd" * 32
    size = 4096
    metrics = factory.LazyFunction(
        lambda: {"metric": "roc_auc", "validation": {"roc_auc": {"value": 0.9, "low": 0.89, "high": 0.91}}}
    )
    files = factory.LazyFunction(lambda: [{"name": "predict.py", "size": 2048, "sha256": "ef" * 32}])


class PredictionFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = Prediction

    model = factory.SubFactory(TrainedModelFactory)
    filename = "new rows.csv"
    form = "csv"
    bytes = 2048
    state = "waiting"

    class Params:
        complete = factory.LazyAttribute(lambda o: o.state == "complete")

    attempt = factory.LazyAttribute(lambda o: 0 if o.state == "waiting" else 1)
    rows = factory.LazyAttribute(lambda o: 3 if o.complete else 0)
    share = factory.LazyAttribute(lambda o: 1.0 if o.complete else 0.0)
    seconds = factory.LazyAttribute(lambda o: 0.5 if o.complete else 0.0)
    error = factory.LazyAttribute(lambda o: "The table lacks 'age'." if o.state == "failed" else "")
    files = factory.LazyAttribute(
        lambda o: (
            {form: {"size": 9, "sha256": "ab" * 32} for form in ("csv", "parquet")} if o.complete else {}
        )
    )
    finished_at = factory.LazyAttribute(
        lambda o: timezone.now() if o.state not in ("waiting", "running") else None
    )
