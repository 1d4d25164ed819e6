"""A study: what it proposes in trials and in time, how it stops, and that seats don't matter."""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import replace

import pytest

from automl.engine.budget import Budget, CostModel
from automl.engine.errors import UserError
from automl.engine.filling import CUT_SHORT
from automl.engine.learners import families_for, get_learner, stacks
from automl.engine.reasons import what_is_next
from automl.engine.samplers import GridSampler, signature
from automl.engine.samplers.allocation import next_family
from automl.engine.samplers.grid import MOST_POINTS
from automl.engine.study import LAG, MOST_FAILED, Study
from automl.engine.trial import Origin, TrialRecord, TrialState
from tests.engine.studies import LARGE, SMALL, outcome, proposals_in_time, simulate


def test_the_same_trials_and_scores_whatever_the_seats_and_their_order() -> None:
    study = Study(SMALL, seed=3, budget=Budget(max_trials=60))
    one = simulate(study, seats=1)
    assert len(one) == 60
    assert any(record.state is TrialState.PRUNED for record in one)
    for seats, order in ((2, 1), (3, 2), (LAG, 3)):
        assert outcome(simulate(study, seats=seats, order=order)) == outcome(one)


def test_another_seed_searches_differently() -> None:
    runs = [simulate(Study(SMALL, seed=seed, budget=Budget(max_trials=45)), seats=2) for seed in (0, 1)]
    assert outcome(runs[0]) != outcome(runs[1])


def test_up_to_lag_trials_run_at_once_and_then_the_oldest_has_to_end() -> None:
    study = Study(SMALL, budget=Budget(max_trials=50))
    history = [
        TrialRecord(n, p.family, p.params, p.origin, TrialState.RUNNING)
        for n, p in enumerate(study.ask([], 20))
    ]
    assert len(history) == LAG + 1
    assert study.ask(history, 5) == []
    done = [replace(history[0], state=TrialState.COMPLETE, score=0.5, fold_scores=(0.5,) * 5), *history[1:]]
    assert len(study.ask(done, 5)) == 1


def test_a_trial_by_hand_does_not_use_up_the_budget() -> None:
    study = Study(SMALL, families=["linear"], budget=Budget(max_trials=2))
    manual = TrialRecord(0, "linear", {}, Origin.MANUAL, TrialState.COMPLETE, 0.5)
    assert len(study.ask([manual], 5)) == 2


def test_nothing_is_proposed_twice() -> None:
    history = simulate(Study(SMALL, budget=Budget(max_trials=80)), seats=2)
    marks = [signature(record.family, record.params) for record in history]
    assert len(set(marks)) == len(marks)


def test_asking_twice_gives_the_same() -> None:
    study = Study(LARGE, seed=1)
    history = [
        TrialRecord(n, p.family, p.params, p.origin, TrialState.COMPLETE, 0.7 + n / 100, (0.7,) * 5, 1.0)
        for n, p in enumerate(study.ask([], 30))
    ]
    for remaining in (None, 30.0, 3.0):
        again = Study(LARGE, seed=1).ask(history, 3, remaining)
        assert study.ask(history, 3, remaining) == again
        assert len(again) == 3


def test_every_proposal_of_a_family_is_in_its_space() -> None:
    for search in ("auto", "random", "grid"):
        study = Study(SMALL, search=search, budget=Budget(max_trials=30))
        for record in simulate(study, seats=2):
            assert study.spaces[record.family].validate(record.params) == dict(record.params)


def test_grid_and_random_begin_with_the_defaults() -> None:
    for search in ("random", "grid"):
        study = Study(SMALL, search=search, families=["linear", "xgboost"])
        found = study.ask([], 6)
        defaults = [p for p in found if p.origin is Origin.DEFAULT]
        spaces = {key: get_learner(key).space(SMALL) for key in ("linear", "xgboost")}
        assert {(p.family, signature("", p.params)) for p in defaults} >= {
            (key, signature("", space.default())) for key, space in spaces.items()
        }
        assert found[-1].origin is Origin.SEARCH


def test_a_manual_search_proposes_nothing_and_waits_for_its_time() -> None:
    study = Study(SMALL, search="manual", budget=Budget(seconds=60))
    assert study.ask([], 4, 60.0) == []
    assert not study.is_done([], elapsed=10)
    assert study.is_done([], elapsed=60)


