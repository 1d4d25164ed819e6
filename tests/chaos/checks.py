"""What must hold after the monkey: each check gives the things that are wrong, none where all is well."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

from tests.chaos.searches import Found, Plan
from tests.service import Service


def not_final(found: Mapping[str, Found]) -> list[str]:
    return [f"{id} is {search.status}" for id, search in found.items() if search.status != "complete"]


def lost_or_doubled(found: Mapping[str, Found], plans: Mapping[str, Plan]) -> list[str]:
    wrong = []
    for id, search in found.items():
        numbers = [trial[0] for trial in search.trials]
        if numbers != list(range(plans[id].trials)):
            wrong.append(f"{id} has trials {numbers}, not 0 to {plans[id].trials - 1}")
        wrong += [
            f"{id} #{trial[0]} is {trial[4]}"
            for trial in search.trials
            if trial[4] not in ("complete", "pruned")
        ]
    return wrong


def too_many_attempts(ids: list[str]) -> list[str]:
    from automl.experiments.models import Trial

    trials = Trial.objects.filter(experiment__in=ids, losses__gte=3)
    return [f"{trial.experiment_id} #{trial.number} was lost {trial.losses} times" for trial in trials]


def other_than_undisturbed(
    found: Mapping[str, Found], plans: Mapping[str, Plan], undisturbed: Mapping[Plan, Found]
) -> list[str]:
    wrong = []
    for id, search in found.items():
        expected = undisturbed[plans[id]]
        for ours, theirs in zip(search.trials, expected.trials, strict=False):
            if ours != theirs:
                wrong.append(f"{id} #{ours[0]}: {ours[1:]} is not {theirs[1:]}")
        if search.ensembles != expected.ensembles:
            wrong.append(f"{id}: ensemble {search.ensembles} is not {expected.ensembles}")
    return wrong


def models_that_are_not_whole(ids: list[str]) -> list[str]:
    from automl.core import storage
    from automl.experiments.models import TrainedModel

    wrong = []
    for id in ids:
        model = TrainedModel.objects.filter(experiment=id, is_best=True).first()
        if model is None or model.state != "ready":
            wrong.append(f"{id} has no model that is ready")
        elif hashlib.sha256(storage.path_of(model.bundle).read_bytes()).hexdigest() != model.sha256:
            wrong.append(f"{id}: the bundle is not the one that was written")
    return wrong


def files_left(home: Path) -> list[str]:
    """Drafts and other people's leavings: nothing of an attempt that does not count may stay."""
    from automl.experiments.models import Trial

    counted = {trial.folder.rpartition("/")[2] for trial in Trial.objects.filter(state="complete")}
    files = home / "files"
    wrong = [str(path) for path in files.rglob("*") if path.name.startswith(".") or "draft" in path.name]
    for folder in files.glob("experiments/*/trials/*"):
        if folder.name not in counted and not folder.name.startswith("."):
            wrong.append(f"{folder} belongs to no complete trial")
    wrong += [str(path) for folder in ("tmp", "uploads") for path in (home / folder).glob("*")]
    return wrong


def processes_left(service: Service) -> list[str]:
    return [f"{process.pid} {' '.join(process.cmdline())[:80]}" for process in service.processes()]
