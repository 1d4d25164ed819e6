"""A broker that is gone, emptied or slow, and messages that come twice, late or for nothing."""

from __future__ import annotations

import time

import pytest
from celery import Celery
from redis import Redis

from automl.core.broker import embedded_url, socket_path
from tests.faults.searches import Search, kill, misbehave, number_of, part
from tests.service import Service

pytestmark = pytest.mark.slow


@pytest.fixture
def embedded(healthy: Service) -> Service:
    if "REDIS_URL" in healthy.environment:
        pytest.skip("the broker given to the tests is not theirs to kill")
    return healthy


def whole(search: Search, undisturbed: list) -> None:
    ended = search.ended(within=90)
    assert ended["status"] == "complete", ended["error"]
    assert search.board() == undisturbed
    assert search.losses() == 0


def test_a_broker_that_stands_still_for_30_s_loses_nothing_and_requests_still_succeed(
    embedded: Service, dataset: dict, search: Search, undisturbed: list
):
    broker = part(embedded, "broker")[0]
    broker.suspend()
    try:
        began = time.monotonic()
        during = Search(embedded, dataset)
        assert time.monotonic() - began < 10
        time.sleep(30 - (time.monotonic() - began))
    finally:
        broker.resume()

    whole(search, undisturbed)
    whole(during, undisturbed)


def test_a_broker_that_is_killed_and_started_again_loses_nothing_however_often(
    embedded: Service, dataset: dict, search: Search, undisturbed: list
):
    kill(embedded, "broker")
    whole(search, undisturbed)
    # Whether an acknowledgement is lost with it is chance.
    for _ in range(3):
        again = Search(embedded, dataset)
        again.wait_until_running(ended=2)
        kill(embedded, "broker")
        whole(again, undisturbed)


def test_an_emptied_broker_loses_nothing(embedded: Service, search: Search, undisturbed: list):
    with Redis(unix_socket_path=str(socket_path(embedded.home))) as client:
        client.flushall()

    whole(search, undisturbed)


def test_workers_that_a_broker_answers_with_errors_give_back_what_they_hold_and_start_again(
    embedded: Service, dataset: dict, undisturbed: list
):
    misbehave(embedded, n2_1="sleep")
    search = Search(embedded, dataset)
    embedded.wait_for(
        lambda: any(number_of(t) == 2 and t["status"] == "running" for t in search.trials()),
        within=30,
        what="the fit that sleeps",
    )
    before = {process.pid for process in part(embedded, "evaluate worker")}
    with Redis(unix_socket_path=str(socket_path(embedded.home))) as client:
        # As on a full disk: it listens and takes no write.
        client.config_set("min-replicas-to-write", 1)
        try:
            embedded.wait_for(
                lambda: before.isdisjoint({process.pid for process in part(embedded, "evaluate worker")}),
                within=8,
                what="the worker to start again, whatever its fits are at",
            )
        finally:
            client.config_set("min-replicas-to-write", 0)

    ended = search.ended(within=90)
    assert ended["status"] == "complete", ended["error"]
    assert search.board() == undisturbed


def test_a_commit_while_the_broker_is_down_is_found_by_the_sweep(
    embedded: Service, dataset: dict, undisturbed: list
):
    kill(embedded, "broker")
    search = Search(embedded, dataset)

    whole(search, undisturbed)


def test_the_same_messages_twice_and_late_change_nothing(
    embedded: Service, dataset: dict, search: Search, undisturbed: list
):
    with Celery(broker=embedded_url(embedded.home)) as client:

        def send(name: str, *ids: str, times: int = 5) -> None:
            queue = "evaluate" if name == "evaluate_trial" else "short"
            for _ in range(times):
                client.send_task(f"workers.tasks.{name}", args=ids, queue=queue, ignore_result=True)

        for name in ("prepare_experiment", "plan_trials", "finish_experiment"):
            send(name, search.id)
        send("evaluate_trial", times=20)
        whole(search, undisturbed)
        for name in ("prepare_experiment", "plan_trials", "finish_experiment"):
            send(name, search.id)
        send("package_model", search.get()["model"])

        misbehave(embedded, n0="sleep", n1="sleep")
        cancelled, deleted = Search(embedded, dataset), Search(embedded, dataset)
        cancelled.wait_until_running(1)
        embedded.client.post(f"{cancelled.path}cancel/")
        embedded.client.delete(deleted.path)
        for id in (cancelled.id, deleted.id):
            for name in ("prepare_experiment", "plan_trials", "finish_experiment"):
                send(name, id)
        send("evaluate_trial")
        misbehave(embedded)

        again = Search(embedded, dataset)
        whole(again, undisturbed)
    assert search.board() == undisturbed
    assert cancelled.get()["status"] == "cancelled"
    assert {trial["status"] for trial in cancelled.trials()} == {"cancelled"}
    assert embedded.client.get(deleted.path).status_code == 404
