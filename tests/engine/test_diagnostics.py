from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics as judge
from sklearn.calibration import calibration_curve

from automl.engine.diagnostics import classification as of_classes
from automl.engine.diagnostics import regression as of_numbers
from automl.engine.diagnostics.figures import thinned
from automl.engine.diagnostics.influence import Clock, columns_of, dependence, importance
from automl.engine.diagnostics.outoffold import OutOfFold
from automl.engine.diagnostics.overall import diagnose
from automl.engine.errors import Damaged
from automl.engine.evaluation import as_packaged, evaluate, read_members, read_predictions, write_predictions
from automl.engine.metrics import METRICS
from automl.engine.preparation import open_prepared
from automl.engine.reading.stored import seal_table
from automl.engine.sealing import seal_of
from tests.engine.tables import go, people, prepared, stored

chance = np.random.default_rng(3)
Y = chance.integers(0, 2, 500)
P = np.clip(0.3 + 0.3 * Y + chance.normal(0, 0.2, 500), 0.01, 0.99).round(3)
Y3 = chance.integers(0, 3, 400)
P3 = chance.dirichlet([1, 1, 1], 400) + np.eye(3)[Y3]
P3 /= P3.sum(axis=1, keepdims=True)


def two(p):
    return np.column_stack([1 - p, p])


def fitted(folder, target, *families, frame=None, metric=None, **settings):
    """Trials fitted on a small table, as candidates of equal weight."""
    frame = people() if frame is None else frame
    meta = prepared(folder, frame, target, **settings)
    members = []
    for number, family in enumerate(families):
        args = {
            "prepared": str(folder / "prepared"),
            "family": family,
            "params": {},
            "seed": 1,
            "metric": metric or meta["metric"],
            "threads": 1,
            "out": str(folder / family),
        }
        found = evaluate(args, go)
        members.append(
            {
                "id": family,
                "number": number,
                "family": family,
                "dir": args["out"],
                "weight": 1 / len(families),
            }
            | {"params": {}, "score": found["score"], "seconds": 0.1, "size": 1}
        )
    return meta, members


def arguments(folder, meta, members, frame=None, **changed):
    return {
        "prepared": str(folder / "prepared"),
        "table": str(stored(folder, people() if frame is None else frame)),
        "members": members,
        "metric": meta["metric"],
        "seconds": 3.0,
        **changed,
    }


def test_roc_and_its_area_are_those_of_scikit_learn():
    fpr, tpr, area = of_classes.roc(Y == 1, P)
    wanted_fpr, wanted_tpr, _ = judge.roc_curve(Y, P, drop_intermediate=False)
    np.testing.assert_allclose(fpr, wanted_fpr)
    np.testing.assert_allclose(tpr, wanted_tpr)
    assert area == pytest.approx(judge.roc_auc_score(Y, P))


def test_precision_and_recall_are_those_of_scikit_learn():
    recall, precision, average = of_classes.precision_recall(Y == 1, P)
    wanted_precision, wanted_recall, _ = judge.precision_recall_curve(Y, P)
    np.testing.assert_allclose(recall[::-1], wanted_recall[:-1])
    np.testing.assert_allclose(precision[::-1], wanted_precision[:-1])
    assert average == pytest.approx(judge.average_precision_score(Y, P))


def test_one_against_the_rest_averages_as_scikit_learn_does():
    found = of_classes.curves(Y3, P3, ["a", "b", "c"])
    wanted = judge.roc_auc_score(Y3, P3, multi_class="ovr", average="macro")
    assert found["macro"]["auc"] == pytest.approx(wanted, rel=1e-4)
    assert [line["class"] for line in found["classes"]] == ["a", "b", "c"]
    precision = judge.average_precision_score(np.eye(3)[Y3], P3, average="macro")
    assert found["macro"]["average_precision"] == pytest.approx(precision, rel=1e-4)


