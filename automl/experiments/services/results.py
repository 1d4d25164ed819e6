"""What comes of a search: the ensemble, and the experiment's answer."""

from __future__ import annotations

import math
from typing import Any
from uuid import UUID

import structlog
from django.conf import settings
from django.db import transaction
from django.db.models import F, Q, QuerySet, Window
from django.db.models.functions import RowNumber
from django.utils import timezone
from structlog.contextvars import bind_contextvars

from automl.core import leases, leaving, seats, storage
from automl.core.dispatch import dispatcher
from automl.core.patience import patiently
from automl.engine.reasons import why_nothing
from automl.engine.trial import TrialState
from automl.experiments import clock, selectors
from automl.experiments.models import (
    Ensemble,
    Experiment,
    ExperimentState,
    ModelState,
    Phase,
    TrainedModel,
    Trial,
)
from automl.experiments.records import budget_of, candidate_of, study_of
from automl.experiments.services.aside import wake_next
from automl.experiments.services.lifecycle import STOPPED, fail_experiment
from automl.experiments.services.packaging import try_again, write_bundle
from automl.experiments.states import advance_experiment, advance_trial

log = structlog.get_logger(__name__)
# How many of each family's best trials may enter the ensemble: as many as it has candidates in all.
CANDIDATES = 48
# Shares that differ by less are those of the same ensemble, found again among others.
ALIKE = 1e-3


def finish_experiment(experiment_id: UUID) -> None:
    """Blend the best trials and package the best model. From `stopping` to `complete` or `failed`."""
    rows = Experiment.objects.filter(id=experiment_id, state=ExperimentState.STOPPING)
    if not leases.claim(rows):
        return
    experiment = rows.get()
    held = rows.filter(attempt=experiment.attempt, limits_version=experiment.limits_version)
    with leases.kept(experiment, held, send_again=lambda: dispatcher().finish(experiment.id)):
        _finish(experiment, held)


def _finish(experiment: Experiment, held: QuerySet[Experiment]) -> None:
    heartbeat = leases.Heartbeat(lambda: held)
    bind_contextvars(attempt=experiment.attempt)
    trials = list(_candidates(experiment))
    if not trials:
        fail_experiment(experiment, _why_nothing(experiment), held=held)
        return
    if len(trials) > 1:
        _blend(experiment, trials, heartbeat, held)
    if heartbeat.lost or (model := _begin_packaging(experiment, held)) is None:
        return
    if model.state != ModelState.READY and not write_bundle(model, heartbeat):
        if heartbeat.lost or not held.exists():
            return
        model.refresh_from_db()
        if model.state == ModelState.PACKAGING:
            # Cut off, which its own attempts count, the disk was full, or it is at work elsewhere because
            # somebody asked for it.
            raise leases.CutOff(counted=False, at_once=leaving.is_asked())
        if model.state != ModelState.READY:
            fail_experiment(experiment, f"The best model could not be packaged: {model.error}", held=held)
            return
    patiently(lambda: _complete_with(experiment, model, held))
    log.info("experiment_finished", trials=len(trials))


def _complete_with(experiment: Experiment, model: TrainedModel, held: QuerySet[Experiment]) -> None:
    """Make the model the answer. Until here an earlier one, from before an extension, stays it."""
    with transaction.atomic():
        if not advance_experiment(
            held,
            to=ExperimentState.COMPLETE,
            phase=Phase.DONE,
            finished_at=timezone.now(),
            lease_expires_at=None,
            warnings=[*experiment.warnings, *_why_not_the_first(experiment)],
            version=F("version") + 1,
            **clock.stopped(experiment),
        ):
            return
        others = experiment.models.filter(is_best=True).exclude(id=model.id)
        others.update(is_best=False, version=F("version") + 1)
        experiment.models.filter(id=model.id).update(is_best=True, version=F("version") + 1)
        # What an end that was cut off had begun to package, and this one did not: nobody writes it any more.
        begun = experiment.models.filter(state=ModelState.PACKAGING, asked_for=False)
        begun.exclude(id=model.id).delete()
        transaction.on_commit(wake_next)  # a graph of the model may be due


