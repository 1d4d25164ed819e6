import threading

import pytest
from celery.platforms import EX_FAILURE
from celery.signals import celeryd_init
from django.core.exceptions import ImproperlyConfigured
from kombu.exceptions import OperationalError

from automl.core import leaving, store
from tests.factories import DatasetFactory
from workers import tasks
from workers.app import app, check_configuration
from workers.dispatch import CeleryDispatcher
from workers.steps import BoundedEnd, LostAcknowledgements


def changed(**settings):
    return {**{name: app.conf[name] for name in app.conf}, **settings}


def test_the_configuration_in_effect_is_the_safe_one():
    check_configuration(app.conf)
    assert app.conf.task_soft_time_limit < app.conf.task_time_limit
    assert app.conf.result_backend is None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("task_acks_late", False),
        ("task_reject_on_worker_lost", True),
        ("worker_prefetch_multiplier", 4),
        ("result_backend", "redis://"),
        ("accept_content", ["json", "pickle"]),
        ("task_soft_time_limit", 10**9),
        ("broker_transport_options", {"visibility_timeout": 60}),
    ],
)
def test_a_worker_refuses_a_setting_that_could_lose_work(name, value):
    with pytest.raises(ImproperlyConfigured, match=r"needs|safe|rise"):
        check_configuration(changed(**{name: value}))


@pytest.mark.django_db
def test_a_worker_without_the_files_of_its_database_does_not_start(private_files):
    (private_files / store.MARK).unlink()
    DatasetFactory()
    # No other exception gets through Celery's signals.
    with pytest.raises(SystemExit):
        celeryd_init.send(sender="evaluate@here", conf=app.conf)


def test_a_worker_that_stops_has_all_given_back_and_is_gone_soon_whatever_it_waits_for(monkeypatch):
    left = threading.Event()
    codes = []
    monkeypatch.setattr(BoundedEnd, "SECONDS", 0.05)
    monkeypatch.setattr("workers.steps.os._exit", lambda code: (codes.append(code), left.set()))
    try:
        BoundedEnd(None).stop(None)

        assert leaving.is_asked()
        assert left.wait(5)
        assert codes == [EX_FAILURE]
    finally:
        leaving.take_back()


class Broker:
    """A consumer's timer and channel, as far as acknowledgements go."""

    def __init__(self, *, unacknowledged: int) -> None:
        self.timer = self.task_consumer = self.channel = self.qos = self
        self.prefetch_count = 2
        self.unacknowledged = unacknowledged

    def can_consume_max_estimate(self) -> int:
        return self.prefetch_count - self.unacknowledged


def test_a_worker_that_has_lost_acknowledgements_takes_its_connection_for_lost(monkeypatch):
    at_work: set[str] = set()
    monkeypatch.setattr("workers.steps.state.reserved_requests", at_work)
    step, broker = LostAcknowledgements(None), Broker(unacknowledged=1)

    at_work.add("a fit")
    step.look(broker)
    step.look(broker)
    at_work.clear()
    step.look(broker)  # it may have ended this very moment
    with pytest.raises(ConnectionError, match="Acknowledgements were lost"):
        step.look(broker)
    broker.unacknowledged = 0
    step.look(broker)
    step.look(broker)


def test_long_and_short_work_have_queues_of_their_own():
    router = app.amqp.router
    assert router.route({}, tasks.evaluate_trial.name)["queue"].name == "evaluate"
    for task in (tasks.plan_trials, tasks.profile_dataset, tasks.finish_experiment, tasks.sweep):
        assert router.route({}, task.name)["queue"].name == "short"


@pytest.mark.django_db
def test_a_broker_that_is_gone_does_not_fail_the_request(monkeypatch):
    def refuse(*_args, **_kwargs):
        raise OperationalError("connection refused")

    monkeypatch.setattr(tasks.profile_dataset, "apply_async", refuse)

    CeleryDispatcher().profile(DatasetFactory(state="profiling").id)


def test_messages_hold_ids_only(monkeypatch):
    sent = []
    monkeypatch.setattr(tasks.plan_trials, "apply_async", lambda args, **_: sent.append(args))

    CeleryDispatcher().plan("0b0e6ae2-6a3c-4b1e-8f0f-1f2a4f5b6c7d")

    assert sent == [("0b0e6ae2-6a3c-4b1e-8f0f-1f2a4f5b6c7d",)]