@pytest.mark.parametrize("seconds", [15.0, 60.0])
@pytest.mark.parametrize("speed", [0.5, 1.0, 3.0])
def test_on_a_large_table_nothing_overruns_and_little_time_is_left_idle(seconds: float, speed: float) -> None:
    study = Study(LARGE, budget=Budget(seconds=seconds))
    found = proposals_in_time(study, seconds, speed)
    # The very first trials of a family are guesses; from then on its own times are known.
    started: set[str] = set()
    for proposal, left in found:
        assert left >= 0 or (speed > 1 and proposal.family not in started), proposal
        started.add(proposal.family)
    assert found[-1][1] < 0.15 * seconds
    assert len(started) >= 4


def test_a_cheap_trial_is_found_as_long_as_one_fits() -> None:
    study = Study(LARGE)
    cheapest = study.costs([]).seconds("linear", get_learner("linear").first(LARGE))
    history: list[TrialRecord] = []
    for number in range(25):
        (proposal,) = study.ask(history, 1, cheapest * 1.5)
        if proposal.family not in ("dummy", "linear"):
            assert proposal.reason == CUT_SHORT
        history.append(
            TrialRecord(number, proposal.family, proposal.params, proposal.origin, TrialState.COMPLETE, 0.6)
        )
    assert sum(record.family not in ("dummy", "linear") for record in history) == 1


def test_a_search_that_has_no_time_left_is_done() -> None:
    study = Study(SMALL, budget=Budget(seconds=20))
    running = [TrialRecord(0, "linear", {}, state=TrialState.RUNNING)]
    assert not study.is_done([], elapsed=1)
    assert not study.is_done(running, elapsed=1)
    assert study.is_done(running, elapsed=19.9)


def test_a_trial_that_only_has_to_be_stored_holds_up_the_end_for_a_moment() -> None:
    budget = Budget(seconds=60)
    study, end = Study(SMALL, budget=budget), 60 - budget.kept_back
    fitted = TrialRecord(0, "linear", {}, state=TrialState.RUNNING, fold_scores=(0.8,) * study.folds)
    unfinished = replace(fitted, fold_scores=fitted.fold_scores[1:])
    assert study.is_done([unfinished], end + 0.1)
    assert not study.is_done([fitted], end + 0.1)
    assert study.is_done([replace(fitted, state=TrialState.COMPLETE)], end + 0.1)
    assert study.is_done([fitted], end + 1.0)


def test_a_search_of_so_many_trials_is_done_when_the_last_has_ended() -> None:
    study = Study(SMALL, families=["dummy", "linear"], budget=Budget(max_trials=2))
    history = [
        TrialRecord(n, p.family, p.params, p.origin, TrialState.RUNNING)
        for n, p in enumerate(study.ask([], 9))
    ]
    assert len(history) == 2
    assert not study.is_done(history, 1.0)
    assert study.is_done([replace(record, state=TrialState.FAILED) for record in history], 1.0)


def test_a_search_that_has_tried_everything_is_done() -> None:
    study = Study(SMALL, families=["dummy"], budget=Budget(seconds=60))
    history = [TrialRecord(0, "dummy", {}, Origin.DEFAULT, TrialState.COMPLETE, 0.5)]
    assert study.is_done(history, 1.0)


def played_in_time(study: Study, failing: set[str], *, trials: int, remaining: float = 60.0):
    """A search of one seat in which some families fail at once and the others take a second."""
    history: list[TrialRecord] = []
    while len(history) < trials and (proposals := study.ask(history, 1, remaining)):
        (found,) = proposals
        who = (len(history), found.family, found.params, found.origin)
        if found.family in failing:
            history.append(TrialRecord(*who, TrialState.FAILED, seconds=0.3))
        else:
            history.append(TrialRecord(*who, TrialState.COMPLETE, 0.8, (0.8,) * 5, 1.0))
    return history


def test_a_family_that_only_fails_is_given_up() -> None:
    study = Study(SMALL, families=["linear", "kernel", "extra_trees"], budget=Budget(seconds=600))

    history = played_in_time(study, {"kernel"}, trials=60)

    assert sum(record.family == "kernel" for record in history) == MOST_FAILED
    assert len(history) == 60
    assert set(study.sound(history)) == {"linear", "extra_trees"}


