"""Packaging beside a test dataset: what is judged, and what costs no model."""

import pytest

from tests.engine.tables import people, stored
from tests.engine.test_bundle import packaged


@pytest.mark.parametrize(
    ("target", "metric", "truth", "said"),
    [
        ("bought", "roc_auc", None, "it is empty"),
        ("bought", "roc_auc", "perhaps", "it holds 'perhaps'"),
        ("plan", "log_loss", "platinum", "it holds 'platinum'"),
        ("spent", "rmse", "a lot", "it holds 'a lot'"),
    ],
)
def test_a_test_dataset_without_a_known_truth_costs_no_model(tmp_path, target, metric, truth, said):
    test = stored(tmp_path, people(30, seed=5).assign(**{target: [truth] * 30}))

    result, folder = packaged(tmp_path, target, metric, ["linear"], test=test)

    assert "test" not in result["metrics"]
    note = result["metrics"]["test_note"]
    assert "no scores on the test dataset" in note
    assert "30 of the 30 rows" in note
    assert said in note
    assert note in (folder / "model_card.md").read_text()


@pytest.mark.parametrize(
    ("target", "metric", "odd"), [("bought", "roc_auc", "perhaps"), ("spent", "rmse", "a lot")]
)
def test_rows_of_a_test_dataset_without_a_known_truth_are_left_out_and_told(tmp_path, target, metric, odd):
    known = people(60, seed=5)[20:]
    all_rows = people(60, seed=5).astype({target: str})
    all_rows.loc[:19, target] = odd
    found = {}
    for name, test in {"known": known, "all": all_rows}.items():
        folder = tmp_path / name
        folder.mkdir()
        found[name] = packaged(folder, target, metric, ["linear"], test=stored(folder, test))[0]["metrics"]

    assert "20 of the 60 rows" in found["all"]["test_note"]
    assert found["all"]["test"] == found["known"]["test"]
    assert "test_note" not in found["known"]


def test_a_missing_truth_of_a_test_dataset_is_no_class_of_that_name(tmp_path):
    frame = people().replace({"bought": {"no": "None"}})
    test = people(60, seed=5).replace({"bought": {"no": "None"}})
    test.loc[:9, "bought"] = None

    result, _ = packaged(tmp_path, "bought", "roc_auc", ["linear"], frame, test=stored(tmp_path, test))

    assert "10 of the 60 rows" in result["metrics"]["test_note"]


def test_what_one_class_alone_says_nothing_of_is_not_told_of_a_test_dataset(tmp_path):
    test = stored(tmp_path, people(60, seed=5).query("bought == 'yes'"))

    result, _ = packaged(tmp_path, "bought", "roc_auc", ["linear"], test=test)

    assert "roc_auc" not in result["metrics"]["test"]
    assert 0 < result["metrics"]["test"]["accuracy"]["value"] <= 1


def test_a_test_dataset_that_is_gone_costs_no_model(tmp_path):
    result, _ = packaged(tmp_path, "bought", "roc_auc", ["linear"], test=tmp_path / "gone.arrow")

    assert "no scores on the test dataset" in result["metrics"]["test_note"]