def _why_not_the_first(experiment: Experiment) -> list[str]:
    """Say why another than the first of the board is the answer, where that is so."""
    answer, first = selectors.best_row(experiment), _complete(experiment).first()
    if answer is None or first is None or answer.rank == 1:
        return []
    return [
        f"{selectors.trial_name(first)} is first on the board, but its model would hold the training rows, "
        f"so {answer.name} is the answer."
    ]


def _complete(experiment: Experiment) -> QuerySet[Trial]:
    return experiment.trials.filter(state=TrialState.COMPLETE.value).order_by("-score", "number")


def _candidates(experiment: Experiment) -> QuerySet[Trial]:
    """The best complete trials of each family, the best of all first."""
    order = (F("score").desc(), F("number").asc())
    place = Window(RowNumber(), partition_by=F("family"), order_by=order)
    return _complete(experiment).annotate(place=place).filter(place__lte=CANDIDATES)


def _why_nothing(experiment: Experiment) -> str:
    failed = experiment.trials.filter(state=TrialState.FAILED.value).order_by("number").first()
    if failed is not None:
        return f"No trial finished. The first that failed said: {failed.error}"
    if experiment.trials.filter(error=STOPPED).exists():
        return "The search was stopped before any trial had finished. Extend it to go on."
    if experiment.prepared and (nothing := why_nothing(study_of(experiment))):
        return nothing
    return (
        f"No trial finished within {experiment.time_budget:g} s. Give it more time, or try fewer rows or "
        "a simpler family."
    )


def _blend(
    experiment: Experiment,
    trials: list[Trial],
    heartbeat: leases.Heartbeat,
    held: QuerySet[Experiment],
) -> None:
    """Store the ensemble where it is better than the best trial; a failure costs only the ensemble."""
    ensemble = Ensemble(experiment=experiment)
    others = (
        _complete(experiment)
        .exclude(id__in=[trial.id for trial in trials])
        .only("number", "attempt", "experiment_id")
    )
    outcome = seats.run(
        "blend",
        {
            "prepared": str(storage.path_of(experiment.folder) / "prepared"),
            "metric": experiment.metric,
            "seed": experiment.seed,
            "trials": [candidate_of(trial) for trial in trials],
            "others": [{"id": str(trial.id), "dir": str(storage.path_of(trial.folder))} for trial in others],
            "out": str(storage.path_of(ensemble.folder)),
            "memory_bytes": seats.memory_of("blend"),
            "time_budget": budget_of(experiment).seconds_alone,
        },
        seconds=60.0,
        on_tick=heartbeat,
    )
    heartbeat.check(outcome)
    if outcome.result is None:
        log.warning("blend_failed", experiment=str(experiment.id), error=outcome.error, detail=outcome.detail)
        # Stored with the answer, so that an end which is cut off and begun again says it once.
        experiment.warnings = [*experiment.warnings, f"No ensemble could be made: {outcome.error}"]
        return
    found = outcome.result
    if found.get("untested"):
        every = len(trials) + len(others)
        tested = f"{every - found['untested']} of {every} complete trials, the best ones,"
        experiment.warnings = [*experiment.warnings, f"There was time to test only {tested} for a tie."]
    for trial_id, sentence in found.get("damaged", {}).items():
        # Whose files can't be read can be no answer.
        log.warning("trial_damaged", experiment=str(experiment.id), trial=trial_id, error=sentence)
        advance_trial(experiment.trials.filter(id=trial_id), to=TrialState.FAILED, error=sentence)
    with transaction.atomic():
        if not held.update(version=F("version") + 1):
            return
        experiment.trials.exclude(id__in=found["tied"]).filter(tied_with_best=True).update(
            tied_with_best=False
        )
        experiment.trials.filter(id__in=found["tied"]).update(tied_with_best=True)
        no_answer = Q(model=None)
        if experiment.phase != Phase.PACKAGING:
            # What an earlier end could not package would be taken again, whatever became of its members.
            no_answer |= Q(model__state=ModelState.FAILED, model__asked_for=False)
        for unused in experiment.ensembles.filter(no_answer):
            storage.remove(unused.folder)
            unused.delete()
        if found["weights"]:
            _store_ensemble(ensemble, [t for t in trials if str(t.id) in found["weights"]], found)


