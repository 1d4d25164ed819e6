"""Labels are decided by the metric of a search: on the board, and in what is downloaded alike."""

import json
from pathlib import Path

import numpy as np
import onnxruntime
import pandas as pd
import pytest
from sklearn.metrics import f1_score

from automl.engine import AutoMLClassifier, inference
from automl.engine.blending import blend_trials
from automl.engine.comparing import compare_models
from automl.engine.diagnostics.overall import diagnose
from automl.engine.ensemble import blend
from automl.engine.evaluation import read_fitting, read_predictions
from automl.engine.inference.server import described
from automl.engine.inference.tables import predictions_frame
from automl.engine.intervals import interval
from automl.engine.labels import (
    OF_TWO,
    decided,
    factors_of_others,
    is_decided,
    label_factors,
    part_of,
)
from automl.engine.metrics import METRICS
from automl.engine.preparation import open_prepared
from automl.engine.sealing import seal_folder
from automl.engine.selection import loss_of
from tests.engine.tables import evaluated, prepared, stored
from tests.engine.test_bundle import packaged


def rare(rows=1_500, seed=0):
    """A table of which one row in twenty is positive, and hardly one is likelier so than not."""
    chance = np.random.default_rng(seed)
    frame = pd.DataFrame(chance.normal(size=(rows, 3)), columns=["a", "b", "c"])
    odds = 1.3 * frame["a"] - frame["b"] - 4.0
    frame["bought"] = np.where(chance.random(rows) < 1 / (1 + np.exp(-odds)), "yes", "no")
    return frame


def two(p):
    return np.column_stack([1 - p, p])


def drawn(rows=2_000, share=0.05, seed=0, apart=1.5):
    """Classes, and calibrated probabilities of them."""
    chance = np.random.default_rng(seed)
    y = (chance.random(rows) < share).astype(int)
    seen = chance.normal(size=rows) + apart * y
    odds = np.log(share / (1 - share)) + apart * seen - apart**2 / 2
    return y, two(1 / (1 + np.exp(-odds)))


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    """A model of such a table that was searched by F1, as it is packaged."""
    return packaged(tmp_path_factory.mktemp("rare"), "bought", "f1", families=["linear"], frame=rare())


@pytest.mark.parametrize("runtime", ["skops", "onnx"])
def test_a_downloaded_model_gives_the_labels_that_its_score_is_of(bundle, runtime):
    result, folder = bundle
    model, fresh = inference.load(folder, runtime=runtime), rare(4_000, seed=1)
    truth = fresh.pop("bought") == "yes"

    labels, chances = model.predict(fresh), model.predict_proba(fresh)

    of_likeliest = f1_score(truth, chances.argmax(axis=1))
    value = f1_score(truth, labels == "yes")
    assert of_likeliest < 0.2 and value > of_likeliest + 0.15
    told = json.loads((folder / "metrics.json").read_text())["validation"]
    board = read_fitting(folder.parent / "trial-0")["value"]
    assert abs(value - board) < 0.1
    assert told["recall"]["value"] > 0.3
    # Probabilities stay what they are; all ways to ask give the same labels.
    assert chances[:, 1].mean() == pytest.approx(truth.mean(), abs=0.02)
    assert predictions_frame(model, fresh)["prediction"].tolist() == labels.tolist()
    found = model.predict_rows(fresh.head(300).to_dict("records"))
    assert found["predictions"] == labels[:300].tolist()
    threshold = 1 / sum(model.label_factors)
    assert ((chances[:, 1] > threshold) == (labels == "yes")).all()
    assert described(model)["label_factors"] == result["schema"]["label_factors"]