@pytest.mark.parametrize(
    ("origin", "folds", "given_up"),
    [(Origin.SWEEP, (), False), (Origin.MANUAL, (), False), (Origin.DEFAULT, (0.8, 0.8), True)],
)
def test_what_people_try_gives_no_family_up_and_a_failure_after_some_folds_is_one(
    origin: Origin, folds: tuple[float, ...], given_up: bool
) -> None:
    study = Study(SMALL, families=["linear", "kernel"], budget=Budget(seconds=600))
    history = [
        TrialRecord(n, "kernel", {"n": n}, origin, TrialState.FAILED, None, folds, 0.3)
        for n in range(MOST_FAILED)
    ]
    assert ("kernel" not in study.sound(history)) == given_up


def test_a_family_that_has_a_score_is_not_given_up_but_failing_is_not_paid_for_again_and_again() -> None:
    study = Study(SMALL, families=["linear", "extra_trees"], budget=Budget(seconds=600))
    history = [
        TrialRecord(0, "linear", {"n": 0}, Origin.SEARCH, TrialState.COMPLETE, 0.9, (0.9,) * 5, 1.0),
        *(
            TrialRecord(n, "linear", {"n": n}, Origin.SEARCH, TrialState.FAILED, seconds=0.3)
            for n in range(1, 9)
        ),
        *(
            TrialRecord(n, "extra_trees", {"n": n}, Origin.SEARCH, TrialState.COMPLETE, 0.9, (0.9,) * 5, 1.0)
            for n in range(9, 14)
        ),
    ]
    assert "linear" in study.sound(history)
    assert next_family(["linear", "extra_trees"], history) == "extra_trees"


def test_where_all_families_fail_a_search_is_over() -> None:
    study = Study(SMALL, families=["linear", "kernel"], budget=Budget(seconds=600))

    history = played_in_time(study, {"linear", "kernel"}, trials=60)

    assert len(history) == 2 * MOST_FAILED
    assert study.is_done(history, 1.0)
    assert "failed" in what_is_next(study, history)


def test_a_trial_that_runs_counts_for_the_time_that_it_will_take() -> None:
    study = Study(SMALL, families=["extra_trees", "lightgbm"], budget=Budget(seconds=600))
    entries = study.portfolio.entries
    counts = Counter(entry.family for entry in entries)
    total = {"extra_trees": 50.0, "lightgbm": 60.0}
    history = [
        TrialRecord(
            n,
            each.family,
            each.params,
            each.origin,
            TrialState.COMPLETE,
            0.8,
            (0.8,) * 5,
            total[each.family] / counts[each.family],
        )
        for n, each in enumerate(entries)
    ]
    asked = []
    for number in range(len(history), len(history) + 8):
        (found,) = study.ask(history, 1, 590.0)
        asked.append(found.family)
        history.append(TrialRecord(number, found.family, found.params, state=TrialState.RUNNING))

    assert asked[0] == "extra_trees"
    assert "lightgbm" in asked


def test_a_grid_passes_over_what_does_not_fit_and_ends_with_its_last_point() -> None:
    study = Study(LARGE, families=["xgboost"], search="grid", budget=Budget(seconds=600))
    found = proposals_in_time(study, 60.0)
    points = {signature("xgboost", point) for point in GridSampler()._walk(study.spaces["xgboost"])}
    assert len(found) > 5
    assert all(signature("xgboost", each.params) in points for each, _ in found[1:])
    assert all(left >= 0 for _, left in found)


@pytest.mark.parametrize("family", ["lightgbm", "catboost", "extra_trees"])
def test_a_grid_goes_on_where_its_family_has_cheaper_points_than_its_quick_start(family: str) -> None:
    study = Study(LARGE, families=[family], search="grid", budget=Budget(seconds=600))
    quick = study.predicted(family, study.spaces[family].validate(get_learner(family).first(LARGE)))
    assert study.ask([], 1, 0.7 * quick)


def test_of_a_large_grid_some_points_are_looked_at_for_one_that_fits() -> None:
    space = Study(LARGE, families=["neural_network"], search="grid").spaces["neural_network"]
    looked = []

    found = GridSampler().propose(
        {"neural_network": space}, [], count=1, seed=0, fits=lambda _, point: looked.append(point) or False
    )

    assert not found
    assert len(looked) == MOST_POINTS < space.grid_size(3)


