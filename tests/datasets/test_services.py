import hashlib
from datetime import timedelta

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.utils import timezone

from automl.core import storage
from automl.core.errors import Conflict, InvalidInput, QuotaExceeded, TooLarge
from automl.datasets import services
from automl.datasets.models import Dataset
from automl.engine.errors import UserError
from tests.factories import DatasetFactory, ExperimentFactory
from tests.seats import outcome

pytestmark = pytest.mark.django_db
TEXT = b"age,income\n1,2\n"


def upload(content=TEXT, name="people.csv"):
    return SimpleUploadedFile(name, content)


def test_an_upload_is_kept_with_its_checksum_and_profiled_on_commit(
    alice, sent, django_capture_on_commit_callbacks
):
    with django_capture_on_commit_callbacks(execute=True):
        dataset = services.create_dataset(owner=alice, file=upload())

    assert (dataset.name, dataset.state, dataset.bytes) == ("people.csv", "profiling", len(TEXT))
    assert dataset.sha256 == hashlib.sha256(TEXT).hexdigest()
    assert (storage.path_of(dataset.folder) / "original").read_bytes() == TEXT
    assert sent == [("profile", dataset.id)]


def test_an_empty_file_is_refused(alice):
    with pytest.raises(UserError, match=r"'people\.csv' is empty"):
        services.create_dataset(owner=alice, file=upload(b""))


def test_a_file_over_the_limit_is_refused_and_leaves_nothing(alice, settings, private_files):
    settings.MAX_UPLOAD_BYTES = 10

    with pytest.raises(TooLarge, match="the limit is"):
        services.create_dataset(owner=alice, file=upload())

    assert not Dataset.objects.exists()
    assert not (private_files / "datasets").exists()


def test_a_user_may_store_only_so_much(alice, settings):
    DatasetFactory(owner=alice, bytes=1000)
    settings.MAX_DATASET_BYTES = 1010

    with pytest.raises(QuotaExceeded, match="Delete one first"):
        services.create_dataset(owner=alice, file=upload())


def test_a_name_with_a_path_cannot_leave_the_folder(alice):
    dataset = services.create_dataset(owner=alice, file=upload(name="..\\..\\etc/passwd"))

    assert dataset.filename == "passwd"


def test_profiling_makes_a_dataset_ready(seat):
    dataset = DatasetFactory(state="profiling")

    services.profile_dataset(dataset.id)

    dataset.refresh_from_db()
    assert (dataset.state, dataset.rows, dataset.suggested_target) == ("ready", 100, "age")
    assert dataset.columns[0]["name"] == "age"
    assert dataset.version > 0


def test_what_cannot_be_read_fails_with_the_reason(seat):
    dataset = DatasetFactory(state="profiling")
    seat.answers["profile"] = outcome("error", error="Line 3: the quote opened here is never closed.")

    services.profile_dataset(dataset.id)

    dataset.refresh_from_db()
    assert (dataset.state, dataset.error) == ("failed", "Line 3: the quote opened here is never closed.")


def test_a_message_delivered_twice_profiles_once(seat):
    dataset = DatasetFactory(state="profiling")

    services.profile_dataset(dataset.id)
    services.profile_dataset(dataset.id)

    assert len(seat.calls) == 1


def test_profiling_that_lost_its_worker_is_done_again_and_given_up_at_last(sent):
    past = timezone.now() - timedelta(seconds=1)
    again = DatasetFactory(state="profiling", attempt=1, lease_expires_at=past)
    given_up = DatasetFactory(state="profiling", attempt=3, losses=2, lease_expires_at=past)
    DatasetFactory(state="profiling", attempt=1, lease_expires_at=timezone.now() + timedelta(seconds=9))

    services.reap_datasets()

    given_up.refresh_from_db()
    assert sent == [("profile", again.id)]
    assert given_up.state == "failed"
    assert "cut off 3 times" in given_up.error


def test_kinds_can_be_corrected():
    dataset = DatasetFactory()

    services.correct_kinds(dataset, {"age": "categorical"})

    dataset.refresh_from_db()
    assert {column["name"]: column["kind"] for column in dataset.columns}["age"] == "categorical"
    assert dataset.version == 1


def test_days_as_whole_numbers_may_be_made_numbers_and_days_again():
    day = {"name": "day", "kind": "datetime", "dtype": "int64", "datetime_format": "%Y%m%d"}
    dataset = DatasetFactory(columns=[day])

    for kind in ("numeric", "datetime"):
        dataset = services.correct_kinds(dataset, {"day": kind})
        assert dataset.columns[0]["kind"] == kind


def test_corrections_and_a_new_name_at_once_are_all_kept():
    dataset = DatasetFactory()
    first, second, third = (Dataset.objects.get(id=dataset.id) for _ in range(3))

    services.correct_kinds(first, {"age": "categorical"})
    services.correct_kinds(second, {"city": "text"})
    third = services.rename_dataset(third, "People")

    kinds = {column["name"]: column["kind"] for column in third.columns}
    assert (kinds["age"], kinds["city"]) == ("categorical", "text")
    assert (third.name, third.version) == ("People", 3)


@pytest.mark.parametrize(
    ("kinds", "words"),
    [
        ({"nose": "numeric"}, "There is no column 'nose'"),
        ({"age": "colour"}, "'colour' is no kind of column"),
        ({"city": "numeric"}, "can't be numeric"),
        ({"city": "datetime"}, "can't be datetime"),
    ],
)
def test_a_kind_that_cannot_be_is_refused_by_column(kinds, words):
    dataset = DatasetFactory()

    with pytest.raises(InvalidInput) as caught:
        services.correct_kinds(dataset, kinds)

    assert words in caught.value.fields[next(iter(kinds))]
    dataset.refresh_from_db()
    assert dataset.version == 0


def test_kinds_need_a_dataset_that_is_ready():
    with pytest.raises(Conflict):
        services.correct_kinds(DatasetFactory(state="profiling"), {"age": "numeric"})


def test_a_deleted_dataset_is_removed_once_nothing_points_at_it():
    used, free = DatasetFactory(), DatasetFactory()
    ExperimentFactory(dataset=used)
    folder = storage.make_folder(free.folder)

    for dataset in (used, free):
        services.delete_dataset(dataset)
    services.purge_datasets(in_use=Dataset.objects.none())

    assert list(Dataset.objects.all()) == [used]
    assert not folder.exists()
