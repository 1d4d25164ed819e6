"""What Prometheus scrapes, and who may."""

from datetime import timedelta

import pytest
from django.utils import timezone
from prometheus_client.parser import text_string_to_metric_families

from automl.accounts.services import create_token
from automl.core import pulses
from automl.core.models import Worker
from automl.experiments.models import Experiment, Trial
from automl.experiments.services import steering
from automl.experiments.services.losses import lose_trial
from automl.experiments.services.trials import give_back
from tests.factories import ExperimentFactory, PredictionFactory, TrialFactory, UserFactory

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
    ExperimentFactory(state="complete", time_budget=60.0, spent=63.0, finished_at=timezone.now())
    long_ago = timezone.now() - timedelta(hours=2)
    ExperimentFactory(state="complete", time_budget=60.0, spent=600.0, finished_at=long_ago)
    pulses.beat("sweep")

    found = scrape(client, create_token(staff))

    assert found["bakeoff_trials", "waiting"] == 1
    assert found["bakeoff_trials", "complete"] == 1
    assert found["bakeoff_trial_seconds", "complete"] == 2.5
    assert found["bakeoff_trial_losses_total",] == 0
    assert found["bakeoff_experiments", "running"] == 1
    assert found["bakeoff_finished_lately",] == 1
    assert found["bakeoff_budget_overruns", "2"] == 1
    assert found["bakeoff_budget_overruns", "5"] == 0
    assert found["bakeoff_budget_overrun_seconds_max",] == 3
    assert found["bakeoff_queue_messages", "evaluate"] == 3
    assert ("bakeoff_queue_messages", "short") not in found
    assert found["bakeoff_queue_waiting", "evaluate"] == 1
    assert 0 <= found["bakeoff_pulse_age_seconds", "sweep"] < 5
    assert found["bakeoff_disk_free_bytes",] > 0


def test_files_to_predict_and_their_room_are_told(client, staff):
    for state in ("waiting", "complete", "complete", "cancelled"):
        PredictionFactory(state=state)

    found = scrape(client, create_token(staff))

    told = {state: found["bakeoff_predictions", state] for state in ("waiting", "running", "complete")}
    assert told == {"waiting": 1, "running": 0, "complete": 2}
    # Each file has 2,048 bytes, and 9 as CSV and as Parquet.
    assert found["bakeoff_prediction_bytes", "complete"] == 2 * (2048 + 18)
    assert found["bakeoff_prediction_bytes", "cancelled"] == 2048
    assert found["bakeoff_prediction_bytes", "running"] == 0


def test_what_is_counted_never_falls_and_what_may_fall_is_no_counter(client, staff):
    trial = TrialFactory(state="running", attempt=1)
    assert lose_trial(trial)
    token = create_token(staff)
    before = scrape(client, token)
    assert before["bakeoff_trial_losses_total",] == 1

    Experiment.objects.all().delete()

    after = scrape(client, token)
    counters = {name for name in before if name[0].endswith(("_total", "_count", "_sum", "_bucket"))}
    assert counters
    assert {name: after[name] for name in counters} == {name: before[name] for name in counters}


def test_workers_of_the_last_hour_have_no_seats_any_more(client, staff):
    for name, seconds in (("evaluate@new", 1), ("evaluate@old", 600)):
        heard = timezone.now() - timedelta(seconds=seconds)
        Worker.objects.create(name=name, queue="evaluate", seats=4, started_at=heard, seen_at=heard)

    found = scrape(client, create_token(staff))

    assert [found[name] for name in found if name[0] == "bakeoff_seats"] == [4]
    assert found["bakeoff_worker_last_seen_seconds", "evaluate", "evaluate@old"] > 500


def waited(client, token) -> float:
    return scrape(client, token)["bakeoff_queue_oldest_seconds", "evaluate"]


def test_a_trial_waits_since_it_could_last_be_taken(client, staff):
    token = create_token(staff)
    yesterday = timezone.now() - timedelta(days=1)
    trial = TrialFactory(state="waiting")
    Trial.objects.update(created_at=yesterday)
    assert waited(client, token) > 80_000

    Trial.objects.update(state="running", attempt=1)
    give_back(Trial.objects.all())
    assert waited(client, token) < 5

    Trial.objects.update(waiting_since=yesterday)
    steering.pause_experiment(trial.experiment)
    steering.resume_experiment(trial.experiment)
    assert waited(client, token) < 5

    Trial.objects.update(state="running", attempt=2, waiting_since=yesterday)
    lose_trial(Trial.objects.get())
    assert waited(client, token) < 5


def test_trials_that_an_extension_takes_up_again_wait_since_then(client, staff):
    experiment = ExperimentFactory(state="complete", finished_at=timezone.now(), clock_at=None, spent=60.0)
    TrialFactory(experiment=experiment, state="cancelled", cut_short=True)
    Trial.objects.update(created_at=timezone.now() - timedelta(days=1))
    steering.extend_experiment(experiment, seconds=60)
    assert waited(client, create_token(staff)) < 5


@pytest.mark.parametrize("count", [1, 12])
def test_a_scrape_costs_the_same_however_much_there_is(
    client, staff, settings, count, django_assert_num_queries
):
    settings.METRICS_TOKEN = "scraper"
    for _ in range(count):
        TrialFactory(state="running")
        ExperimentFactory(state="complete")
        PredictionFactory(state="running")
    with django_assert_num_queries(16):
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
