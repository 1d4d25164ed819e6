"""`serve.py` of a bundle answers over HTTP, with nothing but the bundle's own code."""

import io
import json
import signal
import subprocess
import sys
import threading
from http.client import HTTPConnection

import pandas as pd
import pytest

from automl.engine.inference import load
from automl.engine.inference.server import ModelServer
from tests.engine.tables import people


@pytest.fixture(scope="module")
def server(made_bundle):
    with ModelServer(("127.0.0.1", 0), load(made_bundle), largest=20_000) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def ask(server):
    connection = HTTPConnection("127.0.0.1", server.server_address[1], timeout=10)

    def ask(method, path, body=None, kind="application/json", **headers):
        connection.request(method, path, body, {"Content-Type": kind, **headers})
        response = connection.getresponse()
        data = response.read()
        is_json = response.headers["Content-Type"] == "application/json"
        return response.status, json.loads(data) if is_json else data.decode()

    yield ask
    connection.close()


def rows(count):
    return json.loads(people(count)[["age", "city", "joined", "note"]].to_json(orient="records"))


def test_rows_are_predicted_as_the_model_does(ask, server):
    for body in ({"rows": rows(3)}, rows(3)):
        status, answer = ask("POST", "/predict", json.dumps(body))
        assert status == 200
        assert answer["classes"] == ["no", "yes"]
        assert answer["predictions"] == server.model.predict(people(3)).tolist()
        assert answer["probabilities"] == pytest.approx(server.model.predict_proba(people(3)))


@pytest.mark.parametrize("runtime", ["skops", "onnx"])
@pytest.mark.parametrize("column", ["age", "city", "joined", "note", "nothing to the model"])
def test_half_an_emoji_in_a_cell_costs_no_row_its_prediction(made_bundle, runtime, column):
    model, (one, other) = load(made_bundle, runtime=runtime), rows(2)
    found, wanted = (
        model.predict_rows([{**one, column: f"nice {end}"}, other]) for end in ("\ud83d", "\ufffd")
    )
    assert found == wanted
    assert model.predict_rows([{**one, "\ud83d": 1}, other]) == model.predict_rows([one, other])


def test_a_csv_is_answered_with_a_csv(ask, server):
    status, answer = ask(
        "POST", "/predict", people(30).to_csv(index=False).encode(), kind="text/csv; charset=utf-8"
    )

    assert status == 200
    found = pd.read_csv(io.StringIO(answer))
    assert found["prediction"].tolist() == server.model.predict(people(30)).tolist()
    assert list(found.columns) == ["prediction", "probability_no", "probability_yes"]


def test_health_and_schema(ask):
    assert ask("GET", "/health") == (200, {"status": "ok"})
    status, schema = ask("GET", "/schema?x=1")
    assert status == 200
    assert [column["name"] for column in schema["columns"]] == ["age", "city", "joined", "note"]
    assert (schema["target"], schema["classes"]) == ("bought", ["no", "yes"])


@pytest.mark.parametrize(
    ("method", "path", "body", "kind", "status", "words"),
    [
        ("POST", "/predict", "{", "application/json", 400, "no JSON"),
        ("POST", "/predict", "[1]", "application/json", 400, "an object for each row"),
        ("POST", "/predict", '[{"age": [1]}]', "application/json", 400, "plain values"),
        ("POST", "/predict", '[{"age": 1}]', "application/json", 422, "'city', 'joined', 'note'"),
        ("POST", "/predict", "a\n1\n", "text/csv", 422, "lacks 4 of the 4"),
        ("POST", "/predict", "", "text/csv", 422, "empty"),
        ("POST", "/predict", "x", "text/plain", 415, "send application/json or text/csv"),
        ("POST", "/predict", "x" * 20_001, "text/csv", 413, "at most 20,000"),
        ("GET", "/predict", None, "text/csv", 405, "POST /predict"),
        ("POST", "/other", "{}", "text/csv", 404, "POST /predict"),
    ],
)
def test_a_request_that_can_not_be_answered_says_why(ask, method, path, body, kind, status, words):
    found, answer = ask(method, path, body, kind=kind)
    assert found == status
    assert words in answer["error"]


def test_a_body_of_unknown_length_is_refused(ask):
    status, _ = ask("POST", "/predict", iter([b"a"]), **{"Transfer-Encoding": "chunked"})
    assert status == 411


@pytest.mark.slow
def test_the_server_of_a_bundle_starts_answers_and_stops(made_bundle):
    process = subprocess.Popen(
        [sys.executable, "-IB", str(made_bundle / "serve.py"), "--port", "0"],
        stderr=subprocess.PIPE,
        text=True,
        env={},
    )
    try:
        line = process.stderr.readline()
        assert line.startswith("Serving the model at http://127.0.0.1:"), line
        connection = HTTPConnection("127.0.0.1", int(line.rpartition(":")[2]), timeout=10)
        connection.request("POST", "/predict", json.dumps(rows(2)), {"Content-Type": "application/json"})
        assert json.loads(connection.getresponse().read())["predictions"] == (
            load(made_bundle).predict(people(2)).tolist()
        )
        connection.close()
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
    finally:
        process.kill()
        process.wait()
        process.stderr.close()
