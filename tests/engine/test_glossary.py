from __future__ import annotations

import pytest

from automl.engine.glossary import WORDS, guide
from automl.engine.learners import LEARNERS
from automl.engine.schema import DataProfile
from automl.engine.space import Choice, Int
from automl.engine.trial import TaskType


def dials():
    for task, classes in ((TaskType.BINARY, 2), (TaskType.REGRESSION, 0)):
        metric = "rmse" if task is TaskType.REGRESSION else "roc_auc"
        table = DataProfile(rows=5_000, numeric=8, task_type=task, classes=classes, metric=metric, skew=2.0)
        for learner in LEARNERS.values():
            if task in learner.task_types:
                yield from ((learner.key, *each) for each in learner.space(table).dimensions.items())


@pytest.mark.parametrize(
    ("family", "name", "dimension"), list(dials()), ids=lambda each: each if isinstance(each, str) else ""
)
def test_every_dial_says_what_it_is_and_what_either_end_does(family, name, dimension):
    found = guide(family, name, dimension)
    assert name in WORDS
    assert found.label and found.meaning.endswith(".")
    if isinstance(dimension, Choice):
        assert (found.too_low, found.too_high) == ("", "")
    else:
        assert found.too_low and found.too_high and found.more.endswith(".")


def test_a_dial_of_a_new_learner_is_told_by_its_effect():
    found = guide("new", "new_dial", Int(1, 3, 2, effect="How new it is: more is newer."))
    assert (found.label, found.meaning, found.more) == ("New dial", "How new it is.", "More is newer.")


def test_the_same_name_may_go_wrong_in_another_way():
    dial = Int(1, 3, 2, effect="How many: more.")
    assert guide("random_forest", "n_estimators", dial).label != guide("xgboost", "n_estimators", dial).label