def _store_ensemble(ensemble: Ensemble, members: list[Trial], found: dict[str, Any]) -> None:
    """Add the ensemble to those of earlier ends, which keep their models; the same again is no other."""
    experiment = ensemble.experiment
    earlier = list(experiment.ensembles.all())
    alike = next((other for other in earlier if _is_alike(other, found)), None)
    if alike is not None:
        storage.remove(ensemble.folder)
        # It goes before the trials that came since, if the blend says so.
        alike.score = max(alike.score, found["score"])
        alike.save(update_fields=["score"])
        return
    for other in earlier:
        other.tied_with_best = found["score_low"] <= other.value <= found["score_high"]
        other.save(update_fields=["tied_with_best"])
    # Numbered as trials are, so that two of the same size can be told apart.
    number = f" #{len(earlier) + 1}" if earlier else ""
    Ensemble.objects.create(
        id=ensemble.id,
        experiment=experiment,
        name=f"Ensemble of {len(members)}{number}",
        weights=found["weights"],
        powers=found["powers"],
        score=found["score"],
        value=found["value"],
        value_low=found["score_low"],
        value_high=found["score_high"],
        gain=found.get("gain"),
        tied_with_best=True,
        fit_time=sum(trial.fit_time or 0 for trial in members),
        predict_time=found["predict_time"],
        size=found["size"],
        made_after=clock.reading(experiment.id),
    )


def _is_alike(ensemble: Ensemble, found: dict[str, Any]) -> bool:
    return _are_alike(ensemble.weights, found["weights"]) and _are_alike(ensemble.powers, found["powers"])


def _are_alike(shares: dict[str, float], others: dict[str, float]) -> bool:
    """Tell whether shares are the same but for where their search stopped looking."""
    return shares.keys() == others.keys() and all(
        math.isclose(share, others[id], abs_tol=ALIKE) for id, share in shares.items()
    )


def _begin_packaging(experiment: Experiment, held: QuerySet[Experiment]) -> TrainedModel | None:
    """The row of the answer, unless the search was taken away: who cancels it finds all rows to remove."""
    with transaction.atomic():
        if not held.update(phase=Phase.PACKAGING, version=F("version") + 1):
            return None
        model = _best_model(experiment)
        if model.state == ModelState.FAILED and experiment.phase != Phase.PACKAGING:
            # Before this end began to package it: at another time, or for somebody who asked for it.
            try_again(model)
            model.refresh_from_db()
        return model


def _best_model(experiment: Experiment) -> TrainedModel:
    """The row of the experiment's answer: the ensemble if it won, else the best trial."""
    ensemble = experiment.ensembles.order_by("-score", "-created_at").first()
    trial = _best_trial(experiment)
    if ensemble is not None and ensemble.score >= (trial.score or float("-inf")):
        model, _ = TrainedModel.objects.get_or_create(
            experiment=experiment, ensemble=ensemble, defaults={"name": ensemble.name, "asked_for": False}
        )
    else:
        model, _ = TrainedModel.objects.get_or_create(
            experiment=experiment,
            trial=trial,
            defaults={"name": selectors.trial_name(trial), "asked_for": False},
        )
    return model


def _best_trial(experiment: Experiment) -> Trial:
    """The best trial that can be shipped; one that holds training rows only if there is no other."""
    trial = selectors.best_first(experiment.trials.all()).first()
    assert trial is not None
    return trial


def reap_results() -> None:
    """Wake up whoever prepares or finishes what nobody works on any more."""
    free = leases.free_or_expired()
    stale = Experiment.objects.filter(free, deleted_at=None)
    early = [ExperimentState.PENDING, ExperimentState.RUNNING]
    preparing = stale.filter(state__in=early, prepared__isnull=True)
    stopping = stale.filter(state=ExperimentState.STOPPING)
    for rows in (preparing, stopping):
        for experiment in rows.filter(leases.worn_out()):
            fail_experiment(
                experiment,
                f"Its worker was lost {settings.MAX_ATTEMPTS} times while {experiment.phase}. The table may "
                "need more memory than a seat has.",
                held=rows.filter(attempt=experiment.attempt),
            )
    for experiment_id in preparing.values_list("id", flat=True):
        dispatcher().prepare(experiment_id)
    for experiment_id in stopping.values_list("id", flat=True):
        dispatcher().finish(experiment_id)
