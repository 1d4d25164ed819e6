"""An unpacked bundle is a model in MLflow's format: what MLflow reads of it, without MLflow."""

import importlib
import json

import pandas as pd
import pytest
import yaml

from automl.engine.inference import load
from automl.engine.inference.pyfunc import _load_pyfunc
from automl.engine.mlmodel import mlflow_files
from tests.engine.tables import people


@pytest.fixture(scope="module")
def model(made_bundle):
    return yaml.safe_load((made_bundle / "MLmodel").read_text())


def test_the_loader_that_it_names_predicts_as_the_model_does(made_bundle, model):
    flavor = model["flavors"]["python_function"]
    package, _, module = flavor["loader_module"].partition(".")
    assert (made_bundle / flavor["code"] / package / f"{module}.py").is_file()
    assert hasattr(importlib.import_module(f"automl.engine.inference.{module}"), "_load_pyfunc")

    found = _load_pyfunc(str(made_bundle / flavor["data"])).predict(people(5), params=None)

    assert found["prediction"].tolist() == load(made_bundle).predict(people(5)).tolist()


def test_its_signature_names_every_column_in_and_out(model):
    taken = json.loads(model["signature"]["inputs"])
    given = json.loads(model["signature"]["outputs"])
    assert {column["name"]: column["type"] for column in taken} == {
        "age": "any",
        "city": "string",
        "joined": "any",
        "note": "string",
    }
    assert [(column["name"], column["type"]) for column in given] == [
        ("prediction", "string"),
        ("probability_no", "double"),
        ("probability_yes", "double"),
    ]


def test_its_example_can_be_predicted(made_bundle, model):
    path = made_bundle / model["saved_input_example_info"]["artifact_path"]
    frame = pd.DataFrame(**json.loads(path.read_text()))
    assert len(frame) == 3
    assert frame["age"].dtype == float
    assert len(load(made_bundle).predict(frame)) == 3


def test_its_environments_pin_what_the_model_needs(made_bundle, model):
    environment = model["flavors"]["python_function"]["env"]
    pinned = (made_bundle / "requirements.txt").read_text().splitlines()
    conda = yaml.safe_load((made_bundle / environment["conda"]).read_text())
    virtual = yaml.safe_load((made_bundle / environment["virtualenv"]).read_text())
    assert set(pinned) <= set(conda["dependencies"][-1]["pip"])
    assert virtual["dependencies"] == ["-r requirements.txt"]
    assert f"python={virtual['python']}" in conda["dependencies"]


@pytest.mark.parametrize(
    ("classes", "kind"), [([1, 2], "long"), ([True, False], "boolean"), ([1, "a"], "any"), (None, "double")]
)
def test_labels_have_their_own_type(classes, kind):
    schema = {"columns": [], "classes": classes}
    files = mlflow_files(
        schema, {"columns": [], "rows": [[]]}, requirements=[], python="3.11.7", made_at="2026-01-01T00:00:00"
    )
    outputs = json.loads(yaml.safe_load(files["MLmodel"])["signature"]["outputs"])
    assert outputs[0]["type"] == kind
    assert len(outputs) == 1 + len(classes or [])
