from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from automl.engine.errors import UserError
from automl.experiments.services.backups import make_backup


class Command(BaseCommand):
    help = (
        "Writes rows, files and the secret key into one file (.tar or .tar.gz), also while the service runs."
    )
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path)

    def handle(self, *args: Any, file: Path, **options: Any) -> None:
        try:
            manifest = make_backup(file.absolute())
        except (UserError, OSError) as error:
            raise CommandError(f"No backup was made: {error}") from error
        size = file.stat().st_size / 2**20
        rows = sum(manifest["rows"].values())
        self.stdout.write(f"{file}: {rows} rows, {len(manifest['files'])} files, {size:.1f} MB.")
        if manifest["vanished"]:
            self.stdout.write(f"Deleted meanwhile, so not in it: {', '.join(manifest['vanished'][:5])}.")
