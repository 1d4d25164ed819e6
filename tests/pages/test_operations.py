"""What whoever runs the service sees, and nobody else."""

from datetime import timedelta

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from django.utils.html import strip_tags

from automl.core import pulses, store
from automl.core.models import Worker
from tests.factories import PredictionFactory, TrialFactory, UserFactory

pytestmark = pytest.mark.django_db
ADDRESSES = [reverse("pages:operations"), reverse("pages:operations_state")]


@pytest.fixture(autouse=True)
def broker(monkeypatch):
    monkeypatch.setattr("automl.core.health._broker", lambda: None)
    monkeypatch.setattr("automl.pages.operations.queue_lengths", lambda: {"evaluate": 7, "short": None})


@pytest.fixture
def operator(db) -> Client:
    client = Client()
    client.force_login(UserFactory(username="operator", is_staff=True))
    return client


def worker(name="evaluate@here", queue="evaluate", seconds=1):
    now = timezone.now()
    Worker.objects.create(
        name=name,
        queue=queue,
        seats=4,
        threads_per_seat=2,
        memory_per_seat=3 << 30,
        started_at=now,
        seen_at=now - timedelta(seconds=seconds),
    )


@pytest.mark.parametrize("address", ADDRESSES)
def test_only_staff_finds_it(client, browser_client, operator, address):
    assert operator.get(address).status_code == 200
    assert browser_client.get(address).status_code == 404
    assert client.get(address).status_code == 302


def test_only_staff_has_a_link_to_it(browser_client, operator):
    link = f'href="{ADDRESSES[0]}"'
    assert link in operator.get("/").content.decode()
    assert link not in browser_client.get("/").content.decode()


@pytest.mark.parametrize("address", ADDRESSES)
def test_seats_leases_queues_and_failures_of_everybody_are_shown(operator, alice, address):
    worker()
    worker("evaluate@there", seconds=600)
    pulses.beat("sweep")
    end = timezone.now() + timedelta(seconds=12)
    TrialFactory(
        experiment__owner=alice,
        experiment__name="Incomes",
        state="running",
        worker="evaluate@here",
        losses=1,
        attempt=5,
        lease_expires_at=end,
        started_at=timezone.now(),
    )
    late = timezone.now() - timedelta(seconds=3)
    TrialFactory(experiment__name="Lost", state="running", lease_expires_at=late, started_at=late)
    TrialFactory(experiment__owner=alice, experiment__name="Prices", state="waiting")
    TrialFactory(experiment__name="Broken", state="failed", error="memory: the fit used 2 GB.")

    body = operator.get(address).content.decode()

    for words in (
        "evaluate@here",
        "3.0 GB",
        "10 min ago",
        "Incomes",
        "run out",
        "Prices",
        "alice",
        "evaluate 7",
    ):
        assert words in body, words
    assert "short unknown" in body
    assert "memory: the fit used 2 GB." in body
    assert '1 <span class="quiet">of 4</span>' in body


def test_files_to_predict_are_counted_with_their_room_and_shown_at_work(operator):
    worker("short@here", queue="short")
    soon = timezone.now() + timedelta(seconds=12)
    PredictionFactory(state="running", filename="people.csv", lease_expires_at=soon, bytes=5 << 20)
    for state in ("waiting", "waiting", "failed"):
        PredictionFactory(state=state, bytes=1 << 20)

    answer = operator.get(ADDRESSES[0])

    rows = {row.state: (row.count, row.room) for row in answer.context["files"]}
    assert rows["running"] == (1, 5 << 20)
    assert rows["waiting"] == (2, 2 << 20)
    assert rows["failed"] == (1, 1 << 20)
    assert rows["complete"] == (0, 0)
    assert [(lease.what, lease.name) for lease in answer.context["leases"]] == [("predict", "people.csv")]
    assert [row.busy for row in answer.context["workers"]] == [1]
    text = " ".join(strip_tags(answer.content.decode()).split())
    assert "waiting 2 2.0 MB" in text
    assert "failed 1 1.0 MB" in text


def test_an_empty_service_says_so(operator):
    body = operator.get(ADDRESSES[0]).content.decode()
    for words in (
        "No worker has been heard from",
        "Nothing is at work",
        "No trial waits",
        "No trial has failed",
    ):
        assert words in body


@pytest.mark.parametrize("count", [1, 8])
def test_it_costs_the_same_however_much_there_is(operator, count, django_assert_max_num_queries):
    for number in range(count):
        worker(f"evaluate@{number}")
        TrialFactory(state="running", started_at=timezone.now())
        TrialFactory(state="waiting")
        TrialFactory(state="failed")
        PredictionFactory(state="running")
    store.check()
    with django_assert_max_num_queries(25):
        operator.get(ADDRESSES[1])
