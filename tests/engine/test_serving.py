from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from automl.engine import AutoMLClassifier, AutoMLRegressor, serving
from automl.engine.errors import Retryable, UserError
from automl.engine.serving import ModelShelf, PredictionServer, answer
from tests.engine.test_isolation import is_alive, wait_until

ROWS = [{"size": 1.0, "colour": "red"}, {"size": 9.0, "colour": None}, {"size": None, "colour": "grey"}]


def table() -> pd.DataFrame:
    return pd.DataFrame({"size": [1.0, 2.0, 8.0, 9.0] * 15, "colour": ["red", "blue"] * 30})


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("bundles")
    given = {"time_budget": 60, "max_trials": 1, "families": ["linear"], "ensemble": False}
    frame = table()
    classes = AutoMLClassifier(**given).fit(frame, ["small", "small", "large", "large"] * 15)
    numbers = AutoMLRegressor(**given).fit(frame, 10 * frame["size"])
    return {
        "classes": classes.save(folder / "classes.zip"),
        "numbers": numbers.save(folder / "numbers.zip"),
    }


@pytest.fixture(scope="module")
def server() -> Iterator[PredictionServer]:
    server = PredictionServer()
    yield server
    server.close()


def pid_of(server: PredictionServer) -> int:
    assert server._process is not None
    return server._process.pid


def test_rows_are_classified_with_a_probability_for_each_class(server, bundles):
    found = server.predict(bundles["classes"], ROWS)
    assert found["predictions"][:2] == ["small", "large"]
    assert found["classes"] == ["large", "small"]
    assert np.shape(found["probabilities"]) == (3, 2)
    assert np.allclose(np.sum(found["probabilities"], axis=1), 1)


def test_numbers_are_predicted_without_classes(server, bundles):
    found = server.predict(bundles["numbers"], ROWS[:2])
    assert set(found) == {"predictions"}
    assert found["predictions"] == pytest.approx([10, 90], abs=5)


def test_a_file_comes_with_intervals_or_sets_where_a_level_is_asked_for(server, bundles, tmp_path):
    source, target = tmp_path / "in.csv", tmp_path / "out.csv"
    table().to_csv(source, index=False)
    assert server.predict_table(bundles["numbers"], source, target, level=0.8) == 60
    found = pd.read_csv(target)
    assert list(found) == ["prediction", "prediction_low", "prediction_high"]
    assert (found["prediction_low"] <= found["prediction_high"]).all()
    server.predict_table(bundles["classes"], source, target, level=0.8)
    assert "prediction_set" in pd.read_csv(target)
    with pytest.raises(UserError, match=r"no sets of level 0\.5; it has 0\.8"):
        server.predict_table(bundles["classes"], source, target, level=0.5)


def test_rows_come_with_intervals_or_sets_where_a_level_is_asked_for(server, bundles):
    sets = server.predict(bundles["classes"], ROWS, level=0.8)["sets"]
    assert sets[:2] == [["small"], ["large"]]
    found = server.predict(bundles["numbers"], ROWS[:2], level=0.8)
    for (low, high), number in zip(found["intervals"], found["predictions"], strict=True):
        assert low < number < high
    assert server.predict(bundles["classes"], [], level=0.8)["sets"] == []
    with pytest.raises(UserError, match=r"no sets of level 0\.5; it has 0\.8"):
        server.predict(bundles["classes"], ROWS, level=0.5)


def test_a_missing_column_is_the_users_error_and_named(server, bundles):
    with pytest.raises(UserError, match="'colour'"):
        server.predict(bundles["classes"], [{"size": 1.0}])


def test_no_rows_are_no_predictions(server, bundles):
    found = server.predict(bundles["classes"], [])
    assert found == {"predictions": [], "classes": ["large", "small"], "probabilities": []}


def test_a_missing_column_of_a_regression_is_named_too(server, bundles):
    with pytest.raises(UserError, match="'size'"):
        server.predict(bundles["numbers"], [{"colour": "red"}])


def test_a_small_file_is_predicted_into_another(server, bundles, tmp_path):
    source, target = tmp_path / "input.csv", tmp_path / "predictions.csv"
    source.write_text("size,colour,more\n1,red,x\n9,,y\n")
    assert server.predict_table(bundles["classes"], source, target) == 2
    lines = target.read_text().splitlines()
    assert lines[0] == "prediction,probability_large,probability_small"
    assert [line.split(",")[0] for line in lines[1:]] == ["small", "large"]
    source.write_text("size\n1\n")
    with pytest.raises(UserError, match="'colour'"):
        server.predict_table(bundles["classes"], source, target)


def test_a_bundle_that_is_gone_is_our_error(server, tmp_path):
    with pytest.raises(RuntimeError, match="the bundle's file is gone"):
        server.predict(tmp_path / "none.zip", ROWS)


def test_a_bundle_that_was_tampered_with_is_refused(server, tmp_path):
    (tmp_path / "bad.zip").write_bytes(b"this is no archive")
    with pytest.raises(RuntimeError, match="could not predict: BadZipFile"):
        server.predict(tmp_path / "bad.zip", ROWS)