def test_the_graph_by_itself_and_the_card_tell_the_same_labels(bundle):
    result, folder = bundle
    fresh = rare(500, seed=2).drop(columns="bought")
    session = onnxruntime.InferenceSession(str(folder / "model.onnx"))

    (found,) = session.run(["label"], {name: fresh[[name]].to_numpy() for name in fresh})

    assert found.tolist() == inference.load(folder, runtime="onnx").predict(fresh).tolist()
    threshold = 100 / sum(result["schema"]["label_factors"])
    assert f"from a probability of **{threshold:.0f}\u00a0%** on" in (folder / "model_card.md").read_text()


def test_a_model_without_factors_names_the_likeliest_class(bundle):
    """As every bundle of before there were any."""
    model = inference.load(bundle[1], runtime="skops")
    del model.encoder.schema["label_factors"]
    older = inference.Model(model.encoder, model.members, model.temperature)
    fresh = rare(500, seed=2).drop(columns="bought")

    assert (older.predict(fresh) == older.classes_[older.predict_proba(fresh).argmax(axis=1)]).all()
    assert "label_factors" not in described(older)


def test_the_baseline_and_other_metrics_are_judged_as_ever(tmp_path):
    prepared(tmp_path, rare(600), "bought")
    y = open_prepared(tmp_path / "prepared").y
    pairs = [("dummy", "f1"), ("linear", "accuracy"), ("linear", "recall"), ("linear", "roc_auc")]

    for number, (family, metric) in enumerate(pairs):
        trial = evaluated(tmp_path, family, number, metric)
        predicted = read_predictions(trial["dir"])
        assert trial["value"] == pytest.approx(METRICS[metric].value(y, predicted), abs=1e-6)
        assert "label_factors" not in read_fitting(trial["dir"])
    assert is_decided(METRICS["f1"], "linear") and not is_decided(METRICS["f1"], "dummy")


def test_a_trial_an_ensemble_a_diagnosis_and_a_comparison_judge_the_same_labels(tmp_path):
    frame = rare(600)
    prepared(tmp_path, frame, "bought")
    trials = [evaluated(tmp_path, family, n, "mcc") for n, family in enumerate(["linear", "lightgbm"])]
    table, place = str(stored(tmp_path, frame)), str(tmp_path / "prepared")
    one = {"prepared": place, "members": [{**trials[0], "weight": 1.0}], "metric": "mcc"}

    found = diagnose({**one, "table": table, "seconds": 1.0}, lambda event: "go")
    assert found["metrics"]["mcc"]["value"] == pytest.approx(trials[0]["value"], abs=1e-6)
    counts = np.array(found["classification"]["confusion"]["counts"])
    assert METRICS["mcc"].value_of_counts(counts) == pytest.approx(trials[0]["value"], abs=1e-6)
    assert found["classification"]["threshold"] < 0.4
    assert found["importance"]["columns"][0]["column"] in ("a", "b")

    entries = [
        {"id": trial["id"], "name": trial["id"], "prepared": place, "members": [{**trial, "weight": 1.0}]}
        for trial in trials
    ]
    told = compare_models({"metric": "mcc", "table": table, "entries": entries})["entries"]
    assert [each["value"] for each in told] == pytest.approx([each["value"] for each in trials], abs=1e-4)

    blended = blend_trials({"prepared": place, "metric": "mcc", "seed": 0, "trials": trials})
    assert trials[0]["id"] in blended["tied"]


