"""A study: what it proposes in trials and in time, how it stops, and that seats don't matter."""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence
from dataclasses import replace

import pytest

from automl.engine.budget import Budget, CostModel
from automl.engine.errors import UserError
from automl.engine.learners import families_for, get_learner, stacks
from automl.engine.samplers import signature
from automl.engine.schema import DataProfile
from automl.engine.study import LAG, Study
from automl.engine.trial import Origin, Proposal, TaskType, TrialRecord, TrialState

SMALL = DataProfile(208, 60, TaskType.BINARY, 2)
LARGE = DataProfile(36_000, 6, TaskType.BINARY, 2, (9, 16, 40), (6, 7, 8))


def made_up_folds(proposal: Proposal, folds: int = 5) -> tuple[float, ...]:
    """Score a configuration without fitting: the same for the same one, noisy over folds."""
    rng = random.Random(signature(proposal.family, proposal.params))
    strength = {"dummy": 0.5, "linear": 0.7}.get(proposal.family, 0.8)
    level = strength + 0.1 * rng.random()
    return tuple(level + 0.01 * rng.gauss(0, 1) for _ in range(folds))


def simulate(
    study: Study, *, seats: int, order: int = 0, known: Sequence[TrialRecord] = ()
) -> list[TrialRecord]:
    """Run a study with so many seats, trials ending in a random order with random times."""
    rng = random.Random(order)
    trials: dict[int, TrialRecord] = {record.number: record for record in known}
    plans: dict[int, tuple[float, ...]] = {}
    for _ in range(100_000):
        history = [trials[number] for number in sorted(trials)]
        running = [r for r in history if not r.state.is_final]
        for proposal in study.ask(history, seats - len(running)):
            number = len(trials)
            plans[number] = made_up_folds(proposal, study.folds)
            trials[number] = TrialRecord(
                number, proposal.family, proposal.params, proposal.origin, TrialState.RUNNING
            )
        running = [r for r in trials.values() if not r.state.is_final]
        if not running:
            return [trials[number] for number in sorted(trials)]
        trial = rng.choice(running)
        scores = plans[trial.number][: len(trial.fold_scores) + 1]
        trial = replace(trial, fold_scores=scores, seconds=trial.seconds + rng.random())
        if len(scores) == study.folds:
            trial = replace(trial, state=TrialState.COMPLETE, score=sum(scores) / len(scores))
        elif study.should_prune(trial, [trials[number] for number in sorted(trials)]):
            trial = replace(trial, state=TrialState.PRUNED)
        trials[trial.number] = trial
    raise AssertionError("the study never ended")


def outcome(history: list[TrialRecord]) -> list[tuple[object, ...]]:
    return [(r.number, r.family, dict(r.params), r.origin, r.state, r.score) for r in history]


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


def proposals_in_time(study: Study, remaining: float, speed: float = 1.0) -> list[tuple[Proposal, float]]:
    """Run one seat until nothing fits any more; trials take `speed` times their predicted cost."""
    history: list[TrialRecord] = []
    found = []
    while len(history) < 400:
        proposals = study.ask(history, 1, remaining)
        if not proposals:
            break
        (proposal,) = proposals
        learner = get_learner(proposal.family)
        seconds = 0.05 + study.folds * learner.cost(study.data, proposal.params).seconds * speed
        found.append((proposal, remaining - seconds))
        remaining -= seconds
        folds = made_up_folds(proposal)
        number = len(history)
        history.append(
            TrialRecord(number, proposal.family, proposal.params, proposal.origin, TrialState.COMPLETE,
                        sum(folds) / 5, folds, seconds)
        )  # fmt: skip
    return found


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
        history.append(
            TrialRecord(number, proposal.family, proposal.params, proposal.origin, TrialState.COMPLETE, 0.6)
        )
    assert {record.family for record in history} <= {"dummy", "linear"}


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
    assert Budget(seconds=600).kept_back == 15.0
    assert budget.remaining(10.0) == pytest.approx(50 - budget.kept_back)
    assert budget.remaining(70.0) == 0.0
    assert Budget(seconds=60, reserve=10).remaining(0) == 50
    assert Budget().remaining(1e9) is None
    assert Budget(seconds=1).kept_back <= 0.5


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


def served(study: Study, seats: int, speed: float) -> tuple[list[TrialRecord], dict[int, float], float]:
    """Run a study as the service does: a trial for each seat waits while others run.

    Trials take `speed` times their predicted cost; gives those that ended, when each began, and the seconds
    that seats spent on others or on nothing.
    """
    end = study.budget.remaining(0.0) or 0.0
    trials: list[TrialRecord] = []
    began: dict[int, float] = {}
    now = 0.0
    while now < end:
        history = list(trials)
        for number, start in began.items():
            if trials[number].state is TrialState.RUNNING:
                done = int(study.folds * (now - start) / trials[number].seconds)
                history[number] = replace(trials[number], fold_scores=(0.7,) * done, seconds=0.0)
        waiting = [record for record in trials if record.state is TrialState.WAITING]
        for proposal in study.ask(history, seats - len(waiting), end - now):
            number, seconds = len(trials), 0.05 + speed * study.predicted(proposal.family, proposal.params)
            trials.append(
                TrialRecord(number, proposal.family, proposal.params, proposal.origin, seconds=seconds)
            )
        for number, record in enumerate(trials):
            busy = sum(each.state is TrialState.RUNNING for each in trials)
            if record.state is TrialState.WAITING and busy < seats:
                trials[number], began[number] = replace(record, state=TrialState.RUNNING), now
        ends = {n: began[n] + r.seconds for n, r in enumerate(trials) if r.state is TrialState.RUNNING}
        if not ends:
            break
        number = min(ends, key=lambda n: ends[n])
        now = ends[number]
        if now <= end:
            ended = trials[number]
            folds = made_up_folds(Proposal(ended.family, ended.params), study.folds)
            score = sum(folds) / len(folds)
            trials[number] = replace(ended, state=TrialState.COMPLETE, fold_scores=folds, score=score)
    complete = [record for record in trials if record.state is TrialState.COMPLETE]
    return complete, began, seats * end - sum(record.seconds for record in complete)


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
