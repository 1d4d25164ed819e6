from __future__ import annotations

import hashlib
import io
import re
import zipfile

import pytest
from django.urls import reverse

from automl.core import storage
from automl.experiments.models import TrainedModel
from tests.factories import ExperimentFactory, TrialFactory

BUNDLE = bytes(range(256)) * 16


def test_a_trial_shows_what_was_tried_and_what_was_found(browser_client, world):
    page = browser_client.get(reverse("pages:trial", args=[world.trial.id])).content.decode()
    before, after = page.split("Found by training")
    for text in ("Set before training", "learning rate", "0.05", "in its range"):
        assert text in before.lower() or text in before
    for text in ("Feature importance", "age", "70 %", "Learning curve", "Kept at 3 rounds"):
        assert text in after
    assert page.count('<polyline class="line main"') == 2  # one for each width


def test_a_trial_and_its_opened_row_say_why_it_was_tried(browser_client, alice):
    trial = TrialFactory(experiment=ExperimentFactory(owner=alice), reason="A small step.")
    page = browser_client.get(reverse("pages:trial", args=[trial.id])).content.decode()
    assert "Why this one: A small step." in page
    address = reverse("pages:experiment", args=[trial.experiment_id])
    assert "A small step." in browser_client.get(address, {"open": str(trial.id)}).content.decode()
    assert "A small step." not in browser_client.get(address).content.decode()


def test_a_stacked_trial_says_what_it_has_learned_from(browser_client, alice):
    experiment = ExperimentFactory(owner=alice)
    learned = {"epochs": 7, "layers": [[12, 64], [64, 1]], "based_on": ["CatBoost #4", "LightGBM #12"]}
    trial = TrialFactory(experiment=experiment, family="stacked_network", hyperparameters={}, learned=learned)

    page = browser_client.get(reverse("pages:trial", args=[trial.id])).content.decode()

    assert "from the columns and from what CatBoost #4, LightGBM #12 predict, fold by fold" in page
    assert "Based on" not in page and "12 \N{MULTIPLICATION SIGN} 64" in page


def test_folds_are_shown_in_the_metrics_own_unit(browser_client, alice):
    experiment = ExperimentFactory(owner=alice, task_type="regression", metric="rmse")
    trial = TrialFactory(experiment=experiment, score=-2.5, value=2.5, fold_scores=[-2.4, -2.6])
    answer = browser_client.get(reverse("pages:trial", args=[trial.id]))
    assert answer.context["folds"] == [2.4, 2.6]


def test_a_failed_trial_says_why(browser_client, world):
    page = browser_client.get(reverse("pages:trial", args=[world.failed.id])).content.decode()
    assert world.failed.error in page
    assert "Make a model of it" not in page


def test_a_model_is_made_of_a_trial_once(browser_client, alice, sent, django_capture_on_commit_callbacks):
    trial = TrialFactory(experiment=ExperimentFactory(owner=alice))
    address = reverse("pages:package_trial", args=[trial.id])
    with django_capture_on_commit_callbacks(execute=True):
        first = browser_client.post(address)
        again = browser_client.post(address)
    model = TrainedModel.objects.get()
    assert first.headers["Location"] == again.headers["Location"] == reverse("pages:model", args=[model.id])
    assert sent == [("package", model.id)]


def test_only_a_complete_trial_becomes_a_model(browser_client, world):
    answer = browser_client.post(reverse("pages:package_trial", args=[world.failed.id]))
    assert answer.status_code == 409
    assert b"only a complete one" in answer.content


def test_a_model_says_how_to_use_it(browser_client, world):
    page = browser_client.get(reverse("pages:model", args=[world.model.id])).content.decode()
    for text in (
        "pip install -r requirements.txt",
        "python predict.py",
        "/predict/",
        world.model.sha256,
        "ROC AUC",
    ):
        assert text in page


@pytest.mark.parametrize(
    ("factors", "told"),
    [
        ([1.0, 11.0], "A row is called “yes” from a probability of 0.0833 on, where"),
        ([1.0, 3.0, 9.0], "is called the class whose probability, times a factor of the class, is largest"),
    ],
)
def test_a_model_says_what_it_calls_a_row_where_that_is_not_the_likeliest_class(
    browser_client, world, factors, told
):
    address = reverse("pages:model", args=[world.model.id])
    assert "A row is called" not in browser_client.get(address).text
    world.model.schema |= {"classes": ["no", "yes", "perhaps"][: len(factors)], "label_factors": factors}
    world.model.save()
    assert told in browser_client.get(address).text


