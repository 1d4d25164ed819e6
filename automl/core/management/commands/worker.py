"""`manage.py worker QUEUE`: one Celery worker with as many processes as this machine has seats."""

from __future__ import annotations

import os
from argparse import ArgumentParser
from typing import Any

from django.core.management import BaseCommand

from automl.core import programs
from automl.core.seats import seat_plan


class Command(BaseCommand):
    help = "Becomes a Celery worker for one queue: 'evaluate' (trials) or 'short' (everything else)."
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("queue", choices=["evaluate", "short"])

    def handle(self, *args: Any, queue: str, **options: Any) -> None:
        program = programs.worker(queue, seat_plan().seats if queue == "evaluate" else programs.SHORT_WORKERS)
        os.execve(program.command[0], list(program.command), {**os.environ, **program.environment})  # noqa: S606
