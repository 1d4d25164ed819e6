from __future__ import annotations

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse

from automl.core import storage
from automl.datasets.models import Dataset
from tests.factories import COLUMNS, DatasetFactory, ExperimentFactory
from tests.pages.conftest import write_table

UPLOAD = "/datasets/upload/"


def csv(name: str = "people.csv", body: bytes = b"age,income\n39,low\n") -> SimpleUploadedFile:
    return SimpleUploadedFile(name, body, content_type="text/csv")


def test_a_plain_form_uploads_and_leads_to_the_dataset(
    browser_client, alice, sent, django_capture_on_commit_callbacks
):
    with django_capture_on_commit_callbacks(execute=True):
        answer = browser_client.post(UPLOAD, {"file": csv(), "name": ""})
    dataset = Dataset.objects.get(owner=alice)
    assert answer.headers["Location"] == reverse("pages:dataset", args=[dataset.id])
    assert dataset.name == "people.csv"
    assert (storage.path_of(dataset.folder) / "original").read_bytes() == b"age,income\n39,low\n"
    assert sent == [("profile", dataset.id)]


def test_a_script_gets_the_address_to_go_to(browser_client):
    answer = browser_client.post(
        UPLOAD, {"file": csv(), "name": "People"}, headers={"Accept": "application/json"}
    )
    assert answer.status_code == 201
    assert answer.json()["location"] == reverse("pages:dataset", args=[Dataset.objects.get(name="People").id])


@pytest.mark.parametrize(
    ("posted", "words"), [({}, "Choose a file first"), ({"file": csv(body=b"")}, "The file is empty")]
)
def test_what_is_no_upload_is_said_in_the_form(browser_client, posted, words):
    answer = browser_client.post(UPLOAD, posted)
    assert answer.status_code == 422
    assert words in answer.content.decode()
    assert not Dataset.objects.exists()


def test_an_upload_that_was_cut_off_at_the_limit_names_the_limit(browser_client, settings):
    settings.MAX_UPLOAD_BYTES = 2**20
    big = csv(body=b"x" * (3 * 2**20))
    answer = browser_client.post(UPLOAD, {"file": big})
    assert answer.status_code == 413
    page = answer.content.decode()
    assert "over the limit of 1 MB" in page
    assert "Choose a file first" not in page


def test_a_script_is_told_what_is_wrong(browser_client, settings):
    settings.MAX_DATASETS = 0
    answer = browser_client.post(UPLOAD, {"file": csv()}, headers={"Accept": "application/json"})
    assert answer.status_code == 429
    assert "the most allowed" in answer.json()["error"]


@pytest.fixture
def dataset(alice):
    dataset = DatasetFactory(owner=alice, columns=[dict(column) for column in COLUMNS])
    write_table(dataset)
    return dataset


def page_of(client, dataset) -> str:
    return client.get(reverse("pages:dataset", args=[dataset.id])).content.decode()


def test_the_page_shows_rows_kinds_and_small_histograms(browser_client, dataset):
    page = page_of(browser_client, dataset)
    assert "<td>Paris</td>" in page
    assert '<span class="missing">missing</span>' in page
    assert page.count('<svg class="histogram"') == 3
    assert '<option value="boolean" selected>' in page
    assert "likely target" in page


def test_a_dataset_whose_file_is_gone_still_has_its_page(browser_client, dataset, monkeypatch):
    def gone(*args):
        raise FileNotFoundError

    monkeypatch.setattr("automl.datasets.selectors.reading.preview", gone)
    assert "not in the storage" in page_of(browser_client, dataset)


def correct(client, dataset, **kinds):
    return client.post(reverse("pages:dataset_kinds", args=[dataset.id]), {"page": "1", **kinds})


def test_a_kind_is_corrected(browser_client, dataset):
    answer = correct(browser_client, dataset, **{"kind-0": "categorical", "kind-1": "categorical"})
    assert answer.headers["Location"].endswith("?page=1#columns")
    dataset.refresh_from_db()
    assert [column["kind"] for column in dataset.columns] == ["categorical", "categorical", "boolean"]


def test_saving_a_kind_leaves_the_others_to_whoever_corrected_them_meanwhile(browser_client, dataset):
    correct(browser_client, dataset, **{"kind-0": "categorical"})
    stale = {"shown-0": "numeric", "kind-0": "numeric", "shown-1": "categorical", "kind-1": "text"}
    correct(browser_client, dataset, **stale)
    dataset.refresh_from_db()
    assert [column["kind"] for column in dataset.columns] == ["categorical", "text", "boolean"]
    assert 'name="shown-1" value="text"' in page_of(browser_client, dataset)


