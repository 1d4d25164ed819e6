"""On the page of a model: trying it by hand, and files that it predicts."""

from __future__ import annotations

import copy
import hashlib

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse
from django.utils.html import strip_tags

from automl.core import storage
from automl.core.errors import Unavailable
from automl.engine.errors import UserError
from automl.experiments.models import Prediction, TrainedModel
from automl.pages import trying
from automl.pages.trained_models import trial_of
from tests.factories import COLUMNS, EnsembleFactory, PredictionFactory, TrialFactory
from tests.pages.test_markup import check

DATES = {
    "name": "joined",
    "kind": "datetime",
    "statistics": {"min": "2020-01-01T00:00:00", "max": "2020-01-31T00:00:00", "top": []},
}
SCHEMA = {
    "target": "income",
    "classes": ["high", "low"],
    "columns": [
        {"name": "age", "kind": "numeric"},
        {"name": "city", "kind": "categorical", "categories": ["Paris", "Rome", "Oslo"]},
        {"name": "joined", "kind": "datetime", "format": "%d.%m.%Y", "parts": ["days", "month"]},
        {"name": "notes", "kind": "text", "text": 0},
    ],
}


@pytest.fixture
def model(world) -> TrainedModel:
    """A model of four columns of different kinds, on a table whose profile knows them."""
    world.dataset.columns = [*copy.deepcopy(COLUMNS), DATES]
    world.dataset.save()
    world.model.schema = SCHEMA
    world.model.save()
    return world.model


@pytest.fixture
def says(monkeypatch):
    """What the model is asked, and an answer: the older, the richer; Rome helps."""
    asked = []

    def predict(model, rows, level=None):
        asked.append(rows)
        high = [min(max((row["age"] or 0) / 100 + 0.2 * (row["city"] == "Rome"), 0), 1) for row in rows]
        return {
            "predictions": ["high" if p > 0.5 else "low" for p in high],
            "classes": ["high", "low"],
            "probabilities": [[p, 1 - p] for p in high],
        }

    monkeypatch.setattr("automl.experiments.serving.predict_rows", predict)
    return asked


@pytest.fixture
def sure(model):
    """A model that has sets."""
    model.metrics = {
        **model.metrics,
        "uncertainty": {
            "kind": "sets",
            "levels": [{"level": 0.9, "rows": 500, "coverage": 0.904, "mean_size": 1.2, "empty": 0.013}],
        },
    }
    model.save()
    return model


def address_of(model, name="try_row"):
    return reverse(f"pages:{name}", args=[model.id])


def entered(**fields):
    return {"c0": "60", "c1": "Rome", "c2": "2020-01-20", "c3": "", **fields}


# --- The form -----------------------------------------------------------------------------------


def test_a_level_is_sent_with_all_its_blanks(browser_client, model, says):
    model.schema["columns"][1]["categories"] = ["Paris", "San  Marino"]
    model.save()
    page = browser_client.get(reverse("pages:model", args=[model.id])).content.decode()
    assert '<option value="San  Marino">San  Marino</option>' in page


def test_the_form_is_made_of_the_columns_and_begins_with_typical_values(browser_client, model, says):
    answer = browser_client.get(reverse("pages:model", args=[model.id]))
    check(answer)
    filled = {
        each.input.column: (each.input.kind, each.text, each.value) for each in answer.context["filled"]
    }
    assert filled == {
        "age": ("number", "40", 40),
        "city": ("choice", "Paris", "Paris"),
        "joined": ("day", "2020-01-16", "16.01.2020"),
        "notes": ("text", "", None),
    }
    page = answer.content.decode()
    assert "18 to 90 in training" in page
    assert 'type="date"' in page
    assert says == []  # the page does not wait for the model


@pytest.mark.parametrize(
    ("told", "form", "hint"),
    [({}, "choice", ""), ({"numbers": 1}, "list", "one of 2 levels, or another")],
)
def test_another_level_may_be_entered_where_numbers_in_it_are_told(told, form, hint):
    column = {"name": "power", "kind": "categorical", "categories": ["74 bhp", "88 bhp"], **told}
    found = trying._input("c0", column, {})
    assert (found.kind, found.hint, found.choices) == (form, hint, ("74 bhp", "88 bhp"))


