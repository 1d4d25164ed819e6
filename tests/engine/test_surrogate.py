"""Predictions before a trial: how good, how sure, how fast."""

from __future__ import annotations

import numpy as np
import pytest

from automl.engine.learners import get_learner
from automl.engine.schema import DataProfile
from automl.engine.space import Choice, Float, Space
from automl.engine.surrogate import LEAST_TRIALS, Surrogate, usable
from automl.engine.trial import Origin, TaskType, TrialRecord, TrialState

TABLE = DataProfile(rows=10_000, numeric=8, task_type=TaskType.BINARY, classes=2, metric="roc_auc")
SPACE = get_learner("lightgbm").space(TABLE)


def response(seed):
    """A smooth hill over the dials, with a cliff and a little noise: what tables look like to a search."""
    rng = np.random.default_rng(seed)
    names = list(SPACE.dimensions)
    top, weight = rng.random(len(names)), rng.exponential(1, len(names)) ** 2

    def score(params):
        where = [SPACE.dimensions[name].position(params[name]) for name in names]
        fall = sum(w * (x - t) ** 2 for w, x, t in zip(weight / weight.sum(), where, top, strict=True))
        return 0.92 - 0.12 * fall - (0.2 if where[1] > 0.95 else 0.0) + rng.normal(0, 0.001)

    return score, rng


def points(seed, count):
    score, rng = response(seed)
    drawn = [SPACE.sample(rng) for _ in range(count)]
    return [(params, score(params)) for params in drawn], score, rng


def record(number, params, score, **fields):
    given = {"state": TrialState.COMPLETE, "fold_scores": (score,) * 5, **fields}
    return TrialRecord(number, "lightgbm", params, Origin.SEARCH, score=score, **given)


@pytest.mark.parametrize(("count", "low", "high"), [(8, 0.68, 0.97), (30, 0.7, 0.95), (100, 0.7, 0.93)])
def test_the_band_holds_about_four_results_of_five(count, low, high):
    inside = []
    for seed in range(8):
        known, score, rng = points(seed, count)
        asked = [SPACE.sample(rng) for _ in range(50)]
        for params, found in zip(asked, Surrogate(SPACE, known).predict_many(asked), strict=True):
            inside.append(found.low <= score(params) <= found.high)
    assert low <= np.mean(inside) <= high


def test_it_predicts_better_than_the_middle_and_is_surer_with_more_trials():
    known, score, rng = points(3, 120)
    asked = [SPACE.sample(rng) for _ in range(60)]
    few, many = Surrogate(SPACE, known[:10]), Surrogate(SPACE, known)
    middle = np.median([each for _, each in known])
    off = [abs(found.score - score(p)) for p, found in zip(asked, many.predict_many(asked), strict=True)]
    assert np.median(off) < 0.7 * np.median([abs(middle - score(p)) for p in asked])

    def width(surrogate):
        return np.median([found.high - found.low for found in surrogate.predict_many(asked)])

    assert width(many) < width(few)


def test_no_more_than_three_hundred_trials_are_learned_from():
    known, _, _ = points(1, 400)
    history = [record(number, params, score) for number, (params, score) in enumerate(known)]
    surrogate = Surrogate.learn(SPACE, history, "lightgbm")
    assert surrogate is not None and surrogate.count == 300


def test_with_few_trials_nothing_is_predicted():
    known, _, _ = points(0, LEAST_TRIALS)
    history = [record(number, params, score) for number, (params, score) in enumerate(known)]
    assert Surrogate.learn(SPACE, history[:-1], "lightgbm") is None
    assert Surrogate.learn(SPACE, history, "linear") is None
    assert Surrogate.learn(SPACE, history, "lightgbm") is not None
    assert Surrogate.learn(Space({}), history, "lightgbm") is None


def test_equal_scores_and_equal_configurations_do_no_harm():
    params = SPACE.default()
    found = Surrogate(SPACE, [(params, 0.5)] * 6).predict(params)
    assert found.low <= 0.5 <= found.high
    assert found.score == pytest.approx(0.5)


def test_ruined_trials_do_not_hide_the_differences_among_good_ones():
    space = Space({"rate": Float(0.0, 1.0, 0.5)})
    known = [({"rate": x / 20}, 0.9 + 0.01 * (x / 20)) for x in range(19)]
    known += [({"rate": 0.97}, -1e6), ({"rate": 1.0}, -1e6)]
    surrogate = Surrogate(space, known)
    assert surrogate.predict({"rate": 0.1}).score == pytest.approx(0.901, abs=0.002)
    assert surrogate.predict({"rate": 0.99}).score < 0.5


def test_choices_and_dials_out_of_use_are_told_apart():
    space = Space(
        {
            "kind": Choice(("a", "b"), "a"),
            "ratio": Float(0.0, 1.0, 0.5, condition={"name": "kind", "values": ["b"]}),
        }
    )
    known = [({"kind": "a"}, 0.5)] * 3 + [({"kind": "b", "ratio": x / 8}, 0.8 + x / 80) for x in range(9)]
    surrogate = Surrogate(space, known)
    assert surrogate.predict({"kind": "a"}).score < surrogate.predict({"kind": "b", "ratio": 0.5}).score


def test_a_trial_stopped_early_counts_by_its_first_folds_as_these_compare():
    params = SPACE.default()
    complete = [
        record(0, params, 0.8, fold_scores=(0.7, 0.8, 0.9)),
        record(1, params, 0.9, fold_scores=(0.8, 0.9, 1.0)),
    ]
    pruned = record(2, params, None, state=TrialState.PRUNED, fold_scores=(0.5,))
    assert [score for _, score in usable(SPACE, [*complete, pruned])] == pytest.approx([0.8, 0.9, 0.6])
    assert usable(SPACE, [pruned]) == []
    failed = record(3, params, None, state=TrialState.FAILED, fold_scores=())
    assert len(usable(SPACE, [*complete, failed])) == 2
