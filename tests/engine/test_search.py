from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import threading
import time
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from automl.engine import AutoMLClassifier, AutoMLRegressor
from automl.engine.errors import UserError
from automl.engine.isolation import SeatPlan
from automl.engine.local import LocalSearch, LocalTrial
from automl.engine.trial import Origin, TrialState

ROOT = Path(__file__).parents[2]
QUICK = {"time_budget": 60, "max_trials": 3, "families": ["dummy", "linear", "lightgbm"]}


def table(rows: int = 300, seed: int = 0) -> tuple[pd.DataFrame, np.ndarray]:
    random = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "age": random.normal(40, 10, rows),
            "city": random.choice(["Oslo", "Bergen", "Tromsø"], rows),
            "since": pd.Timestamp("2020-01-01") + pd.to_timedelta(random.integers(0, 900, rows), unit="D"),
        }
    )
    drawn = (frame["age"] - 40) / 10 + (frame["city"] == "Oslo") + random.normal(size=rows) * 0.3
    frame.loc[::17, "age"] = np.nan
    return frame, np.where(drawn > 0.5, "yes", "no")


@pytest.fixture(scope="module")
def fitted() -> AutoMLClassifier:
    return AutoMLClassifier(**QUICK).fit(*table())


def test_a_frame_of_mixed_columns_is_learned(fitted):
    frame, y = table(seed=1)
    assert fitted.classes_.tolist() == ["no", "yes"]
    assert fitted.score(frame, y) > 0.8
    chances = fitted.predict_proba(frame)
    assert chances.shape == (300, 2)
    assert np.allclose(chances.sum(axis=1), 1)
    assert (fitted.classes_[chances.argmax(axis=1)] == fitted.predict(frame)).all()


def test_the_leaderboard_has_the_best_first_and_the_predicting_model_is_named(fitted):
    board = fitted.leaderboard_
    # The ensemble goes before trials whose better scores chance can explain: the best of many look it.
    assert board.loc[board["family"] != "ensemble", "score"].is_monotonic_decreasing
    assert board["family"].iloc[0] == "ensemble" or board["score"].is_monotonic_decreasing
    assert board["rank"].tolist()[0] == 1
    assert board["tied_with_best"].iloc[0]
    assert set(board["family"]) <= {"dummy", "linear", "lightgbm", "ensemble"}
    assert board["score_low"].le(board["score"]).all()
    assert fitted.best_["name"] in set(board["name"])
    assert fitted.metric_ == "roc_auc"


@pytest.mark.usefixtures("hurried")
def test_a_short_search_of_many_rows_learns_from_some_and_says_so():
    frame, y = table(900)
    found = AutoMLClassifier(time_budget=5, families=["linear"]).fit(frame, y)

    assert found.score(frame, y) > 0.8
    assert any("200 of them were drawn evenly" in warning for warning in found.warnings_)


def test_every_trial_is_told(fitted):
    assert fitted.trials_["number"].tolist() == [0, 1, 2]
    assert set(fitted.trials_["state"]) <= {"complete", "pruned"}


def test_unknown_words_and_missing_cells_can_be_predicted(fitted):
    frame = table()[0].head(4).assign(city=["Rome", None, "Oslo", "Oslo"], age=np.nan)
    assert set(fitted.predict(frame)) <= {"no", "yes"}


def test_a_regression_is_learned_in_the_unit_of_the_target():
    random = np.random.default_rng(0)
    X = random.normal(size=(200, 3))
    y = 1000 + 50 * X[:, 0]
    found = AutoMLRegressor(time_budget=60, max_trials=2, families=["dummy", "linear"]).fit(X, y)
    assert found.metric_ == "rmse"
    assert found.leaderboard_["score"].is_monotonic_increasing
    assert found.score(X, y) > 0.99
    assert found.predict(X[:5]) == pytest.approx(y[:5], abs=5)