def test_the_most_important_inputs_come_first_and_the_rest_stays_typical(model, says, monkeypatch):
    monkeypatch.setattr(trying, "MOST_INPUTS", 2)
    model.trial.learned = {"importance": [["joined: month", 0.6], ["city", 0.4]]}
    found = trial_of(model, {"c1": "Rome"})
    assert [each.input.column for each in found["filled"]] == ["joined", "city"]
    assert found["inputs_left_out"] == 2
    ((row, *_),) = says
    assert row == {"age": 40, "city": "Rome", "joined": "16.01.2020", "notes": None}


def test_one_request_tells_the_prediction_and_the_effect_of_each_input(browser_client, model, says):
    answer = browser_client.post(address_of(model), entered(c0="65"), headers={"HX-Request": "true"})
    tried = answer.context["tried"]
    ((row, typical, *changed),) = says
    assert row == {"age": 65, "city": "Rome", "joined": "20.01.2020", "notes": None}
    assert typical == {"age": 40, "city": "Paris", "joined": "16.01.2020", "notes": None}
    assert [each for each in changed if each["city"] == "Paris"] == [{**row, "city": "Paris"}]
    assert tried["label"] == "high"
    assert [(name, told) for name, _, told in tried["shares"]] == [("high", "85.0 %"), ("low", "15.0 %")]
    effects = [(each.name, each.told) for each in tried["effects"]]
    assert "in points" in answer.content.decode()
    assert effects == [
        ("age", "+25"),
        ("city", "+20"),
        ("joined", "0"),
        ("notes", "0"),
    ]
    assert not answer.content.decode().startswith("<!doctype")


@pytest.mark.parametrize(("number", "in_points"), [(0.86, True), (21_400.0, False)])
def test_what_rounding_leaves_of_equal_rows_is_no_effect(number, in_points):
    almost = number * (1 + 1e-8)
    assert trying._effect(number, almost, in_points=in_points) == 0.0
    assert trying._effect(number, number * 0.99, in_points=in_points) == pytest.approx(number / 100)


def test_effects_have_signs_and_bars_and_the_biggest_comes_first(browser_client, model, says):
    answer = browser_client.post(address_of(model), entered(c0="30"), headers={"HX-Request": "true"})
    effects = answer.context["tried"]["effects"]
    # It says "low", so what makes rich speaks against it.
    assert [(each.name, each.told) for each in effects[:2]] == [
        ("city", "\N{MINUS SIGN}20"),
        ("age", "+10"),
    ]
    assert (effects[0].bar.positive, effects[0].bar.length) == (False, effects[0].bar.width / 2)
    assert (effects[1].bar.positive, effects[1].bar.start) == (True, effects[1].bar.width / 2)


def test_without_a_script_the_whole_page_comes_with_what_was_entered(browser_client, model, says):
    answer = browser_client.post(address_of(model), entered())
    check(answer)
    assert answer.status_code == 200
    page = answer.content.decode()
    assert 'value="60"' in page
    assert ">+20<" in page


@pytest.mark.parametrize(
    ("fields", "words"),
    [({"c0": "old"}, "age: &#x27;old&#x27; is not a number"), ({"c2": "soon"}, "is not a date")],
)
def test_what_is_no_value_is_told_with_its_column(browser_client, model, says, fields, words):
    answer = browser_client.post(address_of(model), entered(**fields))
    assert answer.status_code == 422
    assert words in answer.content.decode()
    assert says == []


def test_beyond_what_training_saw_there_is_a_word_of_warning(browser_client, model, says):
    answer = browser_client.post(address_of(model), entered(c0="120"), headers={"HX-Request": "true"})
    assert answer.context["tried"]["notes"] == ["age: Training saw 18 to 90 only."]


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (Unavailable("No answer in time."), "No answer in time."),
        (UserError("A column is missing."), "A column is missing."),
        (RuntimeError("secret inside"), "could not answer. It has been logged."),
    ],
)
def test_a_model_that_can_not_answer_says_why(browser_client, model, monkeypatch, error, words):
    def refuse(model, rows, level=None):
        raise error

    monkeypatch.setattr("automl.experiments.serving.predict_rows", refuse)
    answer = browser_client.post(address_of(model), entered(), headers={"HX-Request": "true"})
    assert (answer.status_code, words in answer.content.decode()) == (200, True)
    assert "secret" not in answer.content.decode()


