import numpy as np
import pandas as pd
import pytest

from automl.engine.blending import blend_trials, choose_candidates
from automl.engine.ensemble import blend
from automl.engine.errors import Pruned
from automl.engine.evaluation import evaluate, read_member, read_predictions
from automl.engine.inference import finish_probabilities
from automl.engine.learners import get_learner
from automl.engine.metrics import METRICS
from automl.engine.preparation import open_prepared
from automl.engine.selection import (
    MOST_BYTES,
    MOST_MEMBERS_OF_FEW_ROWS,
    _halves,
    _limited,
    choose_weights,
    levelled,
    loss_of,
    most_halved,
    thin,
)
from tests.engine.tables import go, people, prepared


def evaluated(folder, family, number=0, metric="roc_auc", report=go, **params):
    out = folder / f"trial-{number}"
    args = {
        "prepared": str(folder / "prepared"),
        "family": family,
        "params": params,
        "seed": 1,
        "metric": metric,
        "threads": 1,
        "out": str(out),
    }
    result = evaluate(args, report)
    return {
        **result,
        "id": str(number),
        "number": number,
        "family": family,
        "params": params,
        "dir": str(out),
    }


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


def test_a_learning_curve_says_whether_it_is_of_logarithms(tmp_path):
    prepared(tmp_path, people(), "spent")
    for number, target in enumerate(("raw", "log")):
        curve = evaluated(tmp_path, "lightgbm", number, metric="rmse", target=target)["learning_curve"]
        assert curve.get("of_logarithms", False) is (target == "log")