def test_calibration_is_that_of_scikit_learn():
    found = of_classes.calibration(Y, two(P))
    happened, said = calibration_curve(Y, P, n_bins=10)
    np.testing.assert_allclose([each["actual"] for each in found["bins"]], happened, rtol=1e-4)
    np.testing.assert_allclose([each["predicted"] for each in found["bins"]], said, rtol=1e-4)
    assert sum(each["rows"] for each in found["bins"]) == len(Y)
    assert all(each["low"] <= each["actual"] <= each["high"] for each in found["bins"])


def test_confusion_and_the_figures_by_class_are_those_of_scikit_learn():
    found = of_classes.confusion_matrix(Y3, P3, ["a", "b", "c"])
    called = P3.argmax(axis=1)
    assert found["counts"] == judge.confusion_matrix(Y3, called).tolist()
    for row, *wanted in zip(
        found["by_class"], *judge.precision_recall_fscore_support(Y3, called), strict=True
    ):
        np.testing.assert_allclose(
            [row["precision"], row["recall"], row["f1"], row["rows"]], wanted, rtol=1e-4
        )


def test_the_commonest_mistake_comes_first():
    y = np.array([0] * 10 + [1] * 10)
    p = two(np.array([0.1] * 8 + [0.9] * 2 + [0.9] * 5 + [0.1] * 5))
    first = of_classes.confusion_matrix(y, p, ["no", "yes"])["mistakes"][0]
    assert first == {"true": "yes", "called": "no", "rows": 5, "share": 0.5}


def test_of_very_many_classes_the_rare_ones_are_put_together():
    y = np.repeat(np.arange(60), 3)
    y = np.concatenate([y, np.arange(20)])
    p = np.full((len(y), 60), 0.001)
    p[np.arange(len(y)), y] = 1.0
    found = of_classes.confusion_matrix(y, p, [f"c{code}" for code in range(60)])
    assert len(found["classes"]) == 41
    assert found["classes"][-1] == "(other classes)"
    assert int(np.sum(found["counts"])) == len(y)
    assert len(of_classes.curves(y, p, range(60))["classes"]) == 30
    assert of_classes.curves(y, p, range(60))["left_out"] == 30


def test_every_threshold_counts_what_it_would_call_positive():
    found = of_classes.thresholds(Y, P)
    assert found["positives"] + found["negatives"] == len(Y)
    for place in range(0, len(found["values"]), 17):
        called = found["values"][place] <= P
        assert found["true_positives"][place] == int((called & (Y == 1)).sum())
        assert found["false_positives"][place] == int((called & (Y == 0)).sum())


def test_rare_positives_have_thresholds_where_their_chances_are():
    p = np.random.default_rng(0).beta(1, 200, 2000)
    values = of_classes.thresholds((p > np.quantile(p, 0.99)).astype(int), p)["values"]
    assert sum(value < p.max() for value in values) > 50


def test_a_perfect_order_lifts_as_far_as_it_can():
    y = np.array([1] * 10 + [0] * 90)
    found = of_classes.lift(y, np.linspace(1, 0, 100))
    assert found["depth"][1] == pytest.approx(0.1)
    assert found["gain"][1] == pytest.approx(1.0)
    assert found["lift"][1] == pytest.approx(10.0)
    np.testing.assert_allclose(of_classes.lift(y, np.full(100, 0.5))["lift"], 1.0)


def test_a_thinned_curve_keeps_its_ends_and_its_corner():
    x = np.linspace(0, 1, 5000)
    points = thinned(x, np.minimum(x * 100, 1.0), 60)
    assert points[0] == (0.0, 0.0)
    assert points[-1] == (1.0, 1.0)
    assert len(points) <= 61
    assert max(y for x, y in points if x <= 0.012) > 0.9


def test_groups_by_prediction_tell_the_error_to_expect():
    y = np.linspace(10, 110, 1000)
    found = of_numbers.regression(y, y + np.where(y > 60, 5.0, -1.0))
    groups = found["by_predicted"]
    assert sum(group["rows"] for group in groups) == 1000
    assert (groups[0]["bias"], groups[-1]["bias"]) == (-1.0, 5.0)
    assert groups[-1]["mean_absolute_error"] == 5.0
    assert sum(found["residuals"]["counts"]) == 1000
    assert found["log"] is False
    assert of_numbers.regression(y, y, skew=4.0)["log"] is True


