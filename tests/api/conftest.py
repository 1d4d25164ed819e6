from __future__ import annotations

import hashlib
from dataclasses import dataclass

import pytest
from rest_framework.test import APIClient

from automl.accounts.models import User
from automl.accounts.services import create_token
from automl.core import storage
from automl.datasets.models import Dataset
from automl.experiments.models import Experiment, Prediction, TrainedModel, Trial
from tests.factories import (
    DatasetFactory,
    ExperimentFactory,
    PredictionFactory,
    TrainedModelFactory,
    TrialFactory,
)

BASE = "/api/v1/"
BUNDLE = bytes(range(256)) * 16


class Api(APIClient):
    """A client that says addresses as API.md does, and a token's owner."""

    def generic(self, method, path, *args, **kwargs):
        path = path if path.startswith(("/", "http")) else BASE + path
        return super().generic(method, path, *args, **kwargs)


def client_of(user: User | None) -> Api:
    client = Api(raise_request_exception=False)
    if user is not None:
        client.credentials(HTTP_AUTHORIZATION=f"Bearer {create_token(user)}")
    return client


@pytest.fixture
def api(alice: User) -> Api:
    """Alice's program."""
    return client_of(alice)


@pytest.fixture
def charlies(charlie: User) -> Api:
    """The program of somebody who owns nothing."""
    return client_of(charlie)


@pytest.fixture
def anonymous(db) -> Api:
    return client_of(None)


@dataclass
class World:
    """One object of each kind, of one owner."""

    dataset: Dataset
    experiment: Experiment
    trial: Trial
    model: TrainedModel
    prediction: Prediction


@pytest.fixture
def world(alice: User) -> World:
    """What alice owns: an experiment that goes on, with one complete trial and its model."""
    dataset = DatasetFactory(owner=alice)
    experiment = ExperimentFactory(owner=alice, dataset=dataset)
    trial = TrialFactory(experiment=experiment)
    model = TrainedModelFactory(trial=trial, sha256=hashlib.sha256(BUNDLE).hexdigest())
    storage.make_folder(f"models/{model.id}")
    storage.path_of(model.bundle).write_bytes(BUNDLE)
    return World(dataset, experiment, trial, model, PredictionFactory(model=model))
