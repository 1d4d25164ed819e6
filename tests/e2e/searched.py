"""Real searches, small and quick, done in the process of the test: with files, models and predictions."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from django.core.files import File
from django.core.files.uploadedfile import UploadedFile

from automl.accounts.models import User
from automl.core import dispatch
from automl.datasets.models import Dataset
from automl.datasets.services import create_dataset
from automl.experiments.inline import InlineDispatcher
from automl.experiments.models import Experiment
from automl.experiments.services.lifecycle import ExperimentRequest, create_experiment


@contextmanager
def carried_out() -> Iterator[None]:
    """What services hand on meanwhile is done at once; after that it is only noted, as in other tests."""
    carrier = InlineDispatcher()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dispatch, "_dispatcher", lambda path: carrier)
        yield


def uploaded(owner: User, path: Path) -> Dataset:
    """A table that was uploaded and profiled."""
    with path.open("rb") as opened, carried_out():
        upload = UploadedFile(File(opened), name=path.name, size=path.stat().st_size)
        dataset = create_dataset(owner=owner, file=upload)
    dataset.refresh_from_db()
    assert dataset.state == "ready", dataset.error
    return dataset


def searched(dataset: Dataset, target: str, *, families: list[str], trials: int, name: str) -> Experiment:
    """A search of some families that has tried so much and packaged its answer."""
    request = ExperimentRequest(
        dataset=dataset,
        target=target,
        name=name,
        families=families,
        max_trials=trials,
        time_budget=600.0,
    )
    with carried_out():
        experiment = create_experiment(owner=dataset.owner, request=request)
    experiment.refresh_from_db()
    assert experiment.state == "complete", experiment.error
    errors = [trial.error for trial in experiment.trials.exclude(state="complete")]
    assert errors == []
    return experiment
