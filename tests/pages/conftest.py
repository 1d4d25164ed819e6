from __future__ import annotations

import hashlib
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.ipc
import pytest
from django.test import Client
from django.urls import reverse

from automl.accounts.models import User
from automl.core import storage
from automl.datasets.models import Dataset
from automl.experiments.models import Experiment, TrainedModel, Trial
from tests.factories import (
    DatasetFactory,
    EnsembleFactory,
    ExperimentFactory,
    PredictionFactory,
    TrainedModelFactory,
    TrialFactory,
)

BUNDLE = bytes(range(256)) * 16
CURVE = {
    "unit": "rounds",
    "x": [1, 2, 3, 4],
    "train": [0.6, 0.5, 0.4, 0.3],
    "valid": [0.65, 0.55, 0.5, 0.52],
    "best": 3,
    "metric": "log loss",
}


def write_table(dataset: Dataset) -> None:
    """The table of a dataset from the factory, as profiling would have stored it."""
    table = pa.table({"age": [39, None], "city": ["Paris", "Rome"], "income": ["low", "high"]})
    path = storage.make_folder(dataset.folder) / "table.arrow"
    with pa.ipc.new_file(str(path), table.schema) as writer:
        writer.write_table(table)


@dataclass
class World:
    """One object of each kind, of one owner."""

    dataset: Dataset
    experiment: Experiment
    trial: Trial
    failed: Trial
    model: TrainedModel

    def addresses(self) -> dict[str, str]:
        """Every page that belongs to somebody, by the name of its view."""
        objects = {
            "dataset": self.dataset,
            "delete_dataset": self.dataset,
            "new_experiment": self.dataset,
            "experiment": self.experiment,
            "experiment_progress": self.experiment,
            "experiment_board": self.experiment,
            "experiment_limits": self.experiment,
            "delete_experiment": self.experiment,
            "search": self.experiment,
            "search_shown": self.experiment,
            "insight": self.experiment,
            "insight_shown": self.experiment,
            "worth": self.experiment,
            "trial": self.trial,
            "trial_state": self.trial,
            "model": self.model,
            "model_state": self.model,
            "predictions": self.model,
            "compare": self.experiment,
            "trial_diagnostics": self.trial,
            "trial_diagnostics_state": self.trial,
            "model_diagnostics": self.model,
            "model_diagnostics_state": self.model,
        }
        return {name: reverse(f"pages:{name}", args=[each.id]) for name, each in objects.items()}

    def actions(self) -> dict[str, str]:
        """Every address that changes something by POST."""
        objects = {
            "dataset_kinds": self.dataset,
            "delete_dataset": self.dataset,
            "new_experiment": self.dataset,
            "pause_experiment": self.experiment,
            "resume_experiment": self.experiment,
            "extend_experiment": self.experiment,
            "change_experiment": self.experiment,
            "stop_experiment": self.experiment,
            "cancel_experiment": self.experiment,
            "delete_experiment": self.experiment,
            "package_trial": self.trial,
            "package_entry": self.experiment,
            "try_row": self.model,
            "predict_file": self.model,
            "remove_prediction": PredictionFactory(model=self.model),
            "skip_trial": self.trial,
            "compare_again": self.experiment,
            "trial_diagnostics_again": self.trial,
            "model_diagnostics_again": self.model,
        }
        return {name: reverse(f"pages:{name}", args=[each.id]) for name, each in objects.items()}


def make_world(owner: User, *, state: str = "running") -> World:
    dataset = DatasetFactory(owner=owner, name="adult", warnings=["2 rows were ragged."])
    write_table(dataset)
    experiment = ExperimentFactory(owner=owner, dataset=dataset, state=state)
    trial = TrialFactory(
        experiment=experiment,
        score=0.91,
        learning_curve=CURVE,
        learned={"rounds": 3, "importance": [["age", 0.7], ["city", 0.3]]},
    )
    TrialFactory(experiment=experiment, family="random_forest", score=0.90, tied_with_best=True)
    TrialFactory(experiment=experiment, family="linear", score=0.90)
    failed = TrialFactory(experiment=experiment, family="catboost", state="failed")
    EnsembleFactory(experiment=experiment)
    model = TrainedModelFactory(
        trial=trial,
        schema={"columns": [{"name": "age", "kind": "numeric"}]},
        sha256=hashlib.sha256(BUNDLE).hexdigest(),
    )
    storage.make_folder(f"models/{model.id}")
    storage.path_of(model.bundle).write_bytes(BUNDLE)
    return World(dataset, experiment, trial, failed, model)


@pytest.fixture
def world(alice: User) -> World:
    """What alice owns: an experiment that goes on."""
    return make_world(alice)


@pytest.fixture
def charlies(charlie: User) -> Client:
    """The browser of somebody who owns nothing."""
    client = Client()
    client.force_login(charlie)
    return client
