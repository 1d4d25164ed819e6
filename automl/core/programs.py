"""The programs that a service consists of, with the very commands that docker-compose.yml runs."""

from __future__ import annotations

import os
import signal
import socket
import sys

from django.conf import settings

from automl.core import broker
from automl.core.supervisor import Program, Stop
from automl.engine.errors import UserError

WEB_THREADS = 8
# A worker gives its leases back on SIGTERM, and ends; SIGQUIT ends one that does not.
WORKER_STOP: Stop = ((signal.SIGTERM, 3.0), (signal.SIGQUIT, 2.0))


def listen(host: str, port: int) -> socket.socket:
    """Take the address of the web server, so that nobody else can while it starts again."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise UserError(
            f"Can't listen on {host}, port {port}: {error.strerror or error}. "
            "Set AUTOML_PORT to a free port, or stop what uses this one."
        ) from error
    listener.listen(512)
    return listener


def broker_program() -> Program:
    """The embedded Redis-protocol server."""
    line = broker.command(broker.socket_of(settings.BROKER_URL), settings.HOME / "broker")
    return Program("broker", line, stop=((signal.SIGTERM, 3.0),), last=True)


def web(listener: socket.socket) -> Program:
    """The web server: one process, so that what it caches is cached once, and threads."""
    number = listener.fileno()
    return Program("web", gunicorn(f"fd://{number}"), keep=[number])


def gunicorn(bind: str) -> list[str]:
    """The web server's command line."""
    line = [sys.executable, "-m", "gunicorn", "automl.wsgi:application", "--bind", bind]
    line += ["--worker-class", "gthread", "--workers", "1", "--threads", str(WEB_THREADS)]
    return [*line, "--timeout", "60", "--graceful-timeout", "3", "--keep-alive", "5", "--no-control-socket"]


def worker(queue: str, seats: int) -> Program:
    """A Celery worker for one queue, with as many processes as it has seats."""
    line = celery("worker", "-Q", queue, "-c", str(seats), "-n", f"{queue}@%h")
    # Workers tell their state in rows; what they would tell each other nobody hears.
    line += ["--without-gossip", "--without-mingle", "-l", settings.LOG_LEVEL]
    # Sockets may be made there, and their paths must be short.
    scratch = broker.short_folder(settings.HOME)
    broker.make_private(scratch)
    return Program(
        queue, line, stop=WORKER_STOP, environment=_plain_threads(), scratch=scratch / f"{queue}.tmp"
    )


def scheduler() -> Program:
    """Celery's beat, which sends the periodic tasks."""
    # Our own: Celery's would wait for times of before the clock was set back.
    line = celery("beat", "-S", "workers.beat:Scheduler", "--pidfile=", "-l", settings.LOG_LEVEL)
    return Program("scheduler", line)


def celery(*arguments: str) -> list[str]:
    """A command line of Celery for our application; the web server makes Django's checks, once.

    Quiet means without the banner, which is no line of a log.
    """
    return [sys.executable, "-m", "celery", "--skip-checks", "-A", "workers.app", "-q", *arguments]


def _plain_threads() -> dict[str, str]:
    """Workers wait for fits and do no arithmetic: threads there would only be in the way of a fork."""
    return {} if "OMP_NUM_THREADS" in os.environ else {"OMP_NUM_THREADS": "1"}
