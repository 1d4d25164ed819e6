import numpy as np
import pandas as pd
import pytest

from automl.engine.errors import Pruned
from automl.engine.evaluation import read_member, read_predictions, write_predictions
from automl.engine.learners import get_learner
from automl.engine.metrics import METRICS
from automl.engine.preparation import open_prepared
from automl.engine.samplers.portfolio import default_entries
from tests.engine.tables import evaluated, people, prepared


def test_the_score_is_that_of_predictions_by_models_that_had_not_seen_the_row(tmp_path):
    prepared(tmp_path, people(), "bought")
    told = []

    result = evaluated(tmp_path, "linear", report=lambda event: told.append(event) or "go")

    found = open_prepared(tmp_path / "prepared")
    assert result["value"] == pytest.approx(
        METRICS["roc_auc"].value(np.asarray(found.y), read_predictions(result["dir"])), abs=1e-6
    )
    assert result["score_low"] < result["value"] < result["score_high"]
    assert [event["fold"] for event in told] == list(range(10))
    assert len(result["fold_scores"]) == len(read_member(result["dir"]).models) == 10
    assert result["value"] > 0.85


def test_what_a_trial_of_the_same_name_has_left_is_replaced(tmp_path):
    """A backup, or a loss of power, takes rows back whose folders are there."""
    for value in (0.25, 0.75):
        write_predictions(tmp_path / "00001-1", np.full(3, value))
    assert read_predictions(tmp_path / "00001-1").tolist() == [0.75] * 3


def test_a_target_of_large_numbers_keeps_its_digits(tmp_path):
    """Of seconds since 1970 those of 32 bits are two minutes apart."""
    frame = people()
    frame["spent"] = 1.76e9 + frame["age"].fillna(40.0)
    prepared(tmp_path, frame, "spent")
    result = evaluated(tmp_path, "linear", metric="rmse")
    y, told = np.asarray(open_prepared(tmp_path / "prepared").y), read_predictions(result["dir"])
    assert METRICS["rmse"].value(y, told) == pytest.approx(result["value"], rel=1e-6)


def test_a_learning_curve_says_whether_it_is_of_logarithms(tmp_path):
    prepared(tmp_path, people(), "spent")
    for number, target in enumerate(("raw", "log")):
        curve = evaluated(tmp_path, "lightgbm", number, metric="rmse", target=target)["learning_curve"]
        assert curve.get("of_logarithms", False) is (target == "log")


# Two repeats are those of experiments of older versions.
@pytest.mark.parametrize(("folds", "repeats"), [(5, 2), (10, 1)])
def test_each_row_is_predicted_by_the_models_of_the_other_folds(tmp_path, monkeypatch, folds, repeats):
    monkeypatch.setattr("automl.engine.preparation.fold_plan", lambda *rows, **told: (folds, repeats))
    prepared(tmp_path, people(), "spent")
    result = evaluated(tmp_path, "linear", metric="rmse", target="raw")
    found = open_prepared(tmp_path / "prepared")
    models = read_member(result["dir"]).models

    row = 7
    expected = [
        models[repeat * folds + found.folds[repeat, row]].predict(
            np.asarray(found.X[[row]]), classes=0, categorical=found.profile.categorical
        )[0]
        for repeat in range(repeats)
    ]

    assert read_predictions(result["dir"])[row] == pytest.approx(np.mean(expected), rel=1e-5)


def test_a_price_learned_as_a_logarithm_is_told_in_its_own_unit_and_meets_the_mean(tmp_path):
    rng = np.random.default_rng(5)
    shop, kind = rng.integers(0, 40, 1200), rng.integers(0, 30, 1200)
    effects = rng.normal(0, 1.0, 70)
    frame = pd.DataFrame({"shop": [f"s{n}" for n in shop], "kind": [f"k{n}" for n in kind]})
    frame["spent"] = np.exp(3 + effects[shop] + effects[40 + kind] + rng.normal(0, 0.4, 1200))
    assert prepared(tmp_path, frame, "spent")["profile"]["skew"] > 3

    raw, log = (
        evaluated(
            tmp_path, "linear", number, metric="rmse", target=target, categories="one_hot", strength=1e-5
        )
        for number, target in enumerate(("raw", "log"))
    )

    found, member = open_prepared(tmp_path / "prepared"), read_member(log["dir"])
    predicted, truth = read_predictions(log["dir"]), np.asarray(found.y)
    assert log["value"] < 0.8 * raw["value"]
    assert member.factor > 1.0 and read_member(raw["dir"]).factor == 1.0
    # No other factor would bring them nearer.
    assert truth @ predicted / (predicted @ predicted) == pytest.approx(1.0, abs=1e-5)
    again = member.predict(np.asarray(found.X), classes=0, categorical=found.profile.categorical)
    assert np.corrcoef(np.log(again), np.log(truth))[0, 1] > 0.9
    assert again.max() <= truth.max() * np.e * member.factor


