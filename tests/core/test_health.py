"""What containers ask: whether the parts of the service are there."""

from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from automl.core import health
from automl.core.models import Worker

pytestmark = pytest.mark.django_db


@pytest.fixture
def parts(monkeypatch):
    """A broker that answers, and nobody at work yet."""
    monkeypatch.setattr(health, "_broker", lambda: None)
    monkeypatch.setattr("automl.core.management.commands.worker.platform.node", lambda: "here")


def heard_from(name, queue, *, seconds):
    now = timezone.now()
    Worker.objects.create(
        name=name,
        queue=queue,
        seats=2,
        threads_per_seat=1,
        memory_per_seat=1,
        started_at=now,
        seen_at=now - timedelta(seconds=seconds),
    )


@pytest.mark.usefixtures("parts")
def test_ready_means_a_worker_on_each_queue():
    heard_from("evaluate@here", "evaluate", seconds=1)
    assert health.readiness()["workers"] == "no worker has answered for 15 s on: short"

    heard_from("short@there", "short", seconds=1)
    assert set(health.readiness().values()) == {"ok"}


def test_what_is_told_to_everybody_has_no_address_in_it(settings):
    settings.BROKER_URL = "redis://user:secret@127.0.0.1:1/0"

    assert health.readiness()["broker"] == "The broker can't be used."


@pytest.mark.usefixtures("parts")
def test_waiting_is_for_database_and_broker_unless_parts_are_named():
    call_command("wait_ready", "--timeout", "0")

    with pytest.raises(CommandError, match="workers: no worker has answered"):
        call_command("wait_ready", "workers", "--timeout", "0")


@pytest.mark.usefixtures("parts")
def test_a_worker_is_checked_by_its_own_heartbeat():
    heard_from("evaluate@there", "evaluate", seconds=1)
    heard_from("evaluate@here", "evaluate", seconds=60)
    with pytest.raises(CommandError, match="evaluate@here has not been heard from"):
        call_command("worker", "evaluate", "--check")

    Worker.objects.filter(name="evaluate@here").update(seen_at=timezone.now())
    call_command("worker", "evaluate", "--check")
