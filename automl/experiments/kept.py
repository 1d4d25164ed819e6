"""Answers that are kept with the version of an experiment that they are of, in this process."""

from __future__ import annotations

import time
from typing import Any

from django.core.cache import cache

from automl.experiments.models import Experiment
from automl.experiments.states import FINAL

KEPT_SECONDS = 600


def recall(experiment: Experiment, what: str, *, fresh: float = 0.0) -> Any | None:
    """The answer for this version of the experiment; while it moves, one of `fresh` seconds ago will do."""
    kept = cache.get(_key(experiment, what))
    if kept is None:
        return None
    version, kept_at, answer = kept
    is_fresh = experiment.state not in FINAL and time.time() - kept_at < fresh
    return answer if is_fresh or version == _version(experiment) else None


def keep(experiment: Experiment, what: str, answer: Any) -> None:
    """Keep an answer for the next who asks."""
    cache.set(_key(experiment, what), (_version(experiment), time.time(), answer), KEPT_SECONDS)


def _key(experiment: Experiment, what: str) -> str:
    return f"kept:{experiment.id}:{what}"


def _version(experiment: Experiment) -> tuple[int, str]:
    return experiment.version, str(experiment.state)