@pytest.mark.parametrize(
    ("target", "families"),
    [("bought", ["linear"]), ("plan", ["lightgbm", "linear"]), ("spent", ["linear", "lightgbm"])],
)
def test_rows_are_predicted_again_as_they_were(tmp_path, target, families):
    _, members = fitted(tmp_path, target, *families)
    table = open_prepared(tmp_path / "prepared")
    rows = np.arange(0, 240, 7)
    again = OutOfFold(table, read_members(members), rows)
    before = sum(member["weight"] * read_predictions(member["dir"])[rows] for member in members)
    np.testing.assert_allclose(again.predict(again.X), before, rtol=1e-4, atol=1e-5)
    twice = again.predict(np.tile(again.X, (2, 1)))
    # A matrix of another height is multiplied in other blocks, in single precision.
    np.testing.assert_allclose(twice[: len(rows)], twice[len(rows) :], rtol=1e-5)


def test_rows_are_predicted_again_as_a_corrected_mean_does(tmp_path):
    _, members = fitted(tmp_path, "plan", "lightgbm", "linear")
    members = [{**member, "power": power} for member, power in zip(members, (0.2, -0.1), strict=True)]
    table = open_prepared(tmp_path / "prepared")
    places, before, temperature = as_packaged(table, members)

    again = OutOfFold(table, read_members(members), places, temperature)

    np.testing.assert_allclose(again.predict(again.X), before, rtol=1e-4, atol=1e-5)


def test_the_column_that_matters_is_found_and_noise_is_told_as_such(tmp_path):
    luck = np.random.default_rng(1)
    frame = pd.DataFrame({"noise": luck.normal(size=500), "signal": luck.normal(size=500)})
    frame["kind"] = luck.choice(["a", "b"], 500)
    frame["y"] = frame["signal"] * 3 + (frame["kind"] == "b") + luck.normal(0, 0.3, 500)
    meta, members = fitted(tmp_path, "y", "linear", frame=frame)
    table = open_prepared(tmp_path / "prepared")
    model = OutOfFold(table, read_members(members), np.arange(500))
    columns = columns_of(json.loads((tmp_path / "prepared" / "schema.json").read_text()))
    found = importance(model, METRICS[meta["metric"]], columns, Clock(model, 5.0))
    assert [row["column"] for row in found["columns"]] == ["signal", "kind", "noise"]
    signal, kind, noise = found["columns"]
    assert signal["low"] > kind["high"]
    assert kind["low"] > 0
    assert noise["low"] <= 0.01
    assert found["left_out"] == 0


def test_the_partial_dependence_of_a_known_line_is_that_line(tmp_path):
    luck = np.random.default_rng(1)
    frame = pd.DataFrame({"x": luck.uniform(0, 10, 400), "kind": luck.choice(["a", "b"], 400)})
    frame["y"] = 2.0 * frame["x"] + 5.0 * (frame["kind"] == "b") + luck.normal(0, 0.1, 400)
    _, members = fitted(tmp_path, "y", "linear", frame=frame)
    model = OutOfFold(open_prepared(tmp_path / "prepared"), read_members(members), np.arange(400))
    columns = columns_of(json.loads((tmp_path / "prepared" / "schema.json").read_text()))
    line, levels = dependence(model, columns, Clock(model, 5.0), None)
    assert (line["column"], levels["column"]) == ("x", "kind")
    slope = np.polyfit(line["grid"], line["lines"][0]["mean"], 1)[0]
    assert slope == pytest.approx(2.0, abs=0.05)
    means = dict(zip(levels["grid"], levels["lines"][0]["mean"], strict=True))
    assert means["b"] - means["a"] == pytest.approx(5.0, abs=0.2)
    assert sum(line["share"]) == pytest.approx(1.0, abs=1e-3)


