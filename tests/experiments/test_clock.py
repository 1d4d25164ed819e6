"""The clock of a search while sweeps are late: its seats keep it moving."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from automl.experiments import clock
from automl.experiments.services.trials import evaluate_trial
from tests.factories import ExperimentFactory, TrialFactory
from tests.seats import RESULTS, outcome

pytestmark = pytest.mark.django_db


@pytest.fixture
def search():
    """A search whose clock was moved on 15 s ago, with a trial that waits."""
    now = timezone.now()
    experiment = ExperimentFactory(
        started_at=now - timedelta(seconds=60),
        clock_at=now - timedelta(seconds=15),
        spent=45.0,
        time_budget=600.0,
    )
    TrialFactory(experiment=experiment, state="waiting")
    return experiment


def test_a_long_fit_keeps_the_clock_of_its_search_moving(search, seat, settings, monkeypatch):
    settings.HEARTBEAT_SECONDS = 0.0
    monkeypatch.setattr(clock, "SEAT_SECONDS", 0.0)

    def long_fit(*, on_tick, **_):
        behind = timezone.now() - timedelta(seconds=15)
        type(search).objects.update(spent=45.0, clock_at=behind)
        assert on_tick(1.0)
        search.refresh_from_db()
        return outcome(result=RESULTS["evaluate"])

    seat.answers["evaluate"] = long_fit
    assert evaluate_trial("evaluate@here")
    assert search.spent == pytest.approx(60.0, abs=1)
    assert timezone.now() - search.clock_at < timedelta(seconds=1)


def test_claiming_and_telling_move_the_clock_on_too(search, seat):
    def short_fit(**_):
        search.refresh_from_db()
        assert search.spent == pytest.approx(60.0, abs=1)
        behind = timezone.now() - timedelta(seconds=15)
        type(search).objects.update(spent=60.0, clock_at=behind)
        return outcome(result=RESULTS["evaluate"])

    seat.answers["evaluate"] = short_fit
    evaluate_trial("evaluate@here")
    search.refresh_from_db()
    assert search.spent == pytest.approx(75.0, abs=1)


def test_a_fit_does_not_start_the_clock_of_a_search_that_was_paused_meanwhile(search, seat, settings):
    settings.HEARTBEAT_SECONDS = 0.0

    def paused(*, on_tick, **_):
        type(search).objects.update(state="paused", spent=50.0, clock_at=None)
        on_tick(1.0)
        return outcome("cancelled")

    seat.answers["evaluate"] = paused
    evaluate_trial("evaluate@here")
    search.refresh_from_db()
    assert (search.spent, search.clock_at) == (50.0, None)


def test_a_heartbeat_asks_for_the_clock_only_every_few_seconds(search, django_assert_num_queries):
    ask = clock.attended(type(search).objects.none(), search.id)
    with django_assert_num_queries(2):
        for _ in range(5):
            ask()


@pytest.mark.parametrize(("ahead", "moved"), [(3600, True), (3, False)])
def test_a_clock_that_was_set_back_does_not_stand_still_for_as_long(search, ahead, moved):
    """A machine whose clock goes a few seconds before is not meant."""
    future = timezone.now() + timedelta(seconds=ahead)
    type(search).objects.update(clock_at=future)
    clock.move_on(type(search).objects.all())
    search.refresh_from_db()
    assert (search.clock_at < future) is moved
    assert search.spent == 45.0
