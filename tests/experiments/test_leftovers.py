"""What killed processes leave on the disk, and no row names."""

from __future__ import annotations

import os
import time
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from django.utils import timezone

from automl.core import holdings, storage, store
from automl.core.holdings import Holding
from automl.core.models import Pulse, Store
from automl.experiments.models import Experiment, TrainedModel
from automl.experiments.services import backups
from automl.experiments.services.sweep import clean_up, take_over
from tests.factories import DatasetFactory, ExperimentFactory, TrainedModelFactory, TrialFactory

pytestmark = pytest.mark.django_db
HOUR = 3600


@pytest.fixture(autouse=True)
def home(settings, tmp_path: Path) -> Path:
    settings.HOME = tmp_path / "home"
    settings.FILE_UPLOAD_TEMP_DIR = str(tmp_path / "home" / "uploads")
    Path(settings.FILE_UPLOAD_TEMP_DIR).mkdir(parents=True)
    store.check()
    return settings.HOME


def written(path: Path, *, hours: float) -> Path:
    """A file in a folder, both last written so many hours ago."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"half")
    age(path, hours=hours)
    return path


def age(path: Path, *, hours: float) -> None:
    then = time.time() - hours * HOUR
    os.utime(path, (then, then))


def test_uploads_of_a_killed_web_process_are_removed_once_they_are_old(home):
    old = written(home / "uploads" / "tmp1.upload", hours=2)
    new = written(home / "uploads" / "tmp2.upload", hours=0.1)
    clean_up()
    assert (old.exists(), new.exists()) == (False, True)


@pytest.mark.parametrize("kind", ["datasets", "experiments", "models"])
def test_folders_without_a_row_are_removed_once_they_are_old(kind):
    old, new = storage.path_of(f"{kind}/{uuid4()}"), storage.path_of(f"{kind}/{uuid4()}")
    for folder in (old, new):
        written(folder / "original", hours=2)
    age(old, hours=2)
    clean_up()
    assert (old.exists(), new.exists()) == (False, True)


@pytest.mark.parametrize("identifier", [None, uuid4()], ids=["new", "another"])
def test_beside_the_files_of_another_database_nothing_is_removed(identifier):
    Store.objects.all().delete()
    if identifier:
        Store.objects.create(identifier=identifier)
    folder = storage.path_of(f"datasets/{uuid4()}")
    written(folder / "original", hours=2)
    age(folder, hours=2)
    clean_up()
    assert folder.exists()


def test_a_clock_that_was_set_back_stops_no_tidying(home):
    clean_up()
    Pulse.objects.update(beat_at=timezone.now() + timedelta(hours=5))
    old = written(home / "uploads" / "tmp1.upload", hours=2)
    clean_up()
    assert not old.exists()


def test_a_test_dataset_that_was_deleted_stays_until_its_search_has_ended():
    experiment = ExperimentFactory(test_dataset=DatasetFactory(deleted_at=timezone.now()))
    folder = storage.make_folder(experiment.test_dataset.folder)
    clean_up()
    assert folder.exists()
    Experiment.objects.update(state="complete")
    clean_up()
    assert not folder.exists()


@pytest.mark.parametrize("unwritten", [{"state": "packaging"}, {"state": "ready", "graph_due": True}])
def test_a_test_dataset_that_was_deleted_stays_while_a_model_is_still_to_be_written(unwritten):
    trial = TrialFactory(
        experiment__state="complete", experiment__test_dataset=DatasetFactory(deleted_at=timezone.now())
    )
    model = TrainedModelFactory(trial=trial, **unwritten)
    folder = storage.make_folder(trial.experiment.test_dataset.folder)
    clean_up()
    assert folder.exists()
    TrainedModel.objects.filter(id=model.id).update(state="ready", graph_due=False)
    clean_up()
    assert not folder.exists()


def test_folders_with_a_row_stay_and_lose_only_old_drafts():
    dataset = DatasetFactory()
    folder = storage.path_of(dataset.folder)
    draft = written(folder / ".original.77.draft", hours=2)
    kept = written(folder / "original", hours=2)
    writing = written(folder / ".table.arrow.78.draft", hours=0)
    age(folder, hours=2)
    clean_up()
    assert (draft.exists(), kept.exists(), writing.exists()) == (False, True, True)


def test_what_a_killed_restore_unpacked_is_removed_after_a_day(settings):
    old, new = settings.FILES_ROOT / ".restore-a", settings.FILES_ROOT / ".restore-b"
    for folder in (old, new):
        written(folder / "rows.jsonl", hours=30)
    age(old, hours=30)
    clean_up()
    assert (old.exists(), new.exists()) == (False, True)


def test_notes_of_workers_that_are_gone_are_removed_and_those_of_the_living_stay(home, monkeypatch):
    monkeypatch.setattr(holdings, "_memory", None)
    gone = written(home / "held" / "evaluate@0123456789ab", hours=30)
    holdings.open_notes(home / "held", "evaluate@here")
    age(home / "held" / "evaluate@here", hours=30)
    clean_up()
    assert not gone.exists()
    assert (home / "held" / "evaluate@here").exists()


def test_it_looks_once_an_hour(home):
    clean_up()
    old = written(home / "uploads" / "tmp1.upload", hours=2)
    clean_up()
    assert old.exists()
    Pulse.objects.filter(name="tidied").update(beat_at=timezone.now() - timedelta(hours=2))
    clean_up()
    assert not old.exists()


def test_a_backup_removes_what_killed_ones_left_beside_it(tmp_path):
    draft = written(tmp_path / "out" / ".backup.tar.77.draft", hours=30)
    fresh = written(tmp_path / "out" / ".backup.tar.78.draft", hours=0)
    scratch = written(tmp_path / "out" / ".bakeoff-backup-abc" / "rows.jsonl", hours=30).parent
    others = written(tmp_path / "out" / ".backup-photos" / "one.jpg", hours=30).parent
    age(scratch, hours=30)
    age(others, hours=30)
    backups.make_backup(tmp_path / "out" / "backup.tar")
    assert (draft.exists(), scratch.exists(), fresh.exists()) == (False, False, True)
    assert others.exists()


@pytest.mark.parametrize("state", ["cancelled", "waiting", "pruned"])
def test_what_a_dead_worker_had_begun_for_a_trial_that_left_it_is_removed(state):
    trial = TrialFactory(state=state, attempt=2)
    begun = storage.make_folder(trial.folder)
    draft = begun.with_name(f".{begun.name}.77")
    draft.mkdir()
    take_over([Holding("experiments.trial", trial.id, 2)])
    assert (begun.exists(), draft.exists()) == (False, False)


def test_of_a_trial_that_another_has_begun_only_the_dead_attempt_is_removed():
    trial = TrialFactory(state="running", attempt=2)
    dead = storage.make_folder(trial.folder)
    trial.attempt = 3
    trial.save()
    alive = storage.make_folder(trial.folder)
    take_over([Holding("experiments.trial", trial.id, 2)])
    assert (dead.exists(), alive.exists()) == (False, True)
    trial.refresh_from_db()
    assert (trial.state, trial.attempt) == ("running", 3)


def test_a_complete_trial_keeps_its_files():
    trial = TrialFactory(state="complete", attempt=2)
    kept = storage.make_folder(trial.folder)
    take_over([Holding("experiments.trial", trial.id, 2)])
    assert kept.exists()
