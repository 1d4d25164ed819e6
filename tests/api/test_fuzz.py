"""The API against whatever its own OpenAPI document allows, and what it does not."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
import schemathesis
from django.conf import settings as django_settings
from django.core.signals import request_finished, request_started
from django.core.wsgi import get_wsgi_application
from django.db import close_old_connections
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.errors import Unsatisfiable
from schemathesis.checks import not_a_server_error
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from automl.accounts.services import create_token
from automl.api import about
from automl.core import storage
from tests.factories import (
    DatasetFactory,
    EnsembleFactory,
    ExperimentFactory,
    TrainedModelFactory,
    TrialFactory,
)

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    response_headers_conformance,
]
# Read a file that the rows of the factories do not have, or stand for no answer of ours.
LEFT_OUT = {"/api/v1/datasets/{id}/preview/", "/api/v1/health/ready/"}
DOCUMENT = Path(django_settings.BASE_DIR) / "docs" / "openapi.json"
OPERATIONS = [
    (method, path)
    for path, operations in json.loads(DOCUMENT.read_text(encoding="utf-8"))["paths"].items()
    for method in operations
    if path not in LEFT_OUT
]


def living_id(path, owner):
    """An object of alice's for an address, so that not everything ends at 404."""
    kind = path.removeprefix("/api/v1/").split("/")[0]
    if kind == "datasets":
        return DatasetFactory(owner=owner).id
    if kind == "experiments":
        return ExperimentFactory(owner=owner).id
    if kind == "ensembles":
        return EnsembleFactory(experiment__owner=owner).id
    trial = TrialFactory(experiment__owner=owner)
    if kind == "trials":
        return trial.id
    model = TrainedModelFactory(trial=trial, sha256=hashlib.sha256(b"bundle").hexdigest())
    storage.make_folder(f"models/{model.id}")
    storage.path_of(model.bundle).write_bytes(b"bundle")
    return model.id


@pytest.fixture
def kept_connection(db):
    """The connection that holds the test's transaction stays open from request to request."""
    for signal in (request_started, request_finished):
        signal.disconnect(close_old_connections)
    yield
    for signal in (request_started, request_finished):
        signal.connect(close_old_connections)


@pytest.mark.slow
@pytest.mark.usefixtures("kept_connection")
@pytest.mark.parametrize(("method", "path"), OPERATIONS)
@pytest.mark.parametrize("mode", GenerationMode)
def test_whatever_is_sent_the_answer_is_one_of_the_document(alice, monkeypatch, method, path, mode):
    class Server:
        def predict(self, bundle, rows, timeout, level=None):
            count = len(rows)
            return {"predictions": ["low"] * count, "classes": ["low"], "probabilities": [[1.0]] * count}

        def predict_table(self, bundle, source, target, timeout, *, level=None):
            target.write_text("prediction\nlow\n")
            return 1

    monkeypatch.setattr("automl.experiments.serving.prediction_server", Server)
    schema = schemathesis.openapi.from_dict(about.document())
    schema.app = get_wsgi_application()
    operation = schema[path][method.upper()]
    headers = {"Authorization": f"Bearer {create_token(alice)}"}
    living = str(living_id(path, alice)) if "{id}" in path else None
    dataset = str(DatasetFactory(owner=alice).id)

    @seed(20)
    @settings(
        max_examples=12,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def try_it(case):
        if mode is GenerationMode.POSITIVE and living:
            case.path_parameters["id"] = living
        if mode is GenerationMode.POSITIVE and case.operation.label == "POST /api/v1/experiments/":
            case.body |= {"dataset": dataset, "target": "income"}
        case.call_and_validate(headers=headers, checks=CHECKS)

    try:
        try_it()
    except Unsatisfiable:
        pytest.skip("there is nothing that one could get wrong")
