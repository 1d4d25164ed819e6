from __future__ import annotations

import hashlib

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from automl.core import storage
from automl.datasets.models import Dataset
from tests.factories import DatasetFactory

CSV = b"age,city\n39,Paris\n40,Rome\n"


def upload(api, content=CSV, filename="people.csv", **fields):
    return api.post(
        "datasets/", {"file": SimpleUploadedFile(filename, content), **fields}, format="multipart"
    )


def test_an_upload_is_stored_and_profiled(api, sent, django_capture_on_commit_callbacks):
    with django_capture_on_commit_callbacks(execute=True):
        response = upload(api, name="People")
    body = response.json()
    dataset = Dataset.objects.get(id=body["id"])
    assert response.status_code == 201
    assert response["Location"].endswith(f"/api/v1/datasets/{dataset.id}/")
    assert "Retry-After" in response
    assert body["status"] == "profiling"
    assert (body["name"], body["bytes"]) == ("People", len(CSV))
    assert body["sha256"] == hashlib.sha256(CSV).hexdigest()
    assert sent == [("profile", dataset.id)]
    assert storage.path_of(f"{dataset.folder}/original").read_bytes() == CSV


def test_the_name_is_the_files_if_none_is_given(api):
    assert upload(api).json()["name"] == "people.csv"


def test_a_dataset_has_what_the_contract_names(api, alice):
    dataset = DatasetFactory(owner=alice, warnings=["2 rows were ragged."])
    body = api.get(f"datasets/{dataset.id}/").json()
    assert {"id", "name", "status", "error", "rows", "bytes", "sha256", "warnings", "created_at"} <= set(body)
    assert body["status"] == "ready"
    assert body["rows"] == 100
    assert body["created_at"].endswith("Z")
    assert [set(column) for column in body["columns"]] == [
        {"name", "kind", "missing", "unique", "statistics"}
    ] * 3
    assert body["columns"][1]["statistics"]["top"][0] == ["Paris", 60]


@pytest.mark.parametrize(
    ("fields", "field"),
    [({}, "file"), ({"file": "text"}, "file"), ({"colour": "red"}, "colour")],
)
def test_a_form_that_can_not_be_used_names_the_field(api, fields, field):
    response = api.post("datasets/", fields, format="multipart")
    assert response.status_code == 422
    assert field in {error["field"] for error in response.json()["errors"]}


def test_an_empty_file_is_told(api):
    response = upload(api, content=b"")
    assert response.status_code == 422
    assert "is empty" in response.json()["detail"]


def test_json_is_no_upload(api):
    assert api.post("datasets/", {"file": "x"}).status_code == 415


def test_a_broken_form_is_a_problem(api):
    response = api.generic("POST", "datasets/", "x", content_type="multipart/form-data")
    assert response.status_code == 400


@pytest.mark.parametrize("chunked", [False, True])
def test_an_upload_over_the_limit_is_refused(api, settings, chunked, monkeypatch):
    settings.MAX_UPLOAD_BYTES = 1000
    margin = 0 if not chunked else 1 << 20
    monkeypatch.setattr("automl.api.encoding.FORM_MARGIN", margin)
    response = upload(api, content=b"x" * 2000)
    assert response.status_code == 413
    assert "over the limit" in response.json()["detail"]
    assert Dataset.objects.count() == 0


def test_an_announced_size_over_the_limit_is_refused_unread(api, settings, monkeypatch):
    settings.MAX_UPLOAD_BYTES = 1000
    monkeypatch.setattr("automl.api.encoding.FORM_MARGIN", 0)
    monkeypatch.setattr("automl.api.encoding.UploadParser.parse", lambda *args, **kwargs: 1 / 0)
    assert upload(api, content=b"x" * 2000).status_code == 413