def test_a_grid_that_is_used_up_is_over() -> None:
    study = Study(SMALL, families=["linear"], search="grid", budget=Budget(seconds=600))
    size = len(list(GridSampler()._walk(study.spaces["linear"])))

    history = played_in_time(study, set(), trials=size + 20)

    assert size <= len(history) <= size + 1
    assert study.is_done(history, 1.0)


def test_pruning_in_a_trial_budget_ignores_what_other_seats_might_not_know() -> None:
    study = Study(SMALL, budget=Budget(max_trials=100))
    good = [
        TrialRecord(
            n, "linear", {"n": n}, Origin.SEARCH, TrialState.COMPLETE, 0.9, (0.9, 0.91, 0.89, 0.9, 0.9)
        )
        for n in range(6)
    ]
    weak = TrialRecord(6 + LAG - 1, "linear", {}, Origin.SEARCH, TrialState.RUNNING, None, (0.1,))
    assert study.should_prune(replace(weak, number=6 + LAG), good)
    assert not study.should_prune(replace(weak, number=3 + LAG), good)


def test_a_trial_with_all_its_folds_is_not_pruned() -> None:
    study = Study(SMALL, budget=Budget(seconds=60))
    good = [
        TrialRecord(n, "linear", {}, Origin.SEARCH, TrialState.COMPLETE, 0.9, (0.9,) * 5) for n in range(6)
    ]
    weak = TrialRecord(9, "linear", {}, Origin.SEARCH, TrialState.RUNNING, None, (0.1,) * 4)
    assert study.should_prune(weak, good)
    assert not study.should_prune(replace(weak, fold_scores=(0.1,) * 5), good)


def test_the_best_is_the_earlier_of_equals_and_complete() -> None:
    history = [
        TrialRecord(0, "a", state=TrialState.PRUNED, score=0.99),
        TrialRecord(1, "b", state=TrialState.COMPLETE, score=0.9),
        TrialRecord(2, "c", state=TrialState.COMPLETE, score=0.9),
    ]
    assert Study.best(history) == history[1]
    assert Study.best([]) is None


def test_seeds_come_from_the_experiment_and_the_number() -> None:
    seeds = [Study(SMALL, seed=s).next_seed(n) for s, n in itertools.product(range(5), range(50))]
    assert len(set(seeds)) == len(seeds)
    assert all(0 <= seed < 2**31 for seed in seeds)
    assert Study(SMALL, seed=4).next_seed(7) == Study(LARGE, seed=4).next_seed(7)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"search": "magic"}, "search is 'magic'; give one of auto, random, grid, manual"),
        ({"families": ["lgbm"]}, "'lgbm' is not a family"),
        ({"families": []}, "families is empty"),
        ({"families": ["stacked_network", "linear", "dummy"]}, "learn from what models of at least two"),
    ],
)
def test_wrong_settings_are_named(arguments: dict, text: str) -> None:
    with pytest.raises(UserError, match=text):
        Study(SMALL, **arguments)


def timed(number: int, family: str, seconds: float, state: TrialState = TrialState.COMPLETE) -> TrialRecord:
    folds = (0.5,) * (5 if state is TrialState.COMPLETE else 1)
    return TrialRecord(number, family, {}, Origin.SEARCH, state, 0.5, folds, seconds)


def test_the_cost_model_learns_how_fast_the_machine_is() -> None:
    def guess(family: str, params: object) -> float:
        return 1.0

    assert CostModel.learn(guess, 5, []).seconds("a", {}) == pytest.approx(5.05)
    slow = CostModel.learn(guess, 5, [timed(n, "a", 15.0) for n in range(10)])
    assert slow.seconds("a", {}) == pytest.approx(15.0, rel=0.1)
    # Another family is likely to be slower than guessed too, but less surely.
    assert 5.05 < slow.seconds("b", {}) < slow.seconds("a", {})


def test_a_pruned_trial_counts_for_the_folds_it_had() -> None:
    model = CostModel.learn(
        lambda family, params: 1.0, 5, [timed(n, "a", 3.0, TrialState.PRUNED) for n in range(10)]
    )
    assert model.seconds("a", {}) == pytest.approx(15.0, rel=0.1)