def test_by_errors_as_shares_a_trial_is_held_as_far_below_the_median_as_is_best(tmp_path):
    prepared(tmp_path, people(), "spent", metric="mape")

    result = evaluated(tmp_path, "linear", metric="mape", target="log")

    truth = np.asarray(open_prepared(tmp_path / "prepared").y)
    factor, predicted = read_member(result["dir"]).factor, read_predictions(result["dir"])
    mape = METRICS["mape"]
    assert result["value"] == pytest.approx(mape.value(truth, predicted), rel=1e-5)
    assert 0.5 < factor < 1.0
    assert min(mape.value(truth, other * predicted) for other in (0.97, 1.03)) > result["value"]


def test_by_errors_as_shares_logarithms_are_learned_also_of_a_target_without_skew(tmp_path):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(600, 3)), columns=list("abc"))
    signal = frame["a"] + frame["b"] + rng.normal(0, 0.3, 600)
    frame["spent"] = 1 + signal.rank() * 999 / 600  # uniform
    prepared(tmp_path, frame, "spent", metric="mape")
    found = open_prepared(tmp_path / "prepared")

    raw, log = (
        evaluated(tmp_path, "neural_network", number, metric="mape", target=target)["value"]
        for number, target in enumerate(("raw", "log"))
    )

    assert found.profile.skew == 0.0
    assert log < 0.8 * raw
    spaces = {"lightgbm": get_learner("lightgbm").space(found.profile)}
    targets = [entry.params["target"] for entry in default_entries(spaces, found.profile)]
    assert targets[0] == "log" and set(targets) == {"log", "raw"}
    prepared(tmp_path, frame.assign(spent=frame["spent"] - 5.0), "spent", metric="mape")
    below = open_prepared(tmp_path / "prepared")
    assert "target" not in get_learner("lightgbm").space(below.profile).dimensions


@pytest.mark.parametrize("family", ["linear", "neural_network"])
def test_a_cell_a_thousand_times_too_large_is_not_added_up_to_a_number_beyond_all_others(tmp_path, family):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(600, 3)), columns=list("abc"))
    frame["spent"] = 10 * frame["a"] + frame["b"] + rng.normal(0, 0.3, 600)
    frame.loc[7, "a"] = 1000.0
    prepared(tmp_path, frame.assign(spent=frame["spent"].clip(-40, 40)), "spent")
    found = open_prepared(tmp_path / "prepared")

    result = evaluated(tmp_path, family, metric="rmse")

    y, judged = np.asarray(found.y), read_predictions(result["dir"])
    member = read_member(result["dir"])
    far = np.repeat(np.asarray(found.X)[:1], 2, axis=0)
    far[:, 0] = [1e6, -1e6]
    again = member.predict(far, classes=0, categorical=())
    room = 0.5 * (y.max() - y.min())
    for predicted in (judged, again):
        assert y.min() - room - 1e-4 <= predicted.min() and predicted.max() <= y.max() + room + 1e-4
    # A trend goes on a little.
    assert again.max() > y.max() + 0.4 * room and again.min() < y.min() - 0.4 * room


