"""The main job against the real service: real broker, real workers, real fits."""

from __future__ import annotations

import io
import os
import random
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pyarrow.parquet as pq
import pytest

from tests.service import Service

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    service = Service(tmp_path_factory.mktemp("home"))
    try:
        service.start()
        service.sign_in()
        yield service
    finally:
        service.close()


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """400 rows in which `bought` follows from age and city."""
    chance = random.Random(0)
    lines = ["age,city,joined,bought"]
    for row in range(400):
        age, city = chance.randint(18, 80), chance.choice(["Paris", "Rome", "Oslo"])
        bought = "yes" if age + 20 * (city == "Oslo") + chance.gauss(0, 8) > 55 else "no"
        lines.append(f"{age if row % 17 else '?'},{city},2024-0{1 + row % 9}-11,{bought}")
    path = tmp_path_factory.mktemp("tables") / "people.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def test_from_upload_to_predictions_of_a_downloaded_model(service: Service, table: Path, tmp_path: Path):
    dataset = service.upload(table)
    assert dataset["status"] == "ready", dataset["error"]
    assert {c["name"]: c["kind"] for c in dataset["columns"]}["joined"] == "datetime"

    experiment = service.experiment(dataset, "bought", time_budget=8)
    done = service.settled(f"experiments/{experiment['id']}/", within=40)

    assert done["status"] == "complete", done["error"]
    assert done["elapsed"] <= 13
    assert done["trials"]["complete"] > 5
    assert done["best"]["score"] > 0.9
    bundle = service.client.get(f"models/{done['model']}/download/")
    assert bundle.status_code == 200
    zipfile.ZipFile(io.BytesIO(bundle.content)).extractall(tmp_path)
    folder = next(tmp_path.rglob("predict.py")).parent
    for ending in ("input", "output"):
        assert not (folder / f"{ending}.csv").exists()
    (folder / "input.csv").write_text("age,city,joined\n70,Oslo,2024-01-11\n20,Rome,2024-02-11\n")
    subprocess.run(
        [sys.executable, "-I", "predict.py", "input.csv", "output.csv"],
        cwd=folder,
        check=True,
        timeout=60,
        env={"PATH": os.environ["PATH"]},
    )
    lines = (folder / "output.csv").read_text().splitlines()
    assert lines[0] == "prediction,probability_no,probability_yes"
    assert [line.split(",")[0] for line in lines[1:]] == ["yes", "no"]

    rows = [{"age": 70, "city": "Oslo", "joined": "2024-01-11"}]
    answer = service.client.post(f"models/{done['model']}/predict/", json={"rows": rows}, timeout=60)
    assert answer.status_code == 200, answer.text
    assert answer.json()["predictions"] == ["yes"]
    assert answer.json()["probabilities"][0][1] == pytest.approx(float(lines[1].split(",")[2]), abs=1e-6)


def test_a_worker_diagnoses_a_model_and_compares_trials(service: Service, table: Path):
    dataset = service.upload(table)
    families = ["dummy", "linear", "hist_boosting"]
    experiment = service.experiment(dataset, "bought", time_budget=30, max_trials=3, families=families)
    done = service.settled(f"experiments/{experiment['id']}/", within=60)

    found = service.settled(f"models/{done['model']}/diagnostics/", ("ready", "failed"), within=40)
    assert found["status"] == "ready", found["error"]
    assert found["result"]["rows"] == 400
    assert {row["column"] for row in found["result"]["importance"]["columns"][:2]} == {"age", "city"}
    assert len(found["result"]["worst"]["rows"]) == 50

    board = service.client.get(f"experiments/{experiment['id']}/leaderboard/").json()["results"]
    trials = {row["family"]: row["trial"] for row in board if row["trial"]}
    query = f"?trial={trials['linear']}&trial={trials['dummy']}"
    pair = service.settled(f"experiments/{experiment['id']}/compare/{query}", ("ready", "failed"), within=30)
    assert pair["status"] == "ready", pair["error"]
    assert pair["result"]["pairs"][0]["low"] > 0


def test_a_file_is_predicted_by_a_worker_also_when_its_process_is_killed(
    service: Service, table: Path, tmp_path: Path
):
    dataset = service.upload(table)
    experiment = service.experiment(dataset, "bought", time_budget=30, max_trials=1, families=["linear"])
    model = service.settled(f"experiments/{experiment['id']}/", within=60)["model"]
    header, *rows = table.read_text().splitlines()
    few, many = tmp_path / "few.csv", tmp_path / "many.csv"
    few.write_text("\n".join([header, *rows[:3]]) + "\n")
    many.write_text("\n".join([header, *rows * 1000]) + "\n")

    at_once = service.client.post(f"models/{model}/predict/", files={"file": few.open("rb")}, timeout=60)
    assert at_once.status_code == 200, at_once.text
    assert len(at_once.text.splitlines()) == 4

    with many.open("rb") as file:
        answer = service.client.post(f"models/{model}/predict/", files={"file": file}, timeout=60)
    assert answer.status_code == 202, answer.text
    address = f"predictions/{answer.json()['id']}/"

    def under_way() -> list[psutil.Process]:
        server = "automl.engine.isolation.server"
        began = service.client.get(address).json()["rows"] > 0
        servers = service.named(server) if began else []
        return [each for each in servers if each.parent() in servers]

    for child in service.wait_for(under_way, within=60, what="the first rows to be predicted"):
        child.kill()

    done = service.settled(address, within=90)
    assert (done["status"], done["rows"], done["progress"]) == ("complete", 400_000, 1.0), done["error"]
    csv = service.client.get(done["links"]["csv"]).text.splitlines()
    assert len(csv) == 400_001
    assert csv[:4] == at_once.text.splitlines()
    parquet = pq.read_table(io.BytesIO(service.client.get(done["links"]["parquet"]).content))
    assert (parquet.num_rows, parquet.column_names) == (400_000, csv[0].split(","))


def test_an_experiment_cancelled_in_the_middle_stops_within_two_seconds(service: Service, table: Path):
    dataset = service.upload(table)
    experiment = service.experiment(dataset, "bought", time_budget=60)
    path = f"experiments/{experiment['id']}/"
    service.wait_for(
        lambda: service.client.get(path).json()["trials"]["running"], within=30, what="a trial to run"
    )

    assert service.client.post(f"{path}cancel/").status_code == 202

    done = service.settled(path, within=2)
    assert (done["status"], done["trials"]["running"], done["trials"]["waiting"]) == ("cancelled", 0, 0)


def test_ctrl_c_stops_everything_and_a_second_start_is_quick(tmp_path: Path):
    service = Service(tmp_path)
    try:
        service.start()
        assert service.stop() == 0
        assert service.processes() == []
        service.start(within=30)
        service.process.kill()
        service.wait_for(lambda: not service.processes(), within=10, what="every process to end")
    finally:
        service.close()
