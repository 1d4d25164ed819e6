"""`manage.py serve`: the whole service in one terminal, until Ctrl-C."""

from __future__ import annotations

import contextlib
import http.client
import io
import time
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import structlog
from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management import BaseCommand, CommandError, call_command
from django.core.management.base import OutputWrapper
from django.db import connection, connections
from django.db.migrations.executor import MigrationExecutor
from django.utils import timezone

from automl.core import broker, programs, seats, static_files, store
from automl.core.models import Worker
from automl.core.supervisor import Stopped, Supervisor
from automl.engine.errors import UserError

log = structlog.get_logger(__name__)
BROKER_SECONDS = 10.0
WEB_SECONDS = 60.0
READY_SECONDS = 120.0
FIRST_USER = "admin"


class Command(BaseCommand):
    help = "Runs the web server, the workers, the scheduler and, unless REDIS_URL is set, a broker."
    requires_system_checks = []  # the web server makes them; twice would cost a second

    def handle(self, *args: Any, **options: Any) -> None:
        self._began = time.monotonic()
        try:
            seats.refuse_too_much()
            listener = programs.listen(settings.HOST, settings.PORT)
            with (
                listener,
                Supervisor(folder=settings.HOME, say=self._say, cwd=settings.BASE_DIR) as supervisor,
            ):
                try:
                    self._run(supervisor, listener)
                except Stopped:
                    self._say("Stopping. Press Ctrl-C again to stop at once.")
        except (UserError, RuntimeError) as error:
            raise CommandError(str(error)) from error
        with contextlib.suppress(OSError):  # the broker's socket is there when its own path is too long
            broker.short_folder(settings.HOME).rmdir()
        self._say("Stopped.")

    def _run(self, supervisor: Supervisor, listener: Any) -> None:
        if settings.BROKER_IS_EMBEDDED:
            supervisor.start(programs.broker_program())
        _prepare_database()
        _check_files()
        static_files.collect()
        supervisor.start(programs.web(listener))
        if settings.BROKER_IS_EMBEDDED:
            self._wait_for_broker(supervisor)
        link = _sign_in_link()
        connections.close_all()
        plan = seats.seat_plan()
        if not supervisor.wait(lambda: _status("/api/v1/health/live/") is not None, seconds=WEB_SECONDS):
            raise UserError(f"The web server has not answered for {WEB_SECONDS:.0f} s; see {_log('web')}.")
        began = timezone.now()
        # After the first answer: on two cores everything at once would make it late.
        supervisor.start(programs.worker("evaluate", plan.seats))
        supervisor.start(programs.worker("short", seats.SHORT_WORKERS))
        self._welcome(link)
        if supervisor.wait(lambda: _workers_answer(since=began), seconds=READY_SECONDS, every=0.1):
            connections.close_all()
            self._say(f"Ready after {time.monotonic() - self._began:.1f} s.")
        else:
            self._say(f"The workers are not ready after {READY_SECONDS:.0f} s; see {settings.HOME / 'logs'}.")
        supervisor.start(programs.scheduler())
        supervisor.wait()

    def _wait_for_broker(self, supervisor: Supervisor) -> None:
        """Wait for the broker; one that can't read its own files starts again without them."""
        path = broker.socket_of(settings.BROKER_URL)
        supervisor.wait(
            lambda: broker.answers(path) or not supervisor.is_running("broker"), seconds=BROKER_SECONDS
        )
        if broker.answers(path):
            return
        supervisor.drop("broker")
        if aside := broker.set_aside(settings.HOME / "broker"):
            self._say(f"The broker could not read its files, now in {aside}. No work is lost by that.")
        supervisor.start(programs.broker_program())
        if not supervisor.wait(lambda: broker.answers(path), seconds=BROKER_SECONDS):
            raise UserError(f"The broker does not answer; see {_log('broker')}.")

    def _welcome(self, link: str) -> None:
        lines = [
            "",
            f"Bakeoff answers at {settings.PUBLIC_URL}",
            f"Sign in, once:     {link}",
            f"Work:              {seats.described()}",
            f"Data and logs:     {settings.HOME}",
            "Ctrl-C stops everything.",
            "",
        ]
        self._say("\n".join(lines))

    def _say(self, text: str) -> None:
        if settings.LOG_JSON:
            log.info("serve", said=text.strip())
            return
        try:
            self.stdout.write(text)
            self.stdout.flush()
        except OSError:  # the terminal is gone; the service need not be
            self.stdout = OutputWrapper(io.StringIO())


def _prepare_database() -> None:
    """Bring the tables up to date, when they are not."""
    executor = MigrationExecutor(connection)
    if executor.migration_plan(executor.loader.graph.leaf_nodes()):
        call_command("migrate", interactive=False, verbosity=0)


def _check_files() -> None:
    """Refuse to start beside files that are not the database's, or that nobody can read or write."""
    try:
        store.check(may_move=True)
    except OSError as error:
        raise UserError(
            f"The files in {settings.FILES_ROOT} can't be read or written: {error.strerror or error}. "
            "Set AUTOML_FILES to a folder that this user may write, or let them write this one."
        ) from error


def _sign_in_link() -> str:
    """A link that signs the administrator in, once; the command of the layer above knows how to make it."""
    output = io.StringIO()
    call_command("sign_in_link", _administrator(), stdout=output)
    return output.getvalue().strip()


def _administrator() -> str:
    """Whom the printed link is for: the first start makes this user."""
    users = get_user_model().objects.filter(is_active=True).order_by("date_joined")
    # A plain user of that name is not made more than that: somebody may have signed up with it.
    known = users.filter(is_superuser=True).first() or users.filter(username=FIRST_USER).first()
    if known is None:
        known = get_user_model().objects.create_superuser(username=FIRST_USER)
    return known.get_username()


def _status(path: str) -> int | None:
    """The status that our web server answers with, or None when it does not."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.HOST, settings.HOST)  # noqa: S104 - read, not bound
    client = http.client.HTTPConnection(host, settings.PORT, timeout=2)
    try:
        client.request("GET", path, headers={"Host": urlsplit(settings.PUBLIC_URL).netloc})
        return client.getresponse().status
    except (OSError, http.client.HTTPException):
        return None
    finally:
        client.close()


def _workers_answer(*, since: datetime) -> bool:
    """Whether a worker started just now has written its heartbeat, for each queue."""
    started = set(Worker.objects.filter(started_at__gte=since).values_list("queue", flat=True))
    return started >= {"evaluate", "short"}


def _log(name: str) -> Path:
    return Path(settings.HOME) / "logs" / f"{name}.log"
