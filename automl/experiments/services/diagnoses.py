"""What a model gets right and wrong, and models side by side: asked for by a reader, computed on a seat."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import partial
from typing import Any

import structlog
from django.conf import settings
from django.db import transaction
from django.db.models import F, QuerySet
from structlog.contextvars import bound_contextvars

from automl.core import leases, seats, storage
from automl.core.dispatch import dispatcher
from automl.core.errors import Conflict
from automl.core.patience import patiently
from automl.engine.isolation import Outcome
from automl.engine.trial import TrialState
from automl.experiments import selectors
from automl.experiments.models import (
    Diagnosis,
    DiagnosisKind,
    DiagnosisState,
    Ensemble,
    Experiment,
    Trial,
)
from automl.experiments.records import candidate_of, honest_folder
from automl.experiments.services.aside import has_room, open_diagnoses, wake_next

log = structlog.get_logger(__name__)
# Raised when answers take another form: what was found before is then found anew.
FORM = 3
# For predicting rows again, which is what takes time; and for all of it.
PREDICTING_SECONDS, LONGEST_SECONDS = 9.0, 120.0
MOST_COMPARED = 8

Entry = Trial | Ensemble


def request_diagnosis(entry: Entry) -> Diagnosis:
    """Have a trial or an ensemble diagnosed; asking again gives what was found.

    Raises
    ------
    Conflict
        If the trial has not completed.
    """
    return _request(entry.experiment, DiagnosisKind.DIAGNOSE, [entry])


def request_comparison(experiment: Experiment, entries: Sequence[Entry]) -> Diagnosis:
    """Have trials and ensembles compared, by the metric of the experiment; asking again gives the same.

    Raises
    ------
    Conflict
        If one of the trials has not completed, or there are too few or too many.
    """
    if not 2 <= len(entries) <= MOST_COMPARED:
        raise Conflict(
            f"From 2 to {MOST_COMPARED} can be compared at once; here {'is' if len(entries) == 1 else 'are'} "
            f"{len(entries)}."
        )
    return _request(experiment, DiagnosisKind.COMPARE, entries)


def _request(experiment: Experiment, kind: DiagnosisKind, entries: Sequence[Entry]) -> Diagnosis:
    for entry in entries:
        if isinstance(entry, Trial) and entry.state != TrialState.COMPLETE.value:
            raise Conflict(
                f"{selectors.trial_name(entry)} is {entry.state}; only a complete trial has predictions of "
                "all rows to look at."
            )
    ids = [str(entry.id) for entry in entries]
    parts = [kind.value, str(FORM), experiment.metric, *ids]
    subject = hashlib.sha256("\0".join(parts).encode()).hexdigest()
    # Nearly always it is there: readers need not take the database's lock for that.
    there = Diagnosis.objects.filter(experiment=experiment, kind=kind, subject=subject).first()
    if there is not None:
        return there
    with transaction.atomic():
        diagnosis, made = Diagnosis.objects.get_or_create(
            experiment=experiment, kind=kind, subject=subject, defaults={"entries": ids}
        )
        if made:
            transaction.on_commit(partial(dispatcher().diagnose, diagnosis.id))
    return diagnosis


def try_again(diagnosis: Diagnosis) -> bool:
    """Have one that failed computed again; False if it has not failed."""
    with transaction.atomic():
        again = Diagnosis.objects.filter(id=diagnosis.id, state=DiagnosisState.FAILED).update(
            state=DiagnosisState.COMPUTING, losses=0, error="", version=F("version") + 1
        )
        if again:
            transaction.on_commit(partial(dispatcher().diagnose, diagnosis.id))
    return bool(again)


def compute_diagnosis(diagnosis_id: Any) -> None:
    """Compute what was asked for. From `computing` to `ready` or `failed`.

    Fewer at once than there are processes for short work: searches need these to be planned. Those that
    have to wait are sent again by the one that ends, or by the sweep.
    """
    rows = open_diagnoses().filter(id=diagnosis_id)
    if not has_room() or not leases.claim(rows):
        return
    diagnosis = rows.select_related("experiment__dataset").get()
    held = rows.filter(attempt=diagnosis.attempt)
    about = {"experiment": str(diagnosis.experiment_id), "attempt": diagnosis.attempt}
    again = partial(dispatcher().diagnose, diagnosis.id)
    with bound_contextvars(**about), leases.kept(diagnosis, held, send_again=again):
        _compute(diagnosis, held)
    wake_next()


def _compute(diagnosis: Diagnosis, held: QuerySet[Diagnosis]) -> None:
    heartbeat = leases.Heartbeat(lambda: held)
    args = _arguments(diagnosis)
    if args is None:
        _end(held, state=DiagnosisState.FAILED, error="What it was about is no longer there.")
        return
    outcome = seats.run(diagnosis.kind, args, seconds=LONGEST_SECONDS, on_tick=heartbeat)
    heartbeat.check(outcome)
    if heartbeat.lost:
        return
    if outcome.result is None:
        log.warning("diagnosis_failed", error=outcome.error, detail=outcome.detail)
        _end(held, state=DiagnosisState.FAILED, error=_why(outcome))
        return
    result, seconds = outcome.result, round(outcome.seconds, 2)
    patiently(lambda: _end(held, state=DiagnosisState.READY, result=result, seconds=seconds))
    log.info("diagnosed", kind=diagnosis.kind, seconds=seconds)


def _end(held: QuerySet[Diagnosis], **fields: Any) -> bool:
    return held.update(lease_expires_at=None, version=F("version") + 1, **fields) == 1


def _why(outcome: Outcome) -> str:
    if outcome.status == "timeout":
        return f"It took more than {LONGEST_SECONDS:.0f} s, so it was given up."
    return outcome.error or "It could not be computed."


def _arguments(diagnosis: Diagnosis) -> dict[str, Any] | None:
    """What the job is told; None if a trial or an ensemble is gone."""
    entries = selectors.entries_of(diagnosis.entries)
    if entries is None:
        return None
    experiment = diagnosis.experiment
    table = str(storage.path_of(experiment.dataset.folder) / "table.arrow")
    common = {"table": table, "metric": experiment.metric}
    described = [_described(entry) for entry in entries]
    if any(len(one["members"]) == 0 for one in described):
        return None
    if diagnosis.kind == DiagnosisKind.COMPARE:
        judged = [_judged(entry, one) for entry, one in zip(entries, described, strict=True)]
        return {**common, "entries": judged}
    (one,) = described
    return {
        **common,
        "prepared": one["prepared"],
        "members": one["members"],
        "honest": None if isinstance(entries[0], Trial) else honest_folder(entries[0]),
        "seconds": PREDICTING_SECONDS,
    }


def _described(entry: Entry) -> dict[str, Any]:
    """A trial or an ensemble as the engine takes it: the models it is made of and their weights."""
    if isinstance(entry, Trial):
        name, members = selectors.trial_name(entry), [{**candidate_of(entry), "weight": 1.0}]
    else:
        name, trials = entry.name, Trial.objects.filter(id__in=list(entry.weights)).order_by("number")
        members = [{**candidate_of(trial), **entry.shares(trial)} for trial in trials]
    return {
        "id": str(entry.id),
        "name": name,
        "prepared": str(storage.path_of(entry.experiment.folder) / "prepared"),
        "members": members,
    }


def _judged(entry: Entry, described: dict[str, Any]) -> dict[str, Any]:
    """The same by the predictions that its score is of: an ensemble's weights were chosen without these rows.

    Of ensembles from before these were kept there are only those of the weights chosen on all rows.
    """
    if isinstance(entry, Trial):
        return described
    honest = honest_folder(entry)
    if honest is None:
        return {**described, "flattered": True}
    return {**described, "members": [{"dir": honest, "weight": 1.0}]}


def reap_diagnoses() -> None:
    """Give up what was cut off too often, and wake up somebody for what waits."""
    free = open_diagnoses().filter(leases.free_or_expired())
    free.filter(leases.worn_out()).update(
        state=DiagnosisState.FAILED,
        error=f"It was cut off {settings.MAX_ATTEMPTS} times. It may need more memory than there is.",
        lease_expires_at=None,
        version=F("version") + 1,
    )
    wake_next()
