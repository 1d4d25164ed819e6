"""When boosting ends its rounds."""

from __future__ import annotations

from dataclasses import replace

from automl.engine.learners import LEARNERS
from automl.engine.learners.boosting import stopping_metric
from automl.engine.schema import DataProfile
from automl.engine.testing import fit_fold, make_table
from automl.engine.trial import TaskType


def test_rounds_are_not_chosen_by_how_a_few_of_a_class_are_ranked() -> None:
    data = DataProfile(20_000, 6, TaskType.BINARY, 2, rarest=10_000)
    assert stopping_metric(data) == stopping_metric(replace(data, rarest=500)) == "roc_auc"
    assert (
        stopping_metric(replace(data, rarest=499)) == stopping_metric(replace(data, rarest=3)) == "log_loss"
    )
    # Prepared before the count was told.
    assert stopping_metric(replace(data, rarest=0)) == "roc_auc"
    assert stopping_metric(replace(data, rarest=0, rows=900)) == "log_loss"


def test_a_target_in_small_units_is_learned_in_as_many_rounds() -> None:
    table = make_table(TaskType.REGRESSION)
    table = replace(table, data=replace(table.data, skew=0.0))
    learner = LEARNERS["hist_boosting"]
    rounds = []
    for unit in (1.0, 1e-6):
        scaled = replace(table, y=table.y * unit, y_valid=table.y_valid * unit)
        rounds.append(fit_fold(learner, scaled, learner.first(table.data)).fit.learned["rounds"])
    assert rounds[1] >= 0.8 * rounds[0] > 10