def test_a_model_shows_its_score_on_the_test_dataset_too(browser_client, world):
    measured = {"value": 0.81234, "low": 0.8, "high": 0.82}
    world.model.metrics = {
        "metric": "roc_auc",
        "higher_is_better": True,
        "validation": {"roc_auc": {**measured, "value": 0.93456}, "accuracy": measured},
        "test": {"roc_auc": {**measured, "value": 0.92345}},
        "test_note": "2 of the 9 rows are left out.",
    }
    world.model.save()
    answer = browser_client.get(reverse("pages:model", args=[world.model.id]))
    assert [row["label"] for row in answer.context["metrics"]] == ["ROC AUC", "Accuracy"]
    page = answer.content.decode()
    for text in ("Test dataset", "0.9346", "0.9234", "0.8123", "2 of the 9 rows are left out."):
        assert text in page


def download(client, model, **headers):
    return client.get(reverse("pages:download_model", args=[model.id]), headers=headers)


def test_the_owner_downloads_the_bundle(browser_client, world):
    answer = download(browser_client, world.model)
    assert answer.status_code == 200
    assert b"".join(answer.streaming_content) == BUNDLE
    assert answer.headers["ETag"] == f'"{world.model.sha256}"'
    assert answer.headers["Content-Disposition"].startswith('attachment; filename="experiment-')


def test_a_broken_download_is_continued(browser_client, world):
    answer = download(browser_client, world.model, Range="bytes=4000-")
    assert answer.status_code == 206
    assert b"".join(answer.streaming_content) == BUNDLE[4000:]
    assert download(browser_client, world.model, Range="bytes=9999-").status_code == 416


def test_nobody_else_downloads_it(client, charlies, world):
    assert download(charlies, world.model).status_code == 404
    assert download(client, world.model).status_code == 302


def test_a_model_that_is_not_there_can_not_be_downloaded(browser_client, world):
    storage.path_of(world.model.bundle).unlink()
    assert download(browser_client, world.model).status_code == 503
    world.model.state = "packaging"
    world.model.save()
    assert download(browser_client, world.model).status_code == 409


def test_a_graph_that_is_still_written_is_told_and_polled_for(browser_client, world):
    TrainedModel.objects.filter(id=world.model.id).update(graph_due=True)
    address = reverse("pages:bundle", args=[world.model.id])
    shown = browser_client.get(reverse("pages:model", args=[world.model.id])).content.decode()
    assert "Its ONNX graph" in shown
    assert f'hx-get="{address}"' in shown
    stamp = re.search(r'name="version" value="([^"]+)"', shown)[1]
    assert browser_client.get(address, {"version": stamp}).status_code == 204

    TrainedModel.objects.filter(id=world.model.id).update(graph_due=False, sha256="cd" * 32)
    ended = browser_client.get(address, {"version": stamp})
    assert ended.status_code == 286
    assert "Its ONNX graph" not in ended.content.decode()
    assert "cd" * 32 in ended.content.decode()


def with_card(model):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("model_card.html", "<!doctype html><title>Card of people</title>")
    storage.path_of(model.bundle).write_bytes(packed.getvalue())
    model.files = [{"name": "model_card.html", "size": 10, "sha256": "ab" * 32}]
    model.sha256 = hashlib.sha256(packed.getvalue()).hexdigest()
    model.save()
    return reverse("pages:model_card", args=[model.id])


def test_the_card_of_a_model_is_shown_and_can_do_nothing(browser_client, world):
    address = with_card(world.model)

    assert address in browser_client.get(reverse("pages:model", args=[world.model.id])).content.decode()
    answer = browser_client.get(address)
    assert b"Card of people" in answer.content
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert policy.endswith("sandbox")


def test_nobody_else_reads_the_card(client, charlies, world):
    address = with_card(world.model)

    assert charlies.get(address).status_code == 404
    assert client.get(address).status_code == 302


def test_a_model_without_a_card_has_no_link_to_one(browser_client, world):
    address = reverse("pages:model_card", args=[world.model.id])

    assert address not in browser_client.get(reverse("pages:model", args=[world.model.id])).content.decode()
    assert browser_client.get(address).status_code == 404


def test_the_card_of_a_bundle_that_is_damaged_is_not_shown(browser_client, world):
    address = with_card(world.model)
    with storage.path_of(world.model.bundle).open("ab") as file:
        file.write(b"more")

    assert browser_client.get(address).status_code == 503
