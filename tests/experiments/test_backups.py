"""Everything into one file, and back into an empty service."""

import json
import os
import tarfile
from datetime import timedelta
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.db import OperationalError
from django.utils import timezone

from automl.accounts.models import User
from automl.accounts.services import create_token
from automl.core import pulses, storage, store
from automl.core.archives import ArchiveWriter
from automl.core.models import Store
from automl.datasets.models import Dataset
from automl.engine.errors import UserError
from automl.experiments.models import Experiment, Trial
from automl.experiments.services import backups
from automl.experiments.services.backups import make_backup, restore_backup
from tests.factories import (
    DatasetFactory,
    EnsembleFactory,
    ExperimentFactory,
    TrainedModelFactory,
    TrialFactory,
)

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def home(settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("SECRET_KEY", raising=False)
    settings.HOME = tmp_path / "home"
    settings.HOME.mkdir()
    (settings.HOME / "secret_key").write_text("the old key")
    return settings.HOME


@pytest.fixture
def running(alice) -> Trial:
    """The one trial at work of a search that goes on; another has completed, and is packaged."""
    experiment = ExperimentFactory(owner=alice, dataset__owner=alice)
    done = TrialFactory(experiment=experiment, hyperparameters={"leaves": 7})
    EnsembleFactory(experiment=experiment)
    TrainedModelFactory(trial=done)
    storage.make_folder(done.folder)
    storage.path_of(f"{done.folder}/oof.npy").write_bytes(b"predictions")
    storage.path_of(f"{experiment.folder}/.draft").write_bytes(b"half")
    return TrialFactory(
        experiment=experiment,
        state="running",
        losses=1,
        attempt=4,
        fold_scores=[0.5],
        lease_expires_at=timezone.now() + timedelta(seconds=9),
    )


def empty(settings, tmp_path: Path) -> None:
    """Another home, and nothing in the database."""
    User.objects.all().delete()
    settings.FILES_ROOT = tmp_path / "elsewhere"
    settings.HOME = tmp_path / "new home"
    settings.HOME.mkdir()
    (settings.HOME / "secret_key").write_text("a new key")


def names(path: Path) -> list[str]:
    with tarfile.open(path) as archive:
        return archive.getnames()


def test_a_key_that_is_set_to_nothing_is_none(settings, tmp_path, monkeypatch):
    make_backup(tmp_path / "backup.tar")
    empty(settings, tmp_path)
    monkeypatch.setenv("SECRET_KEY", "")

    restore_backup(tmp_path / "backup.tar")

    assert (settings.HOME / "secret_key").read_text() == "the old key"


@pytest.mark.parametrize("name", ["backup.tar", "backup.tar.gz"])
def test_what_was_backed_up_is_there_again(running, client, settings, tmp_path, name):
    token = create_token(running.experiment.owner)
    before = Trial.objects.exclude(id=running.id).values().get()
    made = Experiment.objects.get().created_at
    make_backup(tmp_path / name)
    empty(settings, tmp_path)

    restore_backup(tmp_path / name)

    assert Trial.objects.exclude(id=running.id).values().get() == before
    assert Experiment.objects.get().created_at == made
    assert (
        storage.path_of(f"{Trial.objects.get(state='complete').folder}/oof.npy").read_bytes()
        == b"predictions"
    )
    assert (settings.HOME / "secret_key").read_text() == "the old key"
    answer = client.get("/api/v1/me/", headers={"Authorization": f"Bearer {token}"})
    assert answer.json()["user"]["username"] == "alice"


@pytest.mark.parametrize("had_other_files", [True, False])
def test_what_was_restored_belongs_to_its_database(alice, settings, tmp_path, had_other_files):
    """Also where the backup has no folder by which the database could know it."""
    DatasetFactory(owner=alice)
    store.check()
    make_backup(tmp_path / "backup.tar")
    empty(settings, tmp_path)
    if not had_other_files:
        Store.objects.all().delete()
    restore_backup(tmp_path / "backup.tar")
    store.check()
    assert (settings.FILES_ROOT / store.MARK).read_text().strip() == str(Store.objects.get())


def test_trials_at_work_are_given_back_without_a_loss(running, settings, tmp_path):
    make_backup(tmp_path / "backup.tar")
    empty(settings, tmp_path)
    restore_backup(tmp_path / "backup.tar")

    found = Trial.objects.get(id=running.id)
    assert (found.state, found.losses, found.attempt, found.lease_expires_at) == ("waiting", 1, 4, None)
    assert found.fold_scores == []


def test_the_clock_of_a_search_stood_still_in_the_backup(running, settings, tmp_path):
    now = timezone.now()
    Experiment.objects.update(spent=30.0, clock_at=now - timedelta(seconds=2))
    make_backup(tmp_path / "backup.tar")
    empty(settings, tmp_path)
    restore_backup(tmp_path / "backup.tar")

    found = Experiment.objects.get()
    assert 32.0 <= found.spent < 33.0
    assert found.clock_at >= now


def test_new_rows_do_not_take_the_numbers_of_restored_ones(running, settings, tmp_path):
    create_token(running.experiment.owner)
    make_backup(tmp_path / "backup.tar")
    empty(settings, tmp_path)
    restore_backup(tmp_path / "backup.tar")
    create_token(User.objects.get())


def test_drafts_and_heartbeats_are_not_kept(running, tmp_path):
    pulses.beat("sweep")
    manifest = make_backup(tmp_path / "backup.tar")
    assert not [name for name in names(tmp_path / "backup.tar") if "/." in name]
    assert "core.Pulse" not in manifest["rows"]


def test_only_the_owner_can_read_it(running, tmp_path):
    make_backup(tmp_path / "backup.tar")
    assert (tmp_path / "backup.tar").stat().st_mode & 0o777 == 0o600


def test_files_that_are_deleted_meanwhile_are_named(running, tmp_path, monkeypatch):
    add = ArchiveWriter.add

    def add_too_late(self, path, name):
        if path.name == "oof.npy":
            path.unlink()
        add(self, path, name)

    monkeypatch.setattr(ArchiveWriter, "add", add_too_late)
    manifest = make_backup(tmp_path / "backup.tar")
    assert [name.rsplit("/", 1)[1] for name in manifest["vanished"]] == ["oof.npy"]


def test_a_folder_that_vanishes_while_it_is_listed_is_passed_over(running, tmp_path, monkeypatch):
    """As the draft of a trial does that is renamed just then."""
    draft = storage.make_folder(f"{running.experiment.folder}/trials/.00009-1.77")
    gone = storage.make_folder(f"{running.experiment.folder}/trials/00008-1")
    scandir = os.scandir

    def scan(path="."):
        for folder in (draft, gone):
            if str(path) == str(folder) and folder.exists():
                folder.rmdir()
        return scandir(path)

    monkeypatch.setattr(os, "scandir", scan)
    make_backup(tmp_path / "backup.tar")
    assert not gone.exists()
    assert any(name.endswith("oof.npy") for name in names(tmp_path / "backup.tar"))


def test_a_backup_that_fails_leaves_nothing_behind(running, tmp_path, monkeypatch):
    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("automl.experiments.services.backups._add_folder", full)
    target = tmp_path / "out"
    target.mkdir()
    with pytest.raises(CommandError, match=r"No backup was made: .*No space left"):
        call_command("backup", str(target / "backup.tar"))
    assert list(target.iterdir()) == []


def test_a_backup_replaces_no_file(running, tmp_path):
    (tmp_path / "backup.tar").write_text("an older one")
    with pytest.raises(UserError, match="exists already"):
        make_backup(tmp_path / "backup.tar")


def test_nothing_is_restored_over_something(running, tmp_path):
    make_backup(tmp_path / "backup.tar")
    with pytest.raises(CommandError, match="There are users here already"):
        call_command("restore", str(tmp_path / "backup.tar"))


def test_nothing_is_restored_among_files(running, settings, tmp_path):
    make_backup(tmp_path / "backup.tar")
    empty(settings, tmp_path)
    storage.make_folder("datasets/somebody")
    with pytest.raises(UserError, match="There are files in"):
        restore_backup(tmp_path / "backup.tar")


def cut(path: Path) -> str:
    data = path.read_bytes()
    path.write_bytes(data[: data.index(b"MANIFEST.json")])
    return "can't be read as a backup|cut off"


def alter(path: Path) -> str:
    data = path.read_bytes()
    assert data.count(b"predictions") == 1
    path.write_bytes(data.replace(b"predictions", b"predictionz"))
    return "damaged: files/.*oof.npy is not as it was stored"


def replace(path: Path) -> str:
    path.write_bytes(b"something else")
    return "can't be read as a backup"


@pytest.mark.parametrize("harm", [cut, alter, replace])
def test_a_damaged_backup_is_refused_and_changes_nothing(running, settings, tmp_path, harm):
    make_backup(tmp_path / "backup.tar")
    words = harm(tmp_path / "backup.tar")
    empty(settings, tmp_path)
    with pytest.raises(UserError, match=words):
        restore_backup(tmp_path / "backup.tar")
    assert not User.objects.exists()
    assert [path for path in settings.FILES_ROOT.rglob("*") if path.is_file()] == []


def rewritten(source: Path, target: Path, **changes) -> Path:
    """The same archive with another manifest, or with a file under another name."""
    import io

    with tarfile.open(source) as old, tarfile.open(target, "w") as new:
        for member in old.getmembers():
            data = old.extractfile(member).read()
            if member.name == "MANIFEST.json":
                kept = {
                    name: value
                    for name, value in {**json.loads(data), **changes}.items()
                    if value is not None
                }
                data = json.dumps(kept).encode()
                member.size = len(data)
            member.name = changes.get(member.name, member.name)
            new.addfile(member, io.BytesIO(data))
    return target


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"version": 2}, "a backup of form 2"),
        ({"migrations": {"experiments": "9999_later"}}, "made by a newer Bakeoff"),
        ({"rows": {"accounts.User": 7}}, "other rows than its manifest"),
        ({"secret_key": "../../secret_key"}, "is not a plain file inside of it"),
        ({"created_at": None}, "has no created_at"),
    ],
)
def test_what_is_not_ours_is_refused(running, settings, tmp_path, changes, words):
    make_backup(tmp_path / "backup.tar")
    other = rewritten(tmp_path / "backup.tar", tmp_path / "other.tar", **changes)
    empty(settings, tmp_path)
    with pytest.raises(UserError, match=words):
        restore_backup(other)
    assert not User.objects.exists()


