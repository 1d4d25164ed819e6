import errno
import os

import pytest

from automl.core import storage
from automl.core.errors import StorageFull, StorageUnavailable


def test_a_draft_takes_its_place_whole_or_not_at_all(private_files):
    with storage.writing("models/one") as draft:
        draft.write_bytes(b"whole")
    with pytest.raises(RuntimeError), storage.writing("models/one") as draft:
        draft.write_bytes(b"half")
        raise RuntimeError
    assert storage.path_of("models/one").read_bytes() == b"whole"
    assert [path.name for path in (private_files / "models").iterdir()] == ["one"]


def test_work_without_room_is_refused_with_the_figures(settings):
    storage.require_space(1)
    with pytest.raises(StorageFull, match=r"The disk has \d+ MB free; \d+ MB are needed"):
        storage.require_space(1 << 62)


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (errno.ENOSPC, StorageFull),
        (errno.EDQUOT, StorageFull),
        (errno.EROFS, StorageUnavailable),
        (errno.EIO, StorageUnavailable),
    ],
)
def test_an_error_of_the_disk_is_told_as_such(number, kind):
    assert isinstance(storage.trouble(OSError(number, os.strerror(number))), kind)


def test_numpy_on_a_full_disk_is_understood():
    assert isinstance(storage.trouble(OSError("16384 requested and 8192 written")), StorageFull)


def test_other_errors_are_not_the_disks():
    assert storage.trouble(FileNotFoundError(errno.ENOENT, "no such file")) is None
    assert storage.trouble(ValueError()) is None


def test_waiting_for_room_ends_when_there_is_room(monkeypatch):
    monkeypatch.setattr(storage.time, "sleep", lambda seconds: None)
    full = iter([True, True, False])

    def probe():
        if next(full):
            raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(storage, "probe", probe)
    clock = iter(range(1000))
    monkeypatch.setattr(storage.time, "monotonic", lambda: float(next(clock)))
    assert storage.wait_for_room(lambda: True, least=0)


def test_waiting_for_room_ends_with_the_lease():
    assert not storage.wait_for_room(lambda: False)
