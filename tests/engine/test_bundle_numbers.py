"""Bundles of numbers that were learned as logarithms, or are held near those of training."""

import numpy as np
import pytest

from automl.engine import inference
from automl.engine.evaluation import read_member
from automl.engine.preparation import open_prepared
from tests.engine.tables import people
from tests.engine.test_bundle import packaged


def test_a_model_of_a_logarithm_predicts_the_same_after_storing(tmp_path):
    _, folder = packaged(tmp_path, "spent", "rmse", families=["lightgbm"], params={"target": "log"})
    found = open_prepared(tmp_path / "prepared")
    member = read_member(tmp_path / "trial-0")
    expected = member.predict(np.asarray(found.X), classes=0, categorical=())

    assert member.models[0].log_bounds is not None
    assert inference.load(folder, runtime="skops").predict(people()) == pytest.approx(expected, rel=1e-6)
    assert inference.load(folder, runtime="onnx").predict(people()) == pytest.approx(expected, rel=1e-5)


def test_a_model_of_logarithms_of_one_more_predicts_the_same_after_storing(tmp_path):
    frame = people().assign(spent=lambda each: np.floor(each["spent"]))
    _, folder = packaged(tmp_path, "spent", "rmsle", families=["linear"], frame=frame)
    found, member = open_prepared(tmp_path / "prepared"), read_member(tmp_path / "trial-0")
    expected = member.predict(np.asarray(found.X), classes=0, categorical=found.profile.categorical)

    assert member.models[0].log_offset == 1.0
    for runtime, exactness in (("skops", 1e-6), ("onnx", 1e-5)):
        predicted = inference.load(folder, runtime=runtime).predict(frame)
        assert predicted == pytest.approx(expected, rel=exactness, abs=exactness)


def test_numbers_are_held_near_those_of_training_after_storing_too(tmp_path):
    frame = people().assign(spent=lambda each: np.log(each["spent"]))
    _, folder = packaged(tmp_path, "spent", "rmse", families=["linear"], frame=frame)
    far = frame.assign(age=frame["age"] * 1e3)
    bounds = [model.bounds for model in read_member(tmp_path / "trial-0").models]

    found = {runtime: inference.load(folder, runtime=runtime).predict(far) for runtime in ("skops", "onnx")}

    assert found["skops"].max() == pytest.approx(np.mean([high for _, high in bounds]))
    assert found["onnx"] == pytest.approx(found["skops"], rel=1e-5)