@pytest.mark.parametrize("setting", ["MAX_DATASETS", "MAX_DATASET_BYTES"])
def test_an_upload_over_the_quota_is_told_to_come_later(api, alice, settings, setting):
    DatasetFactory(owner=alice)
    setattr(settings, setting, 1)
    response = upload(api)
    assert response.status_code == 429
    assert int(response["Retry-After"]) > 0
    assert "Delete one first" in response.json()["detail"]
    assert response.json()["type"] == "urn:bakeoff:quota"


def test_kinds_and_name_are_corrected(api, alice):
    dataset = DatasetFactory(owner=alice)
    etag = api.get(f"datasets/{dataset.id}/")["ETag"]
    change = {"name": "Better", "columns": [{"name": "age", "kind": "categorical"}]}
    body = api.patch(f"datasets/{dataset.id}/", change).json()
    assert body["name"] == "Better"
    assert [column["kind"] for column in body["columns"]] == ["categorical", "categorical", "boolean"]
    assert api.get(f"datasets/{dataset.id}/", HTTP_IF_NONE_MATCH=etag).json() == body


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"columns": [{"name": "nothing", "kind": "text"}]}, "columns.nothing"),
        ({"columns": [{"name": "age", "kind": "nothing"}]}, "columns.0.kind"),
        ({"columns": [{"name": "age"}]}, "columns.0.kind"),
        ({"columns": [{"name": "age", "kind": "text", "x": 1}]}, "columns.0.x"),
        ({"columns": {"age": "text"}}, "columns"),
        ({"name": ""}, "name"),
        ({"name": 3}, "name"),
        ({"rows": 3}, "rows"),
    ],
)
def test_a_correction_that_can_not_be_made_names_the_field(api, alice, change, field):
    dataset = DatasetFactory(owner=alice)
    response = api.patch(f"datasets/{dataset.id}/", change)
    assert response.status_code == 422
    assert [error["field"] for error in response.json()["errors"]] == [field]


def test_a_dataset_that_is_not_ready_can_not_be_corrected(api, alice):
    dataset = DatasetFactory(owner=alice, state="profiling")
    change = {"columns": [{"name": "age", "kind": "text"}]}
    assert api.patch(f"datasets/{dataset.id}/", change).status_code == 409


def test_a_deleted_dataset_is_gone(api, alice):
    dataset = DatasetFactory(owner=alice)
    response = api.delete(f"datasets/{dataset.id}/")
    assert (response.status_code, response.content) == (204, b"")
    assert api.get(f"datasets/{dataset.id}/").status_code == 404
    assert api.get("datasets/").json()["results"] == []


def test_a_preview_has_columns_and_rows(api, alice, monkeypatch):
    asked = {}

    def read(path, rows, offset):
        asked.update(path=path, rows=rows, offset=offset)
        return ["age", "city"], [[39, "Paris"], [None, "Rome"]]

    monkeypatch.setattr("automl.datasets.selectors.reading.preview", read)
    dataset = DatasetFactory(owner=alice)
    response = api.get(f"datasets/{dataset.id}/preview/?rows=2&offset=5")
    assert response.json() == {"columns": ["age", "city"], "rows": [[39, "Paris"], [None, "Rome"]]}
    assert (asked["rows"], asked["offset"]) == (2, 5)
    again = api.get(f"datasets/{dataset.id}/preview/?rows=2&offset=5", HTTP_IF_NONE_MATCH=response["ETag"])
    assert again.status_code == 304


@pytest.mark.parametrize("query", ["rows=0", "rows=1001", "rows=x", "offset=-1"])
def test_a_preview_of_no_rows_is_named(api, alice, query):
    response = api.get(f"datasets/{DatasetFactory(owner=alice).id}/preview/?{query}")
    assert response.status_code == 422
    assert response.json()["errors"][0]["field"] == query.split("=")[0]


def test_a_preview_before_profiling_is_a_conflict(api, alice):
    dataset = DatasetFactory(owner=alice, state="profiling")
    assert api.get(f"datasets/{dataset.id}/preview/").status_code == 409
