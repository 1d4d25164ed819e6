"""What the API shows of experiments and trials beside their rows, read for a whole page at once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any
from uuid import UUID

from django.db.models import Count

from automl.engine.metrics import Metric
from automl.experiments import clock, selectors
from automl.experiments.models import Experiment, ModelState, TrainedModel, Trial
from automl.experiments.selectors import LeaderboardRow

STATES = ("waiting", "running", "complete", "pruned", "failed", "cancelled")


class Shown:
    """A row with what was found out about it."""

    def __init__(self, row: Any, **found: Any) -> None:
        self._row = row
        self.__dict__.update(found)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._row, name)


def shown_experiments(experiments: Sequence[Experiment]) -> list[Shown]:
    """The experiments as the API shows them. Four queries, however many they are."""
    ids = [experiment.id for experiment in experiments]
    counts, best = _counts(ids), selectors.best_rows(ids)
    answers = TrainedModel.objects.filter(experiment__in=ids, is_best=True, state=ModelState.READY)
    models = dict(answers.values_list("experiment_id", "id"))
    return [
        Shown(
            experiment,
            trials=counts[experiment.id],
            best=best.get(experiment.id),
            model=models.get(experiment.id),
            elapsed=round(clock.elapsed(experiment), 3),
            progress=round(selectors.progress(experiment, counts[experiment.id]), 4),
        )
        for experiment in experiments
    ]


def _counts(ids: list[UUID]) -> dict[UUID, dict[str, int]]:
    counts: dict[UUID, dict[str, int]] = defaultdict(lambda: {"total": 0, **dict.fromkeys(STATES, 0)})
    found = Trial.objects.filter(experiment__in=ids).order_by().values_list("experiment_id", "state")
    for experiment_id, state, count in found.annotate(count=Count("id")):
        counts[experiment_id][state] += count
        counts[experiment_id]["total"] += count
    return counts


def shown_trials(experiment: Experiment, trials: Iterable[Trial]) -> list[Shown]:
    """Trials of one experiment, with their places on its leaderboard."""
    shown = list(trials)
    board, metric = selectors.rows_of(experiment, shown), selectors.metric_of(experiment)
    return [_shown_trial(trial, board.get(trial.id), metric) for trial in shown]


def _shown_trial(trial: Trial, row: LeaderboardRow | None, metric: Metric | None) -> Shown:
    found: dict[str, Any] = (
        asdict(row)
        if row
        else {
            "rank": None,
            "ensemble": None,
            "name": selectors.trial_name(trial),
            "score": trial.value,
            "score_low": trial.value_low,
            "score_high": trial.value_high,
            "model": None,
        }
    )
    return Shown(
        trial,
        **{**found, "trial": trial.id, "status": trial.state, "attempts": trial.attempts},
        experiment=trial.experiment_id,
        # They are kept so that higher is better.
        fold_scores=[metric.score_of(score) if metric else score for score in trial.fold_scores],
    )