def test_a_number_is_predicted_without_classes(browser_client, model, monkeypatch):
    model.schema = {**SCHEMA, "classes": None}
    model.save()
    found = {"predictions": [31_500.0, 20_000.0, 30_000.0, 31_500.0, 31_500.0, 31_500.0]}
    monkeypatch.setattr("automl.experiments.serving.predict_rows", lambda model, rows, level: found)
    answer = browser_client.post(address_of(model), entered(), headers={"HX-Request": "true"})
    tried = answer.context["tried"]
    assert (tried["label"], tried["shares"], tried["effects"][0].told) == ("31,500", [], "+1,500")


def test_a_result_takes_the_same_room_before_and_after(browser_client, model, says):
    before = browser_client.get(reverse("pages:model", args=[model.id])).context["tried"]
    after = browser_client.post(address_of(model), entered()).context["tried"]
    for part in ("shares", "effects"):
        assert len(before[part]) == len(after[part]) > 1


# --- Files --------------------------------------------------------------------------------------


def test_a_file_that_is_sent_is_predicted_and_shown(
    browser_client, model, sent, django_capture_on_commit_callbacks
):
    file = SimpleUploadedFile("new.csv", b"age\n39\n")
    with django_capture_on_commit_callbacks(execute=True):
        answer = browser_client.post(address_of(model, "predict_file"), {"file": file})
    prediction = Prediction.objects.get()
    shown = reverse("pages:model", args=[model.id])
    assert answer.headers["Location"] == f"{shown}?sent={prediction.id}#predictions"
    assert sent == [("predict", prediction.id)]
    page = browser_client.get(reverse("pages:model", args=[model.id]))
    check(page)
    assert "new.csv" in page.content.decode()
    assert 'hx-trigger="every 1s"' in page.content.decode()


def test_a_file_is_sent_with_a_level_of_those_that_the_model_has(browser_client, sure):
    page = browser_client.get(reverse("pages:model", args=[sure.id]))
    check(page)
    assert '<option value="0.9">90 % sets</option>' in page.content.decode()
    for text, level in (("0.9", 0.9), ("", None)):
        file = SimpleUploadedFile("new.csv", b"age\n39\n")
        browser_client.post(address_of(sure, "predict_file"), {"file": file, "level": text})
        assert Prediction.objects.latest("created_at").level == level
    assert "with 90 % sets" in browser_client.get(page.wsgi_request.path).content.decode()


@pytest.mark.parametrize(("text", "words"), [("0.5", "it has 0.9."), ("much", "is not a number")])
def test_a_level_that_is_not_there_is_told(browser_client, sure, text, words):
    file = SimpleUploadedFile("new.csv", b"age\n39\n")
    answer = browser_client.post(address_of(sure, "predict_file"), {"file": file, "level": text})
    assert answer.status_code == 422
    assert words in answer.content.decode()
    assert not Prediction.objects.exists()


def test_a_model_without_sets_offers_no_level_for_files(browser_client, model):
    assert 'name="level"' not in browser_client.get(reverse("pages:model", args=[model.id])).content.decode()


def test_a_script_that_sends_it_is_told_where_to_go_or_what_was_wrong(browser_client, model):
    for content, status, key in ((b"age\n39\n", 201, "location"), (b"", 422, "error")):
        answer = browser_client.post(
            address_of(model, "predict_file"),
            {"file": SimpleUploadedFile("new.csv", content)},
            headers={"Accept": "application/json"},
        )
        assert (answer.status_code, list(answer.json())) == (status, [key])


def test_without_a_file_the_page_says_so(browser_client, model):
    answer = browser_client.post(address_of(model, "predict_file"))
    check(answer)
    assert answer.status_code == 422
    assert "Choose a file first." in answer.content.decode()


def test_progress_is_polled_until_all_have_ended(browser_client, model):
    prediction = PredictionFactory(model=model, state="running", rows=41_312, seconds=1.0, share=0.5)
    address = address_of(model, "predictions")
    first = browser_client.get(address)
    assert first.status_code == 200
    page = first.content.decode()
    assert "41,312 rows, 41,300 a second" in page
    assert 'value="50"' in page
    stamp = first.context["stamp"]
    assert browser_client.get(address, {"version": stamp}).status_code == 204
    Prediction.objects.filter(id=prediction.id).update(state="complete", version=2)
    assert browser_client.get(address, {"version": stamp}).status_code == 286


