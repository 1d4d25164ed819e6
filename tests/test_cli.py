"""The command line: on files here, and on a service there."""

from __future__ import annotations

import csv
import subprocess
import sys
import zipfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from automl import cli
from automl.client.errors import NotFound, WorkFailed
from tests.engine.tables import people
from tests.engine.test_bundle import packaged

ROWS = [
    {
        "rank": 1,
        "name": "Ensemble",
        "score": 0.91234567,
        "score_low": 0.9,
        "score_high": 0.92,
        "fit_time": 12.5,
    },
    {"rank": 2, "name": "LightGBM", "score": 0.9, "score_low": None, "score_high": None, "fit_time": None},
]


class FakeService:
    """What the commands use of a client, with an experiment that is over at once."""

    def __init__(self, *, model: str | None = "m1", error: Exception | None = None) -> None:
        self.asked: list[Any] = []
        self._experiment = {
            "id": "e1",
            "name": "people",
            "target": "income",
            "metric": "roc_auc",
            "status": "complete",
            "phase": "done",
            "progress": 1.0,
            "elapsed": 12.0,
            "time_budget": 60.0,
            "model": model,
            "best": ROWS[0],
        }
        self.datasets = SimpleNamespace(
            upload=lambda path: self._note("upload", path.name) or {"id": "d1"},
            wait=self._wait(error, {"id": "d1"}),
        )
        self.experiments = SimpleNamespace(
            create=lambda *values, **options: self._note("create", values, options) or self._experiment,
            wait=lambda id, on_change: on_change(self._experiment) or self._experiment,
            get=lambda id: self._experiment,
            list=lambda: iter([self._experiment]),
            leaderboard=lambda id: ROWS,
            add_trial=self._gives("add_trial", {"name": "LightGBM #7"}),
            sweep=self._gives("sweep", {"trials": ["t1", "t2"], "skipped": 1}),
            **{name: self._steer(name) for name in ("pause", "resume", "stop", "cancel", "extend")},
        )
        self.models = SimpleNamespace(
            wait=lambda id: {"graph_due": True},
            download=lambda id, out: self._note("download", id) or out,
            get=self._model,
        )
        self.predictions = SimpleNamespace(predict_file=self._predict_file)

    def __enter__(self) -> FakeService:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def _model(self, id: str) -> dict[str, str]:
        if id != "m1":
            raise NotFound(404, "There is no such model.")
        return {"id": id}

    def _predict_file(
        self, model: str, path: Path, out: Path, *, level: float | None, on_change: Any
    ) -> dict[str, Any]:
        self._note("predict", model, path.name, out.name, level)
        found = {"progress": 1.0, "rows": 1200}
        on_change(found)
        return found

    def _gives(self, name: str, answer: dict[str, Any]):
        return lambda *values: self._note(name, values) or answer

    def _steer(self, name: str):
        return lambda *values, **options: self._note(name, values, options) or self._experiment

    def _note(self, *what: Any) -> None:
        self.asked.append(what)

    def _wait(self, error: Exception | None, found: dict[str, str]):
        def wait(id: str) -> dict[str, str]:
            if error:
                raise error
            return found

        return wait


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "people.csv"
    path.write_text("age,income\n1,low\n21,high\n")
    return path


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    path = tmp_path / "model.zip"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("schema.json", "{}")
        file.writestr(
            "leaderboard.csv", "rank,name,score,score_low,score_high,fit_time\n1,Forest,0.75,,,1.25\n"
        )
    return path


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch):
    """Put a fake in the place of the service; what was asked of it is told by the fake."""

    def put(fake: FakeService) -> FakeService:
        def connect(url: str, token: str) -> FakeService:
            fake.asked.append(("connect", url, token))
            return fake

        monkeypatch.setattr(cli, "Client", connect)
        return fake

    monkeypatch.delenv("AUTOML_TOKEN", raising=False)
    monkeypatch.delenv("AUTOML_URL", raising=False)
    return put


def run(*arguments: object, **environment: str):
    return CliRunner().invoke(cli.app, [str(each) for each in arguments], env=environment)


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    packaged(folder, "spent", "rmse", families=["linear"])
    return folder / "bundle.zip"


def test_predict_writes_the_predictions_of_the_model(model, tmp_path):
    people(20).to_csv(tmp_path / "rows.csv", index=False)
    out = tmp_path / "answers.csv"
    done = run("predict", tmp_path / "rows.csv", "--model", model, "--out", out)
    assert done.exit_code == 0, done.output
    found = [float(row["prediction"]) for row in csv.DictReader(out.open())]
    assert len(found) == 20
    assert np.corrcoef(found, people(20)["spent"])[0, 1] > 0.7

    assert (
        run("predict", tmp_path / "rows.csv", "--model", model, "--out", out, "--level", 0.9).exit_code == 0
    )
    assert "prediction_low" in out.read_text().splitlines()[0]