def test_where_the_metric_compares_logarithms_they_are_learned_also_of_nothing(tmp_path):
    rng = np.random.default_rng(5)
    frame = pd.DataFrame(rng.normal(size=(600, 3)), columns=list("abc"))
    frame["spent"] = rng.poisson(np.exp(1 + frame["a"] + 0.5 * frame["b"]))
    prepared(tmp_path, frame, "spent", metric="rmsle")
    found = open_prepared(tmp_path / "prepared")
    spaces = {family: get_learner(family).space(found.profile) for family in ("linear", "lightgbm")}

    raw, log = (
        evaluated(tmp_path, "linear", number, metric="rmsle", target=target)
        for number, target in enumerate(("raw", "log"))
    )

    assert 0 < (found.y == 0).sum() < 200
    assert {entry.params["target"] for entry in default_entries(spaces, found.profile)} == {"log"}
    assert log["value"] < 0.8 * raw["value"]
    member, predicted = read_member(log["dir"]), read_predictions(log["dir"])
    assert predicted.min() >= 0.0 and member.factor == 1.0
    again = member.predict(np.asarray(found.X), classes=0, categorical=())
    assert METRICS["rmsle"].value(found.y, again) == pytest.approx(log["value"], rel=0.1)


@pytest.mark.parametrize(
    ("values", "offered"),
    [
        (np.exp(np.random.default_rng(0).normal(0, 1, 300)), True),
        (np.random.default_rng(0).normal(50, 5, 300), False),  # not skewed
        (np.exp(np.random.default_rng(0).normal(0, 1, 300)) - 1.0, False),  # no logarithm below 0
    ],
)
def test_the_logarithm_is_offered_for_a_skewed_positive_target_only(tmp_path, values, offered):
    frame = people(300).assign(spent=values)
    prepared(tmp_path, frame, "spent")

    space = get_learner("lightgbm").space(open_prepared(tmp_path / "prepared").profile)

    assert ("target" in space.dimensions) is offered


def test_a_forest_that_is_far_too_cautious_is_calibrated_before_it_is_judged(tmp_path):
    rng = np.random.default_rng(3)
    frame = pd.DataFrame(rng.normal(size=(900, 4)), columns=list("abcd"))
    frame["kind"] = [f"k{code:02}" for code in (np.digitize(frame["a"], np.linspace(-1.5, 1.5, 11)))]
    prepared(tmp_path, frame, "kind")

    result = evaluated(tmp_path, "extra_trees", metric="log_loss", max_features=0.5)

    found = open_prepared(tmp_path / "prepared")
    member, X = read_member(result["dir"]), np.asarray(found.X)
    raw = np.mean([model.predict(X, classes=12, categorical=()) for model in member.models], axis=0)
    assert member.temperature < 0.8
    assert (
        np.sort(member.predict(X, classes=12, categorical=()), axis=1)[:, -1].mean()
        > np.sort(raw)[:, -1].mean()
    )
    assert result["value"] == pytest.approx(
        METRICS["log_loss"].value(np.asarray(found.y), read_predictions(result["dir"])), rel=1e-4
    )


def test_a_trial_that_is_told_to_stop_stops_after_that_fold(tmp_path):
    prepared(tmp_path, people(), "bought")
    told = []

    with pytest.raises(Pruned):
        evaluated(tmp_path, "linear", report=lambda event: told.append(event) or "stop")

    assert len(told) == 1
    assert not (tmp_path / "trial-0").exists()


def test_rows_that_only_train_have_no_prediction_and_do_not_count(tmp_path):
    frame = people()
    frame.loc[0, "plan"] = "platinum"
    prepared(tmp_path, frame, "plan")

    result = evaluated(tmp_path, "linear", metric="log_loss")

    predicted = read_predictions(result["dir"])
    assert np.isnan(predicted[0]).all() and np.isfinite(predicted[1:]).all()
    assert np.allclose(predicted[1:].sum(axis=1), 1, atol=1e-5)
    assert result["score"] == -result["value"]


@pytest.mark.parametrize("family", ["dummy", "linear", "lightgbm", "catboost", "xgboost", "hist_boosting"])
def test_the_same_seed_gives_the_same_predictions(tmp_path, family):
    prepared(tmp_path, people(120), "bought")
    params = get_learner(family).first(open_prepared(tmp_path / "prepared").profile)

    one, other = (evaluated(tmp_path, family, number, **params) for number in (0, 1))

    assert np.array_equal(read_predictions(one["dir"]), read_predictions(other["dir"]))
