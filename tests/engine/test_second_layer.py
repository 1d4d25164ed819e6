"""A second layer: when a search stacks, on what, and that it ends in time."""

from __future__ import annotations

from dataclasses import replace

import pytest

from automl.engine.budget import Budget, CostModel
from automl.engine.learners import get_learner
from automl.engine.schema import DataProfile
from automl.engine.stacking import may_be_base
from automl.engine.study import Study
from automl.engine.trial import Origin, TaskType, TrialRecord, TrialState
from tests.engine.studies import SMALL, outcome, proposals_in_time, served, simulate

MIDDLING = DataProfile(3_000, 10, TaskType.BINARY, 2)


def stacked_numbers(history: list[TrialRecord]) -> list[int]:
    return [record.number for record in history if get_learner(record.family).stacks]


def test_the_last_trials_of_a_search_learn_from_the_others_predictions() -> None:
    study = Study(MIDDLING, budget=Budget(max_trials=40))
    one, many = simulate(study, seats=1), simulate(study, seats=8, order=3)
    assert stacked_numbers(one) == [36, 37, 38, 39]
    assert outcome(one) == outcome(many)
    # They differ from the leaders where an ensemble needs it: none is stopped.
    assert {one[number].state for number in stacked_numbers(one)} == {TrialState.COMPLETE}


def test_in_time_they_come_as_late_as_they_can_end() -> None:
    seconds = 60.0
    study = Study(MIDDLING, budget=Budget(seconds=seconds))
    found = proposals_in_time(study, seconds)
    stacked = [place for place, (each, _) in enumerate(found) if get_learner(each.family).stacks]
    assert len(stacked) == len(study.second_layer)
    before = found[stacked[0] - 1][1]
    costs = sum(study.predicted(each.family, each.params) for each in study.second_layer)
    assert costs < before < 0.5 * seconds
    assert found[stacked[-1]][1] >= 0


@pytest.mark.parametrize(
    "changed",
    [
        {"data": SMALL},  # so few rows would teach the luck of the first models
        {"search": "random"},
        {"families": ["linear", "lightgbm"]},
    ],
)
def test_a_search_without_a_second_layer(changed: dict) -> None:
    study = Study(**{"data": MIDDLING, "budget": Budget(max_trials=30), **changed})
    assert stacked_numbers(simulate(study, seats=2)) == []


@pytest.mark.parametrize("speed", [0.7, 1.5])
@pytest.mark.parametrize("seats", [1, 2, 3, 4])
def test_a_second_layer_ends_in_time(seats: int, speed: float) -> None:
    seconds = 60.0 if seats > 1 else 120.0
    study = Study(replace(MIDDLING, rows=12_000, numeric=20), budget=Budget(seconds=seconds), folds=5)
    ended, began, lost = served(study, seats, speed)
    stacked = [record.number for record in ended if record.family.startswith("stacked")]
    # On more seats than two, each slower than predicted, some of it finds no time.
    assert len(stacked) >= (len(study.second_layer) if seats <= 2 or speed < 1 else 1)
    # It comes late, and little of the seats' time goes into what the end cuts off.
    assert min(began[number] for number in stacked) > 0.45 * seconds
    assert lost < 0.1 * seats * seconds


@pytest.mark.parametrize("seats", [2, 4, 8])
def test_a_long_search_that_has_nothing_ready_made_left_has_time_for_all_of_a_second_layer(
    seats: int,
) -> None:
    data = DataProfile(15_000, 8, TaskType.REGRESSION, 0)
    study = Study(data, budget=Budget(seconds=300.0), folds=8)
    ended, began, lost = served(study, seats, 1.5)
    stacked = [record for record in ended if record.family.startswith("stacked")]
    assert len(stacked) == len(study.second_layer)
    assert min(began[record.number] for record in stacked) > 0.6 * 300
    assert lost < 0.02 * seats * 300


@pytest.mark.parametrize(
    ("seconds", "changed", "is_begun"),
    [
        # 90 s of others and 80 s of the layer on two seats, and half as much again as they may take longer.
        (300.0, {}, True),
        (300.0, {"remaining": 136.0}, False),
        (300.0, {"done": 4}, False),
        (300.0, {"is_left": True}, False),
        (130.0, {"remaining": 55.0}, False),
        # The longest takes its time on however many seats.
        (300.0, {"remaining": 112.0, "seats": 8, "busy": 8.0, "longest": 60.0}, True),
    ],
)
def test_a_long_search_with_nothing_ready_made_left_waits_for_its_seats(
    seconds: float, changed: dict, is_begun: bool
) -> None:
    given = {
        "remaining": 120.0,
        "done": 0,
        "is_left": False,
        "seats": 2,
        "busy": 30.0,
        "longest": 20.0,
        **changed,
    }
    study = Study(MIDDLING, budget=Budget(seconds=seconds))
    families = [key for key in study.first_layer if may_be_base(key)]
    told = [
        TrialRecord(n, family, {}, Origin.DEFAULT, TrialState.COMPLETE, 0.8, (0.8,) * 5, 1.0)
        for n, family in enumerate(families)
    ]
    states = [TrialState.RUNNING] * given["seats"] + [TrialState.WAITING] * (given["seats"] - 1)
    for n, state in enumerate(states, start=len(told)):
        folds = (0.8,) * given["done"] if state is TrialState.RUNNING else ()
        told.append(TrialRecord(n, "lightgbm", {"n": n}, Origin.SEARCH, state, None, folds))

    def costs(family: str, params: object) -> float:
        if family == "stacked_trees":
            return given["longest"]
        return 20.0 if family.startswith("stacked") else given["busy"]

    entry = study.portfolio.entries[0] if given["is_left"] else None
    model = CostModel(costs, folds=1, ratios={})
    found = study._stacked_in_time(told, model, given["remaining"], entry)

    assert (found is not None) is is_begun