def test_a_kind_that_can_not_be_is_refused_in_its_row(browser_client, dataset):
    answer = correct(browser_client, dataset, **{"kind-1": "numeric"})
    assert answer.status_code == 422
    page = answer.content.decode()
    assert 'id="kind-error-1"' in page
    assert "can&#x27;t be numeric" in page
    dataset.refresh_from_db()
    assert dataset.columns[1]["kind"] == "categorical"


def test_a_wide_table_is_shown_a_page_of_columns_at_a_time(browser_client, alice):
    columns = [{**COLUMNS[0], "name": f"c{number}"} for number in range(130)]
    dataset = DatasetFactory(owner=alice, columns=columns)
    write_table(dataset)
    assert "Page 1 of 2" in page_of(browser_client, dataset)
    second = browser_client.get(reverse("pages:dataset", args=[dataset.id]) + "?page=2").content.decode()
    assert 'name="kind-129"' in second
    assert 'name="kind-0"' not in second
    correct(browser_client, dataset, **{"kind-129": "categorical"})
    dataset.refresh_from_db()
    assert dataset.columns[129]["kind"] == "categorical"
    assert dataset.columns[0]["kind"] == "numeric"


def test_a_kind_that_is_refused_is_shown_on_its_page_of_a_wide_table(browser_client, alice):
    columns = [{**COLUMNS[1], "name": f"c{number}"} for number in range(130)]
    dataset = DatasetFactory(owner=alice, columns=columns)
    write_table(dataset)
    answer = correct(browser_client, dataset, page="2", **{"kind-128": "text", "kind-129": "numeric"})
    assert answer.status_code == 422
    entries = {entry["position"]: entry for entry in answer.context["columns"]}
    assert min(entries) == 100
    assert (entries[128]["kind"], entries[129]["kind"]) == ("text", "numeric")
    assert "can't be numeric" in entries[129]["error"]
    # The address is one that a form is sent to: a page number alone would lead nowhere.
    first = f"{reverse('pages:dataset', args=[dataset.id])}?page=1#columns"
    assert f'href="{first}" rel="prev"' in answer.content.decode()


def test_deleting_asks_first_and_takes_the_experiments_along(browser_client, dataset):
    experiment = ExperimentFactory(owner=dataset.owner, dataset=dataset)
    address = reverse("pages:delete_dataset", args=[dataset.id])
    assert b"its experiments" in browser_client.get(address).content
    assert browser_client.post(address).headers["Location"] == reverse("pages:datasets")
    assert browser_client.get(reverse("pages:dataset", args=[dataset.id])).status_code == 404
    assert browser_client.get(reverse("pages:experiment", args=[experiment.id])).status_code == 404


def test_a_file_that_could_not_be_read_says_why(browser_client, alice):
    failed = DatasetFactory(owner=alice, state="failed", error="Line 3 has 5 cells; the header has 2.")
    assert "Line 3 has 5 cells" in page_of(browser_client, failed)


def test_the_empty_list_teaches(browser_client):
    assert "Begin with your own table" in browser_client.get(reverse("pages:datasets")).content.decode()


def test_lists_come_in_pages(browser_client, alice):
    DatasetFactory.create_batch(30, owner=alice)
    address = reverse("pages:datasets")
    assert len(browser_client.get(address).context["datasets"]) == 25
    assert len(browser_client.get(address, {"page": 2}).context["datasets"]) == 5
    assert browser_client.get(address, {"page": "x"}).status_code == 200


def test_a_first_table_is_one_press_away(browser_client, alice, sent, django_capture_on_commit_callbacks):
    assert reverse("pages:sample_dataset") in browser_client.get(reverse("pages:home")).content.decode()
    with django_capture_on_commit_callbacks(execute=True):
        answer = browser_client.post(reverse("pages:sample_dataset"))
    dataset = Dataset.objects.get(owner=alice)
    assert answer.headers["Location"] == reverse("pages:dataset", args=[dataset.id])
    assert dataset.name == "wine_quality_white.csv"
    assert sent == [("profile", dataset.id)]


def test_an_installation_without_the_sample_does_not_offer_it(browser_client, monkeypatch, tmp_path):
    monkeypatch.setattr("automl.pages.datasets.SAMPLE", tmp_path / "none.csv")
    assert reverse("pages:sample_dataset") not in browser_client.get(reverse("pages:home")).content.decode()
    assert browser_client.post(reverse("pages:sample_dataset")).status_code == 404
