"""`manage.py worker QUEUE`: one Celery worker with as many processes as this machine has seats.

With `--check` it only tells whether that worker of this machine is alive, for a container's health.
"""

from __future__ import annotations

import os
import platform
from argparse import ArgumentParser
from typing import Any

from django.core.management import BaseCommand, CommandError

from automl.core import programs
from automl.core.health import ALIVE_SECONDS, live_workers
from automl.core.seats import SHORT_WORKERS, seat_plan


class Command(BaseCommand):
    help = "Becomes a Celery worker for one queue: 'evaluate' (trials) or 'short' (everything else)."
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("queue", choices=["evaluate", "short"])
        parser.add_argument("--check", action="store_true", help="exit with 1 when it is silent")

    def handle(self, *args: Any, queue: str, check: bool, **options: Any) -> None:
        if check:
            name = f"{queue}@{platform.node()}"
            if not live_workers(queue).filter(name=name).exists():
                raise CommandError(f"{name} has not been heard from for {ALIVE_SECONDS} s.")
            return
        program = programs.worker(queue, seat_plan().seats if queue == "evaluate" else SHORT_WORKERS)
        os.execve(program.command[0], list(program.command), {**os.environ, **program.environment})  # noqa: S606