def test_what_was_judged_by_the_likeliest_class_before_stays_so(tmp_path):
    frame = rare(600)
    prepared(tmp_path, frame, "bought")
    trials = [evaluated(tmp_path, family, n, "f1") for n, family in enumerate(["linear", "lightgbm"])]
    for trial in trials:
        told = read_fitting(trial["dir"])
        del told["label_factors"]
        (Path(trial["dir"]) / "fitting.json").write_text(json.dumps(told))
        seal_folder(Path(trial["dir"]))
    y, classes = open_prepared(tmp_path / "prepared").y, METRICS["f1"]
    plain = classes.value(y, read_predictions(trials[0]["dir"]))
    table, place = str(stored(tmp_path, frame)), str(tmp_path / "prepared")
    members = [{**trials[0], "weight": 1.0}]

    one = {"prepared": place, "members": members, "metric": "f1", "table": table, "seconds": 1.0}
    found = diagnose(one, lambda event: "go")
    assert found["metrics"]["f1"]["value"] == pytest.approx(plain, abs=1e-6)
    assert "threshold" not in found["classification"]

    entries = [
        {"id": trial["id"], "name": trial["id"], "prepared": place, "members": [{**trial, "weight": 1.0}]}
        for trial in trials
    ]
    told = compare_models({"metric": "f1", "table": table, "entries": entries})["entries"]
    assert told[0]["value"] == pytest.approx(plain, abs=1e-4)

    kept = tmp_path / "kept"
    blended = {"prepared": place, "metric": "f1", "seed": 0, "trials": trials, "out": str(kept)}
    blend_trials(blended)
    assert not kept.exists() or read_fitting(kept) is None


def test_of_hundreds_of_classes_a_sample_says_nothing_of_single_ones():
    chance = np.random.default_rng(0)

    def rows(count, classes=300):
        y = np.arange(count) % classes
        logits = chance.normal(size=(count, classes)) + 4.0 * np.eye(classes)[y]
        p = np.exp(logits)
        return y, p / p.sum(axis=1, keepdims=True)

    y, p = rows(9_000)
    fresh, chances = rows(6_000)
    metric = METRICS["balanced_accuracy"]
    factors = label_factors(metric, y, p)
    assert metric.value(fresh, chances * factors) > metric.value(fresh, chances) - 0.002


def test_folds_are_judged_by_what_models_rank_and_not_all_by_zero(tmp_path):
    prepared(tmp_path, rare(600), "bought")

    usual, cautious = (evaluated(tmp_path, "linear", n, "f1", strength=s) for n, s in enumerate((1e-3, 3.0)))

    # One is as sure as it is right, the other calls no row likelier than not, and ranks all but alike.
    assert read_predictions(cautious["dir"])[:, 1].max() < 0.5
    assert min(cautious["fold_scores"]) > 0.1 and len(set(cautious["fold_scores"])) > 2
    assert np.mean(cautious["fold_scores"]) == pytest.approx(np.mean(usual["fold_scores"]), abs=0.15)


def test_the_estimator_gives_the_same_labels_in_its_own_order():
    frame = rare(600)
    y = np.where(frame.pop("bought") == "yes", 0, 1)
    found = AutoMLClassifier(max_trials=2, families=["dummy", "linear"], metric="balanced_accuracy").fit(
        frame, y
    )

    called = found.predict(frame)

    chances = found.predict_proba(frame)
    assert 0.15 < (called == 0).mean() < 0.6 and (chances[:, 0] > 0.5).mean() < 0.05
    assert chances[called == 0, 0].min() > chances[called == 1, 0].max()


@pytest.mark.parametrize("name", OF_TWO)
def test_of_two_classes_every_threshold_has_the_value_of_its_counts(name):
    y, p = drawn(400, 0.2)
    metric = METRICS[name]
    loss = loss_of(metric)
    cuts = [0.0, *np.unique(p[:, 1])]

    values = [metric.value(y, p * [1.0, (1 - cut) / max(cut, 1e-12)]) for cut in cuts]

    # All that a threshold can bring, less a row that is just on it.
    assert 1 - loss.of(y, loss.view(p[None], y)) == pytest.approx(max(values), abs=0.01)


