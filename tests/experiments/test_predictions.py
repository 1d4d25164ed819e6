from __future__ import annotations

import hashlib
import re
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.utils import timezone

from automl.core import storage
from automl.core.errors import Conflict, InvalidInput, QuotaExceeded, TooLarge
from automl.core.holdings import Holding
from automl.engine.errors import UserError
from automl.engine.inference import InputError, Uncertainty
from automl.experiments.models import Prediction
from automl.experiments.services.diagnoses import reap_diagnoses, request_diagnosis
from automl.experiments.services.leftovers import remove_leftovers
from automl.experiments.services.lifecycle import delete_experiment, purge_experiments
from automl.experiments.services.predictions import (
    cancel_prediction,
    delete_prediction,
    form_of,
    predict_file,
    purge_predictions,
    reap_predictions,
    request_prediction,
)
from automl.experiments.services.sweep import clean_up, take_over
from tests.factories import DatasetFactory, ExperimentFactory, TrainedModelFactory, TrialFactory
from tests.seats import outcome

pytestmark = pytest.mark.django_db

BUNDLE = b"a bundle"
RESULT = {
    "rows": 3,
    "seconds": 0.5,
    "files": {form: {"size": 9, "sha256": "ab" * 32} for form in ("csv", "parquet")},
}


@pytest.fixture
def model():
    model = TrainedModelFactory(sha256=hashlib.sha256(BUNDLE).hexdigest())
    storage.make_folder(f"models/{model.id}")
    storage.path_of(model.bundle).write_bytes(BUNDLE)
    return model


@pytest.fixture
def predicting(seat):
    """The seat, whose predictions end well."""
    seat.answers["predict"] = outcome(result=RESULT)
    return seat


def table(content: bytes = b"age\n39\n40\n41\n", name: str = "new rows.csv") -> SimpleUploadedFile:
    return SimpleUploadedFile(name, content)


def asked(model, **file) -> Prediction:
    return request_prediction(model, owner=model.experiment.owner, file=table(**file))


def test_a_file_is_predicted_and_its_result_is_kept(
    model, predicting, sent, django_capture_on_commit_callbacks
):
    with django_capture_on_commit_callbacks(execute=True):
        prediction = asked(model)
    assert sent == [("predict", prediction.id)]
    predict_file(prediction.id)
    predict_file(prediction.id)

    prediction.refresh_from_db()
    assert (prediction.state, prediction.rows, prediction.share) == ("complete", 3, 1.0)
    assert prediction.rows_per_second == 6.0
    assert prediction.finished_at is not None
    ((job, args),) = predicting.calls
    assert job == "predict"
    assert args["source"].endswith("/input.csv")
    assert storage.path_of(prediction.source).read_bytes() == b"age\n39\n40\n41\n"
    assert args["out"] == str(storage.path_of(prediction.results))


def test_a_level_goes_with_the_file_to_its_worker(model, predicting):
    model.metrics = {"uncertainty": {"kind": "intervals", "levels": [{"level": 0.8}, {"level": 0.9}]}}
    for level in (0.9, None):
        prediction = request_prediction(model, owner=model.experiment.owner, file=table(), level=level)
        predict_file(prediction.id)
    assert [args["level"] for _, args in predicting.calls] == [0.9, None]


@pytest.mark.parametrize("levels", [[0.8, 0.9], []])
def test_a_level_that_a_model_lacks_is_refused_in_the_words_of_the_model(model, levels):
    model.metrics = {"uncertainty": {"kind": "sets", "levels": [{"level": level} for level in levels]}}
    known = {"kind": "sets", "levels": [{"level": level} for level in levels]}
    with pytest.raises(InputError) as said:
        Uncertainty(known).sets(np.zeros((1, 2)), 0.5)
    with pytest.raises(UserError, match=f"^{re.escape(str(said.value))}$"):
        request_prediction(model, owner=model.experiment.owner, file=table(), level=0.5)
    model.metrics = {}
    with pytest.raises(UserError, match="packaged without intervals and sets"):
        request_prediction(model, owner=model.experiment.owner, file=table(), level=0.5)
    assert not Prediction.objects.exists()