def test_a_result_is_downloaded_and_removed(browser_client, charlies, model):
    content = b"prediction\nlow\n"
    sealed = {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    prediction = PredictionFactory(model=model, state="complete", files={"csv": sealed, "parquet": sealed})
    (storage.make_folder(prediction.results) / "predictions.csv").write_bytes(content)
    address = reverse("pages:download_prediction", args=[prediction.id])
    assert b"".join(browser_client.get(address).streaming_content) == content
    assert charlies.get(address).status_code == 404
    browser_client.post(reverse("pages:remove_prediction", args=[prediction.id]))
    assert not Prediction.objects.exists()


def test_what_goes_on_is_cancelled_first(browser_client, model):
    prediction = PredictionFactory(model=model)
    browser_client.post(reverse("pages:remove_prediction", args=[prediction.id]))
    prediction.refresh_from_db()
    assert prediction.state == "cancelled"


# --- Packaging ----------------------------------------------------------------------------------


def test_every_line_of_the_board_shows_its_bundle_or_makes_one(browser_client, world):
    ensemble = world.experiment.ensembles.get()
    knn = TrialFactory(experiment=world.experiment, family="neighbors")
    answer = browser_client.get(reverse("pages:experiment", args=[world.experiment.id]))
    bundles = {row["id"]: row["bundle"] for row in answer.context["board"]["rows"]}
    assert bundles[str(world.trial.id)] == "ready"
    assert bundles[str(ensemble.id)] == "none"
    assert bundles[str(knn.id)] == ""
    assert world.experiment.trials.get(family="linear").number in {
        row["entry"] for row in answer.context["board"]["rows"] if row["bundle"] == "none"
    }
    made = browser_client.post(address_of(world.experiment, "package_entry"), {"entry": str(ensemble.id)})
    model = TrainedModel.objects.get(ensemble=ensemble)
    assert made.headers["Location"] == reverse("pages:model", args=[model.id])
    answer = browser_client.get(reverse("pages:experiment", args=[world.experiment.id]))
    assert "packaging" in {row["bundle"] for row in answer.context["board"]["rows"]}


def test_the_fastest_of_the_nearly_best_is_one_click(browser_client, world):
    fast = TrialFactory(experiment=world.experiment, score=0.915, predict_time=0.0001)
    answer = browser_client.post(address_of(world.experiment, "package_entry"), {"choose": "fastest"})
    model = TrainedModel.objects.get(trial=fast)
    assert answer.headers["Location"] == reverse("pages:model", args=[model.id])


def test_a_line_of_another_experiment_is_not_there(browser_client, world):
    other = EnsembleFactory()
    for entry in (str(other.id), "nothing", "", "99", "٣"):
        answer = browser_client.post(address_of(world.experiment, "package_entry"), {"entry": entry})
        assert answer.status_code == 404


# --- How sure it is -----------------------------------------------------------------------------


def test_the_page_says_how_often_sets_held_the_truth(browser_client, sure, says):
    page = browser_client.get(reverse("pages:model", args=[sure.id]))
    check(page)
    told = strip_tags(page.content.decode().replace("</t", " </t"))
    assert "90 % 90.4 % 1.20 1.3 %" in " ".join(told.split())


def test_what_was_tried_comes_with_its_set(browser_client, sure, monkeypatch):
    asked = []

    def predict(model, rows, level=None):
        asked.append(level)
        sets = [["high", "low"]] * len(rows)
        answers = {"predictions": ["high"] * len(rows), "probabilities": [[0.6, 0.4]] * len(rows)}
        return {**answers, "classes": ["high", "low"], "sets": sets}

    monkeypatch.setattr("automl.experiments.serving.predict_rows", predict)
    answer = browser_client.post(address_of(sure), entered(), headers={"HX-Request": "true"})
    assert asked == [0.9]
    assert "90 % set: high, low" in answer.content.decode()


def test_a_model_without_sets_is_not_asked_for_them(browser_client, model, says):
    answer = browser_client.post(address_of(model), entered(), headers={"HX-Request": "true"})
    assert "set:" not in answer.content.decode()
