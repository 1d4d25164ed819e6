from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError

from automl.engine.errors import UserError
from automl.experiments.services.backups import restore_backup


class Command(BaseCommand):
    help = "Puts a backup into an empty service. Start it afterwards: what was interrupted goes on."
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path)

    def handle(self, *args: Any, file: Path, **options: Any) -> None:
        call_command("migrate", interactive=False, verbosity=0)
        try:
            manifest = restore_backup(file)
        except (UserError, OSError) as error:
            raise CommandError(f"Nothing was restored: {error}") from error
        rows = sum(manifest["rows"].values())
        self.stdout.write(
            f"Restored {rows} rows and {len(manifest['files'])} files of {manifest['created_at']}."
        )
        self.stdout.write("Start the service: searches that were interrupted go on by themselves.")
