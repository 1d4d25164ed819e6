from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pandas as pd
import pytest

from automl.engine.conformal import LEVELS, checked, fit_conformal
from automl.engine.inference import InputError, Uncertainty, load
from automl.engine.trial import TaskType
from tests.engine.tables import people
from tests.engine.test_bundle import packaged

ROWS = 4_000


def _folds(rows: int) -> Any:
    return np.arange(rows) % 5


def _numbers(rows: int, seed: int) -> tuple[Any, Any]:
    """A target whose noise grows with it, and a prediction that knows all but the noise."""
    generator = np.random.default_rng(seed)
    predicted = generator.uniform(1, 100, rows)
    return predicted * np.exp(generator.normal(0, 0.3, rows)), predicted


def _classes(rows: int, seed: int, *, classes: int = 3, rare: float = 0.3) -> tuple[Any, Any]:
    """Labels drawn from the very probabilities."""
    generator = np.random.default_rng(seed)
    logits = generator.normal(0, 2, (rows, classes)) + np.log(
        [1 - rare] + [rare / (classes - 1)] * (classes - 1)
    )
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return (generator.random(rows)[:, None] > probabilities.cumsum(axis=1)).sum(axis=1), probabilities


def coverage(found: Any, level: float, y: Any, predicted: Any) -> float:
    """The share of rows whose truth is held."""
    uncertainty = Uncertainty(found)
    if uncertainty.kind == "sets":
        return float(uncertainty.sets(predicted, level)[np.arange(len(y)), y].mean())
    low, high = uncertainty.intervals(predicted, level).T
    return float(((low <= y) & (y <= high)).mean())


@pytest.mark.parametrize("level", LEVELS)
def test_intervals_hold_the_share_of_new_rows_that_they_say(level: float) -> None:
    found = fit_conformal(TaskType.REGRESSION, *_numbers(ROWS, 0), _folds(ROWS))
    judged = coverage(found, level, *_numbers(20_000, 1))
    assert judged == pytest.approx(level, abs=0.015)


def test_intervals_are_wide_where_errors_are_large() -> None:
    found = Uncertainty(fit_conformal(TaskType.REGRESSION, *_numbers(ROWS, 0), _folds(ROWS)))
    narrow, wide = (high - low for low, high in found.intervals(np.array([5.0, 95.0])))
    assert wide > 5 * narrow


def test_intervals_of_a_target_that_is_never_negative_begin_at_zero() -> None:
    y, predicted = _numbers(ROWS, 0)
    found = Uncertainty(fit_conformal(TaskType.REGRESSION, y, predicted - 20, _folds(ROWS)))
    assert found.intervals(predicted - 20).min() == 0.0
    below = Uncertainty(fit_conformal(TaskType.REGRESSION, y - 50, predicted - 50, _folds(ROWS)))
    assert below.intervals(predicted - 50).min() < 0.0


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("classes", [2, 3, 26])
def test_sets_hold_the_share_of_new_rows_that_they_say(level: float, classes: int) -> None:
    found = fit_conformal(TaskType.MULTICLASS, *_classes(ROWS, 0, classes=classes), _folds(ROWS))
    judged = coverage(found, level, *_classes(20_000, 1, classes=classes))
    assert judged == pytest.approx(level, abs=0.02)


def test_the_rarer_of_two_classes_is_held_as_often_as_the_other() -> None:
    found = Uncertainty(
        fit_conformal(TaskType.BINARY, *_classes(ROWS, 0, classes=2, rare=0.05), _folds(ROWS))
    )
    y, probabilities = _classes(40_000, 1, classes=2, rare=0.05)
    held = found.sets(probabilities)[np.arange(len(y)), y]
    assert held[y == 1].mean() == pytest.approx(0.9, abs=0.04)
    assert held[y == 0].mean() == pytest.approx(0.9, abs=0.02)


def test_the_check_judges_rows_that_did_not_calibrate() -> None:
    """A fold whose errors are ten times as large is not held by what the others calibrated."""
    y, predicted = _numbers(ROWS, 0)
    folds = _folds(ROWS)
    odd = folds == 4
    y[odd] = predicted[odd] + 10 * (y[odd] - predicted[odd])
    found = fit_conformal(TaskType.REGRESSION, y, predicted, folds)
    checked = next(entry for entry in found["levels"] if entry["level"] == 0.9)["checked"]
    assert checked["coverage"] < 0.87
    assert checked["rows"] == ROWS


