"""Files of predictions as a worker writes them; the prediction itself is tested with the bundle."""

from __future__ import annotations

import csv
import hashlib
import zipfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from automl.engine import batches, inference
from automl.engine.errors import UserError


@pytest.fixture
def job(tmp_path: Path) -> dict[str, str]:
    """The arguments of a job whose bundle is a ZIP of one file."""
    with zipfile.ZipFile(tmp_path / "bundle.zip", "w") as archive:
        archive.writestr("schema.json", "{}")
    (tmp_path / "out").mkdir()
    return {
        name: str(tmp_path / path)
        for name, path in (("bundle", "bundle.zip"), ("source", "input.csv"), ("out", "out"))
    }


def pretend(monkeypatch: pytest.MonkeyPatch, lines: list[list[Any]], classes: list[Any] | None) -> None:
    """A bundle whose model predicts these lines, two at a time."""
    task = "regression" if classes is None else "binary"
    model = SimpleNamespace(task_type=task, classes_=np.array(classes or []))

    def predict_file(model: Any, source: Path, target: Path, *, progress: Any) -> None:
        with target.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows(lines)
        for done in range(2, len(lines), 2):
            progress(done, done / (len(lines) - 1))

    monkeypatch.setattr(inference, "load", lambda folder: model)
    monkeypatch.setattr(inference, "predict_file", predict_file, raising=False)


def predict(job: dict[str, str]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    reports: list[dict[str, Any]] = []
    found = batches.predict_batch(job, lambda report: reports.append(report) or "go")
    return found, reports


def test_both_files_are_written_and_sealed(job, monkeypatch):
    lines = [["prediction", "probability_no", "probability_yes"], ["no", 0.75, 0.25], ["yes", 0.1, 0.9]]
    pretend(monkeypatch, lines, ["no", "yes"])
    found, _ = predict(job)
    assert found["rows"] == 2
    for form, told in found["files"].items():
        data = (Path(job["out"]) / f"predictions.{form}").read_bytes()
        assert told == {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    table = pq.read_table(Path(job["out"]) / "predictions.parquet")
    assert table.to_pydict() == {
        "prediction": ["no", "yes"],
        "probability_no": [0.75, 0.1],
        "probability_yes": [0.25, 0.9],
    }
    assert sorted(path.name for path in Path(job["out"]).iterdir()) == [
        "predictions.csv",
        "predictions.parquet",
    ]


@pytest.mark.parametrize(
    ("classes", "written", "kind"),
    [
        ([0, 1], ["0", "1"], pa.int64()),
        ([False, True], ["False", "True"], pa.bool_()),
        (["1", "2"], ["1", "2"], pa.string()),
        ([1, "x"], ["1", "x"], pa.string()),
        (None, ["1.5", "2"], pa.float64()),
    ],
)
def test_labels_keep_the_type_that_they_had_in_training(job, monkeypatch, classes, written, kind):
    pretend(monkeypatch, [["prediction"], *([each] for each in written)], classes)
    if classes == [1, "x"]:
        monkeypatch.setattr(batches, "_classes_of", lambda model: classes)
    predict(job)
    assert pq.read_schema(Path(job["out"]) / "predictions.parquet").field("prediction").type == kind


def test_progress_is_reported_about_once_a_second(job, monkeypatch):
    pretend(monkeypatch, [["prediction"], *([str(n)] for n in range(100))], None)
    assert predict(job)[1] == []
    monkeypatch.setattr(batches, "REPORT_SECONDS", 0.0)
    _, reports = predict(job)
    assert len(reports) == 50
    assert (reports[0]["rows"], reports[0]["share"]) == (2, 0.02)


def test_rows_that_can_not_be_used_are_the_users_error(job, monkeypatch):
    pretend(monkeypatch, [["prediction"]], None)

    def refuse(*_: Any, **__: Any) -> None:
        raise inference.InputError("The table lacks 1 of the 2 columns: 'city'.")

    monkeypatch.setattr(inference, "predict_file", refuse, raising=False)
    with pytest.raises(UserError, match="'city'"):
        predict(job)
    assert not (Path(job["out"]) / "bundle").exists()
