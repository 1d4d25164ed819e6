"""Bundles: of a search's answer, of other lines of a board when somebody asks, and anew for a graph."""

from __future__ import annotations

from dataclasses import asdict
from datetime import timedelta
from typing import Any
from uuid import UUID

import structlog
from django.conf import settings
from django.db import transaction
from django.db.models import F, QuerySet
from django.utils import timezone
from structlog.contextvars import bound_contextvars

from automl.core import leases, seats, storage
from automl.core.dispatch import dispatcher
from automl.core.errors import Conflict
from automl.core.patience import patiently
from automl.engine.trial import TrialState
from automl.experiments import selectors
from automl.experiments.models import (
    Ensemble,
    Experiment,
    ExperimentState,
    ModelState,
    TrainedModel,
    Trial,
)
from automl.experiments.records import candidate_of, honest_folder
from automl.experiments.services.aside import due_graphs, has_room, wake_next
from automl.experiments.services.leftovers import remove_path

log = structlog.get_logger(__name__)
# A bundle that was replaced may still be on its way to somebody.
BUNDLES_KEPT = timedelta(hours=1)
# What of a bundle written anew is stored: the rest would tell of the board of another day.
OF_THE_FILE = ("files", "sha256", "size")


def package_trial(trial: Trial) -> TrainedModel:
    """Have a complete trial packaged; asking again gives the same model.

    Raises
    ------
    Conflict
        If the trial has not completed.
    """
    if trial.state != TrialState.COMPLETE.value:
        raise Conflict(f"The trial is {trial.state}; only a complete one can be packaged.")
    return _request(trial.experiment, name=selectors.trial_name(trial), trial=trial)


def package_ensemble(ensemble: Ensemble) -> TrainedModel:
    """Have an ensemble packaged; asking again gives the same model."""
    return _request(ensemble.experiment, name=ensemble.name, ensemble=ensemble)


def _request(experiment: Experiment, *, name: str, **of: Any) -> TrainedModel:
    with transaction.atomic():
        # First, as everywhere. Who cancels the search meanwhile waits, or has removed its model already.
        Experiment.objects.select_for_update().get(id=experiment.id)
        model, made = TrainedModel.objects.get_or_create(experiment=experiment, **of, defaults={"name": name})
        if made or model.state == ModelState.FAILED:
            _raise_versions(Experiment.objects.filter(id=experiment.id))
            try_again(model)
            transaction.on_commit(lambda: dispatcher().package(model.id))
        TrainedModel.objects.filter(id=model.id, asked_for=False).update(asked_for=True)
        model.refresh_from_db()
    return model


def try_again(model: TrainedModel) -> None:
    """Let a model that failed be written anew."""
    failed = TrainedModel.objects.filter(id=model.id, state=ModelState.FAILED)
    failed.update(state=ModelState.PACKAGING, losses=0, error="", version=F("version") + 1)


def _raise_versions(experiments: QuerySet[Experiment]) -> None:
    """Their boards show models too. Before the models' own rows, as everywhere: two orders could deadlock."""
    experiments.update(version=F("version") + 1)


def package_model(model_id: UUID) -> None:
    """Write the bundle of a model. From `packaging` to `ready` or `failed`; what is ready stays so."""
    model = selectors.unwritten_models().filter(id=model_id).first()
    if model is None:
        return
    if model.state == ModelState.PACKAGING:
        write_bundle(model, None)
    elif has_room() and due_graphs().filter(id=model.id).exists():
        write_bundle(model, None)
        wake_next()


def write_bundle(model: TrainedModel, outer: leases.Heartbeat | None) -> bool:
    """Package under the model's own lease, and keep the outer lease alive meanwhile; whether it is ready."""
    rows = selectors.unwritten_models().filter(id=model.id)
    if not leases.claim(rows):
        return False
    model = rows.select_related("experiment__dataset", "experiment__test_dataset", "trial", "ensemble").get()
    held = rows.filter(attempt=model.attempt)
    # Inside of an experiment's end it is that which is sent again.
    send_again = (lambda: None) if outer else (lambda: dispatcher().package(model.id))
    about = {"experiment": str(model.experiment_id), "model": str(model.id), "attempt": model.attempt}
    with bound_contextvars(**about), leases.kept(model, held, send_again=send_again):
        return _write(model, held, outer)
    return False


