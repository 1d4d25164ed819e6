"""A search says why it tries what it tries, and what it will do next."""

from __future__ import annotations

from dataclasses import replace

import pytest

from automl.engine.budget import Budget
from automl.engine.filling import CHEAP, CHEAPER
from automl.engine.learners import get_learner
from automl.engine.pruners import HalvingPruner
from automl.engine.reasons import what_is_next, why_proposed, why_share, why_tried
from automl.engine.samplers.allocation import family_merits, family_shares
from automl.engine.schema import DataProfile
from automl.engine.study import Study
from automl.engine.trial import Origin, TaskType, TrialRecord, TrialState

DATA = DataProfile(500, 4, TaskType.BINARY, 2)


def study(**changed):
    return Study(DATA, families=["linear", "lightgbm"], budget=Budget(max_trials=60), **changed)


def played(count, search="auto", seconds=lambda number: 1.0):
    """A search of so many trials, with the reason of each before it was tried."""
    search = study(search=search)
    history: list[TrialRecord] = []
    said = []
    while len(history) < count:
        (found,) = search.ask(history)
        said.append(what_is_next(search, history))
        number = len(history)
        score = 0.8 + 0.001 * ((number * 7) % 11)
        history.append(
            TrialRecord(
                number,
                found.family,
                found.params,
                found.origin,
                TrialState.COMPLETE,
                score,
                (score,) * 5,
                seconds(number),
            )
        )
    return search, history, said


def test_ready_made_settings_say_their_place():
    search, history, said = played(4)
    assert why_tried(search, history[0], history).startswith("Ready-made settings, number 1 of")
    assert said[0].startswith("Ready-made settings number 1 of")
    assert "Linear" in said[0]
    assert "number 3 of" in said[2]


def test_the_search_after_them_says_how_it_guesses():
    search, history, said = played(30)
    searched = [record for record in history if record.origin is Origin.SEARCH]
    assert searched
    reasons = {why_tried(search, record, history) for record in searched}
    assert any("TPE" in reason for reason in reasons)
    assert any("small step" in reason for reason in reasons)
    assert "which has had least of its share" in said[-1]


def test_what_comes_next_is_what_is_tried_then_whatever_trials_took():
    _, history, said = played(30)
    _, other, again = played(30, seconds=lambda number: 50.0 if number % 2 else 0.01)
    assert [record.params for record in other] == [record.params for record in history]
    assert again == said
    for record, words in zip(history, said, strict=True):
        if "least of its share" in words:
            assert words.startswith(get_learner(record.family).label)


def test_without_a_limit_of_trials_measured_times_count():
    told = []
    for seconds in (0.01, 50.0):
        _, history, _ = played(30)
        search = Study(DATA, families=["linear", "lightgbm"], budget=Budget(seconds=60.0))
        linear = [replace(r, seconds=seconds if r.family == "linear" else 1.0) for r in history]
        told.append(what_is_next(search, linear))
    assert told[0] != told[1]


@pytest.mark.parametrize(
    ("origin", "words"), [(Origin.MANUAL, "Asked for by hand."), (Origin.SWEEP, "A point of a sweep.")]
)
def test_what_people_asked_for_says_so(origin, words):
    record = TrialRecord(0, "linear", {}, origin)
    assert why_tried(study(), record, []) == words


@pytest.mark.parametrize(("search", "word"), [("random", "Random search"), ("grid", "grid")])
def test_plain_searches(search, word):
    driven, history, _ = played(6, search)
    assert word in why_tried(driven, history[-1], history)


def test_what_did_not_fit_is_not_announced_while_it_searches():
    search = study()
    history = [
        TrialRecord(0, "linear", {}, Origin.DEFAULT, TrialState.COMPLETE, 0.8, (0.8,) * 5, 1.0),
        TrialRecord(1, "linear", {"strength": 0.1}, Origin.SEARCH, TrialState.COMPLETE, 0.8, (0.8,) * 5, 1.0),
    ]
    assert search.portfolio.waiting(history)
    assert "Ready-made" not in what_is_next(search, history)


def test_by_hand_nothing_comes_next():
    assert "you add the trials" in what_is_next(study(search="manual"), [])


def test_shares_come_with_their_merit():
    history = [
        TrialRecord(0, "linear", {}, state=TrialState.COMPLETE, score=0.8),
        TrialRecord(1, "lightgbm", {}, state=TrialState.COMPLETE, score=0.9),
        TrialRecord(2, "catboost", {}, state=TrialState.COMPLETE, score=0.88),
        TrialRecord(3, "catboost", {}, state=TrialState.COMPLETE, score=0.7),
    ]
    families = ["linear", "lightgbm", "catboost", "xgboost"]
    merits = family_merits(families, history)
    assert {family: merit.share for family, merit in merits.items()} == family_shares(families, history)
    assert merits["lightgbm"].gap == 0.0
    assert merits["xgboost"].gap is None
    assert why_share(merits["lightgbm"], 4) == "It has the best score and it is still improving."
    assert "spreads behind the leader" in why_share(merits["catboost"], 4)
    assert "no score yet" in why_share(merits["xgboost"], 4)


def test_the_mark_is_what_decides():
    leaders = [
        TrialRecord(n, "linear", {}, Origin.SEARCH, TrialState.COMPLETE, 0.9, (0.90 + n / 1000, 0.91, 0.92))
        for n in range(5)
    ]
    pruner = HalvingPruner()
    trial = TrialRecord(9, "linear", {}, Origin.SEARCH, TrialState.RUNNING, fold_scores=(0.5,))
    mark = pruner.mark(trial, leaders)
    assert mark.level == pytest.approx(0.90)
    assert pruner.should_prune(trial, leaders)
    near = replace(trial, fold_scores=(mark.level - mark.margin / 2,))
    assert not pruner.should_prune(near, leaders)
    assert pruner.mark(replace(trial, origin=Origin.MANUAL), leaders) is None


def test_what_a_proposal_says_holds_for_what_was_known_then():
    search, history, _ = played(30)
    proposals = search.ask(history, 1)
    said = why_proposed(search, proposals, history)
    record = TrialRecord(30, proposals[0].family, proposals[0].params)
    # Of the latest eight the sampler knew no scores, so they are no reason for what it did.
    known = [r if r.number < 22 else TrialRecord(r.number, r.family, r.params) for r in history]
    assert said == [why_tried(search, record, known)]


def test_what_is_tried_because_time_is_short_says_so():
    _, history, _ = played(30)
    search = Study(DATA, families=["linear", "lightgbm"], budget=Budget(seconds=60.0))
    said = set()
    for tenths in range(5, 40):
        found = search.ask(history, 1, remaining=tenths / 10)
        said.update(why_proposed(search, found, history))
    assert said & {CHEAPER, CHEAP}
