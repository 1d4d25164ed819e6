"""Files of predictions as a worker writes them; the prediction itself is tested with the bundle."""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from automl.engine import batches, inference
from automl.engine.errors import UserError
from automl.engine.inference import tables

SCHEMA = {"task_type": "binary", "columns": [{"name": "age", "kind": "numeric"}]}


@pytest.fixture
def job(tmp_path: Path) -> dict[str, str]:
    """The arguments of a job whose bundle is a ZIP of one file, and whose table has 100 rows."""
    with zipfile.ZipFile(tmp_path / "bundle.zip", "w") as archive:
        archive.writestr("schema.json", "{}")
    (tmp_path / "out").mkdir()
    (tmp_path / "input.csv").write_text("age\n" + "".join(f"{age}\n" for age in range(100)))
    places = {"bundle": "bundle.zip", "source": "input.csv", "out": "out"}
    return {name: str(tmp_path / path) for name, path in places.items()}


def pretend(monkeypatch: pytest.MonkeyPatch, classes: list[Any] | None) -> None:
    """A model that says of each row the class in turn, or its own number."""

    def probabilities(frame: pd.DataFrame) -> Any:
        ages = frame["age"].astype(int).to_numpy()
        return np.eye(len(classes or []))[ages % len(classes or [])]

    names = np.array(classes or [], dtype=object if len({*map(type, classes or [])}) > 1 else None)
    model = SimpleNamespace(
        task_type="regression" if classes is None else "binary",
        classes_=names,
        encoder=SimpleNamespace(schema=SCHEMA),
        predict=lambda frame: frame["age"].astype(float).to_numpy(),
        predict_proba=probabilities,
        labels=lambda found: names[found.argmax(axis=1)],
        known_uncertainty=lambda: inference.Uncertainty(
            {
                "kind": "intervals",
                "levels": [{"level": 0.9, "edges": [], "below": [-2.0], "above": [3.0], "floor": 0.0}],
            }
        ),
    )
    monkeypatch.setattr(inference, "load", lambda folder: model)


def predict(job: dict[str, str]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    reports: list[dict[str, Any]] = []
    found = batches.predict_batch(job, lambda report: reports.append(report) or "go")
    return found, reports


def test_both_files_are_written_and_sealed_and_nothing_else_is_left(job, monkeypatch):
    pretend(monkeypatch, ["no", "yes"])
    found, _ = predict(job)
    assert found["rows"] == 100
    out = Path(job["out"])
    assert sorted(path.name for path in out.iterdir()) == ["predictions.csv", "predictions.parquet"]
    for form, told in found["files"].items():
        data = (out / f"predictions.{form}").read_bytes()
        assert told == {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    lines = (out / "predictions.csv").read_text().splitlines()
    assert lines[:3] == ["prediction,probability_no,probability_yes", "no,1.0,0.0", "yes,0.0,1.0"]
    table = pq.read_table(out / "predictions.parquet")
    assert table.to_pandas().equals(pd.read_csv(out / "predictions.csv"))


@pytest.mark.parametrize(
    ("classes", "kind"),
    [
        ([0, 1], pa.int64()),
        ([False, True], pa.bool_()),
        (["1", "2"], pa.string()),
        ([1, "x"], pa.string()),
        (None, pa.float64()),
    ],
)
def test_labels_keep_the_type_that_they_had_in_training(job, monkeypatch, classes, kind):
    pretend(monkeypatch, classes)
    predict(job)
    found = pq.read_schema(Path(job["out"]) / "predictions.parquet").field("prediction").type
    assert found in (kind, pa.large_string() if kind == pa.string() else kind)


def test_progress_is_reported_about_once_a_second(job, monkeypatch):
    pretend(monkeypatch, None)
    monkeypatch.setattr(tables, "CHUNK_CELLS", 10)
    monkeypatch.setattr(tables, "LEAST_ROWS", 1)
    assert predict(job)[1] == []
    monkeypatch.setattr(batches, "REPORT_SECONDS", 0.0)
    _, reports = predict(job)
    assert [report["rows"] for report in reports] == list(range(10, 101, 10))
    assert all(0 < report["share"] <= 1 for report in reports)


def test_a_table_without_rows_gives_files_without_rows(job, monkeypatch):
    pretend(monkeypatch, ["no", "yes"])
    Path(job["source"]).write_text("age\n")
    found, _ = predict(job)
    assert found["rows"] == 0
    assert pq.read_table(Path(job["out"]) / "predictions.parquet").num_rows == 0


def test_rows_that_can_not_be_used_are_the_users_error(job, monkeypatch):
    pretend(monkeypatch, None)
    Path(job["source"]).write_text("city\nRome\n")
    with pytest.raises(UserError, match="'age'"):
        predict(job)
    assert list(Path(job["out"]).iterdir()) == []


def test_a_level_adds_its_columns_to_both_files(job, monkeypatch):
    pretend(monkeypatch, None)
    predict({**job, "level": 0.9})
    for found in (
        pd.read_csv(f"{job['out']}/predictions.csv"),
        pq.read_table(f"{job['out']}/predictions.parquet").to_pandas(),
    ):
        assert found.iloc[[1, 50]].to_numpy().tolist() == [[1.0, 0.0, 4.0], [50.0, 48.0, 53.0]]
        assert list(found) == ["prediction", "prediction_low", "prediction_high"]


def test_a_level_that_the_model_lacks_leaves_no_file(job, monkeypatch):
    pretend(monkeypatch, None)
    with pytest.raises(UserError, match=r"no intervals of level 0\.5; it has 0\.9"):
        predict({**job, "level": 0.5})
    assert list(Path(job["out"]).iterdir()) == []