@pytest.mark.parametrize(
    ("content", "form"), [(b"age\n1\n", "csv"), (b"\x1f\x8b\x08\x00", "csv.gz"), (b"PAR1....", "parquet")]
)
def test_the_first_bytes_say_how_a_file_is_read_whatever_its_name(content, form):
    assert form_of(table(content, name="rows.txt")) == form


def test_a_spreadsheet_and_an_empty_file_are_refused_in_words(model, sent):
    with pytest.raises(InvalidInput, match="Save it as CSV or Parquet"):
        asked(model, content=b"PK\x03\x04rest", name="rows.xlsx")
    with pytest.raises(InvalidInput, match="The file is empty"):
        asked(model, content=b"")
    assert not Prediction.objects.exists()


def test_limits_of_size_number_and_room_hold(model, settings, sent):
    settings.MAX_UPLOAD_BYTES = 8
    with pytest.raises(TooLarge, match="send it in parts"):
        asked(model)
    settings.MAX_UPLOAD_BYTES = 2**20
    settings.MAX_ACTIVE_PREDICTIONS = 1
    asked(model)
    with pytest.raises(QuotaExceeded, match="the most allowed"):
        asked(model)
    settings.MAX_ACTIVE_PREDICTIONS = 9
    DatasetFactory(owner=model.experiment.owner, bytes=10_000)
    settings.MAX_DATASET_BYTES = 12_000
    with pytest.raises(QuotaExceeded, match="Delete one first"):
        asked(model, content=b"age\n" + b"1\n" * 1000)


def test_a_model_that_is_not_ready_predicts_no_file(model):
    model.state = "packaging"
    with pytest.raises(Conflict, match="is packaging"):
        asked(model)


def test_progress_is_written_while_it_goes_on(model, seat):
    prediction = asked(model)
    seen = []

    def report(on_report, **_):
        on_report({"rows": 50_000, "share": 0.25, "seconds": 2.0})
        found = Prediction.objects.get(id=prediction.id)
        seen.append((found.state, found.rows, found.share, found.rows_per_second, found.version))
        return outcome(result=RESULT)

    seat.answers["predict"] = report
    predict_file(prediction.id)
    assert seen == [("running", 50_000, 0.25, 25_000.0, 1)]


def test_a_cancelled_prediction_stops_and_leaves_no_result(model, seat):
    prediction = asked(model)

    def cancelled(args, on_tick, on_report, **_):
        assert cancel_prediction(prediction)
        on_report({"rows": 1, "share": 0.5, "seconds": 1.0})
        return outcome("cancelled", error="Cancelled.") if not _beat(on_tick) else outcome(result=RESULT)

    seat.answers["predict"] = cancelled
    predict_file(prediction.id)
    prediction.refresh_from_db()
    assert (prediction.state, prediction.rows, prediction.files) == ("cancelled", 0, {})
    assert not storage.path_of(prediction.results).exists()
    assert not cancel_prediction(prediction)


def _beat(on_tick) -> bool:
    """As after a second: a heartbeat asks its row."""
    on_tick._beat_at -= 10
    return on_tick(1.0)


def test_what_a_late_worker_found_is_void(model, seat):
    prediction = asked(model)

    def overtaken(**_):
        Prediction.objects.filter(id=prediction.id).update(attempt=2)
        return outcome(result=RESULT)

    seat.answers["predict"] = overtaken
    predict_file(prediction.id)
    prediction.refresh_from_db()
    assert (prediction.state, prediction.files) == ("running", {})


def test_a_failure_is_told_in_its_own_words(model, seat):
    prediction = asked(model)
    seat.answers["predict"] = outcome("error", error="The table lacks 1 of the 2 columns: 'city'.")
    predict_file(prediction.id)
    prediction.refresh_from_db()
    assert (prediction.state, prediction.error) == (
        "failed",
        "The table lacks 1 of the 2 columns: 'city'.",
    )
    assert not storage.path_of(prediction.results).exists()


def test_a_damaged_model_predicts_nothing(model, seat):
    prediction = asked(model)
    storage.path_of(model.bundle).write_bytes(b"another bundle")
    predict_file(prediction.id)
    prediction.refresh_from_db()
    assert prediction.state == "failed"
    assert "damaged" in prediction.error
    assert seat.calls == []


