import json

import numpy as np
import pytest

from automl.engine.drawing import LEAST_OF_A_CLASS, draw_rows, fill, rows_in_time
from automl.engine.preparation import open_prepared
from automl.engine.trial import TaskType
from tests.engine.tables import people, prepared
from tests.engine.test_bundle import packaged


def in_time(rows, *told):
    return rows_in_time(rows, fill(rows, *told))


def test_a_short_search_learns_from_some_rows_of_a_large_table():
    assert in_time(1_000_000, 30, 2, 15.0) < in_time(1_000_000, 30, 2, 60.0) < 1_000_000
    assert in_time(1_000_000, 30, 2, 15.0) == pytest.approx(2 * in_time(1_000_000, 60, 2, 15.0), abs=1)
    assert in_time(1_000_000, 30, 10, 15.0) < in_time(1_000_000, 30, 2, 15.0)


def test_a_long_search_one_in_trials_and_one_of_few_rows_learn_from_all():
    assert in_time(1_000_000, 30, 2, 300.0) == 1_000_000
    assert in_time(1_000_000, 30, 2, None) == 1_000_000
    assert in_time(20_000, 5_000, 2, 1.0) == 20_000


def test_every_class_has_its_share_and_the_rarest_enough_for_folds():
    y = np.repeat([0, 1, 2, 3], [80_000, 19_965, 30, 3])
    drawn = draw_rows(y, TaskType.MULTICLASS, count=10_000, seed=0)

    assert (np.diff(drawn) > 0).all()
    assert np.bincount(y[drawn]).tolist() == [8_000, 1_997, LEAST_OF_A_CLASS, 3]
    # From all over the table, and others by another seed.
    assert abs(drawn[:8_000].mean() / 40_000 - 1) < 0.02
    assert (draw_rows(y, TaskType.MULTICLASS, count=10_000, seed=0) == drawn).all()
    assert len(np.intersect1d(draw_rows(y, TaskType.MULTICLASS, count=10_000, seed=1), drawn)) < 2_000


def test_numbers_are_drawn_evenly():
    y = np.random.default_rng(0).lognormal(size=50_000)
    drawn = draw_rows(y, TaskType.REGRESSION, count=5_000, seed=0)

    assert len(np.unique(drawn)) == 5_000
    assert np.median(y[drawn]) == pytest.approx(np.median(y), rel=0.05)


@pytest.mark.usefixtures("hurried")
@pytest.mark.parametrize("target", ["bought", "spent"])
def test_what_is_prepared_are_the_rows_that_were_drawn(tmp_path, target):
    frame = people(500)
    frame.loc[:9, target] = np.nan  # rows without a target do not count
    meta = prepared(tmp_path, frame, target, time_budget=10.0)
    opened = open_prepared(tmp_path / "prepared")
    schema = json.loads((tmp_path / "prepared" / "schema.json").read_text())
    known = frame.loc[10:].iloc[opened.drawn]

    assert len(opened.y) == len(opened.X) == len(opened.drawn) == 200
    age = [feature["name"] for feature in schema["features"]].index("age")
    np.testing.assert_allclose(opened.X[:, age], known["age"])
    told = opened.y if target == "spent" else np.array(meta["classes"])[opened.y]
    assert told.tolist() == known[target].tolist()
    assert any(
        "490 rows are too many to learn from in 10 s: 200 of them were drawn" in each
        for each in meta["warnings"]
    )


@pytest.mark.usefixtures("hurried")
def test_a_search_in_trials_has_all_rows(tmp_path):
    prepared(tmp_path, people(500), "bought")

    assert open_prepared(tmp_path / "prepared").drawn is None
    assert len(open_prepared(tmp_path / "prepared").y) == 500


@pytest.mark.usefixtures("hurried")
def test_a_card_says_of_how_many_rows_a_model_knows(tmp_path):
    _, folder = packaged(
        tmp_path, "bought", "roc_auc", families=["linear"], frame=people(500), time_budget=10.0
    )
    told = json.loads((folder / "metrics.json").read_text())["provenance"]
    card = (folder / "model_card.md").read_text()

    assert told["rows_learned"] == 200
    assert f"Learned from 200 of the {told['rows']:,} rows" in card