def test_what_was_checked_is_near_what_is_stated() -> None:
    for task_type, data in (
        (TaskType.REGRESSION, _numbers(ROWS, 2)),
        (TaskType.MULTICLASS, _classes(ROWS, 2)),
    ):
        for entry in fit_conformal(task_type, *data, _folds(ROWS))["levels"]:
            assert entry["checked"]["coverage"] == pytest.approx(entry["level"], abs=0.02)


@pytest.mark.parametrize(("rows", "levels"), [(10, []), (40, [0.8]), (70, [0.8, 0.9])])
def test_a_small_table_has_only_the_levels_that_its_rows_can_tell(rows: int, levels: list[float]) -> None:
    found = fit_conformal(TaskType.REGRESSION, *_numbers(rows, 0), _folds(rows))
    assert [entry["level"] for entry in found["levels"]] == levels


def test_a_level_that_was_not_calibrated_is_refused_by_naming_those_that_were() -> None:
    found = Uncertainty(fit_conformal(TaskType.REGRESSION, *_numbers(ROWS, 0), _folds(ROWS)))
    with pytest.raises(InputError, match=r"no intervals of level 0\.42; it has 0\.8, 0\.9, 0\.95, 0\.99"):
        found.intervals(np.zeros(1), 0.42)
    with pytest.raises(InputError, match="has intervals, not sets"):
        found.sets(np.zeros((1, 2)))


def test_equal_predictions_have_one_interval() -> None:
    """A constant model has one bin, whatever its rows."""
    y, _ = _numbers(ROWS, 0)
    found = fit_conformal(TaskType.REGRESSION, y, np.full(ROWS, y.mean()), _folds(ROWS))
    judged = coverage(found, 0.9, y, np.full(ROWS, y.mean()))
    assert judged == pytest.approx(0.9, abs=0.01)


def test_what_a_model_tells_of_its_levels_is_what_was_checked() -> None:
    found = checked(fit_conformal(TaskType.REGRESSION, *_numbers(ROWS, 2), _folds(ROWS)))
    assert found["kind"] == "intervals"
    assert [entry["level"] for entry in found["levels"]] == list(LEVELS)
    assert found["levels"][1]["coverage"] == pytest.approx(0.9, abs=0.02)
    assert found["levels"][1]["median_width"] > 0


@pytest.fixture(scope="module", params=[("bought", "roc_auc"), ("spent", "rmse")], ids=["sets", "intervals"])
def bundle(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    target, metric = request.param
    frame = people(600)
    return packaged(tmp_path_factory.mktemp(target), target, metric, families=["linear"], frame=frame)[
        1
    ], target


def test_a_bundle_holds_the_truth_of_new_rows_as_often_as_it_says(bundle: Any) -> None:
    folder, target = bundle
    model, frame = load(folder), people(2_000, seed=7)
    if target == "spent":
        bounds = model.predict_interval(frame, 0.9)
        held = (bounds[:, 0] <= frame[target]) & (frame[target] <= bounds[:, 1])
    else:
        held = model.predict_set(frame, 0.9)[np.arange(len(frame)), (frame[target] == "yes").astype(int)]
    assert held.mean() == pytest.approx(0.9, abs=0.04)


def test_the_command_line_writes_intervals_or_sets_at_a_level(bundle: Any, tmp_path: Any) -> None:
    folder, target = bundle
    people(50, seed=3).to_csv(tmp_path / "in.csv", index=False)
    command = [sys.executable, "-IB", str(folder / "predict.py"), "in.csv", "out.csv", "--level"]

    subprocess.run([*command, "0.9"], cwd=tmp_path, check=True, env={}, timeout=60)
    found = pd.read_csv(tmp_path / "out.csv", keep_default_na=False)
    refused = subprocess.run(
        [*command, "0.5"], check=False, cwd=tmp_path, env={}, timeout=60, capture_output=True, text=True
    )

    if target == "spent":
        assert (found["prediction_low"] < found["prediction"]).all()
        assert (found["prediction"] < found["prediction_high"]).all()
    else:
        assert set(found["prediction_set"]) <= {"", "no", "yes", "no | yes"}
    assert refused.returncode == 2
    assert "level 0.5; it has 0.8, 0.9" in refused.stderr


def test_a_bundle_of_an_earlier_release_says_that_it_has_none(bundle: Any) -> None:
    folder, target = bundle
    model = load(folder)
    model.uncertainty = None
    with pytest.raises(InputError, match="packaged without"):
        model.predict_interval(people(3)) if target == "spent" else model.predict_set(people(3))
