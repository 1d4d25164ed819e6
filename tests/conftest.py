from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from django.test import Client

from automl.accounts.models import User
from automl.core import dispatch, health, store
from tests.dispatchers import Recorder
from tests.factories import UserFactory
from tests.seats import FakeSeat


@pytest.fixture(autouse=True)
def private_files(tmp_path_factory: pytest.TempPathFactory, settings) -> Path:
    """Each test has a private folder of its own."""
    settings.FILES_ROOT = tmp_path_factory.mktemp("files")
    # Rows of tests have no folders, as a rule: without it they would be taken for lost.
    (settings.FILES_ROOT / store.MARK).write_text(str(uuid4()))
    return settings.FILES_ROOT


@pytest.fixture(autouse=True)
def asked_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Health is asked in the thread of the test: no other sees the rows of its transaction."""
    monkeypatch.setattr(health._Question, "_start", health._Question._work)
    health._Question._open.clear()


@pytest.fixture
def alice(db) -> User:
    """Owns what the test is about."""
    return UserFactory(username="alice")


@pytest.fixture
def bob(db) -> User:
    """Another user, who owns something of the same kind."""
    return UserFactory(username="bob")


@pytest.fixture
def charlie(db) -> User:
    """Owns nothing and must see nothing."""
    return UserFactory(username="charlie")


@pytest.fixture
def sent() -> Iterator[list[tuple[str, object]]]:
    """What services have asked the dispatcher to carry."""
    recorder = dispatch.dispatcher()
    assert isinstance(recorder, Recorder)
    recorder.sent.clear()
    yield recorder.sent
    recorder.sent.clear()


@pytest.fixture
def browser_client(alice: User) -> Client:
    """A browser in which alice is signed in."""
    client = Client()
    client.force_login(alice)
    return client


@pytest.fixture
def seat(monkeypatch: pytest.MonkeyPatch) -> FakeSeat:
    """Jobs end at once, as `tests.seats` or the test says: fits are tested with the engine."""
    fake = FakeSeat()
    monkeypatch.setattr("automl.core.seats.run", fake.run)
    return fake
