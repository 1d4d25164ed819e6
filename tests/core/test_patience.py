import pytest
from django.db import IntegrityError, InterfaceError, OperationalError

from automl.core import patience


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch):
    monkeypatch.setattr(patience, "close_old_connections", lambda: None)
    monkeypatch.setattr(patience.time, "sleep", lambda seconds: None)
    monkeypatch.setattr(patience, "connection", type("Outside", (), {"in_atomic_block": False}))


def failing(*errors):
    left = list(errors)

    def write():
        if left:
            raise left.pop(0)
        return "written"

    return write


def test_a_write_is_tried_until_the_database_is_back():
    assert patience.patiently(failing(OperationalError("gone"), InterfaceError("closed"))) == "written"


def test_an_outage_that_does_not_end_is_an_error(settings):
    settings.OUTAGE_SECONDS = -1.0
    with pytest.raises(OperationalError):
        patience.patiently(failing(OperationalError("gone")))


def test_what_is_wrong_with_the_write_is_told_at_once():
    with pytest.raises(IntegrityError):
        patience.patiently(failing(IntegrityError("twice")))


def test_within_a_transaction_nothing_is_tried_again(monkeypatch):
    monkeypatch.setattr(patience.connection, "in_atomic_block", True)
    with pytest.raises(OperationalError):
        patience.patiently(failing(OperationalError("gone")))