@pytest.mark.parametrize("name", OF_TWO)
@pytest.mark.parametrize("share", [0.03, 0.97])
def test_what_is_rare_is_called_where_it_pays_on_other_rows(name, share):
    y, p = drawn(1_000, share)
    fresh, chances = drawn(40_000, share, seed=1)
    metric = METRICS[name]

    factors = label_factors(metric, y, p)

    likeliest = metric.value(fresh, chances)
    best = max(metric.value(fresh, chances * [1, factor]) for factor in np.geomspace(1e-3, 1e3, 100))
    value = metric.value(fresh, chances * factors)
    # Nearly all there is to gain; F1 of what nearly all rows are has nothing to gain.
    assert best - value < max(0.2 * (best - likeliest), 0.01)
    assert metric.value(y, decided(metric, y, p)) == pytest.approx(value, abs=0.12)


def test_of_many_classes_the_rare_ones_are_called_too():
    chance = np.random.default_rng(0)
    shares = np.array([0.9, 0.07, 0.03])

    def rows(count):
        y = chance.choice(3, count, p=shares)
        likely = shares * np.exp(1.2 * (chance.normal(size=(count, 3)) + 1.2 * np.eye(3)[y]))
        return y, likely / likely.sum(axis=1, keepdims=True)

    y, p = rows(2_000)
    fresh, chances = rows(20_000)
    for name in ("balanced_accuracy", "f1_macro", "mcc"):
        metric = METRICS[name]
        factors = label_factors(metric, y, p)
        assert factors[0] == 1 and factors[1:].min() >= 1
        gain = metric.value(fresh, chances * factors) - metric.value(fresh, chances)
        assert gain > (0.15 if name == "balanced_accuracy" else 0.0)


def test_one_row_does_not_decide_a_threshold_of_few():
    y, p = drawn(300, 0.1)
    metric = METRICS["f1"]
    before = label_factors(metric, y, p)[1]

    moved = [
        label_factors(metric, np.delete(y, row), np.delete(p, row, axis=0))[1] for row in range(0, 300, 3)
    ]

    assert np.abs(np.log(np.array(moved) / before)).max() < 0.5


def test_rows_are_not_judged_by_factors_that_they_took_part_in():
    y, p = drawn()
    metric, part = METRICS["f1"], part_of(y)
    changed = p.copy()
    changed[part == 2] = changed[part == 2][::-1]

    before, after = (factors_of_others(metric, y, each) for each in (p, changed))

    assert (before[2] == after[2]).all() and (before[0] != after[0]).any()
    assert [np.bincount(y[part == one]).tolist() for one in range(5)] == pytest.approx(
        np.tile(np.bincount(y) / 5, (5, 1)), abs=1
    )


@pytest.mark.parametrize("name", ["mcc", "balanced_accuracy"])
def test_where_there_is_nothing_to_learn_nothing_is_found(name):
    chance = np.random.default_rng(0)
    y = (chance.random(2_500) < 0.1).astype(int)
    metric, guess = METRICS[name], {"mcc": 0.0, "balanced_accuracy": 0.5}[name]
    candidates = [two(chance.beta(2, 18, 2_500)) for _ in range(8)]

    found = blend(metric, y, candidates)

    for prediction in (candidates[0], found.honest, found.honest_best):
        value, low, high = interval(metric, y, decided(metric, y, prediction))
        assert abs(value - guess) < (high - low)


def test_what_tells_no_rows_apart_keeps_its_labels():
    y = np.arange(100) % 10 == 0
    same = np.tile([0.9, 0.1], (100, 1))
    assert label_factors(METRICS["f1"], y.astype(int), same).tolist() == [1, 1]
    assert label_factors(METRICS["f1"], np.zeros(100, dtype=int), same).tolist() == [1, 1]


def test_members_are_chosen_by_what_they_rank_where_none_calls_anything_positive():
    y, good = drawn(3_000, 0.05, apart=2.0)
    chance = np.random.default_rng(1)
    poor = two(np.clip(chance.beta(2, 38, 3_000), 0.001, 0.4))
    good = two(0.45 * good[:, 1])
    assert METRICS["f1"].value(y, good) == METRICS["f1"].value(y, poor) == 0

    found = blend(METRICS["f1"], y, [poor, good])

    assert found.weights[1] > 0.6