@pytest.mark.parametrize("labels", [[3.0, 1.0, 2.0], [True, False], [10, 9], ["b", "a"], [3, 1, 2]], ids=str)
def test_labels_come_back_as_they_were_and_probabilities_in_their_order(labels):
    random = np.random.default_rng(0)
    codes = random.integers(0, len(labels), 120)
    X = random.normal(size=(120, 2)) * 0.1 + codes[:, None]
    y = np.array(labels)[codes]
    found = AutoMLClassifier(time_budget=60, max_trials=1, families=["linear"]).fit(X, y)
    assert found.classes_.tolist() == sorted(labels)
    assert found.predict(X).dtype == y.dtype
    assert (found.predict(X) == y).mean() > 0.95


def test_a_column_may_have_the_name_of_the_target_and_names_may_be_numbers():
    frame, y = table()
    frame = frame[["age", "city"]].rename(columns={"city": "target"})
    by_name = AutoMLClassifier(time_budget=60, max_trials=1, families=["linear"]).fit(frame, y)
    by_number = AutoMLClassifier(time_budget=60, max_trials=1, families=["linear"]).fit(
        frame.set_axis([0, 1], axis=1), y
    )
    assert (by_name.predict(frame) == by_number.predict(frame.set_axis([0, 1], axis=1))).all()
    assert by_name.score(frame, y) > 0.8


@pytest.mark.parametrize(("budget", "told"), [({"time_budget": 7.0}, 7.0), (QUICK, None)])
def test_folds_depend_on_time_only_where_that_is_the_budget(monkeypatch, budget, told):
    def prepare(request, folder):
        raise UserError(f"asked for with {request.time_budget}")

    monkeypatch.setattr("automl.engine.search.prepare", prepare)
    with pytest.raises(UserError, match=f"asked for with {told}"):
        AutoMLClassifier(**budget).fit(*table())


def test_the_same_seed_gives_the_same_trials_on_one_seat_or_two():
    frame, y = table()
    settings = {"time_budget": 120, "max_trials": 10, "families": ["linear", "neighbors"], "random_state": 5}
    found = [AutoMLClassifier(**settings, seats=seats).fit(frame, y) for seats in (1, 2)]
    columns = ["number", "family", "state", "score", "hyperparameters"]
    first, second = (one.trials_[columns] for one in found)
    pd.testing.assert_frame_equal(first, second)
    assert len(first) == 10
    assert np.array_equal(found[0].predict_proba(frame), found[1].predict_proba(frame))


def test_the_time_budget_is_used_and_kept(fitted):
    frame, y = table(3000)
    began = time.monotonic()
    found = AutoMLClassifier(time_budget=5).fit(frame, y)
    assert 3 < time.monotonic() - began < 10
    assert found.score(frame, y) > 0.8


def test_a_bundle_predicts_the_same_where_nothing_of_this_is_installed(fitted, tmp_path):
    frame, _ = table(seed=2)
    path = fitted.save(tmp_path / "model.zip")
    with zipfile.ZipFile(path) as archive:
        archive.extractall(tmp_path)
    frame.to_csv(tmp_path / "input.csv", index=False)
    subprocess.run(
        [sys.executable, "predict.py", "input.csv", "output.csv"],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "OMP_NUM_THREADS": "1"},
        check=True,
    )
    output = pd.read_csv(tmp_path / "output.csv")
    assert output["prediction"].tolist() == fitted.predict(frame).tolist()
    assert np.allclose(output["probability_yes"], fitted.predict_proba(frame)[:, 1], atol=1e-6)


def test_a_pickled_estimator_predicts_and_says_why_it_can_not_save(fitted, tmp_path):
    frame, _ = table()
    stored = pickle.dumps(fitted)
    assert b"/bakeoff-" not in stored
    copy = pickle.loads(stored)
    assert np.array_equal(copy.predict_proba(frame), fitted.predict_proba(frame))
    with pytest.raises(UserError, match="save where it was fitted"):
        copy.save(tmp_path / "model.zip")


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"time_budget": None}, "the search would never end"),
        ({"time_budget": 0}, "time_budget is 0; give seconds"),
        ({"max_trials": 0}, "max_trials is 0; give at least 1"),
        ({"search": "guess"}, "search is 'guess'"),
        ({"families": ["oracle"]}, "'oracle' is not a family"),
        ({"metric": "rmse"}, "'rmse'"),
    ],
)
def test_settings_that_make_no_sense_are_told(given, text):
    with pytest.raises(UserError, match=text):
        AutoMLClassifier(**given).fit(*table(60))