def test_rows_that_do_not_fit_together_are_refused_in_words(running, settings, tmp_path, monkeypatch):
    make_backup(tmp_path / "backup.tar")
    empty(settings, tmp_path)
    unpack = backups.unpack

    def without_users(source, folder):
        manifest = unpack(source, folder)
        rows = folder / "rows.jsonl"
        kept = [line for line in rows.read_text().splitlines() if '"accounts.user"' not in line]
        rows.write_text("\n".join(kept))
        del manifest["rows"]["accounts.User"]
        return manifest

    monkeypatch.setattr(backups, "unpack", without_users)
    with pytest.raises(UserError, match="A row of the backup does not fit this version"):
        restore_backup(tmp_path / "backup.tar")
    assert [path for path in settings.FILES_ROOT.rglob("*") if path.is_file()] == []


def test_files_whose_rows_could_not_be_kept_are_taken_away_again(running, settings, tmp_path, monkeypatch):
    make_backup(tmp_path / "backup.tar")
    empty(settings, tmp_path)
    place = backups._place_files

    def then_fail(scratch, placed):
        place(scratch, placed)
        raise OperationalError("the connection was lost over the commit")

    with monkeypatch.context() as patched:
        patched.setattr(backups, "_place_files", then_fail)
        with pytest.raises(OperationalError):
            restore_backup(tmp_path / "backup.tar")
    restore_backup(tmp_path / "backup.tar")
    assert Trial.objects.count() == 2


def test_datasets_being_read_are_read_again(settings, tmp_path):
    DatasetFactory(
        state="profiling", attempt=2, losses=1, lease_expires_at=timezone.now() + timedelta(seconds=9)
    )
    make_backup(tmp_path / "backup.tar")
    empty(settings, tmp_path)
    restore_backup(tmp_path / "backup.tar")
    found = Dataset.objects.get()
    assert (found.losses, found.lease_expires_at) == (1, None)
