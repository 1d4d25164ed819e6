"""Files and database belong together, or nothing is done with either."""

from __future__ import annotations

from pathlib import Path
from uuid import uuid4

import pytest
from django.db import OperationalError
from structlog.testing import capture_logs

from automl.core import health, leases, storage, store
from automl.core.errors import StorageUnavailable
from automl.core.management.commands import serve
from automl.core.models import Store
from automl.datasets.models import Dataset
from automl.engine.errors import UserError
from automl.experiments.services.trials import evaluate_trial
from tests.factories import DatasetFactory, TrialFactory

pytestmark = pytest.mark.django_db


@pytest.fixture
def mark(private_files: Path) -> Path:
    """Where a folder of files says whose it is; this one does not."""
    path = private_files / store.MARK
    path.unlink()
    return path


def belong_together(mark: Path) -> bool:
    return mark.read_text().strip() == str(Store.objects.get())


def test_a_new_folder_and_a_new_database_get_one_identifier_and_keep_it(mark):
    store.check()
    first = mark.read_text()
    store.check()
    assert belong_together(mark)
    assert mark.read_text() == first
    assert [path.name for path in mark.parent.iterdir()] == [store.MARK]


def test_of_two_that_begin_at_once_the_first_to_write_the_folder_wins(mark, monkeypatch):
    """The second has looked already, and found nothing."""
    mark.write_text(str(uuid4()))
    seen = iter([None, None])
    read = store._mark
    monkeypatch.setattr(store, "_mark", lambda: next(seen, read()))
    store.check()
    assert belong_together(mark)


def test_without_hard_links_it_is_written_too(mark, monkeypatch):
    def refuse(*_):
        raise PermissionError

    monkeypatch.setattr(store.os, "link", refuse)
    store.check()
    assert belong_together(mark)


def test_an_earlier_version_is_taken_over_where_the_database_knows_a_folder(mark):
    storage.make_folder(DatasetFactory().folder)
    storage.make_folder(f"models/{uuid4()}")
    store.check()
    assert belong_together(mark)


def test_a_new_database_beside_old_files_is_refused(mark):
    storage.make_folder(f"datasets/{uuid4()}")
    with pytest.raises(StorageUnavailable, match="belong to another database"):
        store.check()
    assert not mark.exists()
    assert not Store.objects.exists()


def test_files_that_say_they_are_anothers_are_refused_whatever_the_database_knows(mark):
    storage.make_folder(DatasetFactory().folder)
    store.check()
    mark.write_text(str(uuid4()))
    with pytest.raises(StorageUnavailable, match="belong to another database"):
        store.check()


@pytest.mark.parametrize("is_marked", [True, False])
def test_a_file_system_that_is_not_mounted_is_refused(mark, is_marked):
    DatasetFactory()
    if is_marked:
        Store.objects.create()
    with pytest.raises(StorageUnavailable, match="not mounted"):
        store.check()
    assert not mark.exists()


def test_a_service_that_never_had_any_files_may_begin_another_folder(mark):
    row = Store.objects.create()
    with pytest.raises(StorageUnavailable, match="not mounted"):
        store.check()
    serve._check_files()
    assert mark.read_text().strip() == str(row)
    store.check()


def test_a_service_that_had_files_does_not_start_in_an_empty_folder(mark):
    Store.objects.create()
    DatasetFactory()
    with pytest.raises(StorageUnavailable, match="not mounted"):
        serve._check_files()
    assert not mark.exists()


def test_a_start_tells_of_files_that_can_not_be_read(mark):
    mark.mkdir()
    with pytest.raises(UserError, match=r"can't be read or written: Is a directory\. Set AUTOML_FILES"):
        serve._check_files()


def test_a_mark_that_is_lost_is_written_again_where_the_folders_are_known(mark):
    storage.make_folder(DatasetFactory().folder)
    store.check()
    mark.unlink()
    store.check()
    assert belong_together(mark)


def test_a_mark_that_can_not_be_read_is_told(mark):
    mark.write_text("")
    with pytest.raises(StorageUnavailable, match="holds no identifier"):
        store.check()


def test_that_a_mark_can_not_be_read_is_in_the_log(mark):
    mark.write_text("")
    with capture_logs() as lines:
        assert not store.is_ours()
    assert [line["event"] for line in lines] == ["files_without_identifier"]


@pytest.mark.usefixtures("seat")
def test_where_the_files_are_not_nobody_takes_anything_up(mark):
    Store.objects.create()
    trial = TrialFactory(state="waiting")
    dataset = DatasetFactory(state="profiling")

    assert not evaluate_trial("evaluate@here")
    assert not leases.claim(Dataset.objects.filter(id=dataset.id))

    trial.refresh_from_db()
    dataset.refresh_from_db()
    assert (trial.state, trial.attempt, dataset.attempt) == ("waiting", 0, 0)


def test_where_the_files_are_not_the_storage_is_not_ready(mark):
    Store.objects.create()
    assert "not mounted" in health.readiness()["storage"]


def test_a_database_that_is_away_is_no_fault_of_the_storage(monkeypatch):
    def away():
        raise OperationalError("server closed the connection unexpectedly")

    monkeypatch.setattr(store, "check", away)
    assert health.readiness()["storage"] == "ok"
