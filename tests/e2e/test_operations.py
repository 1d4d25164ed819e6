"""What an operator sees, at two widths, in light and dark, and that it moves."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from automl.accounts.models import User
from automl.core import pulses
from automl.core.models import Worker
from tests.factories import ExperimentFactory, PredictionFactory, TrialFactory

pytestmark = [pytest.mark.e2e, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def busy(alice: User) -> None:
    """Two machines, a search at work, another that waits, and what failed."""
    now = timezone.now()
    for name, queue, seats, age in (
        ("evaluate@first.example.org", "evaluate", 4, 1),
        ("evaluate@second.example.org", "evaluate", 2, 700),
        ("short@first.example.org", "short", 2, 1),
    ):
        Worker.objects.create(
            name=name,
            queue=queue,
            seats=seats,
            threads_per_seat=2,
            memory_per_seat=3 << 30,
            started_at=now - timedelta(hours=3),
            seen_at=now - timedelta(seconds=age),
        )
    pulses.beat(pulses.SWEEP)
    experiment = ExperimentFactory(owner=alice, name="income of adult")
    for seconds, left in ((3, 14.2), (125, 13.8), (41, -2)):
        TrialFactory(
            experiment=experiment,
            state="running",
            attempt=1,
            worker="evaluate@first.example.org",
            started_at=now - timedelta(seconds=seconds),
            lease_expires_at=now + timedelta(seconds=left),
        )
    for _ in range(5):
        TrialFactory(experiment=experiment, state="waiting")
    TrialFactory(experiment=ExperimentFactory(name="quality of wine", state="paused"), state="waiting")
    soon = now + timedelta(seconds=13)
    PredictionFactory(state="running", filename="people.parquet", bytes=80 << 20, lease_expires_at=soon)
    for state in ("waiting", "complete", "complete"):
        PredictionFactory(state=state, bytes=3 << 20)
    TrialFactory(
        experiment=experiment,
        state="failed",
        error="memory: the fit used 4.1 GB, its limit is 3.2 GB; use fewer rows, or fewer trees.",
        finished_at=now - timedelta(minutes=4),
    )


@pytest.mark.usefixtures("busy")
def test_an_operator_sees_the_whole_service_and_it_moves(signed_in, alice, picture, monkeypatch):
    monkeypatch.setattr("automl.pages.operations.queue_lengths", lambda: {"evaluate": 6, "short": 0})
    User.objects.filter(id=alice.id).update(is_staff=True)
    signed_in.goto("/")
    signed_in.get_by_role("link", name="Operations").click()
    assert signed_in.get_by_role("heading", level=1).inner_text() == "Operations"
    picture(signed_in, "operations")

    Worker.objects.update(seats=9)
    signed_in.get_by_text("of 9").wait_for(timeout=8000)
