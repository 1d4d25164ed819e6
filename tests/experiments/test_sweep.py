"""What a sweep does after a silence in which nobody could renew a lease."""

from datetime import timedelta

import pytest
from django.utils import timezone

from automl.core import pulses
from automl.core.models import Pulse
from automl.experiments.services import sweep as sweeping
from automl.experiments.services.sweep import sweep
from tests.factories import TrialFactory

pytestmark = pytest.mark.django_db


@pytest.fixture
def lapsed():
    """A running trial whose lease has run out."""
    return TrialFactory(state="running", attempt=1, lease_expires_at=timezone.now() - timedelta(seconds=9))


def swept(seconds_ago):
    Pulse.objects.create(name="sweep", beat_at=timezone.now() - timedelta(seconds=seconds_ago))


def test_a_lease_that_ran_out_while_sweeps_ran_is_taken_back(lapsed):
    swept(2)
    sweep()
    lapsed.refresh_from_db()
    assert lapsed.state == "waiting"


def test_after_a_silence_the_holder_has_time_to_renew_it(lapsed):
    swept(30)
    sweep()
    lapsed.refresh_from_db()
    assert lapsed.state == "running"
    assert timezone.now() < lapsed.lease_expires_at < timezone.now() + timedelta(seconds=7)


def test_a_holder_that_died_in_the_silence_loses_it_a_little_later(lapsed):
    swept(30)
    sweep()
    lapsed.lease_expires_at = timezone.now() - timedelta(seconds=1)
    lapsed.save()
    sweep()
    lapsed.refresh_from_db()
    assert lapsed.state == "waiting"


def test_a_sweep_held_up_in_the_middle_judges_nothing(lapsed, monkeypatch):
    swept(2)
    monkeypatch.setattr(sweeping, "SILENCE_SECONDS", -1.0)
    monkeypatch.setattr(sweeping.leases, "forbear", lambda *tables: None)
    sweep()
    lapsed.refresh_from_db()
    assert lapsed.state == "running"
    assert pulses.age("sweep") >= 2


def test_a_sweep_that_ends_has_a_pulse():
    sweep()
    assert pulses.age("sweep") < 2


def test_sweeps_that_come_again_after_a_silence_say_so():
    swept(2)
    sweep()
    assert pulses.age("sweeps_again") is None
    Pulse.objects.all().delete()
    swept(30)
    sweep()
    assert pulses.age("sweeps_again") < 2
