"""What somebody does in a browser who tries a model, and has a file predicted."""

from __future__ import annotations

import pytest
from django.urls import reverse
from playwright.sync_api import Page, expect

from automl.experiments.models import Prediction, TrainedModel
from tests.e2e.test_browser import experiment_of, model_of
from tests.factories import COLUMNS
from tests.pages.test_predicting import DATES, SCHEMA

pytestmark = [pytest.mark.e2e, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def model(alice):
    experiment = experiment_of(alice, state="complete")
    experiment.dataset.columns = [*COLUMNS, DATES]
    experiment.dataset.save()
    model = model_of(experiment.trials.filter(state="complete").first())
    model.schema = SCHEMA
    levels = [{"level": level, "rows": 500, "coverage": level, "mean_size": 1.2} for level in (0.8, 0.9)]
    model.metrics = {**model.metrics, "uncertainty": {"kind": "sets", "levels": levels}}
    model.save()
    return model


@pytest.fixture
def says(monkeypatch):
    """The model: the older, the richer; Rome helps."""

    def predict(model, rows, level=None):
        high = [min((row["age"] or 0) / 100 + 0.2 * (row["city"] == "Rome"), 1) for row in rows]
        return {
            "predictions": ["high" if p > 0.5 else "low" for p in high],
            "classes": ["high", "low"],
            "probabilities": [[p, 1 - p] for p in high],
        }

    monkeypatch.setattr("automl.experiments.serving.predict_rows", predict)


def test_the_answer_follows_what_is_entered_and_nothing_moves(signed_in, model, says, picture):
    page: Page = signed_in
    page.goto(reverse("pages:model", args=[model.id]))
    expect(page.locator("#try-answer strong")).to_have_text("low")
    room = page.locator("#tried").bounding_box()
    page.get_by_label("age").fill("75")
    expect(page.locator("#try-answer strong")).to_have_text("high")
    page.get_by_label("city").select_option("Rome")
    expect(page.locator(".effects tbody tr").first).to_contain_text("+35")
    expect(page.locator(".effects tbody tr").nth(1)).to_contain_text("+20")
    after = page.locator("#tried").bounding_box()
    assert room is not None and after is not None
    assert abs(room["height"] - after["height"]) < 2
    expect(page.get_by_label("age")).to_have_value("75")
    picture(page, "model-tried")


def test_a_file_is_sent_followed_and_its_result_is_there(signed_in, model, tmp_path, picture):
    table = tmp_path / "new rows.csv"
    table.write_text("age,city\n39,Rome\n")
    page: Page = signed_in
    page.goto(reverse("pages:model", args=[model.id]))
    page.get_by_label("Choose a file").set_input_files(table)
    page.get_by_label("How sure", exact=True).select_option("90 % sets")
    page.get_by_role("button", name="Predict the file").click()
    line = page.locator(".predicted li")
    expect(line).to_contain_text("waits for a worker; with 90 % sets")
    Prediction.objects.update(state="running", rows=41_312, seconds=1.0, share=0.5, version=1)
    expect(line).to_contain_text("41,312 rows, 41,300 a second")
    expect(line.get_by_role("progressbar")).to_have_attribute("value", "50")
    picture(page, "model-predicting")
    files = {form: {"size": 2048, "sha256": "ab" * 32} for form in ("csv", "parquet")}
    Prediction.objects.update(state="complete", rows=80_000, files=files, version=2)
    expect(page.get_by_role("link", name="Download CSV")).to_be_visible()
    line.get_by_role("button", name="Remove").click()
    expect(page.get_by_text("No file was predicted yet.")).to_be_visible()


def test_a_bundle_that_is_written_anew_is_shown_and_what_was_entered_stays(signed_in, model, says, picture):
    TrainedModel.objects.update(graph_due=True, sha256="ab" * 32)
    page: Page = signed_in
    page.goto(reverse("pages:model", args=[model.id]))
    page.get_by_label("age").fill("75")
    told = page.get_by_text("Its ONNX graph")
    expect(told).to_be_visible()
    picture(page, "model-graph-due")
    TrainedModel.objects.update(graph_due=False, sha256="cd" * 32, version=1)
    expect(told).to_be_hidden()
    expect(page.get_by_text("cd" * 32)).to_be_visible()
    expect(page.get_by_label("age")).to_have_value("75")


def test_the_form_that_comes_with_the_packaged_model_takes_one_file_and_tells_it(signed_in, model, says):
    TrainedModel.objects.update(state="packaging")
    page: Page = signed_in
    page.goto(reverse("pages:model", args=[model.id]))
    expect(page.get_by_text("is being packaged")).to_be_visible()
    TrainedModel.objects.update(state="ready", version=1)
    expect(page.get_by_label("Choose a file")).to_be_attached()
    drop_files(page, "new.csv", "other.csv")
    expect(page.locator("#upload-error")).to_have_text("Those were 2 files. Drop one at a time.")
    expect(page.locator("#chosen")).to_contain_text("Choose a file")
    drop_files(page, "new.csv")
    expect(page.locator("#chosen")).to_have_text("new.csv, 1 kB")
    expect(page.locator("#upload-error")).to_be_hidden()


def test_who_comes_back_after_sending_may_send_again(signed_in, model, says):
    page: Page = signed_in
    page.goto(reverse("pages:model", args=[model.id]))
    page.route("**/predict/", lambda route: None)  # on its way for ever
    drop_files(page, "new.csv")
    button = page.get_by_role("button", name="Predict the file")
    button.click()
    expect(page.locator("#sending")).to_be_visible()
    expect(button).to_be_disabled()
    page.evaluate("dispatchEvent(new PageTransitionEvent('pageshow', { persisted: true }))")
    expect(page.locator("#sending")).to_be_hidden()
    expect(button).to_be_enabled()


def drop_files(page: Page, *names: str) -> None:
    held = page.evaluate_handle(
        "(names) => names.reduce((held, name) => (held.items.add(new File(['a'], name)), held),"
        " new DataTransfer())",
        list(names),
    )
    page.dispatch_event("#drop", "drop", {"dataTransfer": held})
