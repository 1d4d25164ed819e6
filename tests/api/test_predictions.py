"""Files to predict: a small CSV at once, all else by a worker."""

from __future__ import annotations

import gzip
import hashlib
import io
from pathlib import Path

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from automl.core import storage
from automl.engine.errors import Retryable, UserError
from automl.experiments.models import Prediction
from tests.factories import PredictionFactory

CSV = b"age,city\n39,Rome\n40,Oslo\n"
ANSWER = b"prediction,probability_high,probability_low\nlow,0.25,0.75\nhigh,0.6,0.4\n"
PARQUET = "application/vnd.apache.parquet"


@pytest.fixture
def server(monkeypatch):
    """Stands in for the process that holds the models; what it is asked is kept."""

    class Server:
        asked: list[bytes] = []
        error: Exception | None = None

        levels: list[float | None] = []

        def predict_table(
            self, bundle: Path, source: Path, target: Path, timeout: float, *, level: float | None
        ) -> int:
            self.asked.append(source.read_bytes())
            self.levels.append(level)
            if self.error:
                raise self.error
            target.write_bytes(ANSWER)
            return 2

    server = Server()
    server.asked, server.levels = [], []
    monkeypatch.setattr("automl.experiments.serving.prediction_server", lambda: server)
    return server


@pytest.fixture
def address(world):
    Prediction.objects.all().delete()
    return f"models/{world.model.id}/predict/"


def send(api, address, content=CSV, content_type="text/csv", **headers):
    return api.generic("POST", address, content, content_type=content_type, **headers)


def form(content=CSV, name="new.csv"):
    return {"file": SimpleUploadedFile(name, content)}


def test_a_small_csv_is_answered_at_once(api, address, server):
    response = send(api, address, content_type="text/csv; charset=utf-8")
    assert (response.status_code, response.content) == (200, ANSWER)
    assert response["Content-Type"].startswith("text/csv")
    assert server.asked == [CSV]
    assert not Prediction.objects.exists()


def test_rows_that_were_cut_off_are_not_taken_for_all(api, address, server):
    response = send(api, f"{address}?background=true", **{"wsgi.input": io.BytesIO(CSV[:19])})
    assert response.status_code == 400
    assert f"19 of {len(CSV)} bytes" in response.json()["detail"]
    assert not Prediction.objects.exists()


def test_so_is_one_in_a_form(api, address, server):
    response = api.post(address, form(), format="multipart")
    assert (response.status_code, response.content) == (200, ANSWER)


def test_a_key_stands_for_one_table_that_is_predicted_once(api, address, server):
    key = {"HTTP_IDEMPOTENCY_KEY": "one"}
    for _ in range(2):
        response = send(api, address, **key)
        assert (response.status_code, response.content) == (200, ANSWER)
        assert response["Content-Type"] == "text/csv; charset=utf-8"
    assert response["Idempotent-Replay"] == "true"
    assert server.asked == [CSV]
    assert send(api, address, CSV + b"41,Rome\n", **key).status_code == 422


def test_a_larger_file_goes_to_a_worker(
    api, address, world, server, sent, settings, django_capture_on_commit_callbacks
):
    settings.PREDICT_AT_ONCE_BYTES = len(CSV) - 1
    with django_capture_on_commit_callbacks(execute=True):
        response = send(api, address)
    prediction = Prediction.objects.get()
    body = response.json()
    assert response.status_code == 202
    assert response["Location"] == f"http://testserver/api/v1/predictions/{prediction.id}/"
    assert "Retry-After" in response
    assert (body["id"], body["model"]) == (str(prediction.id), str(world.model.id))
    assert (body["status"], body["rows"], body["progress"]) == ("waiting", 0, 0.0)
    assert body["links"] == {"csv": None, "parquet": None}
    assert storage.path_of(prediction.source).read_bytes() == CSV
    assert sent == [("predict", prediction.id)]
    assert server.asked == []


@pytest.mark.parametrize(
    ("content_type", "kind"),
    [
        ("text/csv", "csv.gz"),
        ("application/gzip", "csv.gz"),
        (PARQUET, "parquet"),
        ("application/octet-stream", "parquet"),
    ],
)
def test_parquet_and_gzip_go_to_a_worker_whatever_their_size(api, address, server, content_type, kind):
    content = gzip.compress(CSV) if kind == "csv.gz" else b"PAR1....PAR1"
    assert send(api, address, content, content_type).status_code == 202
    assert Prediction.objects.get().form == kind
    assert server.asked == []


