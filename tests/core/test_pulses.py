from datetime import timedelta

import pytest
from django.db import DatabaseError
from django.utils import timezone

from automl.core import pulses
from automl.core.models import Pulse

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def nobody(monkeypatch):
    """This process works for no queue yet."""
    monkeypatch.setattr(pulses._Mine, "queue", "")
    monkeypatch.setattr(pulses._Mine, "due", 0.0)


def test_a_beat_is_as_old_as_the_last_one():
    assert pulses.age("sweep") is None
    pulses.beat("sweep")
    pulses.beat("sweep")
    assert pulses.age("sweep") < 1
    assert Pulse.objects.count() == 1


@pytest.mark.parametrize(("ahead", "is_known"), [(3600, False), (2, True)])
def test_how_old_a_beat_from_the_future_is_nobody_can_say(ahead, is_known):
    """The clock was set back; a machine whose clock goes a few seconds before is not meant."""
    Pulse.objects.create(name="sweep", beat_at=timezone.now() + timedelta(seconds=ahead))
    assert (pulses.age("sweep") is not None) is is_known


def test_a_process_that_took_no_message_has_no_pulse():
    pulses.go_on()
    assert not Pulse.objects.exists()


def test_work_that_goes_on_beats_every_few_seconds(monkeypatch):
    beats = []
    monkeypatch.setattr(pulses, "beat", beats.append)
    pulses.take_up("evaluate")
    pulses.go_on()
    pulses.go_on()
    assert beats == ["evaluate"]
    pulses._Mine.due = 0.0
    pulses.go_on()
    assert beats == ["evaluate", "evaluate"]


def test_a_database_that_is_away_costs_a_beat_and_no_more(monkeypatch):
    def away(name):
        raise DatabaseError("gone")

    monkeypatch.setattr(pulses, "beat", away)
    pulses.take_up("evaluate")
