"""Which line of the board becomes a model: the best, or the fastest that is nearly as good."""

from __future__ import annotations

import math
from collections.abc import Sequence

from automl.core.errors import Conflict
from automl.engine.metrics import Metric
from automl.engine.trial import TrialState
from automl.experiments import selectors
from automl.experiments.boards import keeps_rows
from automl.experiments.models import Ensemble, Experiment, TrainedModel, Trial
from automl.experiments.services.packaging import package_ensemble, package_trial

WITHIN = 0.01

Line = Trial | Ensemble


def package_entry(entry: Line) -> TrainedModel:
    """Have a line of the board packaged; asking again gives the same model."""
    return package_ensemble(entry) if isinstance(entry, Ensemble) else package_trial(entry)


def package_fastest(experiment: Experiment, *, within: float = WITHIN) -> TrainedModel:
    """Have the line packaged that predicts fastest among those nearly as good as the best.

    Raises
    ------
    Conflict
        If nothing has completed yet.
    """
    return package_entry(fastest(experiment, within=within))


def package_best(experiment: Experiment) -> TrainedModel:
    """Have the experiment's answer packaged, as far as it is known; Conflict if there is none yet."""
    ids = [experiment.id]
    best = selectors.best_entries(ids, selectors.list_ensembles(ids)).get(experiment.id)
    if best is None:
        raise Conflict("No trial has completed yet, so there is nothing to package.")
    return package_entry(best)


def fastest(experiment: Experiment, *, within: float = WITHIN) -> Line:
    """The line that predicts 1,000 rows in the least time, of those within a share of the best."""
    lines = _lines(experiment)
    if not lines:
        raise Conflict("No trial has completed yet, so there is nothing to choose from.")
    metric = selectors.metric_of(experiment)
    near = nearly_best(lines, metric, within=within)
    # Of equally fast ones the better.
    return min(near, key=lambda line: (line.predict_time or math.inf, -(line.score or 0.0)))


def nearly_best(lines: Sequence[Line], metric: Metric | None, *, within: float) -> list[Line]:
    """Those whose value is at most that share of the best one's worse, in the metric's own unit.

    Where 1 is perfect, the distance to it may not more than double either: 0.989 is within 1 % of 0.999,
    but wrong ten times as often.
    """
    best = max(lines, key=lambda line: line.score if line.score is not None else -math.inf)
    if best.value is None:
        return [best]
    room = within * abs(best.value)
    if metric is not None and metric.higher_is_better and best.value <= 1.0:
        room = min(room, 1.0 - best.value)
    return [
        line
        for line in lines
        if line is best or (line.value is not None and abs(line.value - best.value) <= room + 1e-12)
    ]


def _lines(experiment: Experiment) -> list[Line]:
    """What can be packaged, timed or not; of equals the ensemble first, as on the board."""
    trials = experiment.trials.filter(state=TrialState.COMPLETE.value)
    light = trials.defer("learning_curve", "learned")
    return [*experiment.ensembles.all(), *(trial for trial in light if not keeps_rows(trial.family))]
