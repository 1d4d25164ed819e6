"""Scripts of trials whose target, or its classes, is learned in a way of its own."""

import numpy as np
import pandas as pd
import pytest

from automl.engine.evaluation import read_fitting
from automl.engine.preparation import open_prepared
from tests.engine.test_training_code import compared, member, scripts_of, table, written

pytestmark = pytest.mark.slow


def test_the_script_of_a_trial_that_learned_logarithms_of_one_more(tmp_path):
    frame = table().assign(spent=lambda each: each["spent"].round())
    folder = written(tmp_path, frame, "spent", metric="rmsle")
    trial = member(folder, "linear", metric="rmsle")

    ((path, expected, value),) = compared({"linear": (folder, trial)}).values()

    assert "np.log(y + 1.0)" in path.read_text()
    assert value == pytest.approx(expected, abs=1e-6, rel=1e-9)


def test_the_script_of_a_trial_that_is_judged_by_shares(tmp_path):
    folder = written(tmp_path, table(), "spent", metric="mape")
    trial = member(folder, "linear", 14, metric="mape", target="raw")
    ((path, expected, value),) = compared({"linear": (folder, trial)}).values()
    old = {name: told for name, told in read_fitting(trial["dir"]).items() if name != "factor"}

    assert "share_factor(y, predicted)" in path.read_text()
    assert value == pytest.approx(expected, abs=1e-6, rel=1e-9)
    # Of before there were such factors.
    assert scripts_of(folder, trial, old) == {}


def test_the_script_of_a_trial_whose_absolute_errors_are_made_least(tmp_path):
    folder = written(tmp_path, table().assign(spent=lambda each: each["spent"] ** 2), "spent", metric="mae")
    trial = member(folder, "linear", metric="mae", target="raw")
    ((path, expected, value),) = compared({"linear": (folder, trial)}).values()
    old = {**read_fitting(trial["dir"]), "factor": 1.0}

    assert "absolute_factor(y, predicted)" in path.read_text()
    assert value == pytest.approx(expected, abs=1e-6, rel=1e-9)
    # Before, none was multiplied.
    (script,) = scripts_of(folder, trial, old).values()
    assert "absolute_factor" not in script


def test_the_script_of_a_trial_whose_numbers_are_held_near_those_of_training(tmp_path):
    frame = table().assign(spent=lambda each: np.log(each["spent"]))
    frame.loc[5, "age"] = 1e4
    folder = written(tmp_path, frame, "spent", metric="rmse")
    trial = member(folder, "linear", metric="rmse")
    ((path, expected, value),) = compared({"linear": (folder, trial)}).values()
    old = {name: told for name, told in read_fitting(trial["dir"]).items() if name != "is_held"}

    assert "np.clip(found" in path.read_text()
    assert value == pytest.approx(expected, abs=1e-6, rel=1e-9)
    # Before, they were not.
    (script,) = scripts_of(folder, trial, old).values()
    assert "np.clip(found" not in script


def test_the_script_of_a_large_category_with_many_classes(tmp_path):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {"age": rng.normal(size=600), "town": [f"t{code}" for code in rng.integers(0, 80, 600)]}
    )
    frame["plan"] = [f"p{code}" for code in rng.permutation(np.arange(600) % 45)]
    folder = written(tmp_path, frame, "plan")
    trial = member(folder, "linear", metric="log_loss", categories="target")
    old = {name: told for name, told in read_fitting(trial["dir"]).items() if name != "factor"}

    ((path, expected, value),) = compared({"linear": (folder, trial)}).values()

    assert "max_categories=100" in path.read_text()
    assert value == pytest.approx(expected, abs=1e-6, rel=1e-9)
    # Of before its levels had columns.
    assert scripts_of(folder, trial, old) == {}


def test_trials_of_before_ranks_were_even_and_temperatures_left_doubt(tmp_path, monkeypatch):
    monkeypatch.setattr("automl.engine.learners.preprocessing.NORMAL_ROWS", 100)
    monkeypatch.setattr("automl.engine.training_code.earlier.NORMAL_ROWS", 100)
    folder = written(tmp_path, table(), "bought", metric="roc_auc")
    found = {}
    for number, numeric in enumerate(("standard", "quantile")):
        trial = member(folder, "linear", number, metric="roc_auc", numeric=numeric)
        now = {**read_fitting(trial["dir"]), "temperature": 0.5}
        old = {name: told for name, told in now.items() if name != "is_held"}
        found[numeric] = [*scripts_of(folder, trial, now).values(), *scripts_of(folder, trial, old).values()]

    assert ["doubt = 0\n" in script for script in found["standard"]] == [False, True]
    # Of one that spread ranks as a normal distribution there is none.
    assert len(found["quantile"]) == 1


@pytest.mark.usefixtures("hurried")
@pytest.mark.parametrize(("target", "metric"), [("plan", "log_loss"), ("spent", "rmse")])
def test_the_script_of_a_trial_that_learned_from_some_of_the_rows(tmp_path, target, metric):
    frame = table(900)
    frame.loc[[0, 7], target] = np.nan
    folder = written(tmp_path, frame, target, metric=metric, seconds=10.0)
    trial = member(folder, "linear", metric=metric)
    ((path, expected, value),) = compared({"linear": (folder, trial)}).values()

    rows = len(open_prepared(folder / "prepared").y)
    assert 200 <= rows <= 202
    assert f"Fitted on {rows} of its rows, drawn evenly" in path.read_text()
    assert "drawn = draw_rows(y)" in path.read_text()
    assert value == pytest.approx(expected, abs=1e-6, rel=1e-9)


def test_a_script_tells_levels_that_have_no_code_from_missing_ones(tmp_path):
    frame = table(7_000)
    frame["shop"] = [f"shop {row % 5_700}" for row in range(7_000)]
    frame.loc[::10, "shop"] = np.nan
    folder = written(tmp_path, frame, "bought", metric="roc_auc")
    place = [each["name"] for each in open_prepared(folder / "prepared").meta["features"]].index("shop")
    shops = np.asarray(open_prepared(folder / "prepared").X[:, place])
    assert np.isnan(shops).sum() == 700 and (shops == 5_000).sum() > 100
    trial = member(folder, "linear", metric="roc_auc")
    ((path, expected, value),) = compared({"linear": (folder, trial)}).values()

    assert "found.fillna(len(order))" in path.read_text()
    assert value == pytest.approx(expected, abs=1e-6, rel=1e-9)