def test_experiments_whose_rows_were_dealt_twice_have_no_second_layer() -> None:
    # Their predictions are means over two models, which no fold of a stacked one would be told.
    assert Study(MIDDLING, budget=Budget(max_trials=30), folds=10, repeats=2).second_layer == []


def test_what_stacks_has_no_mark_and_sets_none() -> None:
    study = Study(MIDDLING, budget=Budget(seconds=60))
    folds = (0.8,) * 5
    first = [
        TrialRecord(n, "linear", {"n": n}, Origin.SEARCH, TrialState.COMPLETE, 0.8, folds) for n in range(6)
    ]
    better = (0.95,) * 5
    stacked = [
        TrialRecord(n, "stacked_trees", {"n": n}, Origin.DEFAULT, TrialState.COMPLETE, 0.95, better)
        for n in range(6, 14)
    ]
    running = TrialRecord(20, "linear", {"n": 20}, Origin.SEARCH, TrialState.RUNNING, None, (0.8,))

    assert not study.should_prune(running, [*first, *stacked, running])
    assert study.mark(running, [*first, running]) == study.mark(running, [*first, *stacked, running])
    weak = replace(running, family="stacked_network", fold_scores=(0.1,))
    assert study.mark(weak, first) is None and not study.should_prune(weak, first)


def test_by_hand_all_that_is_there_is_learned_from() -> None:
    study = Study(MIDDLING, budget=Budget(max_trials=9))
    history = [TrialRecord(n, "linear", {"n": n}, state=TrialState.COMPLETE) for n in range(9)]
    mine = TrialRecord(9, "stacked_trees", {}, Origin.MANUAL)
    assert study.known_to(mine, history) == history
    assert [record.number for record in study.known_to(replace(mine, origin=Origin.DEFAULT), history)] == [0]


def test_a_search_that_has_gone_on_for_long_stacks_again() -> None:
    study = Study(MIDDLING, budget=Budget(max_trials=40))
    history = simulate(study, seats=2)
    assert study.stacked_waiting(history) == []
    further = simulate(Study(MIDDLING, budget=Budget(max_trials=300)), seats=2, known=history)
    assert stacked_numbers(further) == [36, 37, 38, 39, 296, 297, 298, 299]


def test_a_family_that_a_search_does_not_try_by_itself_is_not_waited_for() -> None:
    many = replace(MIDDLING, rows=50_000)
    study = Study(
        many, families=["linear", "lightgbm", "kernel", "stacked_trees"], budget=Budget(seconds=60.0)
    )
    history = [
        TrialRecord(n, family, {}, state=TrialState.COMPLETE)
        for n, family in enumerate(("linear", "lightgbm"))
    ]

    assert "kernel" not in study.first_layer
    assert study.stacked_waiting(history[:1]) == []
    assert study.stacked_waiting(history) != []


@pytest.mark.parametrize(("skew", "numeric"), [(0.0, "standard"), (5.0, "quantile")])
def test_a_stacked_network_is_told_numbers_of_a_strong_skew_as_ranks(skew: float, numeric: str) -> None:
    data = DataProfile(3_000, 10, TaskType.REGRESSION, metric="rmse", skew=skew)
    assert {params["numeric"] for params in get_learner("stacked_network").portfolio(data)} == {numeric}


def test_it_does_not_wait_for_a_family_that_is_always_stopped() -> None:
    families = ["lightgbm", "xgboost", "catboost", "neural_network", "stacked_network", "stacked_trees"]
    study = Study(MIDDLING, families=families, budget=Budget(max_trials=40))

    def told(state: TrialState) -> list[TrialRecord]:
        return [
            TrialRecord(
                number,
                family,
                get_learner(family).first(MIDDLING),
                Origin.DEFAULT,
                state if family == "neural_network" else TrialState.COMPLETE,
                0.8,
            )
            for number, family in enumerate(families[:4])
        ]

    assert study.stacked_waiting(told(TrialState.PRUNED)) == study.second_layer != []
    assert study.stacked_waiting(told(TrialState.RUNNING)) == []
    assert study.stacked_waiting(told(TrialState.PRUNED)[:3]) == []
