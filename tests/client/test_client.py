"""The client against the real API on a real socket."""

from __future__ import annotations

import gzip
import hashlib

import httpx
import pytest

from automl.accounts.services import create_token
from automl.client import (
    Client,
    ConflictError,
    ConnectionFailed,
    DownloadDamaged,
    InvalidRequest,
    NotFound,
    QuotaExceeded,
    Unauthorized,
    WaitTimeout,
    WorkFailed,
)
from automl.client import transport as transport_module
from automl.client.errors import error_of
from automl.core import storage
from automl.core.models import IdempotentAnswer
from automl.datasets.models import Dataset
from automl.experiments.models import Diagnosis, Experiment, Prediction, TrainedModel
from tests.client.test_repeats import answering
from tests.factories import (
    DatasetFactory,
    EnsembleFactory,
    ExperimentFactory,
    TrainedModelFactory,
    TrialFactory,
    UserFactory,
)

pytestmark = pytest.mark.django_db(transaction=True)
CONTENT = bytes(range(256)) * 1024


@pytest.fixture
def owner(transactional_db):
    return UserFactory(username="alice")


@pytest.fixture
def client(live_server, owner):
    with Client(live_server.url, create_token(owner), retries=1) as client:
        yield client


@pytest.fixture
def model(owner):
    trial = TrialFactory(experiment__owner=owner, experiment__name="Adult")
    model = TrainedModelFactory(trial=trial, sha256=hashlib.sha256(CONTENT).hexdigest(), size=len(CONTENT))
    storage.make_folder(f"models/{model.id}")
    storage.path_of(model.bundle).write_bytes(CONTENT)
    return model


# --- Datasets -----------------------------------------------------------------------------------


