from dataclasses import replace

import numpy as np
import pytest

from automl.engine.blending import MOST_CANDIDATES, blend_trials, choose_candidates
from automl.engine.ensemble import blend
from automl.engine.evaluation import read_predictions
from automl.engine.inference import combine, finish_probabilities
from automl.engine.intervals import difference
from automl.engine.metrics import METRICS
from automl.engine.preparation import open_prepared
from tests.engine.tables import evaluated, people, prepared


def test_an_ensemble_of_different_families_is_better_than_each_and_honest(tmp_path):
    chance = np.random.default_rng(0)
    y = chance.integers(0, 2, 3000)
    signal = np.where(y == 1, 1.0, -1.0)
    views = [1 / (1 + np.exp(-(0.6 * signal + chance.normal(0, 1, 3000)))) for _ in range(5)]
    candidates = [np.column_stack([1 - view, view]) for view in views]
    metric = METRICS["roc_auc"]

    found = blend(metric, y, candidates)

    best = max(metric.value(y, candidate) for candidate in candidates)
    assert metric.value(y, found.honest) > best + 0.02
    fitted = combine(candidates, found.weights, found.powers)
    assert metric.value(y, found.honest) <= metric.value(y, fitted) + 0.002
    assert sum(found.weights) == pytest.approx(1)


def test_of_few_rows_a_few_of_each_family_are_candidates():
    trials = [
        {"id": str(n), "number": n, "family": family, "score": 1.0 - n / 100, "size": 1}
        for n, family in enumerate(["lightgbm"] * 9 + ["linear", "linear", "xgboost", "catboost"])
    ]

    few = choose_candidates(trials, rows=500, width=2)
    assert [trial["family"] for trial in few] == ["lightgbm"] * 3 + ["linear"] * 2 + ["xgboost", "catboost"]
    assert len(choose_candidates(trials, rows=2_000, width=2)) == 13
    # Where a search is of one family there is nothing else to choose.
    assert len(choose_candidates(trials[:9], rows=500, width=2)) == 9


def test_trials_are_blended_with_ties_told(tmp_path):
    prepared(tmp_path, people(), "bought")
    trials = [
        evaluated(tmp_path, family, number)
        for number, family in enumerate(["dummy", "linear", "extra_trees"])
    ]

    found = blend_trials(
        {"prepared": str(tmp_path / "prepared"), "metric": "roc_auc", "seed": 0, "trials": trials}
    )

    assert "0" not in found["weights"] and "0" not in found["tied"]
    assert set(found["tied"]) & {"1", "2"}
    if found["weights"]:
        assert found["score"] >= max(trial["score"] for trial in trials)
        assert found["score_low"] < found["value"] < found["score_high"]
        assert sum(found["weights"].values()) == pytest.approx(1)


def test_trials_that_are_no_candidates_are_held_against_the_best_too(tmp_path, monkeypatch):
    prepared(tmp_path, people(), "bought")
    trials = [evaluated(tmp_path, "linear", number) for number in range(3)]
    trials.append(evaluated(tmp_path, "dummy", 3))
    args = {"prepared": str(tmp_path / "prepared"), "metric": "roc_auc", "seed": 0, "trials": trials[:2]}
    args["others"] = [{"id": trial["id"], "dir": trial["dir"]} for trial in trials[2:]]

    found = blend_trials(args)
    assert set(found["tied"]) == {"0", "1", "2"}
    assert found["untested"] == 0

    monkeypatch.setattr("automl.engine.blending.TESTING_SECONDS", -1.0)
    found = blend_trials(args)
    assert set(found["tied"]) == {"0", "1"}
    assert found["untested"] == 2


@pytest.mark.parametrize(("levelled", "chosen"), [(241, True), (240, False)])
def test_of_few_rows_the_best_trial_has_to_be_further_ahead_of_the_ensemble(
    tmp_path, monkeypatch, levelled, chosen
):
    prepared(tmp_path, people(), "spent")
    trials = [evaluated(tmp_path, family, n, "rmse") for n, family in enumerate(["linear", "extra_trees"])]
    args = {"prepared": str(tmp_path / "prepared"), "metric": "rmse", "seed": 0, "trials": trials}
    truth = np.asarray(open_prepared(tmp_path / "prepared").y)
    chance = np.random.default_rng(0)
    near, far = (truth + error * chance.normal(size=len(truth)) for error in (28.0, 35.0))
    assert 0.001 < difference(METRICS["rmse"], truth, far, near).chance < 0.05

    def unlucky(*args, **settings):
        return replace(blend(*args, **settings), weights=(0.5, 0.5), honest=far, honest_best=near)

    monkeypatch.setattr("automl.engine.blending.blend", unlucky)
    monkeypatch.setattr("automl.engine.blending.LEVELLED_ROWS", levelled)

    found = blend_trials(args)

    assert bool(found["weights"]) is chosen
    # Not a billionth less, or the trial would be the answer all the same.
    if chosen:
        assert found["score"] == max(trial["score"] for trial in trials)


