from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.files import File
from django.core.files.uploadedfile import UploadedFile
from django.core.management.base import BaseCommand, CommandError

from automl.accounts.models import User
from automl.core import seats
from automl.datasets.services import create_dataset
from automl.engine.errors import UserError
from automl.experiments import selectors
from automl.experiments.services.lifecycle import ExperimentRequest, create_experiment


class Command(BaseCommand):
    help = "Runs one experiment on a file in this process, with no broker and no workers."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path)
        parser.add_argument("target")
        parser.add_argument("--user", default="admin")
        parser.add_argument("--seconds", type=float, default=60.0)
        parser.add_argument("--trials", type=int)

    def handle(
        self, *, file: Path, target: str, user: str, seconds: float, trials: int | None, **_: Any
    ) -> None:
        settings.DISPATCHER = "automl.experiments.inline.InlineDispatcher"
        owner, _made = User.objects.get_or_create(username=user)
        try:
            with file.open("rb") as opened:
                upload = UploadedFile(File(opened), name=file.name, size=file.stat().st_size)
                dataset = create_dataset(owner=owner, file=upload)
            dataset.refresh_from_db()
            if dataset.error:
                raise CommandError(dataset.error)
            request = ExperimentRequest(
                dataset=dataset, target=target, time_budget=seconds, max_trials=trials
            )
            experiment = create_experiment(owner=owner, request=request)
        except (UserError, OSError) as error:
            raise CommandError(str(error)) from error
        finally:
            seats.close()
        experiment.refresh_from_db()
        if experiment.error:
            raise CommandError(experiment.error)
        for row in selectors.leaderboard(experiment):
            self.stdout.write(f"{row.rank:3d}  {row.name:30s} {row.score:.5f}")
