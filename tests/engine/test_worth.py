"""Was tuning worth it: known gains are found, luck is not taken for one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from automl.engine.trial import Origin, TrialRecord, TrialState
from automl.engine.worth import tuning_worth


def record(number, score, origin=Origin.SEARCH, *, folds=5, rng=None, noise=0.002, state=TrialState.COMPLETE):
    scores = tuple(score + (rng.normal(0, noise, folds) if rng is not None else np.zeros(folds)))
    return TrialRecord(number, "tree", {"n": number}, origin, state, score, scores, seconds=2.0)


def search(gain, *, trials=40, seed=0, spread=0.002):
    """Ten defaults around 0.9, then tuned trials around 0.9 + gain."""
    rng = np.random.default_rng(seed)
    shared = rng.normal(0, 0.01, 5)  # folds differ in difficulty for everybody
    rows = []
    for number in range(10 + trials):
        origin = Origin.DEFAULT if number < 10 else Origin.SEARCH
        level = 0.9 + (gain if number >= 10 else 0.0) + rng.normal(0, spread)
        folds = tuple(level + shared + rng.normal(0, 0.002, 5))
        rows.append(
            TrialRecord(
                number, "tree", {"n": number}, origin, TrialState.COMPLETE, float(np.mean(folds)), folds, 2.0
            )
        )
    return rows


def test_a_real_gain_is_found_with_its_cost():
    found = tuning_worth(search(0.02))
    assert found.verdict == "better"
    assert found.low < 0.02 < found.high + 0.01
    assert found.gain == pytest.approx(0.02, abs=0.006)
    assert (found.default_trials, found.tuned_trials) == (10, 40)
    assert (found.default_seconds, found.tuned_seconds) == (20.0, 80.0)


def test_what_learns_from_both_counts_for_neither():
    rows = search(0.02)
    stacked = [replace(record(50 + n, 0.99, Origin.DEFAULT), family="stacked_trees") for n in range(4)]
    assert tuning_worth([*rows, *stacked]) == tuning_worth(rows)


def test_luck_is_not_taken_for_a_gain():
    verdicts = [tuning_worth(search(0.0, seed=seed, spread=0.0)).verdict for seed in range(40)]
    assert verdicts.count("better") <= 4


def test_the_winners_curse_is_taken_out():
    plain, honest = [], []
    for seed in range(60):
        # Many more tries on one side, all worth the same: the board's difference flatters them.
        found = tuning_worth(search(0.0, trials=200, seed=seed, spread=0.0))
        plain.append(found.plain_gain)
        honest.append(found.gain)
    assert np.mean(plain) > 0.0005
    assert abs(np.mean(honest)) < np.mean(plain) / 2


def test_without_anything_tuned_nothing_is_said():
    found = tuning_worth([record(n, 0.9, Origin.DEFAULT) for n in range(5)])
    assert found.verdict == "unknown"
    assert found.gain is None
    assert found.outlook == "unknown"
    assert tuning_worth([]).default is None


def test_manual_trials_and_sweeps_count_as_tuning():
    rows = [record(0, 0.9, Origin.DEFAULT), record(1, 0.95, Origin.MANUAL), record(2, 0.93, Origin.SWEEP)]
    found = tuning_worth(rows)
    assert found.tuned.number == 1
    assert found.tuned_trials == 2


def test_a_search_that_has_levelled_off_is_told_so():
    rng = np.random.default_rng(0)
    rows = search(0.0, trials=0)
    for n in range(60):
        score = 0.95 - float(rng.exponential(0.02)) * 0.2
        rows.append(record(10 + n, min(score, 0.95), rng=rng))
    rows.append(record(99, 0.9502, rng=rng))
    assert tuning_worth(rows).outlook == "unlikely"


def test_a_search_that_still_climbs_is_told_so():
    rng = np.random.default_rng(0)
    rows = search(0.0, trials=0)
    # The spread among the latest is much wider than what chance makes of one trial.
    rows += [record(10 + n, 0.9 + 0.001 * n + float(rng.normal(0, 0.02)), rng=rng) for n in range(60)]
    found = tuning_worth(rows)
    assert found.outlook in ("possible", "likely")
    assert found.next_chance > 0.1


def test_trials_that_were_stopped_cost_too():
    rows = search(0.01)
    rows.append(record(99, 0.1, state=TrialState.PRUNED))
    rows.append(TrialRecord(100, "tree", {}, Origin.SEARCH, TrialState.RUNNING, seconds=5.0))
    assert tuning_worth(rows).tuned_seconds == 82.0


def test_each_family_has_its_own_row_best_first():
    rows = [
        record(0, 0.9, Origin.DEFAULT),
        TrialRecord(1, "linear", {}, Origin.DEFAULT, TrialState.COMPLETE, 0.95, (0.95, 0.95), 1.0),
        record(2, 0.92),
    ]
    first, second = tuning_worth(rows).families
    assert (first.family, first.default, first.tuned) == ("linear", 0.95, None)
    assert (second.default, second.tuned, second.trials) == (0.9, 0.92, 2)


def test_nothing_is_made_of_two_folds():
    rows = [replace(row, fold_scores=row.fold_scores[:2]) for row in search(0.02)]
    found = tuning_worth(rows)

    assert (found.verdict, found.outlook) == ("unknown", "unknown")
    assert tuning_worth([replace(row, fold_scores=row.fold_scores[:3]) for row in search(0.02)]).gain
