"""What Prometheus scrapes, and who may."""

import pytest
from prometheus_client.parser import text_string_to_metric_families

from automl.accounts.services import create_token
from automl.core import pulses
from tests.factories import ExperimentFactory, TrialFactory, UserFactory

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def broker(monkeypatch):
    monkeypatch.setattr("automl.api.prometheus.queue_lengths", lambda: {"evaluate": 3, "short": None})


@pytest.fixture
def staff(db):
    return UserFactory(username="operator", is_staff=True)


def scrape(client, token):
    answer = client.get("/metrics", headers={"Authorization": f"Bearer {token}"})
    assert answer.status_code == 200
    return {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(answer.content.decode())
        for sample in family.samples
    }


def test_trials_seats_queues_and_budgets_are_told(client, staff):
    experiment = ExperimentFactory()
    TrialFactory(experiment=experiment, state="waiting")
    TrialFactory(experiment=experiment, state="complete", seconds=2.5)
    TrialFactory(experiment=experiment, state="failed", losses=3)
    ExperimentFactory(state="complete", time_budget=60.0, spent=63.0)
    pulses.beat("sweep")

    found = scrape(client, create_token(staff))

    assert found["bakeoff_trials", "waiting"] == 1
    assert found["bakeoff_trials_ended_total", "complete"] == 1
    assert found["bakeoff_trial_seconds_total", "complete"] == 2.5
    assert found["bakeoff_trial_losses_total",] == 3
    assert found["bakeoff_experiments", "running"] == 1
    assert found["bakeoff_budget_overrun_seconds_bucket", "2.0"] == 0
    assert found["bakeoff_budget_overrun_seconds_bucket", "5.0"] == 1
    assert found["bakeoff_budget_overrun_seconds_sum",] == 3
    assert found["bakeoff_budget_overrun_seconds_max",] == 3
    assert found["bakeoff_queue_messages", "evaluate"] == 3
    assert ("bakeoff_queue_messages", "short") not in found
    assert found["bakeoff_queue_waiting", "evaluate"] == 1
    assert 0 <= found["bakeoff_pulse_age_seconds", "sweep"] < 5
    assert found["bakeoff_disk_free_bytes",] > 0


@pytest.mark.parametrize("count", [1, 12])
def test_a_scrape_costs_the_same_however_much_there_is(
    client, staff, settings, count, django_assert_num_queries
):
    settings.METRICS_TOKEN = "scraper"
    for _ in range(count):
        TrialFactory(state="running")
        ExperimentFactory(state="complete")
    with django_assert_num_queries(13):
        scrape(client, "scraper")


def test_the_token_of_the_settings_opens_it(client, db, settings):
    settings.METRICS_TOKEN = "scraper"
    assert scrape(client, "scraper")
    for wrong in ("Bearer scrape", "Bearer ", "scraper", "Bearer sträper"):
        assert client.get("/metrics", headers={"Authorization": wrong}).status_code == 401


def test_without_a_token_in_the_settings_an_empty_one_opens_nothing(client, db, settings):
    settings.METRICS_TOKEN = ""
    assert client.get("/metrics", headers={"Authorization": "Bearer "}).status_code == 401


def test_strangers_are_refused_and_users_find_nothing(client, alice):
    assert client.get("/metrics").status_code == 401
    token = create_token(alice)
    assert client.get("/metrics", headers={"Authorization": f"Bearer {token}"}).status_code == 404
    client.force_login(alice)
    assert client.get("/metrics").status_code == 404


def test_staff_may_look_with_the_browser(client, staff):
    client.force_login(staff)
    assert client.get("/metrics").status_code == 200