def test_members_without_a_weight_are_there_for_their_power(tmp_path, monkeypatch):
    prepared(tmp_path, people(), "bought")
    trials = [evaluated(tmp_path, family, n) for n, family in enumerate(["linear", "extra_trees", "dummy"])]
    args = {"prepared": str(tmp_path / "prepared"), "metric": "roc_auc", "seed": 0, "trials": trials}

    def corrected(*args, **settings):
        found = blend(*args, **settings)
        return replace(found, weights=(1.0, 0.0), powers=(0.0, -0.1))

    monkeypatch.setattr("automl.engine.blending.blend", corrected)
    found = blend_trials(args)

    first, second = sorted(trials[:2], key=lambda trial: -trial["score"])
    assert found["weights"] == {first["id"]: 1.0, second["id"]: 0.0}
    assert found["powers"] == {second["id"]: -0.1}


def test_what_an_ensemble_is_judged_by_is_kept(tmp_path):
    prepared(tmp_path, people(), "bought")
    trials = [evaluated(tmp_path, family, n) for n, family in enumerate(["linear", "extra_trees"])]
    args = {"prepared": str(tmp_path / "prepared"), "metric": "roc_auc", "seed": 0, "trials": trials}

    found = blend_trials({**args, "out": str(tmp_path / "honest")})

    assert found["weights"]
    kept = read_predictions(tmp_path / "honest")
    truth = np.asarray(open_prepared(tmp_path / "prepared").y)
    assert METRICS["roc_auc"].value(truth, kept) == pytest.approx(found["value"], abs=1e-6)
    in_order = choose_candidates(trials, rows=len(truth), width=2)
    predictions = [read_predictions(trial["dir"]) for trial in in_order]
    made = blend(METRICS["roc_auc"], truth, predictions, seed=0)
    alone = METRICS["roc_auc"].value(truth, finish_probabilities(made.honest_best))
    assert found["gain"] == pytest.approx(found["value"] - alone, abs=1e-6)


def test_candidates_are_the_best_with_each_family_and_none_that_cannot_be_shipped():
    trials = [
        {"id": str(number), "number": number, "family": family, "score": score, "size": size}
        for number, (family, score, size) in enumerate(
            [
                ("dummy", 0.5, 1),
                ("neighbors", 0.99, 1),
                ("random_forest", 0.98, 10**9),
                ("linear", 0.7, 1),
                *[("lightgbm", 0.9 + place / 1000, 1) for place in range(60)],
            ]
        )
    ]

    chosen = choose_candidates(trials, rows=20_000, width=2)

    families = [trial["family"] for trial in chosen]
    assert len(chosen) == MOST_CANDIDATES
    assert set(families) == {"lightgbm", "linear"}
    assert [trial["score"] for trial in chosen] == sorted((trial["score"] for trial in chosen), reverse=True)


def test_as_many_candidates_as_a_quarter_of_the_memory_holds(tmp_path, monkeypatch):
    prepared(tmp_path, people(), "bought")
    trials = [evaluated(tmp_path, "linear", number) for number in range(4)]
    read = []

    def counting(folder):
        read.append(folder)
        return read_predictions(folder)

    monkeypatch.setattr("automl.engine.blending.read_predictions", counting)
    monkeypatch.setattr("automl.engine.blending.TESTING_SECONDS", -1.0)
    rows = len(open_prepared(tmp_path / "prepared").y)
    args = {"prepared": str(tmp_path / "prepared"), "metric": "roc_auc", "seed": 0, "trials": trials}

    blend_trials({**args, "memory_bytes": 4 * 3 * rows * 2 * 8})
    assert len(read) == 3
    read.clear()
    blend_trials(args)
    assert len(read) == 4


def test_what_holds_training_rows_is_a_candidate_where_there_is_nothing_else():
    only = [{"id": "a", "number": 0, "family": "neighbors", "score": 0.9, "size": 1}]

    assert choose_candidates(only, rows=10, width=2) == only