def test_a_regression_needs_numbers():
    with pytest.raises(UserError, match="Regression needs numbers; y holds"):
        AutoMLRegressor(max_trials=1).fit(*table(60))


def test_when_no_model_could_be_fitted_the_first_reason_is_told(monkeypatch):
    monkeypatch.setattr("automl.engine.local.plan_seats", lambda seats: SeatPlan(1, 1, memory_bytes=1))
    with pytest.raises(UserError, match=r"The first to fail was Random forest #0: memory: the fit used"):
        AutoMLClassifier(time_budget=60, max_trials=2, families=["random_forest"]).fit(*table())


def test_a_line_is_written_for_every_trial_when_asked(capsys):
    AutoMLClassifier(**QUICK, verbose=True).fit(*table(60))
    lines = capsys.readouterr().err.splitlines()
    assert sum("roc_auc" in line or "Stopped early" in line for line in lines) == 3


@pytest.fixture
def interruptible():
    """A process that a shell started in the background ignores Ctrl-C, and Python leaves it so."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_an_interrupt_ends_the_search_and_the_seats_can_be_used_again(fitted, interruptible):
    frame, y = table(2000)
    timer = threading.Timer(1.0, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        AutoMLClassifier(time_budget=60).fit(frame, y)
    assert time.monotonic() - began < 8
    assert AutoMLClassifier(**QUICK).fit(*table()).best_["score"] > 0.8


def test_the_example_runs():
    done = subprocess.run(
        [sys.executable, ROOT / "examples" / "fit_a_frame.py", "3"],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "ROC AUC on 375 rows held back: 0." in done.stdout
    assert "The bundle has" in done.stdout


CHECKED = {"time_budget": 60, "max_trials": 2, "families": ["linear"]}


@parametrize_with_checks([AutoMLClassifier(**CHECKED), AutoMLRegressor(**CHECKED)])
def test_scikit_learn_takes_it_for_one_of_its_own(estimator, check):
    check(estimator)


def test_members_of_the_final_model_have_their_weights_and_powers(tmp_path):
    found = object.__new__(LocalSearch)
    result = {"score": 0.9, "size": 1, "predict_time": 0.1}
    found.trials = [
        LocalTrial(n, "linear", {}, Origin.SEARCH, tmp_path / str(n), result=result) for n in range(3)
    ]
    found.weights, found.powers = {0: 1.0, 2: 0.0}, {2: -0.1}

    shares = [(member["number"], member["weight"], member["power"]) for member in found.members()]

    assert shares == [(0, 1.0, 0.0), (2, 0.0, -0.1)]


def test_an_ensemble_stands_behind_those_alone_that_are_better(tmp_path):
    found = object.__new__(LocalSearch)
    told = dict.fromkeys(("score_low", "score_high", "fit_time", "predict_time", "size"), 0.1)
    # A model that holds rows leads; the ensemble has no such member.
    scores = {"neighbors": 0.95, "linear": 0.9, "dummy": 0.5}
    found.trials = [
        LocalTrial(
            n,
            family,
            {},
            Origin.SEARCH,
            tmp_path / str(n),
            state=TrialState.COMPLETE,
            result={"score": score, "value": score, **told},
        )
        for n, (family, score) in enumerate(scores.items())
    ]
    found.weights, found._tied = {1: 1.0}, set()
    found.ensemble = {"score": 0.9, "value": 0.89, **told}

    assert [row["family"] for row in found.board()] == ["neighbors", "ensemble", "linear", "dummy"]
