"""The Celery application. It refuses to start on settings under which work could be lost."""

from __future__ import annotations

import json
import os
import sys
from datetime import UTC, datetime
from typing import Any

import structlog
from celery import Celery
from celery.signals import (
    celeryd_init,
    setup_logging,
    task_postrun,
    task_prerun,
    worker_process_init,
    worker_process_shutdown,
    worker_shutting_down,
)

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "automl.settings")

import django

django.setup()

from django.conf import settings  # noqa: E402 - the services need the apps to be ready
from django.core.exceptions import ImproperlyConfigured  # noqa: E402
from django.db import DatabaseError, connections  # noqa: E402

from automl.core import leaving, pulses, seats, store  # noqa: E402
from automl.engine.errors import UserError  # noqa: E402
from workers import recovery  # noqa: E402
from workers.schedule import SCHEDULE  # noqa: E402
from workers.steps import BoundedEnd, Heartbeat, LostAcknowledgements  # noqa: E402

log = structlog.get_logger(__name__)
LONGEST = settings.LONGEST_JOB_SECONDS

app = Celery("bakeoff")
app.conf.update(
    broker_url=settings.BROKER_URL,
    broker_connection_retry_on_startup=True,
    broker_connection_max_retries=None,
    broker_transport_options={
        # A message that is not acknowledged comes back after this long; rows decide whether it still counts.
        "visibility_timeout": LONGEST + 1200,
        "socket_keepalive": True,
        "socket_timeout": 30,
        "health_check_interval": 10,
    },
    task_ignore_result=True,
    task_serializer="json",
    accept_content=["json"],
    task_acks_late=True,
    task_reject_on_worker_lost=False,
    task_acks_on_failure_or_timeout=True,
    worker_prefetch_multiplier=1,
    worker_hijack_root_logger=False,
    worker_cancel_long_running_tasks_on_connection_loss=False,
    worker_enable_remote_control=False,
    worker_send_task_events=False,
    worker_soft_shutdown_timeout=0,
    task_soft_time_limit=LONGEST + 300,
    task_time_limit=LONGEST + 600,
    task_default_queue="short",
    task_routes={"workers.tasks.evaluate_trial": {"queue": "evaluate"}},
    beat_schedule=SCHEDULE,
    timezone="UTC",
    include=["workers.tasks"],
)


def check_configuration(conf: Any) -> None:
    """Refuse settings that have silently no effect or lose work.

    Raises
    ------
    ImproperlyConfigured
        Naming the setting, its value and the one that is needed.
    """
    needed = {
        "task_acks_late": True,
        "task_reject_on_worker_lost": False,
        "worker_prefetch_multiplier": 1,
        "task_ignore_result": True,
        "result_backend": None,
    }
    for name, value in needed.items():
        if conf[name] != value:
            raise ImproperlyConfigured(f"Celery's {name} is {conf[name]!r}; this service needs {value!r}.")
    if set(conf["accept_content"]) != {"json"}:
        raise ImproperlyConfigured(
            f"Celery's accept_content is {conf['accept_content']!r}; only JSON is safe."
        )
    visibility = conf["broker_transport_options"]["visibility_timeout"]
    if not conf["task_soft_time_limit"] < conf["task_time_limit"] < visibility:
        raise ImproperlyConfigured(
            "Celery's limits must rise: task_soft_time_limit < task_time_limit < visibility_timeout; "
            f"they are {conf['task_soft_time_limit']}, {conf['task_time_limit']}, {visibility}."
        )


def check_files() -> None:
    """Raise `StorageUnavailable` where the files are not those of the database."""
    try:
        store.check()
    except (DatabaseError, OSError) as error:
        # Each claim asks again.
        log.warning("files_not_checked", error=str(error))
    finally:
        # None may be open when the pool processes are forked.
        connections.close_all()


app.steps["consumer"].update((Heartbeat, LostAcknowledgements))
app.steps["worker"].add(BoundedEnd)


@setup_logging.connect
def keep_our_logging(**_: Any) -> None:
    """Django's settings have set logging up; Celery shall leave it."""


def say_as_json(text: str, stream: Any = sys.__stderr__) -> None:
    """What Celery says of a signal: written past all logging, as only that is safe in a signal's handler."""
    line = {"event": text, "level": "info", "logger": "celery", "timestamp": datetime.now(UTC).isoformat()}
    os.write(stream.fileno(), json.dumps(line).encode() + b"\n")


if settings.LOG_JSON:
    # Reached through the package: a program that only sends messages does not load a worker.
    from celery.apps import worker as celery_worker

    celery_worker.safe_say = say_as_json  # type: ignore[attr-defined]


@celeryd_init.connect
def begin(sender: str, conf: Any, **_: Any) -> None:
    """Check the configuration in effect, whatever it came from, and read what a dead predecessor held."""
    try:
        check_configuration(conf)
        seats.refuse_too_much()
        check_files()
    except (ImproperlyConfigured, UserError) as error:
        log.error("worker_refuses_to_start", worker=sender, error=str(error))
        # Celery would log any other exception, and go on.
        raise SystemExit(1) from error
    log.info("worker_begins", worker=sender, seats=seats.described())
    recovery.open_notes(sender)


@worker_shutting_down.connect
def give_back(**_: Any) -> None:
    """On SIGTERM, before anything else: the pool processes give back what they hold, instead of ending it."""
    leaving.ask()


@task_prerun.connect
def show_that_it_hears(task: Any, **_: Any) -> None:
    """Whoever takes a message is not deaf."""
    queue = (task.request.delivery_info or {}).get("routing_key")
    if queue:
        pulses.take_up(queue)


@worker_process_init.connect
def warm_the_seat(**_: Any) -> None:
    """Each pool process is a seat: its server imports the learners while the first message is on its way."""
    recovery.sit()
    seats.warm_up()


@task_prerun.connect
def begin_work(**_: Any) -> None:
    """Look at what this process, or the one whose place it took, did not give back."""
    recovery.begin_work()


@task_postrun.connect
def end_work(**_: Any) -> None:
    """End the process if it was asked to while it worked."""
    recovery.end_work()


@worker_process_shutdown.connect
def close_the_seat(**_: Any) -> None:
    """Leave no server behind."""
    seats.close()