@pytest.mark.parametrize(
    ("query", "headers"),
    [
        ("?background=true", {}),
        ("", {"HTTP_PREFER": "respond-async"}),
        ("", {"HTTP_PREFER": "a=b, Respond-Async"}),
    ],
)
def test_a_worker_does_it_where_that_is_asked_for(api, address, server, query, headers):
    assert send(api, address + query, **headers).status_code == 202
    response = api.post(address + query, form(name="q3.csv"), format="multipart", **headers)
    assert (response.status_code, response.json()["filename"]) == (202, "q3.csv")


def test_a_level_is_taken_from_the_address_or_the_form(api, address, server):
    assert send(api, f"{address}?level=0.9").status_code == 200
    assert api.post(address, {**form(), "level": "0.9"}, format="multipart").status_code == 200
    assert (
        api.post(f"{address}?level=0.9", {**form(), "level": "0.90"}, format="multipart").status_code == 200
    )
    assert api.post(address, form(), format="multipart").status_code == 200
    assert server.levels == [0.9, 0.9, 0.9, None]


def test_a_worker_is_told_the_level_and_the_prediction_shows_it(api, address, world):
    with_levels(world.model)
    body = send(api, f"{address}?background=true&level=0.9").json()
    assert body["level"] == Prediction.objects.get().level == 0.9
    assert api.get(f"predictions/{body['id']}/").json()["level"] == 0.9


def with_levels(model):
    model.metrics = {**model.metrics, "uncertainty": {"kind": "sets", "levels": [{"level": 0.9}]}}
    model.save()


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("level=much", "'much' is not a number."),
        ("level=nan", "'nan' is not a number."),
        ("level=90", "less than or equal to 1"),
        ("level=-0.5", "greater than or equal to 0"),
    ],
)
def test_a_level_that_is_none_is_named(api, address, server, query, words):
    for response in (
        send(api, f"{address}?{query}"),
        api.post(f"{address}?{query}", {"rows": [{}]}),
        api.post(address, {**form(), "level": query.partition("=")[2]}, format="multipart"),
    ):
        assert response.status_code == 422
        (error,) = response.json()["errors"]
        assert error["field"] == "level"
        assert words in error["message"]
    assert server.asked == []


def test_a_level_that_the_model_lacks_is_refused_before_the_file_is_kept(api, address, world):
    with_levels(world.model)
    response = send(api, f"{address}?background=true&level=0.5")
    assert (response.status_code, response.json()["detail"]) == (
        422,
        "This model has no sets of level 0.5; it has 0.9.",
    )
    assert not Prediction.objects.exists()


def test_two_levels_in_one_request_are_one_too_many(api, address, server):
    response = api.post(f"{address}?level=0.8", {**form(), "level": "0.9"}, format="multipart")
    assert response.status_code == 422
    assert "The address says 0.8, the body 0.9" in response.json()["detail"]


def test_a_key_makes_one_prediction_of_two_requests(api, address):
    first, again = (send(api, f"{address}?background=1", HTTP_IDEMPOTENCY_KEY="one") for _ in range(2))
    assert first.json() == again.json()
    assert Prediction.objects.count() == 1


@pytest.mark.parametrize(
    ("content", "query", "words"),
    [
        (b"", "", "empty"),
        (b"PK\x03\x04", "", "Save it as CSV"),
        (CSV, "?background=maybe", "neither true nor false"),
    ],
)
def test_what_can_not_be_used_is_told(api, address, server, content, query, words):
    response = send(api, address + query, content)
    assert response.status_code == 422
    assert words in response.json()["detail"]


def test_a_form_without_a_file_and_an_unknown_type_are_told(api, address, server):
    response = api.post(address, {"table": "x"}, format="multipart")
    assert response.status_code == 422
    assert {each["field"] for each in response.json()["errors"]} == {"file", "table"}
    assert send(api, address, b"<rows/>", "application/xml").status_code == 415


def test_a_file_over_the_limit_is_refused_before_and_while_it_is_read(api, address, settings):
    settings.MAX_UPLOAD_BYTES = 16
    assert send(api, address).status_code == 413
    settings.MAX_UPLOAD_BYTES = 2**20
    response = send(api, address, CONTENT_LENGTH=str(3 * 2**20))
    assert response.status_code == 413
    assert not Prediction.objects.exists()


