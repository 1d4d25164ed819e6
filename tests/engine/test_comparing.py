from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from automl.engine.comparing import compare_models
from automl.engine.errors import UserError
from automl.engine.intervals import Difference, difference, is_tie, ties_of_many
from automl.engine.metrics import METRICS
from tests.engine.tables import people, stored
from tests.engine.test_diagnostics import fitted


def entry(folder, name, *members, weights=None):
    shares = weights or [1 / len(members)] * len(members)
    return {
        "id": name,
        "name": name,
        "prepared": str(folder / "prepared"),
        "members": [{**member, "weight": share} for member, share in zip(members, shares, strict=True)],
    }


def test_the_better_one_wins_and_the_same_one_ties(tmp_path):
    meta, (linear, dummy) = fitted(tmp_path, "bought", "linear", "dummy")
    found = compare_models(
        {
            "metric": meta["metric"],
            "table": str(stored(tmp_path, people())),
            "entries": [
                entry(tmp_path, "A", linear),
                entry(tmp_path, "B", dummy),
                entry(tmp_path, "A again", linear, linear),
            ],
        }
    )
    json.dumps(found, allow_nan=False)
    pairs = {(pair["one"], pair["other"]): pair for pair in found["pairs"]}
    assert pairs["A", "B"]["low"] > 0
    assert not pairs["A", "B"]["tied"]
    assert pairs["A", "A again"]["tied"]
    assert pairs["A", "A again"]["agreement"] == 1.0
    values = {each["id"]: each["value"] for each in found["entries"]}
    assert values["A"] - values["B"] == pytest.approx(pairs["A", "B"]["gain"], abs=1e-3)


def test_rows_they_disagree_about_say_who_was_nearer(tmp_path):
    meta, (linear, forest) = fitted(tmp_path, "spent", "linear", "random_forest")
    table = stored(tmp_path, people())
    found = compare_models(
        {
            "metric": meta["metric"],
            "table": str(table),
            "entries": [entry(tmp_path, "A", linear), entry(tmp_path, "B", forest)],
        }
    )
    rows = found["disagreements"]["rows"]
    assert [row["apart"] for row in rows] == sorted((row["apart"] for row in rows), reverse=True)
    for row in rows:
        errors = [abs(said["predicted"] - row["true"]) for said in row["predictions"]]
        assert errors[row["nearest"]] == min(errors)
        assert row["true"] == pytest.approx(people()["spent"][row["row"] - 1], rel=1e-4)


def test_other_rows_or_folds_are_not_paired(tmp_path):
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    meta, members = fitted(tmp_path / "one", "bought", "linear")
    _, others = fitted(tmp_path / "two", "bought", "linear", seed=5)
    entries = [entry(tmp_path / "one", "A", *members), entry(tmp_path / "two", "B", *others)]
    with pytest.raises(UserError, match="B was not judged on the same rows and folds as A"):
        compare_models(
            {"metric": meta["metric"], "table": str(stored(tmp_path, people())), "entries": entries}
        )


@pytest.mark.usefixtures("hurried")
def test_rows_that_were_drawn_are_named_by_their_number_in_the_upload(tmp_path):
    frame = people(600)
    _, members = fitted(tmp_path, "spent", "linear", "lightgbm", frame=frame, time_budget=10.0)
    entries = [entry(tmp_path, name, member) for name, member in zip("AB", members, strict=True)]
    found = compare_models({"metric": "rmse", "table": str(stored(tmp_path, frame)), "entries": entries})[
        "disagreements"
    ]["rows"]

    assert max(row["row"] for row in found) > 300
    for row in found:
        assert row["true"] == pytest.approx(frame["spent"][row["row"] - 1], rel=1e-4)


@pytest.mark.parametrize("name", ["rmse", "mae", "r2", "mape"])
def test_a_difference_is_that_of_the_values_and_its_interval_covers_it(name):
    luck = np.random.default_rng(0)
    y = luck.uniform(1, 5, 800)
    good, bad = y + luck.normal(0, 0.2, 800), y + luck.normal(0, 0.6, 800)
    metric = METRICS[name]
    found = difference(metric, y, good, bad)
    assert found.gain == pytest.approx(metric.score(y, good) - metric.score(y, bad), rel=1e-6)
    assert found.low > 0
    assert not is_tie(metric, y, good, bad)
    back = difference(metric, y, bad, good)
    assert back.high < 0


def test_the_interval_of_a_difference_covers_the_truth_about_nineteen_times_in_twenty():
    metric, covered = METRICS["roc_auc"], 0
    for seed in range(60):
        luck = np.random.default_rng(seed)
        y = luck.integers(0, 2, 300)
        common = y + luck.normal(0, 1, 300)
        one, other = (common + luck.normal(0, 0.5, 300) for _ in range(2))
        scaled = [1 / (1 + np.exp(-each)) for each in (one, other)]
        found = difference(metric, y, *(np.column_stack([1 - p, p]) for p in scaled))
        covered += found.low <= 0.0 <= found.high
    assert 52 <= covered <= 60


def test_of_many_pairs_a_difference_that_luck_would_show_somewhere_is_a_tie():
    once_in_thirty = Difference(2.13, 1.0)
    assert not once_in_thirty.is_tie
    assert ties_of_many([once_in_thirty]) == [False]
    assert ties_of_many([once_in_thirty, Difference(0.5, 1.0), Difference(5.0, 1.0)]) == [True, True, False]
    assert ties_of_many([Difference(0.0, 0.0), Difference(0.1, 0.0)]) == [True, False]


def test_equals_are_seldom_told_apart_however_many_are_compared():
    wrong = 0
    for seed in range(200):
        scores = np.random.default_rng(seed).normal(size=8)
        gaps = [Difference(a - b, 2**0.5) for at, a in enumerate(scores) for b in scores[:at]]
        wrong += not all(ties_of_many(gaps))
    assert wrong <= 18


def test_an_ensemble_that_was_chosen_on_these_rows_is_marked(tmp_path):
    meta, (linear, dummy) = fitted(tmp_path, "bought", "linear", "dummy")
    entries = [entry(tmp_path, "A", linear), {**entry(tmp_path, "B", dummy), "flattered": True}]
    found = compare_models(
        {"metric": meta["metric"], "table": str(stored(tmp_path, people())), "entries": entries}
    )
    assert [each["flattered"] for each in found["entries"]] == [False, True]


def test_columns_beyond_the_table_do_no_harm(tmp_path):
    luck = np.random.default_rng(0)
    frame = pd.DataFrame({"x": luck.normal(size=60), "y": luck.normal(size=60)})
    meta, members = fitted(tmp_path, "y", "linear", frame=frame)
    entries = [entry(tmp_path, "A", *members), entry(tmp_path, "B", *members)]
    found = compare_models(
        {"metric": meta["metric"], "table": str(stored(tmp_path, frame)), "entries": entries}
    )
    assert found["disagreements"]["columns"] == ["x"]