@pytest.mark.parametrize("seconds", [0.3, 3.0])
def test_a_family_of_moments_teaches_others_nothing_about_time(seconds: float) -> None:
    """Not even where its moment was long: then the machine was busy, or slow to start."""
    study = Study(LARGE, budget=Budget(seconds=60))
    first = study.costs([]).seconds("lightgbm", get_learner("lightgbm").first(LARGE))
    quick = TrialRecord(0, "dummy", {}, Origin.DEFAULT, TrialState.COMPLETE, 0.5, (0.5,) * 5, seconds)

    told = study.costs([quick]).seconds("lightgbm", get_learner("lightgbm").first(LARGE))

    assert told == first


def test_a_family_of_moments_learns_how_long_its_own_take() -> None:
    quick = [timed(number, "a", 0.3) for number in range(10)]

    assert CostModel.learn(lambda family, params: 1.0, 5, quick).seconds("a", {}) < 0.5


def test_the_first_of_a_family_may_take_more_of_the_time_than_a_later_one() -> None:
    study = Study(LARGE, families=["dummy", "linear", "lightgbm"], budget=Budget(seconds=60))
    dummy, linear = (
        TrialRecord(
            number,
            key,
            study.spaces[key].validate(get_learner(key).first(LARGE)),
            Origin.DEFAULT,
            TrialState.FAILED,
        )
        for number, key in enumerate(("dummy", "linear"))
    )
    (first,) = study.ask([dummy, linear], remaining=1000.0)
    assert first.family == "lightgbm"
    # It takes half of what is left once that is divided by what predictions may be off.
    left = 2 * 1.25 * study.costs([dummy, linear]).seconds(first.family, first.params)

    assert [each.params for each in study.ask([dummy, linear], remaining=left)] == [first.params]

    tried = TrialRecord(2, "lightgbm", {"num_leaves": 4}, Origin.SEARCH, TrialState.FAILED)
    (later,) = study.ask([dummy, linear, tried], remaining=left)
    assert later.family == "linear"


def test_a_failed_trial_teaches_nothing_about_time() -> None:
    failed = replace(timed(0, "a", 500.0), state=TrialState.FAILED)
    assert CostModel.learn(lambda family, params: 1.0, 5, [failed]).seconds("a", {}) == pytest.approx(5.05)


def test_a_budget_keeps_time_back_for_the_model() -> None:
    budget = Budget(seconds=60)
    assert budget.kept_back == pytest.approx(7.5)
    assert Budget(seconds=600).kept_back == 20.0
    assert budget.remaining(10.0) == pytest.approx(50 - budget.kept_back)
    assert budget.remaining(70.0) == 0.0
    assert Budget(seconds=60, reserve=10).remaining(0) == 50
    assert Budget().remaining(1e9) is None
    assert Budget(seconds=1).kept_back <= 0.5


@pytest.mark.parametrize("seconds", [0.2, 1.0, 30.0, 60.0, 139.0, 141.0, 3_600.0])
def test_a_budget_for_trials_until_a_time_keeps_no_more_back_than_any(seconds: float) -> None:
    assert Budget(Budget.seconds_until(seconds)).remaining(0.0) == pytest.approx(seconds)


@pytest.mark.parametrize(("score", "is_taken"), [(0.9, True), (0.7, False)])
def test_the_family_that_leads_may_take_more_of_the_time(score: float, is_taken: bool) -> None:
    study = Study(LARGE, families=["linear", "lightgbm"], budget=Budget(seconds=40))
    told = [
        TrialRecord(number, family, study.spaces[family].validate(get_learner(family).first(LARGE)),
                    Origin.DEFAULT, TrialState.COMPLETE, each, (each,) * 5, 1.0)
        for number, (family, each) in enumerate([("linear", 0.8), ("lightgbm", score)])
    ]  # fmt: skip
    entries = [entry for entry in study.portfolio.waiting(told) if entry.family == "lightgbm"]

    def half_of_it(family: str, params: object) -> float:
        return 10.0 if params == entries[0].params else 1.0

    model = CostModel(half_of_it, folds=1, ratios={})
    found = study._entry_in_time(told, model, limit=20.1)

    assert found is not None
    assert (found.params == entries[0].params) is is_taken


def test_all_families_get_a_place_in_a_long_search() -> None:
    history = simulate(Study(SMALL, budget=Budget(max_trials=120)), seats=2)
    assert {record.family for record in history} == {key for key in families_for() if not stacks(key)}
