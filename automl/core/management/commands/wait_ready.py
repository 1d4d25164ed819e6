"""`manage.py wait_ready`: for containers, which start in no particular order."""

from __future__ import annotations

import time
from argparse import ArgumentParser
from typing import Any

from django.core.management import BaseCommand, CommandError

from automl.core.health import readiness

PARTS = ("database", "broker", "storage", "workers")


class Command(BaseCommand):
    help = "Waits until the named parts of the service answer; exits 1 when they don't in time."
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("parts", nargs="*", choices=[*PARTS, []], default=[])
        parser.add_argument("--timeout", type=float, default=60.0, help="seconds (60)")

    def handle(self, *args: Any, parts: list[str], timeout: float, **options: Any) -> None:
        parts = parts or ["database", "broker"]
        deadline = time.monotonic() + timeout
        while bad := {part: why for part, why in readiness().items() if part in parts and why != "ok"}:
            if time.monotonic() > deadline:
                reasons = "; ".join(f"{part}: {why}" for part, why in bad.items())
                raise CommandError(f"Not ready after {timeout:g} s. {reasons}")
            time.sleep(0.5)