def test_a_column_that_is_missing_is_named(api, address, server):
    server.error = UserError("The table lacks 1 of the 2 columns that the model needs: 'city'.")
    response = send(api, address)
    assert response.status_code == 422
    assert "'city'" in response.json()["detail"]


def test_what_takes_too_long_at_once_says_how_else(api, address, server):
    server.error = Retryable("The prediction took more than 60 s; send fewer rows.")
    response = send(api, address)
    assert response.status_code == 503
    assert "?background=true" in response.json()["detail"]


# --- Following ----------------------------------------------------------------------------------


@pytest.fixture
def complete(world):
    """A prediction with its files."""
    found = {"csv": ANSWER, "parquet": b"PAR1 PAR1"}
    files = {
        name: {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()} for name, data in found.items()
    }
    prediction = PredictionFactory(model=world.model, state="complete", files=files)
    folder = storage.make_folder(prediction.results)
    for name, data in found.items():
        (folder / f"predictions.{name}").write_bytes(data)
    return prediction


def test_a_prediction_says_how_far_it_is(api, world):
    Prediction.objects.update(state="running", rows=50_000, share=0.25, seconds=2.0)
    response = api.get(f"predictions/{world.prediction.id}/")
    body = response.json()
    assert (body["status"], body["rows"], body["progress"]) == ("running", 50_000, 0.25)
    assert body["rows_per_second"] == 25_000
    assert "Retry-After" in response
    again = api.get(f"predictions/{world.prediction.id}/", HTTP_IF_NONE_MATCH=response["ETag"])
    assert again.status_code == 304


def test_the_result_is_downloaded_as_csv_or_parquet(api, complete):
    links = api.get(f"predictions/{complete.id}/").json()["links"]
    csv = api.get(links["csv"])
    assert b"".join(csv.streaming_content) == ANSWER
    assert csv["Content-Disposition"] == 'attachment; filename="new-rows-predictions.csv"'
    parquet = api.get(links["parquet"])
    assert parquet["Content-Type"] == PARQUET
    assert io.BytesIO(b"".join(parquet.streaming_content)).read(4) == b"PAR1"
    part = api.get(f"predictions/{complete.id}/download/", HTTP_RANGE="bytes=0-9")
    assert (part.status_code, b"".join(part.streaming_content)) == (206, ANSWER[:10])
    assert api.get(f"predictions/{complete.id}/download/?format=xlsx").status_code == 422


def test_a_result_that_is_damaged_is_not_sent(api, complete):
    (storage.path_of(complete.results) / "predictions.csv").write_bytes(b"other")
    response = api.get(f"predictions/{complete.id}/download/")
    assert response.status_code == 503
    assert "predicted anew" in response.json()["detail"]


def test_deleting_cancels_what_goes_on_and_removes_what_has_ended(api, world):
    response = api.delete(f"predictions/{world.prediction.id}/")
    assert (response.status_code, response.json()["status"]) == (202, "cancelled")
    assert api.delete(f"predictions/{world.prediction.id}/").status_code == 204
    assert api.get(f"predictions/{world.prediction.id}/").status_code == 404


def test_a_models_predictions_are_listed_newest_first(api, world, complete, django_assert_max_num_queries):
    with django_assert_max_num_queries(4):
        found = api.get(f"models/{world.model.id}/predictions/").json()["results"]
    assert [each["id"] for each in found] == [str(complete.id), str(world.prediction.id)]


def test_rows_take_a_level_from_the_address_too(api, world, monkeypatch):
    class Server:
        def predict(self, bundle, rows, timeout, level=None):
            return {"predictions": ["low"], "sets": [[f"{level}"]]}

    monkeypatch.setattr("automl.experiments.serving.prediction_server", Server)
    address = f"models/{world.model.id}/predict/"
    assert api.post(f"{address}?level=0.9", {"rows": [{}]}).json()["sets"] == [["0.9"]]
    assert api.post(f"{address}?level=0.8", {"rows": [{}], "level": 0.9}).status_code == 422


def test_rows_cost_few_queries(api, world, monkeypatch, django_assert_max_num_queries):
    class Server:
        def predict(self, bundle, rows, timeout, level=None):
            return {"predictions": ["low"]}

    monkeypatch.setattr("automl.experiments.serving.prediction_server", Server)
    with django_assert_max_num_queries(2):
        assert api.post(f"models/{world.model.id}/predict/", {"rows": [{}]}).status_code == 200