def test_a_killed_worker_is_followed_by_another_and_the_third_is_the_last(model, seat, sent):
    prediction = asked(model)
    for losses in (1, 2):
        seat.answers["predict"] = replace(outcome("crashed", error="Killed."), lost=True)
        predict_file(prediction.id)
        prediction.refresh_from_db()
        assert (prediction.losses, prediction.lease_expires_at) == (losses, None)
        assert ("predict", prediction.id) in sent
    assert not storage.path_of(f"{prediction.folder}/1").exists()
    Prediction.objects.update(lease_expires_at=timezone.now() - timedelta(seconds=1))
    reap_predictions()
    prediction.refresh_from_db()
    assert prediction.state == "failed"
    assert "cut off 3 times" in prediction.error


def test_what_a_dead_process_held_is_taken_back_and_sent_again(model, sent):
    prediction = asked(model)
    Prediction.objects.update(
        state="running", attempt=1, lease_expires_at=timezone.now() + timedelta(seconds=15)
    )
    take_over([Holding("experiments.prediction", prediction.id, 1)])
    prediction.refresh_from_db()
    assert (prediction.losses, prediction.lease_expires_at) == (1, None)
    assert ("predict", prediction.id) in sent


def test_searches_keep_a_process_for_their_own_short_work(model, predicting, sent):
    diagnosis = request_diagnosis(TrialFactory())
    type(diagnosis).objects.update(attempt=1, lease_expires_at=timezone.now() + timedelta(seconds=10))
    prediction = asked(model)
    predict_file(prediction.id)
    assert predicting.calls == []
    type(diagnosis).objects.update(lease_expires_at=None, state="ready")
    predict_file(prediction.id)
    assert len(predicting.calls) == 1


def test_whoever_ends_wakes_who_waits_and_so_does_the_sweep(model, predicting, sent):
    first, second = asked(model), asked(model)
    reap_diagnoses()
    assert sent == [("predict", first.id)]
    sent.clear()
    predict_file(first.id)
    assert sent == [("predict", second.id)]


def test_deleting_removes_row_and_files(model, predicting):
    prediction = asked(model)
    predict_file(prediction.id)
    delete_prediction(prediction)
    assert not Prediction.objects.exists()
    assert not storage.path_of(prediction.folder).exists()


def test_predictions_go_with_their_experiment(model, predicting, settings, sent):
    settings.LEASE_SECONDS = 0
    prediction = asked(model)
    model.experiment.state = "complete"
    model.experiment.save()
    delete_experiment(model.experiment)
    predict_file(prediction.id)
    assert predicting.calls == []
    purge_experiments()
    assert not Prediction.objects.exists()
    assert not storage.path_of(f"models/{model.id}").exists()


def test_predictions_are_kept_for_a_week_and_then_removed(model, predicting):
    prediction, younger = asked(model), asked(model)
    for each in (prediction, younger):
        predict_file(each.id)
    week = timedelta(days=7, seconds=1)
    Prediction.objects.filter(id=prediction.id).update(finished_at=timezone.now() - week)
    purge_predictions()
    assert list(Prediction.objects.all()) == [younger]
    assert not storage.path_of(prediction.folder).exists()
    assert storage.path_of(younger.source).exists()


def test_the_clean_up_looks_after_them(model, predicting):
    prediction = asked(model)
    predict_file(prediction.id)
    Prediction.objects.update(finished_at=timezone.now() - timedelta(days=30))
    clean_up()
    assert not Prediction.objects.exists()


def test_files_of_an_upload_that_was_killed_are_left_to_nobody(model, monkeypatch):
    monkeypatch.setattr("automl.experiments.services.leftovers.is_old", lambda path, seconds: True)
    prediction = asked(model)
    lost = storage.make_folder(f"models/{model.id}/predictions/00000000-0000-4000-8000-000000000000")
    remove_leftovers()
    assert not lost.exists()
    assert storage.path_of(prediction.source).exists()


def test_another_experiment_is_not_asked_for_room(model):
    ExperimentFactory()
    assert asked(model).bytes == len(b"age\n39\n40\n41\n")
