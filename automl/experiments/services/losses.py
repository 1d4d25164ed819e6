"""Trials whose attempt was lost with its process, and waiting ones whose message was."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import Any

import structlog
from django.conf import settings
from django.db import transaction
from django.db.models import F, Q
from django.utils import timezone

from automl.core import storage, tallies
from automl.core.dispatch import dispatcher
from automl.core.health import live_workers
from automl.core.queues import queue_lengths
from automl.engine.trial import TrialState
from automl.experiments.models import Experiment, ExperimentState, Phase, Trial
from automl.experiments.states import advance_trial

log = structlog.get_logger(__name__)
# A message for a waiting trial may have been lost: after this long another is sent.
NUDGE_SECONDS = 5
# Messages that may lie on the queue for each seat: enough for short fits until the next sweep. Any of them
# has any trial taken up, so more would only be a heap that grows while the seats are busy.
MESSAGES_PER_SEAT = 10


def lose_trial(trial: Trial, **still: Any) -> bool:
    """Count an attempt that ended with its process: the trial waits again, or fails after the last one.

    False if the attempt no longer counts, or what must `still` hold of the row does not.
    """
    now, losses = timezone.now(), trial.losses + 1
    given_up = losses >= settings.MAX_ATTEMPTS
    changes: dict[str, Any] = {"to": TrialState.WAITING, "nudged_at": now, "waiting_since": now}
    if given_up:
        changes = {"to": TrialState.FAILED, "finished_at": now, "error": _why_given_up(trial, losses)}
    with transaction.atomic():
        Experiment.objects.filter(id=trial.experiment_id).update(version=F("version") + 1)
        taken = advance_trial(
            # Only what still runs: somebody may have cancelled it, or given it back, meanwhile.
            Trial.objects.filter(
                id=trial.id,
                attempt=trial.attempt,
                losses=trial.losses,
                state=TrialState.RUNNING.value,
                **still,
            ),
            losses=losses,
            lease_expires_at=None,
            **changes,
        )
        if taken:
            tallies.add(tallies.LOSSES)
        if taken and given_up:
            transaction.on_commit(partial(dispatcher().plan, trial.experiment_id))
        elif taken:
            transaction.on_commit(partial(dispatcher().evaluate, trial.id))
    if taken:
        remove_files(trial)
        log.warning(
            "trial_lost", trial=str(trial.id), attempt=trial.attempt, losses=losses, worker=trial.worker
        )
    return taken


def _why_given_up(trial: Trial, losses: int) -> str:
    return (
        f"Lost {losses} times, last on {trial.worker}: each time its process was killed, or its worker was "
        "not heard from for too long. The machine may have run out of memory: use fewer rows, or fewer seats."
    )


def remove_files(trial: Trial) -> None:
    """Remove what an attempt has written, also the half of it."""
    storage.remove(trial.folder)
    storage.remove_drafts(trial.folder)


def reap_trials() -> None:
    """Take trials back from seats that were lost, nudge waiting ones, and plan where nothing goes on."""
    now = timezone.now()
    for trial in Trial.objects.filter(state=TrialState.RUNNING.value, lease_expires_at__lt=now)[:100]:
        # The worker may have been only late, and have told or renewed meanwhile.
        lose_trial(trial, lease_expires_at__lt=now)
    _nudge()


def _room_for_messages() -> int:
    """How many more messages may lie on the queue of trials; none while the broker does not answer."""
    lying = queue_lengths()["evaluate"]
    if lying is None:
        return 0
    there = sum(live_workers("evaluate").values_list("seats", flat=True))
    return max(MESSAGES_PER_SEAT * max(there, 1) - lying, 0)


def _nudge() -> None:
    now = timezone.now()
    old = now - timedelta(seconds=NUDGE_SECONDS)
    stuck = Trial.objects.filter(
        Q(nudged_at__lt=old), state=TrialState.WAITING.value, experiment__state=ExperimentState.RUNNING
    )
    for trial_id in list(stuck.values_list("id", flat=True)[: _room_for_messages()]):
        Trial.objects.filter(id=trial_id).update(nudged_at=now)
        dispatcher().evaluate(trial_id)
    running = Experiment.objects.filter(state=ExperimentState.RUNNING, phase=Phase.SEARCHING)
    for experiment_id in running.values_list("id", flat=True):
        dispatcher().plan(experiment_id)