def test_each_row_is_predicted_by_the_models_of_the_other_folds(tmp_path, monkeypatch):
    # As experiments of older versions were divided.
    monkeypatch.setattr("automl.engine.preparation.fold_plan", lambda *rows: (5, 2))
    prepared(tmp_path, people(), "spent")
    result = evaluated(tmp_path, "linear", metric="rmse", target="raw")
    found = open_prepared(tmp_path / "prepared")
    models = read_member(result["dir"]).models

    row = 7
    expected = [
        models[repeat * 5 + found.folds[repeat, row]].predict(
            np.asarray(found.X[[row]]), classes=0, categorical=found.profile.categorical
        )[0]
        for repeat in range(2)
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
    assert metric.value(y, found.honest) <= metric.value(y, found.prediction) + 0.002
    assert sum(found.weights) == pytest.approx(1)


def test_members_together_are_no_larger_than_a_bundle_may_be():
    chance = np.random.default_rng(0)
    y = chance.normal(0, 1, 500)
    candidates = [y + chance.normal(0, 1, 500) for _ in range(6)]
    large, small = MOST_BYTES // 2 - 1, 1

    free = blend(METRICS["rmse"], y, candidates, sizes=[small] * 6)
    limited = blend(METRICS["rmse"], y, candidates, sizes=[large] * 5 + [small])

    assert sum(weight > 0 for weight in free.weights) > 3
    assert 1 <= sum(weight > 0 for weight in limited.weights[:5]) <= 2


def test_the_best_candidate_joins_whatever_its_size():
    y = np.arange(100.0)

    found = blend(METRICS["rmse"], y, [y + 0.1, y[::-1] * 1.0], sizes=[MOST_BYTES * 2, 1])

    assert found.weights == (1.0, 0.0)


def test_among_noise_an_honest_score_promises_nothing():
    """Weights fitted to 60 rows of noise look good on these rows; the honest score must not."""
    gains, promised = [], []
    for seed in range(8):
        chance = np.random.default_rng(seed)
        y = chance.integers(0, 2, 60)
        views = [chance.random(60) for _ in range(20)]
        candidates = sorted(
            (np.column_stack([1 - view, view]) for view in views),
            key=lambda p: -METRICS["roc_auc"].value(y, p),
        )
        found = blend(METRICS["roc_auc"], y, candidates, seed=seed)
        gains.append(METRICS["roc_auc"].value(y, found.prediction))
        promised.append(METRICS["roc_auc"].value(y, found.honest))

    assert np.mean(gains) > 0.7
    assert np.mean(promised) < 0.6


def test_on_few_rows_many_members_share_the_weight_and_err_less_on_new_rows():
    """Halves disagree about which of equal candidates is best: their mean does not follow the noise."""
    metric = METRICS["roc_auc"]
    better = []
    for seed in range(10):
        chance = np.random.default_rng(seed)
        y, new = chance.integers(0, 2, 300), chance.integers(0, 2, 20_000)
        candidates, later = [], []
        for _ in range(20):
            for truth, found in ((y, candidates), (new, later)):
                view = 1 / (1 + np.exp(-(0.7 * (2 * truth - 1) + chance.normal(0, 1.5, len(truth)))))
                found.append(np.column_stack([1 - view, view]))
        weights = {}
        for few in (True, False):
            loss = loss_of(metric)
            weights[few] = choose_weights(
                loss,
                y,
                loss.view(np.stack(candidates), y),
                sizes=np.zeros(20),
                families=None,
                most_halved=MOST_MEMBERS_OF_FEW_ROWS if few else 0,
                generator=np.random.default_rng(0),
            )
        values = {
            few: metric.value(new, np.tensordot(own, np.stack(later), axes=1)) for few, own in weights.items()
        }
        better.append(values[True] - values[False])
        members = {few: int((own > 0).sum()) for few, own in weights.items()}
        assert members[False] < members[True] <= MOST_MEMBERS_OF_FEW_ROWS
    assert np.mean(better) > 0.005
    assert np.mean(np.array(better) > 0) >= 0.9


def test_a_member_that_hardly_helps_is_left_out_and_one_that_does_stays():
    chance = np.random.default_rng(0)
    y = chance.normal(0, 1, 5_000)
    views = np.stack([y + chance.normal(0, spread, 5_000) for spread in (1, 1, 1.2, 9)])
    views = np.concatenate([views, views[:1] + chance.normal(0, 0.2, (1, 5_000))])

    found = thin(loss_of(METRICS["rmse"]), y, views, weights=np.array([0.3, 0.3, 0.3, 0.03, 0.07]))

    assert (found > 0).tolist() == [True, True, True, False, False]
    assert found.sum() == pytest.approx(1)


@pytest.mark.parametrize(
    "name", ["roc_auc", "average_precision", "log_loss", "brier", "rmse", "mae", "accuracy", "mcc"]
)
def test_losses_of_many_candidates_are_those_of_the_metric(name):
    chance = np.random.default_rng(0)
    metric = METRICS[name]
    if metric.needs == "numbers":
        y = chance.normal(0, 1, 400)
        stack = np.stack([y + chance.normal(0, 1, 400) for _ in range(3)])
    else:
        y = chance.integers(0, 2, 400)
        view = chance.random((3, 400))
        stack = np.stack([1 - view, view], axis=2)
    loss = loss_of(metric)
    mean = stack.mean(axis=0)

    found = loss.of(y, loss.view(stack, y))

    assert found == pytest.approx([_as_loss(metric, y, each) for each in stack], rel=1e-5)
    seen = loss.view(stack, y).mean(axis=0)[None]
    assert loss.of(y, seen)[0] == pytest.approx(_as_loss(metric, y, mean), rel=1e-5)


def _as_loss(metric, y, prediction):
    value = metric.value(y, prediction)
    if metric.name in ("roc_auc", "average_precision"):
        return 1 - value
    return -metric.score_of(value)


@pytest.mark.parametrize("rows", [600, 12_000])
@pytest.mark.parametrize("name", ["roc_auc", "average_precision"])
def test_a_candidate_that_says_the_same_of_all_rows_is_not_taken_for_good_where_rows_are_sorted(rows, name):
    chance = np.random.default_rng(0)
    y = np.repeat([0, 1], rows // 2)
    view = 1 / (1 + np.exp(-(2 * y - 1 + chance.normal(0, 1, rows))))

    for truth, good in ((y, view), (y[::-1], view[::-1])):
        candidates = [np.column_stack([1 - p, p]) for p in (good, np.full(rows, 0.5))]
        found = blend(METRICS[name], truth, candidates)
        assert found.weights[0] == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize(
    ("rows", "seconds", "most"),
    [(10_000, None, 12), (10_000, 600, 12), (500, 40, 8), (500, 15, 5), (500, 2, 5), (10_001, None, 0)],
)
def test_members_are_fewer_after_a_short_search(rows, seconds, most):
    assert most_halved(rows, seconds) == most


def test_halves_share_a_rare_class():
    y = np.zeros(4_000, dtype=int)
    y[[5, 2_000, 3_500, 3_501]] = 1

    for seed in range(20):
        for half in _halves(y, np.random.default_rng(seed)):
            assert 1 <= y[half].sum() <= 3
            assert len(half) == 2_000


@pytest.mark.parametrize("rows", [1, 2, 3])
def test_a_few_rows_are_enough_for_weights(rows):
    y = np.arange(rows, dtype=float)
    views = np.stack([y, y + 1])

    found = choose_weights(
        loss_of(METRICS["rmse"]),
        y,
        views,
        sizes=np.zeros(2),
        families=None,
        most_halved=2,
        generator=np.random.default_rng(0),
    )

    assert found.tolist() == [1, 0]


def test_families_weights_are_drawn_towards_equal_ones():
    drawn = levelled(np.array([0.6, 0.2, 0.2, 0.0]), np.array(["a", "a", "b", "c"]))

    assert drawn.tolist() == pytest.approx([0.4875, 0.1625, 0.35, 0.0])


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


def test_candidates_are_judged_alike_in_parts_and_at_once(monkeypatch):
    chance = np.random.default_rng(0)
    y = chance.normal(0, 1, 500)
    candidates = [y + chance.normal(0, 1, 500) for _ in range(6)]
    whole = blend(METRICS["rmse"], y, candidates)
    monkeypatch.setattr("automl.engine.selection.CELLS_AT_ONCE", 1)

    assert blend(METRICS["rmse"], y, candidates).weights == whole.weights


def test_a_small_member_gets_the_place_that_large_ones_have_no_room_for():
    weights = np.array([0.2, *[0.05] * 14, 0.04, 0.06])
    sizes = np.array([1.0, *[MOST_BYTES] * 14, 1.0, 1.0])

    found = _limited(weights, sizes, 2)

    assert np.flatnonzero(found).tolist() == [0, 16]
    assert np.flatnonzero(_limited(weights, sizes, 3)).tolist() == [0, 15, 16]
    assert found.sum() == pytest.approx(1)


def test_the_same_seed_gives_the_same_weights():
    chance = np.random.default_rng(0)
    y = chance.normal(0, 1, 500)
    candidates = [y + chance.normal(0, 1, 500) for _ in range(6)]

    one, other = (blend(METRICS["rmse"], y, candidates, seed=5) for _ in range(2))

    assert one.weights == other.weights
    assert sum(weight > 0 for weight in one.weights) >= 3


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
    made = blend(METRICS["roc_auc"], truth, predictions, sizes=[trial["size"] for trial in in_order], seed=0)
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
    assert len(chosen) == 30
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