def test_predict_names_the_columns_that_are_missing(table, model, tmp_path):
    done = run("predict", table, "--model", model, "--out", tmp_path / "x.csv")
    assert done.exit_code == 2
    assert "'city', 'joined', 'note'" in done.stderr


def test_verify_says_whether_a_model_is_what_it_was(model, tmp_path):
    done = run("verify", model)
    assert done.exit_code == 0, done.output
    assert done.stdout.startswith("Verdict: identical.")

    changed = tmp_path / "changed.zip"
    with zipfile.ZipFile(model) as old, zipfile.ZipFile(changed, "w") as new:
        for name in old.namelist():
            new.writestr(name, old.read(name) + (b" " if name == "golden.json" else b""))
    done = run("verify", changed)
    assert done.exit_code == 4
    assert "is not the file that was packaged" in done.stderr


def test_nothing_that_a_model_brings_is_run(model, table, tmp_path):
    bad = tmp_path / "bad.zip"
    marker = tmp_path / "ran"
    with zipfile.ZipFile(model) as old, zipfile.ZipFile(bad, "w") as new:
        for name in old.namelist():
            is_code = name.endswith(".py")
            new.writestr(name, f"open({str(marker)!r}, 'w')" if is_code else old.read(name))
    assert run("predict", table, "--model", bad, "--out", tmp_path / "x.csv").exit_code == 4
    assert not marker.exists()


def test_predict_refuses_a_file_that_is_no_model(table, tmp_path):
    empty = tmp_path / "empty.zip"
    with zipfile.ZipFile(empty, "w") as file:
        file.writestr("readme.txt", "nothing")
    done = run("predict", table, "--model", empty)
    assert done.exit_code == 1
    assert "holds no schema.json" in done.stderr


def test_a_file_that_is_no_zip_is_told_in_one_line(table):
    done = run("leaderboard", table)
    assert done.exit_code == 1
    assert "not a zip file" in done.stderr
    assert "Traceback" not in done.output


def test_leaderboard_shows_what_the_bundle_holds(bundle):
    done = run("leaderboard", bundle)
    assert done.exit_code == 0
    assert "Forest" in done.output
    assert "0.75" in done.output


def test_remote_fit_uploads_searches_and_downloads(service, table, tmp_path):
    fake = service(FakeService())
    out = tmp_path / "best.zip"
    done = run(
        "remote",
        "--url",
        "http://there",
        "--token",
        "t",
        "fit",
        table,
        "-t",
        "income",
        "--time",
        "5",
        "--out",
        out,
    )
    assert done.exit_code == 0, done.output
    assert fake.asked == [
        ("connect", "http://there", "t"),
        ("upload", "people.csv"),
        (
            "create",
            ("d1", "income"),
            {"time_budget": 5.0, "metric": "auto", "task_type": "auto", "name": "people"},
        ),
        ("download", "m1"),
    ]
    assert "0.91235" in done.output
    assert str(out) in done.output
    assert "ONNX graph, which answers faster, is still being written" in done.output


def test_remote_takes_address_and_token_from_the_environment(service):
    fake = service(FakeService())
    done = run("remote", "leaderboard", "e1", AUTOML_URL="http://elsewhere", AUTOML_TOKEN="secret")
    assert done.exit_code == 0, done.output
    assert fake.asked == [("connect", "http://elsewhere", "secret")]
    assert "LightGBM" in done.output


def test_remote_without_a_token_says_where_one_comes_from(service):
    fake = service(FakeService())
    done = run("remote", "experiments")
    assert done.exit_code == 1
    assert "set AUTOML_TOKEN" in done.stderr
    assert fake.asked == []


def test_remote_help_needs_no_token():
    done = run("remote", "fit", "--help")
    assert done.exit_code == 0
    assert "--target" in done.output


def test_remote_experiments_lists_them(service):
    service(FakeService())
    done = run("remote", "--token", "t", "experiments")
    assert done.exit_code == 0
    assert all(word in done.output for word in ("e1", "people", "income", "complete", "0.91235"))


@pytest.mark.parametrize("name", ["sales [final].csv", "[/x]", "a :x: b"])
def test_names_are_printed_as_they_are(service, name):
    fake = service(FakeService())
    fake._experiment["name"] = name
    for command in (["experiments"], ["stop", "e1"]):
        done = run("remote", "--token", "t", *command)
        assert done.exit_code == 0, done.output
        assert name in done.output