def _write(model: TrainedModel, held: QuerySet[TrainedModel], outer: leases.Heartbeat | None) -> bool:
    own = leases.Heartbeat(lambda: held)
    _remove_other_attempts(model)
    outcome = seats.run(
        "package",
        {**_package_args(model), "hurry": outer is not None},
        seconds=600.0,
        on_tick=lambda elapsed: own(elapsed) and (outer is None or outer(elapsed)),
    )
    own.check(outcome)
    if not own.lost and outer is not None and outer.lost:
        # Whoever took the outer lease may want the same model: no attempt was lost here.
        raise leases.CutOff(counted=False, at_once=False)
    if own.lost:
        return False
    if outcome.status == "storage" and model.losses + 1 < settings.MAX_ATTEMPTS:
        storage.wait_for_room(lambda: own() and (outer is None or outer()))
        patiently(lambda: leases.let_go(held, counted=True))
        return False
    if outcome.result is None:
        log.warning("package_failed", model=str(model.id), error=outcome.error, detail=outcome.detail)
        _give_up(held, outcome.error or "The bundle could not be written.")
        return False
    found, again = outcome.result, model.state == ModelState.READY
    names = OF_THE_FILE if again else ("score", "metrics", "schema", *OF_THE_FILE)
    ready = {name: found[name] for name in names} | {
        "graph_due": found["graph_due"],
        "bundle_attempt": model.attempt,
        "replaced_at": timezone.now() if again else None,
    }
    log.info("model_packaged", seconds=round(outcome.seconds, 2), size=found["size"])
    return patiently(lambda: _make_ready(model, held, ready))


@transaction.atomic
def _make_ready(model: TrainedModel, held: QuerySet[TrainedModel], found: dict[str, Any]) -> bool:
    _raise_versions(Experiment.objects.filter(id=model.experiment_id))
    return (
        held.update(
            state=ModelState.READY, losses=0, lease_expires_at=None, version=F("version") + 1, **found
        )
        == 1
        # Stored already, where the answer to that was lost with the database.
        or TrainedModel.objects.filter(
            id=model.id, state=ModelState.READY, bundle_attempt=model.attempt
        ).exists()
    )


def _remove_other_attempts(model: TrainedModel) -> None:
    """What attempts left behind that were killed over it; never what counts, or a later one writes."""
    for attempt in range(model.attempt):
        bundle = model.bundle_of(attempt)
        storage.remove_drafts(bundle)
        if model.state == ModelState.PACKAGING or attempt != model.bundle_attempt:
            storage.remove(bundle)


@transaction.atomic
def _give_up(models: QuerySet[TrainedModel], error: str) -> None:
    """What was never written has failed; what is ready stays as it is, without a graph."""
    _raise_versions(Experiment.objects.filter(id__in=models.values("experiment")))
    ended: dict[str, Any] = {"lease_expires_at": None, "version": F("version") + 1}
    # What was begun of another bundle may lie there, and goes as if it had been replaced.
    models.filter(state=ModelState.READY).update(graph_due=False, replaced_at=timezone.now(), **ended)
    models.filter(state=ModelState.PACKAGING).update(state=ModelState.FAILED, error=error, **ended)


def _package_args(model: TrainedModel) -> dict[str, Any]:
    experiment = model.experiment
    ensemble = model.ensemble
    if ensemble is not None:
        trials = experiment.trials.filter(id__in=ensemble.weights).order_by("number")
        members = [{**candidate_of(trial), **ensemble.shares(trial)} for trial in trials]
    else:
        assert model.trial is not None
        members = [{**candidate_of(model.trial), "weight": 1.0}]
    test = experiment.test_dataset
    return {
        "prepared": str(storage.path_of(experiment.folder) / "prepared"),
        "members": members,
        "honest": None if ensemble is None else honest_folder(ensemble),
        "metric": experiment.metric,
        "name": model.name,
        "experiment": {
            "id": str(experiment.id),
            "name": experiment.name,
            "dataset": experiment.dataset.name,
            "dataset_sha256": experiment.dataset.sha256,
            "rows": experiment.dataset.rows,
            "target": experiment.target,
            "time_budget": experiment.time_budget,
            "seed": experiment.seed,
            "created_at": experiment.created_at.isoformat(),
            "warnings": experiment.warnings,
        },
        "leaderboard": [asdict(row) for row in selectors.leaderboard(experiment)],
        "test_table": str(storage.path_of(test.folder) / "table.arrow") if test else None,
        "out": str(storage.path_of(model.bundle_of(model.attempt))),
    }


def reap_models() -> None:
    """Have written what nobody writes any more. `wake_next` sends for graphs that are due."""
    models = selectors.unwritten_models().filter(leases.free_or_expired())
    _give_up(models.filter(leases.worn_out()), f"Packaging was cut off {settings.MAX_ATTEMPTS} times.")
    # The answer of a search is written by its end.
    asked = models.filter(state=ModelState.PACKAGING, asked_for=True)
    asked = asked.exclude(experiment__state=ExperimentState.STOPPING)
    for model_id in asked.values_list("id", flat=True):
        dispatcher().package(model_id)


def purge_bundles() -> None:
    """Remove bundles that another took the place of, once nobody reads them any more."""
    long_ago = timezone.now() - BUNDLES_KEPT
    for model in TrainedModel.objects.filter(replaced_at__lt=long_ago).order_by("replaced_at")[:100]:
        kept = storage.path_of(model.bundle)
        for path in kept.parent.glob("*bundle*"):
            if path != kept:
                remove_path(path)
        TrainedModel.objects.filter(id=model.id, bundle_attempt=model.bundle_attempt).update(replaced_at=None)
