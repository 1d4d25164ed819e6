"""A bundle says whether it predicts what it did when it was made."""

import importlib.metadata
import json

import numpy as np
import pandas as pd
import pytest

from automl.engine.bundle import _pins
from automl.engine.inference import verify as verify_module
from automl.engine.inference.command import main
from automl.engine.inference.verify import IDENTICAL, compare, golden_frame, verify_bundle, version_mismatches
from tests.engine.tables import people


def change_golden(folder, by, reseal):
    golden = json.loads((folder / "golden.json").read_text())
    golden["predicted"]["skops"][3][0] += by
    (folder / "golden.json").write_text(json.dumps(golden))
    reseal(folder, "golden.json")


def pin(folder, package, version, reseal):
    lines = (folder / "requirements.txt").read_text().splitlines()
    kept = [line for line in lines if not line.startswith(f"{package}==")]
    (folder / "requirements.txt").write_text("\n".join([*kept, f"{package}=={version}"]) + "\n")
    reseal(folder, "requirements.txt")


def verify(folder, capsys, *arguments):
    code = main(["--verify", *arguments], folder=folder)
    return code, capsys.readouterr().out


def test_a_bundle_predicts_its_golden_rows_bit_by_bit(made_bundle, capsys):
    code, said = verify(made_bundle, capsys)

    assert code == 0
    assert said.startswith("Verdict: identical.\n")
    assert "All versions are as pinned." in said


def test_a_tiny_difference_is_told_and_allowed(bundle, capsys, reseal):
    change_golden(bundle, 3e-9, reseal)

    code, said = verify(bundle, capsys)

    assert code == 0
    assert said.startswith("Verdict: within epsilon.\n")
    assert "the largest difference is 3e-09, allowed 1e-06" in said


def test_another_prediction_is_an_error(bundle, capsys, reseal):
    change_golden(bundle, -0.01, reseal)

    code, said = verify(bundle, capsys)

    assert code == 1
    assert said.startswith("Verdict: differs.\n")
    assert "by 0.01 in row 3" in said


def test_another_version_is_no_error_while_it_predicts_the_same(bundle, capsys, reseal):
    pin(bundle, "scikit-learn", "0.1.0", reseal)
    installed = importlib.metadata.version("scikit-learn")

    code, said = verify(bundle, capsys)

    assert code == 0
    assert said.startswith("Verdict: identical.\n")
    assert f"scikit-learn is {installed}, and 0.1.0 is wanted" in said
    assert verify(bundle, capsys, "--strict")[0] == 3


def test_another_version_is_blamed_for_other_predictions(bundle, capsys, reseal):
    pin(bundle, "scikit-learn", "0.1.0", reseal)
    pin(bundle, "no-such-package", "7.0", reseal)
    change_golden(bundle, -0.01, reseal)

    code, said = verify(bundle, capsys)

    assert code == 3
    assert said.startswith("Verdict: wrong version.\n")
    assert "no-such-package is not installed, and 7.0 is wanted" in said


@pytest.mark.parametrize(("system", "installed"), [("darwin", "xgboost"), ("linux", "xgboost-cpu")])
def test_each_system_has_the_xgboost_that_there_is_for_it(tmp_path, monkeypatch, system, installed):
    monkeypatch.setattr(verify_module.sys, "platform", system)
    monkeypatch.setattr(verify_module, "_version", {installed: "3.2.0"}.get)
    path = tmp_path / "requirements.txt"
    path.write_text("\n".join(_pins("xgboost-cpu", "3.2.0")))
    assert version_mismatches(path) == []

    path.write_text("\n".join(_pins("xgboost-cpu", "3.3.0")))
    assert [str(each) for each in version_mismatches(path)] == [f"{installed} is 3.2.0, and 3.3.0 is wanted"]


def test_either_distribution_of_xgboost_will_do(tmp_path, monkeypatch):
    monkeypatch.setattr(verify_module, "_version", {"xgboost": "3.2.0"}.get)
    (tmp_path / "requirements.txt").write_text("xgboost-cpu==3.2.0\n")
    assert version_mismatches(tmp_path / "requirements.txt") == []


def test_checksums_come_before_everything_else(bundle, capsys):
    (bundle / "golden.json").write_text("{}")

    assert main(["--verify"], folder=bundle) == 4
    assert "golden.json is not the file that was packaged" in capsys.readouterr().err


def test_a_prediction_that_is_no_number_differs():
    verdict, sentence = compare(np.array([1.0, 2.0]), np.array([1.0, np.nan]), 1e-6)
    assert verdict == "differs"
    assert "row 1" in sentence


def test_numbers_are_compared_by_their_size():
    assert compare(np.array([1e9]), np.array([1e9 + 100]), 1e-6)[0] == "within epsilon"
    assert compare(np.array([1e-9]), np.array([2e-9]), 1e-6)[0] == "within epsilon"
    assert compare(np.array([1.0]), np.array([1.0]), 1e-6)[0] == IDENTICAL


def test_golden_rows_have_gaps_strange_cells_and_numbers_far_out(made_bundle):
    frame = golden_frame(json.loads((made_bundle / "golden.json").read_text()))

    assert len(frame) >= 40
    assert frame.isna().all(axis=1).sum() == 1
    assert 0.03 < frame.isna().to_numpy().mean() < 0.3
    for name in ("age", "city", "joined", "note"):
        assert (frame[name] == "never seen in training").any()
    ages = pd.to_numeric(frame["age"], errors="coerce")
    assert ages.max() > people()["age"].max() + 100
    assert ages.min() < people()["age"].min() - 100
    assert set(frame["city"].dropna()) >= {"Oslo", "Rome"}


def test_no_golden_row_is_a_row_of_the_training_table(made_bundle):
    frame = golden_frame(json.loads((made_bundle / "golden.json").read_text()))
    trained = people()

    assert not set(frame["note"].dropna()) & set(trained["note"])
    own = {tuple(row) for row in trained[["age", "city", "joined"]].astype(str).to_numpy()}
    assert not own & {tuple(row) for row in frame[["age", "city", "joined"]].astype(str).to_numpy()}


def test_a_bundle_without_golden_rows_says_so(bundle, capsys):
    (bundle / "golden.json").unlink()
    lines = (bundle / "SHA256SUMS").read_text().splitlines()
    (bundle / "SHA256SUMS").write_text("\n".join(line for line in lines if "golden" not in line) + "\n")

    assert main(["--verify"], folder=bundle) == 4
    assert "no golden.json" in capsys.readouterr().err


def test_the_finding_is_there_for_programs_too(made_bundle):
    assert verify_bundle(made_bundle).verdict == IDENTICAL
