"""What people and programs are told while the database is away, or the disk is full."""

import errno

import pytest
from django.db import InterfaceError, OperationalError
from django.urls import reverse
from structlog.testing import capture_logs

from automl.core import store
from tests.factories import DatasetFactory

pytestmark = pytest.mark.django_db


def raising(error):
    def call(*args, **kwargs):
        raise error

    return call


@pytest.mark.parametrize("error", [OperationalError("database is locked"), InterfaceError("closed")])
def test_a_program_is_told_that_the_database_is_away_and_when_to_ask_again(api, monkeypatch, error):
    monkeypatch.setattr("automl.api.datasets.selectors.list_datasets", raising(error))
    answer = api.get("datasets/")
    assert (answer.status_code, answer["Content-Type"]) == (503, "application/problem+json")
    assert int(answer["Retry-After"]) > 0
    assert "database does not answer" in answer.json()["detail"]
    assert "locked" not in answer.json()["detail"]


def test_what_the_database_said_goes_to_the_log_with_its_traceback(api, monkeypatch):
    error = OperationalError("no such column: trial.score")
    monkeypatch.setattr("automl.api.datasets.selectors.list_datasets", raising(error))
    with capture_logs() as logged:
        assert api.get("datasets/").status_code == 503
    [line] = [line for line in logged if line["event"] == "outage"]
    assert line["error"] == "no such column: trial.score"
    assert line["exc_info"] is error


def test_a_person_is_told_too(browser_client, monkeypatch):
    monkeypatch.setattr("automl.pages.datasets.selectors.list_datasets", raising(OperationalError("gone")))
    browser_client.raise_request_exception = False
    answer = browser_client.get(reverse("pages:datasets"))
    assert answer.status_code == 503
    assert "Retry-After" in answer.headers
    assert "The database does not answer just now" in answer.content.decode()


@pytest.mark.parametrize("path", ["/", "/api/v1/me/"])
def test_a_session_that_can_not_be_read_is_the_same_outage(browser_client, monkeypatch, path):
    monkeypatch.setattr("django.contrib.auth.get_user", raising(OperationalError("gone")))
    monkeypatch.setattr("django.contrib.auth.middleware.auth.get_user", raising(OperationalError("gone")))
    browser_client.raise_request_exception = False
    assert browser_client.get(path).status_code == 503


def test_while_the_database_hangs_nobody_waits_for_it(client, monkeypatch):
    monkeypatch.setattr("automl.core.watch.DatabaseWatch.is_away", True)
    assert client.get("/").status_code == 503
    assert client.get("/api/v1/datasets/").json()["status"] == 503
    assert client.get("/api/v1/health/live/").status_code == 200


def test_an_error_of_ours_stays_one(browser_client, monkeypatch):
    monkeypatch.setattr("automl.pages.datasets.selectors.list_datasets", raising(RuntimeError("a bug")))
    browser_client.raise_request_exception = False
    assert browser_client.get(reverse("pages:datasets")).status_code == 500


def upload(api, content=b"age,city\n39,Paris\n"):
    from django.core.files.uploadedfile import SimpleUploadedFile

    return api.post("datasets/", {"file": SimpleUploadedFile("t.csv", content)}, format="multipart")


def test_an_upload_for_which_there_is_no_room_is_refused_before_it_is_taken(api, settings, private_files):
    settings.LEAST_FREE_BYTES = 1 << 62
    answer = upload(api)
    assert answer.status_code == 507
    assert "MB are needed" in answer.json()["detail"]
    assert [path.name for path in private_files.rglob("*")] == [store.MARK]


def test_an_upload_that_fills_the_disk_is_told_and_leaves_nothing(api, monkeypatch, private_files):
    monkeypatch.setattr(
        "automl.core.storage.os.fsync", raising(OSError(errno.ENOSPC, "No space left on device"))
    )
    answer = upload(api)
    assert answer.status_code == 507
    assert "disk of this service is full" in answer.json()["detail"]
    assert [path.name for path in private_files.rglob("*") if path.is_file()] == [store.MARK]


def test_a_page_says_so_in_its_form(browser_client, settings):
    from django.core.files.uploadedfile import SimpleUploadedFile

    settings.LEAST_FREE_BYTES = 1 << 62
    browser_client.raise_request_exception = False
    answer = browser_client.post(
        reverse("pages:upload"), {"file": SimpleUploadedFile("t.csv", b"a,b\n1,2\n")}
    )
    assert answer.status_code == 507
    assert "MB are needed" in answer.content.decode()


def test_an_experiment_is_not_begun_without_room(api, alice, settings):
    dataset = DatasetFactory(owner=alice)
    settings.LEAST_FREE_BYTES = 1 << 62
    answer = api.post("experiments/", {"dataset": str(dataset.id), "target": "income"})
    assert answer.status_code == 507


def test_a_damaged_bundle_is_not_sent(api, world):
    from automl.core import storage

    storage.path_of(world.model.bundle).write_bytes(b"half")
    answer = api.get(f"models/{world.model.id}/download/")
    assert answer.status_code == 503
    assert "damaged" in answer.json()["detail"]
    assert api.post(f"models/{world.model.id}/predict/", {"rows": [{"age": 1}]}).status_code == 503


def test_a_damaged_table_is_told(api, alice):
    from automl.core import storage

    dataset = DatasetFactory(owner=alice)
    (storage.make_folder(dataset.folder) / "table.arrow").write_bytes(b"half a table")
    answer = api.get(f"datasets/{dataset.id}/preview/")
    assert answer.status_code == 503
    assert "missing or damaged" in answer.json()["detail"]
