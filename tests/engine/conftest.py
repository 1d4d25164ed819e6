import hashlib
import shutil
from pathlib import Path

import pytest

from tests.engine.test_bundle import packaged


@pytest.fixture(scope="session")
def made_bundle(tmp_path_factory):
    """An unpacked bundle of a linear model; not to be changed."""
    _, folder = packaged(tmp_path_factory.mktemp("made"), "bought", "roc_auc", families=["linear"])
    return folder


@pytest.fixture
def bundle(made_bundle, tmp_path):
    """The same, to be changed at will."""
    return Path(shutil.copytree(made_bundle, tmp_path / "bundle"))


@pytest.fixture
def reseal():
    """Write checksums anew, as somebody would who tampers with a bundle."""

    def write(folder, *names):
        lines = (folder / "SHA256SUMS").read_text().splitlines()
        found = {name: digest for digest, _, name in (line.partition("  ") for line in lines)}
        found |= {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in names}
        (folder / "SHA256SUMS").write_text("".join(f"{found[name]}  {name}\n" for name in sorted(found)))

    return write


@pytest.fixture
def hurried(monkeypatch):
    """A search that has seconds has the time for 200 rows, whatever they hold."""
    monkeypatch.setattr("automl.engine.drawing.CELLS_A_SECOND", 1)
    monkeypatch.setattr("automl.engine.drawing.LEAST_DRAWN", 200)