def test_a_diagnosis_of_classes_is_whole_and_json(tmp_path):
    meta, members = fitted(tmp_path, "plan", "lightgbm", "linear")
    found = diagnose(arguments(tmp_path, meta, members), go)
    json.dumps(found, allow_nan=False)
    assert found["rows"] == 240
    assert set(found["classification"]) == {"confusion", "curves", "calibration"}
    assert {row["column"] for row in found["importance"]["columns"]} >= {"age", "city", "joined", "note"}
    drawn = {curve["column"]: curve for curve in found["dependence"]}
    assert "note" not in drawn
    assert set(drawn["city"]["grid"]) == {"Paris", "Rome", "Oslo", "Żółw", None}
    assert drawn["joined"]["grid"][0].startswith("2020")
    assert len(drawn["city"]["lines"]) == 3


def test_an_ensemble_is_diagnosed_by_predictions_of_weights_that_are_not_of_its_rows(tmp_path):
    meta, members = fitted(tmp_path, "spent", "lightgbm", "linear")
    y = np.asarray(open_prepared(tmp_path / "prepared").y)
    write_predictions(tmp_path / "honest", 0.9 * y)

    own = diagnose(arguments(tmp_path, meta, members), go)
    honest = diagnose(arguments(tmp_path, meta, members, honest=str(tmp_path / "honest")), go)
    trial = diagnose(arguments(tmp_path, meta, [{**members[0], "weight": 1.0}]), go)

    assert [each["flattered"] for each in (own, honest, trial)] == [True, False, False]
    assert honest["metrics"]["mae"]["value"] == pytest.approx(0.1 * np.abs(y).mean(), rel=1e-4)
    assert honest["regression"]["bias"] == pytest.approx(-0.1 * y.mean(), rel=1e-3)
    assert [row["column"] for row in honest["importance"]["columns"]] == [
        row["column"] for row in own["importance"]["columns"]
    ]


def test_the_worst_rows_are_named_by_their_number_in_the_upload(tmp_path):
    frame = people()
    frame.loc[[0, 3], "spent"] = np.nan
    frame.loc[10, "spent"] = 1_000_007
    meta, members = fitted(tmp_path, "spent", "linear", frame=frame)
    found = diagnose(arguments(tmp_path, meta, members, frame), go)["worst"]
    first = found["rows"][0]
    assert (first["row"], first["true"]) == (11, 1_000_007)
    assert first["cells"][found["columns"].index("age")] == frame["age"][10]
    assert found["share"] > 0.9
    assert "spent" not in found["columns"]


@pytest.mark.usefixtures("hurried")
def test_the_worst_of_rows_that_were_drawn_are_named_by_their_number_in_the_upload(tmp_path):
    frame = people(600)
    frame.loc[[0, 3], "spent"] = np.nan
    meta, members = fitted(tmp_path, "spent", "linear", frame=frame, time_budget=10.0)
    found = diagnose(arguments(tmp_path, meta, members, frame), go)["worst"]
    numbers = [row["row"] - 1 for row in found["rows"]]

    assert len(open_prepared(tmp_path / "prepared").y) == 200
    assert [row["true"] for row in found["rows"]] == pytest.approx(frame["spent"][numbers].tolist(), rel=1e-3)
    assert max(numbers) > 300


def test_an_altered_prediction_is_not_diagnosed(tmp_path):
    meta, members = fitted(tmp_path, "bought", "linear")
    with (tmp_path / "linear" / "oof.npy").open("r+b") as file:
        file.seek(200)
        file.write(b"\x01\x02\x03\x04")
    with pytest.raises(Damaged, match=r"oof\.npy is altered"):
        diagnose(arguments(tmp_path, meta, members), go)


def test_a_table_that_was_cut_short_is_not_read(tmp_path):
    meta, members = fitted(tmp_path, "bought", "linear")
    given = arguments(tmp_path, meta, members)
    seal_table(tmp_path / "table.arrow", seal_of(tmp_path / "table.arrow"))
    with (tmp_path / "table.arrow").open("r+b") as file:
        file.truncate(500)
    with pytest.raises(Damaged):
        diagnose(given, go)