@pytest.mark.parametrize("action", ["pause", "resume", "stop", "cancel"])
def test_remote_steers_a_search(service, action):
    fake = service(FakeService())
    done = run("remote", "--token", "t", action, "e1")
    assert done.exit_code == 0
    assert fake.asked[-1] == (action, ("e1",), {})
    assert "people: complete, 12 of 60 s spent." in done.output


def test_remote_extends_by_time_and_trials(service):
    fake = service(FakeService())
    assert run("remote", "--token", "t", "extend", "e1", "--time", "30").exit_code == 0
    assert fake.asked[-1] == ("extend", ("e1", 30.0), {})
    assert run("remote", "--token", "t", "extend", "e1", "--max-trials", "9").exit_code == 0
    assert fake.asked[-1] == ("extend", ("e1", None), {"max_trials": 9})


def test_remote_tries_a_configuration_or_a_sweep(service):
    fake = service(FakeService())
    done = run("remote", "--token", "t", "try", "e1", "lightgbm", "num_leaves=63", "extra_trees=true")
    assert fake.asked[-1] == ("add_trial", ("e1", "lightgbm", {"num_leaves": 63, "extra_trees": True}))
    assert "LightGBM #7 waits for a seat." in done.output
    done = run("remote", "--token", "t", "try", "e1", "linear", "strength=0.1,1,10", "penalty=l2")
    assert fake.asked[-1] == ("sweep", ("e1", "linear", {"strength": [0.1, 1, 10]}, {"penalty": "l2"}))
    assert "2 trials added, 1 were tried before." in done.output


def test_remote_try_says_how_a_dial_is_written(service):
    service(FakeService())
    done = run("remote", "--token", "t", "try", "e1", "linear", "strength")
    assert done.exit_code == 1
    assert "Write it as num_leaves=31" in done.stderr


def test_remote_download_of_an_experiment_without_a_model_says_so(service):
    fake = service(FakeService(model=None))
    done = run("remote", "--token", "t", "download", "e1")
    assert done.exit_code == 1
    assert "has no packaged model" in done.stderr
    assert ("download", "m1") not in fake.asked


@pytest.mark.parametrize("of", ["m1", "e1"])
def test_remote_predicts_a_file_by_a_model_or_an_experiments_best(service, table, tmp_path, of):
    fake = service(FakeService())
    done = run("remote", "--token", "t", "predict", of, table, tmp_path / "out.parquet")
    assert done.exit_code == 0, done.output
    assert "1,200 rows are predicted" in done.output
    assert fake.asked[-1] == ("predict", "m1", "people.csv", "out.parquet", None)
    run("remote", "--token", "t", "predict", of, table, tmp_path / "out.csv", "--level", "0.9")
    assert fake.asked[-1] == ("predict", "m1", "people.csv", "out.csv", 0.9)


def test_remote_predict_of_an_experiment_without_a_model_says_so(service, table, tmp_path):
    service(FakeService(model=None))
    done = run("remote", "--token", "t", "predict", "e1", table, tmp_path / "out.csv")
    assert done.exit_code == 1
    assert "has no packaged model" in done.stderr


def test_what_the_service_refuses_is_told_in_one_line(service, table):
    service(FakeService(error=WorkFailed("Line 3 has 5 fields, the header 2.")))
    done = run("remote", "--token", "t", "fit", table, "--target", "income")
    assert done.exit_code == 1
    assert "Line 3 has 5 fields" in done.stderr
    assert "Traceback" not in done.output


@pytest.mark.slow
def test_fit_saves_a_model_that_predicts_and_whose_leaderboard_can_be_read(tmp_path, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    table, model, out = (tmp_path / name for name in ("people.csv", "model.zip", "answers.csv"))
    rows = [
        f"{age},{'Paris' if age % 3 else 'Rome'},{'high' if age > 40 else 'low'}" for age in range(20, 80)
    ]
    table.write_text("\n".join(["age,city,income", *rows]) + "\n")
    done = run("fit", table, "--target", "income", "--time", "4", "--out", model)
    assert done.exit_code == 0, done.output
    assert "roc_auc, best first" in done.output
    assert run("predict", table, "--model", model, "--out", out).exit_code == 0
    answers = list(csv.DictReader(out.open()))
    assert len(answers) == 60
    assert {"prediction", "probability_high", "probability_low"} <= set(answers[0])
    assert run("leaderboard", model).exit_code == 0


def test_fit_on_a_column_that_is_not_there_names_those_that_are(table):
    done = run("fit", table, "--target", "wealth")
    assert done.exit_code == 1
    assert "no column 'wealth'" in done.stderr
    assert "age, income" in done.stderr


def test_help_loads_no_learner():
    code = (
        "import sys; from automl import cli; "
        "heavy = {'sklearn', 'lightgbm', 'pandas', 'django', 'celery'} & set(sys.modules); "
        "sys.exit(str(heavy) if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