def test_a_file_is_uploaded_and_told_how_far_it_is(client, tmp_path):
    path = tmp_path / "people.csv"
    path.write_bytes(b"age,city\n39,Paris\n" * 20_000)
    told: list[tuple[int, int]] = []
    dataset = client.datasets.upload(path, name="People", on_progress=lambda *now: told.append(now))
    assert (dataset["name"], dataset["status"]) == ("People", "profiling")
    assert dataset["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert told[-1] == (path.stat().st_size,) * 2
    assert len(told) > 1
    assert [d["id"] for d in client.datasets.list()] == [dataset["id"]]


def test_a_dataset_is_waited_for(client, owner, monkeypatch):
    dataset = DatasetFactory(owner=owner, state="profiling")
    naps = []

    def profiled(seconds):
        naps.append(seconds)
        if len(naps) == 3:
            Dataset.objects.update(state="ready", version=1)

    monkeypatch.setattr(transport_module.time, "sleep", profiled)
    seen = []
    ready = client.datasets.wait(str(dataset.id), on_change=lambda d: seen.append(d["status"]))
    assert ready["status"] == "ready"
    assert seen == ["profiling", "ready"]
    assert naps == [0.2] * 3


def test_a_dataset_that_can_not_be_read_says_why(client, owner):
    dataset = DatasetFactory(owner=owner, state="failed", error="Line 3 has 4 cells.")
    with pytest.raises(WorkFailed, match="Line 3 has 4 cells"):
        client.datasets.wait(str(dataset.id))


def test_waiting_has_an_end(client, owner, naps):
    dataset = DatasetFactory(owner=owner, state="profiling")
    with pytest.raises(WaitTimeout, match=r"within 0\.1 s"):
        client.datasets.wait(str(dataset.id), timeout=0.1)


def test_a_dataset_is_corrected_and_deleted(client, owner):
    id_ = str(DatasetFactory(owner=owner).id)
    changed = client.datasets.change(id_, kinds={"age": "categorical"}, name="Better")
    assert (changed["name"], changed["columns"][0]["kind"]) == ("Better", "categorical")
    client.datasets.delete(id_)
    with pytest.raises(NotFound, match="no such dataset"):
        client.datasets.get(id_)


def test_long_lists_are_walked_page_by_page(client, owner):
    made = {str(DatasetFactory(owner=owner).id) for _ in range(5)}
    assert {d["id"] for d in client.datasets.list(limit=2)} == made


# --- Experiments --------------------------------------------------------------------------------


def test_an_experiment_is_created_and_cancelled(client, owner):
    dataset = DatasetFactory(owner=owner)
    experiment = client.experiments.create(str(dataset.id), "income", time_budget=7, seed=3)
    assert (experiment["status"], experiment["time_budget"], experiment["seed"]) == ("pending", 7, 3)
    assert client.experiments.cancel(experiment["id"])["status"] == "cancelled"
    assert client.experiments.wait(experiment["id"])["status"] == "cancelled"
    client.experiments.delete(experiment["id"])
    assert list(client.experiments.list()) == []


def test_a_failed_experiment_says_why(client, owner):
    experiment = ExperimentFactory(owner=owner, state="failed", error="No trial finished.")
    with pytest.raises(WorkFailed, match="No trial finished"):
        client.experiments.wait(str(experiment.id))


def test_waiting_follows_what_the_service_asks_for(client, owner, monkeypatch):
    experiment = ExperimentFactory(owner=owner)
    naps = []

    def ends(seconds):
        naps.append(seconds)
        Experiment.objects.update(state="complete", version=1)

    monkeypatch.setattr(transport_module.time, "sleep", ends)
    assert client.experiments.wait(str(experiment.id))["status"] == "complete"
    assert naps == [1.0]


def test_board_and_trials_are_read(client, owner):
    experiment = ExperimentFactory(owner=owner)
    for score in (0.7, 0.9, 0.8):
        trial = TrialFactory(experiment=experiment, score=score)
    id_ = str(experiment.id)
    assert [row["score"] for row in client.experiments.leaderboard(id_)] == [0.9, 0.8, 0.7]
    assert [row["number"] for row in client.experiments.trials(id_)] == [0, 1, 2]
    assert client.experiments.trial(str(trial.id))["number"] == 2
    found = client.experiments.insight(id_, "lightgbm")
    assert (found["family"], found["importance"]["missing_trials"]) == ("lightgbm", 7)
    assert client.experiments.add_trial(id_, "dummy")["origin"] == "manual"
    assert client.experiments.stop(id_)["status"] == "stopping"


def test_a_search_is_steered(client, owner):
    experiment = ExperimentFactory(owner=owner)
    id_ = str(experiment.id)
    assert client.experiments.pause(id_)["status"] == "paused"
    assert client.experiments.resume(id_)["status"] == "running"
    assert client.experiments.extend(id_, 30)["time_budget"] == 90
    changed = client.experiments.change(id_, seats=1, max_trials=5)
    assert (changed["seats"], changed["max_trials"]) == (1, 5)
    assert client.experiments.extend(id_, max_trials=None)["max_trials"] is None
    trial = client.experiments.add_trial(id_, "dummy")
    assert client.trials.skip(trial["id"])["status"] == "cancelled"
    assert client.trials.get(trial["id"])["error"] == "Skipped by hand."


def test_dials_are_swept(client, owner):
    id_ = str(ExperimentFactory(owner=owner).id)
    sweep = client.experiments.sweep(id_, "lightgbm", {"num_leaves": (15, 31)}, {"subsample": 0.8})
    assert (sweep["combinations"], len(sweep["trials"])) == (2, 2)
    assert list(client.experiments.sweeps(id_)) == [sweep]
    assert client.experiments.trial(sweep["trials"][0])["sweep"] == sweep["id"]


def test_what_is_not_possible_now_is_told(client, owner):
    ended = ExperimentFactory(owner=owner, state="complete")
    with pytest.raises(ConflictError, match="The experiment is complete"):
        client.experiments.pause(str(ended.id))


# --- Models -------------------------------------------------------------------------------------


def test_a_model_is_downloaded_whole(client, model, tmp_path):
    told: list[tuple[int, int]] = []
    path = client.models.download(str(model.id), tmp_path, on_progress=lambda *now: told.append(now))
    assert path == tmp_path / "adult-lightgbm.zip"
    assert path.read_bytes() == CONTENT
    assert told[-1] == (len(CONTENT),) * 2
    assert client.models.download(str(model.id), tmp_path / "mine.zip").read_bytes() == CONTENT
    assert sorted(p.name for p in tmp_path.iterdir() if p.suffix == ".zip") == [
        "adult-lightgbm.zip",
        "mine.zip",
    ]


def test_a_damaged_download_leaves_no_file(client, model, tmp_path, monkeypatch):
    # On its way: what is damaged in the storage is not sent at all.
    monkeypatch.setattr("automl.core.downloads.check_whole", lambda path, sha256, what: None)
    storage.path_of(model.bundle).write_bytes(CONTENT[:-1] + b"!")
    target = tmp_path / "model.zip"
    with pytest.raises(DownloadDamaged, match="Download it again"):
        client.models.download(str(model.id), target)
    assert not list(tmp_path.glob("*.zip")) + list(tmp_path.glob(".*.part"))


def test_a_model_that_is_not_ready_is_not_downloaded(client, model, tmp_path):
    TrainedModel.objects.update(state="packaging")
    with pytest.raises(ConflictError, match="packaging"):
        client.models.download(str(model.id), tmp_path)


def test_a_trial_is_packaged_and_waited_for(client, owner, monkeypatch):
    trial = TrialFactory(experiment__owner=owner)
    model = client.models.package(str(trial.id))
    assert model["status"] == "packaging"
    monkeypatch.setattr(
        transport_module.time, "sleep", lambda _: TrainedModel.objects.update(state="ready", version=1)
    )
    assert client.models.wait(model["id"])["status"] == "ready"
    assert [m["id"] for m in client.models.list()] == [model["id"]]


def test_a_graph_is_waited_for_where_it_is_asked_for(client, owner, monkeypatch):
    model = TrainedModelFactory(trial__experiment__owner=owner, graph_due=True)
    naps = []

    def written(seconds):
        naps.append(seconds)
        TrainedModel.objects.update(graph_due=False, version=1)

    monkeypatch.setattr(transport_module.time, "sleep", written)
    assert client.models.wait(str(model.id))["graph_due"]
    assert naps == []
    assert not client.models.wait(str(model.id), graph=True)["graph_due"]
    assert len(naps) == 1


def test_rows_are_predicted(client, model, monkeypatch):
    class Server:
        def predict(self, bundle, rows, timeout, level=None):
            return {"predictions": [row["age"] * 2 for row in rows]}

    monkeypatch.setattr("automl.experiments.serving.prediction_server", Server)
    assert client.models.predict(str(model.id), [{"age": 3}, {"age": 4}]) == {"predictions": [6, 8]}


def test_rows_are_asked_for_without_a_key(client, model, monkeypatch):
    class Server:
        def predict(self, bundle, rows, timeout, level=None):
            return {"predictions": [1]}

    monkeypatch.setattr("automl.experiments.serving.prediction_server", Server)
    client.models.predict(str(model.id), [{"age": 3}])
    assert not IdempotentAnswer.objects.exists()


def test_the_best_and_the_fastest_line_are_packaged(client, model):
    experiment = str(model.experiment_id)
    fast = TrialFactory(experiment=model.experiment, score=0.895, predict_time=0.0001)
    assert client.models.package_fastest(experiment)["trial"] == str(fast.id)
    assert client.models.package_fastest(experiment, within=0.001)["trial"] == str(model.trial_id)
    assert client.models.package_best(experiment)["id"] == str(model.id)


def test_an_ensemble_of_the_board_is_packaged(client, model):
    EnsembleFactory(experiment=model.experiment, score=0.5)
    (row,) = [row for row in client.experiments.leaderboard(str(model.experiment_id)) if not row["trial"]]
    packaged = client.models.package_ensemble(row["ensemble"])
    assert (packaged["ensemble"], packaged["status"]) == (row["ensemble"], "packaging")


# --- Files to predict ---------------------------------------------------------------------------


def predicted(**changed):
    """Time passes, and a worker has predicted the file meanwhile."""

    def nap(_: float) -> None:
        prediction = Prediction.objects.get()
        found = {"csv": b"prediction\n1\n", "parquet": b"PAR1"}
        files = {
            form: {"size": 9, "sha256": hashlib.sha256(data).hexdigest()} for form, data in found.items()
        }
        told = {"state": "complete", "rows": 1, "version": 1, "files": files, "attempt": 1, **changed}
        Prediction.objects.update(**told)
        prediction.refresh_from_db()
        for form, data in found.items():
            (storage.make_folder(prediction.results) / f"predictions.{form}").write_bytes(data)

    return nap


def test_a_file_is_sent_with_the_level_that_is_asked_for(client, model, tmp_path):
    model.metrics = {"uncertainty": {"kind": "intervals", "levels": [{"level": 0.9}]}}
    model.save()
    (tmp_path / "new.csv").write_bytes(b"age\n39\n")
    assert client.predictions.start(str(model.id), tmp_path / "new.csv", level=0.9)["level"] == 0.9
    assert client.predictions.start(str(model.id), tmp_path / "new.csv")["level"] is None
    with pytest.raises(InvalidRequest, match=r"no intervals of level 0\.5"):
        client.predictions.start(str(model.id), tmp_path / "new.csv", level=0.5)


@pytest.mark.parametrize("out", ["out.csv", "out.PQ", "out.csv.GZ"])
def test_a_file_is_predicted_waited_for_and_saved(client, model, tmp_path, monkeypatch, out):
    (tmp_path / "new.csv").write_bytes(b"age\n39\n")
    monkeypatch.setattr(transport_module.time, "sleep", predicted())
    seen = []
    done = client.predictions.predict_file(
        str(model.id), tmp_path / "new.csv", tmp_path / out, on_change=lambda new: seen.append(new["status"])
    )
    unpacked = gzip.decompress if out.endswith("GZ") else bytes
    assert unpacked((tmp_path / out).read_bytes()) == (b"PAR1" if out == "out.PQ" else b"prediction\n1\n")
    assert (done["rows"], seen) == (1, ["waiting", "complete"])
    assert [each["id"] for each in client.predictions.list(str(model.id))] == [done["id"]]


def test_a_prediction_that_failed_says_why(client, model, tmp_path, monkeypatch):
    (tmp_path / "new.csv").write_bytes(b"age\n39\n")
    monkeypatch.setattr(transport_module.time, "sleep", predicted(state="failed", error="It lacks 'city'."))
    with pytest.raises(WorkFailed, match="'city'"):
        client.predictions.predict_file(str(model.id), tmp_path / "new.csv", tmp_path / "out.csv")
    assert not (tmp_path / "out.csv").exists()
    client.predictions.delete(str(Prediction.objects.get().id))
    assert not Prediction.objects.exists()


def test_what_the_service_offers_is_read(client):
    assert client.me()["user"]["username"] == "alice"
    assert {"roc_auc"} <= {metric["name"] for metric in client.metrics("binary")}
    assert {"linear"} <= {family["name"] for family in client.families()}


# --- Errors -------------------------------------------------------------------------------------


def test_a_wrong_token_is_told(live_server):
    with Client(live_server.url, "wrong") as client, pytest.raises(Unauthorized):
        client.me()


def test_a_field_that_can_not_be_used_is_named(client, owner):
    with pytest.raises(InvalidRequest, match="nothing") as caught:
        client.experiments.create(str(DatasetFactory(owner=owner).id), "nothing")
    assert caught.value.errors[0]["field"] == "target"
    assert caught.value.status == 422


@pytest.mark.parametrize("url", ["", "localhost:8000", "ftp://host"])
def test_an_address_that_is_none_is_told_at_once(url):
    with pytest.raises(ValueError, match="http://127"):
        Client(url, "token")


def test_a_service_that_is_away_is_told(naps):
    with (
        Client("http://127.0.0.1:9", "token", retries=2) as client,
        pytest.raises(ConnectionFailed, match="running"),
    ):
        client.me()
    assert naps == [0.25, 0.5]


def test_an_upload_over_the_quota_is_told_at_once(client, owner, naps, tmp_path, settings):
    settings.MAX_DATASETS = 0
    path = tmp_path / "t.csv"
    path.write_bytes(b"a,b\n1,2\n")
    with pytest.raises(QuotaExceeded, match="the most allowed"):
        client.datasets.upload(path)
    assert naps == []


def test_an_answer_that_is_not_ours_is_still_told():
    request = httpx.Request("GET", "http://service/api/v1/me/")
    error = error_of(httpx.Response(500, html="<h1>Oops</h1>", request=request))
    assert "http://service/api/v1/me/" in str(error)
    assert error.status == 500


def test_a_name_from_the_service_can_not_leave_the_folder(tmp_path):
    client = Client("http://service", "token")
    headers = {"Content-Disposition": 'attachment; filename="../../evil.zip"'}
    answering(client, httpx.Response(200, headers=headers, stream=httpx.ByteStream(b"x")))
    assert client.models.download("1", tmp_path) == tmp_path / "evil.zip"


def test_the_client_imports_nothing_but_httpx():
    import subprocess
    import sys

    code = (
        "import sys, automl.client; "
        "print(sorted({'django', 'rest_framework', 'celery', 'redis', 'numpy'} & set(sys.modules)))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
    assert out.stderr == ""


# --- Diagnoses ----------------------------------------------------------------------------------


def test_diagnostics_are_waited_for(client, model, monkeypatch):
    def computed(_seconds):
        Diagnosis.objects.update(state="ready", version=1, result={"rows": 7})

    monkeypatch.setattr(transport_module.time, "sleep", computed)
    found = client.models.diagnostics(str(model.id))
    assert found["result"] == {"rows": 7}
    assert client.trials.diagnostics(str(model.trial_id))["id"] == found["id"]


def test_a_comparison_that_fails_says_why(client, model, naps, monkeypatch):
    other = TrialFactory(experiment=model.experiment)

    def failed(_seconds):
        Diagnosis.objects.update(state="failed", version=1, error="A file is damaged.")

    monkeypatch.setattr(transport_module.time, "sleep", failed)
    with pytest.raises(WorkFailed, match="A file is damaged"):
        client.experiments.compare(str(model.experiment_id), [str(model.trial_id), str(other.id)])