def test_a_killed_process_is_replaced(server, bundles):
    server.predict(bundles["classes"], ROWS)
    before = pid_of(server)
    os.kill(before, signal.SIGKILL)
    assert server.predict(bundles["classes"], ROWS)["predictions"][0] == "small"
    assert pid_of(server) != before


def test_a_prediction_that_takes_too_long_is_given_up_and_the_next_one_is_its_own(server, bundles):
    server.predict(bundles["classes"], ROWS)
    os.kill(pid_of(server), signal.SIGSTOP)
    began = time.monotonic()
    with pytest.raises(Retryable, match="more than 0 s; send fewer rows"):
        server.predict(bundles["classes"], ROWS, timeout=0.3)
    assert time.monotonic() - began < 3
    assert server.predict(bundles["classes"], ROWS[:1])["predictions"] == ["small"]


def test_who_has_waited_too_long_leaves_the_process_as_it_is(server, bundles):
    server.predict(bundles["classes"], ROWS)
    before = pid_of(server)
    other = threading.Timer(0.85, server._lock.release)
    server._lock.acquire()
    other.start()
    with pytest.raises(Retryable, match="Other predictions took most of 1 s; try again"):
        server.predict(bundles["classes"], ROWS, timeout=1.0)
    other.join()
    assert server.predict(bundles["classes"], ROWS)["predictions"][0] == "small"
    assert pid_of(server) == before


def test_a_process_that_is_ended_while_it_loads_leaves_nothing_unpacked(bundles, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    os.mkfifo(tmp_path / "endless.zip")
    server = PredictionServer()
    server.predict(bundles["classes"], ROWS)

    def ask() -> None:
        with pytest.raises(Retryable):
            server.predict(tmp_path / "endless.zip", ROWS, timeout=1.0)

    waiting = threading.Thread(target=ask)
    waiting.start()
    assert wait_until(lambda: any(tmp_path.glob("bakeoff-*")), seconds=5)
    waiting.join()
    assert list(tmp_path.iterdir()) == [tmp_path / "endless.zip"]


def test_threads_share_the_process_and_each_gets_its_own_answer(server, bundles):
    found: dict[int, list[str]] = {}

    def ask(number: int) -> None:
        rows = [{"size": 1.0 if number % 2 else 9.0, "colour": "red"}] * (number + 1)
        found[number] = server.predict(bundles["classes"], rows)["predictions"]

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {n: ["small" if n % 2 else "large"] * (n + 1) for n in range(6)}


def test_slow_predictions_leave_threads_for_others_who_are_told_to_come_again(bundles, monkeypatch):
    monkeypatch.setattr(serving, "PLACE_SECONDS", 0.2)
    server = PredictionServer()
    server.predict(bundles["classes"], ROWS)
    os.kill(pid_of(server), signal.SIGSTOP)
    found: list[object] = []
    waiting = [
        threading.Thread(target=lambda: found.append(server.predict(bundles["classes"], ROWS)))
        for _ in range(serving.PLACES)
    ]
    try:
        for thread in waiting:
            thread.start()
        assert wait_until(lambda: server._places._value == 0, seconds=10)
        began = time.monotonic()
        with pytest.raises(Retryable, match="4 other predictions are under way; try again"):
            server.predict(bundles["classes"], ROWS)
        assert time.monotonic() - began < 5
    finally:
        os.kill(pid_of(server), signal.SIGCONT)
        for thread in waiting:
            thread.join()
    assert len(found) == serving.PLACES
    assert server.predict(bundles["classes"], ROWS)["predictions"][0] == "small"
    server.close()


def test_the_models_used_last_are_kept_and_a_rewritten_one_is_loaded_anew(tmp_path):
    loaded: list[str] = []

    def load(path: Path):
        loaded.append(path.name)
        return path.name

    shelf = ModelShelf(load, kept=2)
    for name in "abc":
        (tmp_path / name).write_text(name)
    for name in "ababca":
        assert shelf.get(tmp_path / name) == name
    assert loaded == ["a", "b", "c", "a"]
    (tmp_path / "a").write_text("longer")
    shelf.get(tmp_path / "a")
    assert loaded == ["a", "b", "c", "a", "a"]


def test_a_request_that_is_no_json_is_answered_and_does_not_end_the_process(tmp_path):
    found = answer(ModelShelf(lambda bundle: serving.load_predictor(bundle, tmp_path / "new")), b"{")
    assert found["user_error"] is False
    assert "JSONDecodeError" in found["error"]


OWNER = """
import sys, json
from automl.engine.serving import PredictionServer
server = PredictionServer()
server.start()
heavy = {"pandas", "numpy", "sklearn"} & set(sys.modules)
print(json.dumps([server._process.pid, sorted(heavy)]), flush=True)
sys.stdin.read()
"""


def test_the_caller_stays_light_and_its_death_ends_the_process():
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER], stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True
    )
    assert owner.stdout is not None and owner.stdin is not None
    pid, heavy = json.loads(owner.stdout.readline())
    assert heavy == []
    assert is_alive(pid)
    owner.kill()
    owner.communicate()
    assert wait_until(lambda: not is_alive(pid), seconds=20)
