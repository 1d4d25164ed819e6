from pathlib import Path

import pytest

from automl.engine.errors import Damaged
from automl.engine.sealing import SEAL, check_folder, seal_folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "00003-1"
    folder.mkdir()
    (folder / "oof.npy").write_bytes(bytes(1000))
    (folder / "models.pkl").write_bytes(b"models")
    seal_folder(folder)
    return folder


def test_what_was_sealed_is_whole(folder: Path):
    check_folder(folder)
    check_folder(folder, ["oof.npy"])


def cut(folder: Path):
    (folder / "oof.npy").write_bytes(bytes(500))


def alter(folder: Path):
    (folder / "oof.npy").write_bytes(bytes(999) + b"!")


def take(folder: Path):
    (folder / "oof.npy").unlink()


def forget(folder: Path):
    (folder / SEAL).unlink()


def halve(folder: Path):
    (folder / SEAL).write_text((folder / SEAL).read_text()[:30])


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (cut, "00003-1/oof.npy is 500 bytes long, not 1,000"),
        (alter, "00003-1/oof.npy is altered since it was written"),
        (take, "00003-1/oof.npy is missing"),
        (forget, "00003-1/SEAL.json is missing or not readable"),
        (halve, "00003-1/SEAL.json is missing or not readable"),
    ],
)
def test_harm_is_named_and_what_to_do(folder: Path, harm, words):
    harm(folder)
    with pytest.raises(Damaged, match=words) as caught:
        check_folder(folder)
    assert "restore it from a backup" in str(caught.value)


def test_a_file_that_is_not_asked_for_may_be_damaged(folder: Path):
    alter(folder)
    check_folder(folder, ["models.pkl"])
