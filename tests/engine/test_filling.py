from dataclasses import replace

import pytest

from automl.engine.budget import Budget, CostModel
from automl.engine.filling import CUT_SHORT
from automl.engine.learners import get_learner
from automl.engine.schema import DataProfile
from automl.engine.study import Study
from automl.engine.trial import TaskType, TrialRecord, TrialState

LARGE = DataProfile(
    1_000_000, 20, TaskType.BINARY, 2, cardinalities=(5, 10, 50, 200, 1_000), categorical=tuple(range(20, 25))
)


def searched(seconds, data=LARGE, **settings):
    """What a search of one seat tries, each trial taking what was predicted or what is left."""
    study = Study(data, budget=Budget(seconds=seconds), **settings)
    history, elapsed = [], 0.0
    while found := study.ask(history, 1, study.budget.remaining(elapsed)):
        (entry,) = found
        took = min(study.predicted(entry.family, entry.params), study.budget.remaining(elapsed))
        history.append(ended(len(history), entry, TrialState.COMPLETE, took))
        elapsed += took
        yield entry


def ended(number, entry, state, seconds):
    is_complete = state is TrialState.COMPLETE
    score, folds = (0.5 + 0.01 * number, (0.5,) * 3) if is_complete else (None, ())
    return TrialRecord(number, entry.family, entry.params, entry.origin, state, score, folds, seconds)


@pytest.mark.parametrize("seconds", [10, 15, 30, 60])
def test_a_short_search_of_a_large_table_comes_to_more_than_guesses_and_lines(seconds):
    found = list(searched(seconds))

    shortened = [entry for entry in found if entry.reason == CUT_SHORT]
    assert [get_learner(entry.family).ends_in_time for entry in shortened] == [True]
    assert found[0].family == "dummy"


def test_where_trees_fit_whole_nothing_is_cut_short():
    small = replace(LARGE, rows=20_000)

    assert not [entry for entry in searched(30, small) if entry.reason == CUT_SHORT]


def test_after_one_that_failed_another_is_cut_short():
    study = Study(LARGE, budget=Budget(seconds=15), families=["dummy", "xgboost", "lightgbm"])
    states = [TrialState.COMPLETE, TrialState.FAILED, TrialState.COMPLETE]
    history = []
    for number, state in enumerate(states):
        (entry,) = study.ask(history, 1, 12.0)
        history.append(ended(number, entry, state, 40.0))

    assert [record.family for record in history] == ["dummy", "lightgbm", "xgboost"]
    assert study.ask(history, 1, 11.0) == []


def test_what_could_not_come_to_a_twentieth_is_not_begun():
    huge = replace(LARGE, rows=50_000_000)

    assert [entry.family for entry in searched(10, huge) if entry.reason == CUT_SHORT] == []


@pytest.mark.parametrize("search", ["random", "grid"])
def test_who_asks_for_points_of_a_method_gets_no_others(search):
    assert not [entry for entry in searched(15, search=search) if entry.reason == CUT_SHORT]


def test_what_guessing_takes_says_nothing_of_learning():
    record = TrialRecord(
        0, "dummy", {}, state=TrialState.COMPLETE, score=0.5, fold_scores=(0.5,) * 3, seconds=8.0
    )

    model = CostModel.learn(lambda family, params: 0.1, 3, [record])

    assert model.ratio == 1.0
