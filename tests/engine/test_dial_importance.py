"""Which dials decide: known truths have to be found, and nothing where there is nothing."""

from __future__ import annotations

import time

import numpy as np
import pytest

from automl.engine.dial_importance import LEAST_TRIALS, dial_importance, most_important
from automl.engine.evidence import gather
from automl.engine.samplers import TPESampler
from automl.engine.space import Choice, Float, Int, Space
from automl.engine.trial import Origin, TrialRecord, TrialState

SPACE = Space(
    {
        "rate": Float(0.001, 1.0, 0.1, log=True),
        "leaves": Int(2, 256, 31, log=True),
        "share": Float(0.1, 1.0, 1.0),
        "kind": Choice(("a", "b", "c"), "a"),
    }
)


def trials_of(score, count, seed=0, space=SPACE):
    """Random trials of a family whose score follows from its dials."""
    rng = np.random.default_rng(seed)
    records = []
    for number in range(count):
        params = space.sample(rng)
        value = float(score(params, rng))
        records.append(
            TrialRecord(
                number,
                "tree",
                params,
                Origin.SEARCH,
                TrialState.COMPLETE,
                value,
                tuple(value + rng.normal(0, 0.002, 5)),
            )
        )
    return records


def by_rate(params, rng):
    return 0.9 - 0.05 * abs(np.log10(params["rate"]) + 1) + rng.normal(0, 0.003)


def by_kind(params, rng):
    return {"a": 0.8, "b": 0.85, "c": 0.8}[params["kind"]] + rng.normal(0, 0.01)


@pytest.mark.parametrize(("score", "dial"), [(by_rate, "rate"), (by_kind, "kind")])
@pytest.mark.parametrize("count", [40, 300])
def test_the_dial_that_decides_is_found(score, dial, count):
    found = dial_importance(SPACE, gather(trials_of(score, count)))
    first = found.dials[0]
    assert first.name == dial
    assert first.share > 0.6
    assert first.is_beyond_chance
    assert first.low <= first.share <= first.high
    assert sum(each.share for each in found.dials) == pytest.approx(1.0)
    assert most_important(found, 1) == [dial]


def test_where_nothing_decides_hardly_anything_is_called_certain():
    certain = 0
    for seed in range(20):
        records = trials_of(lambda _, rng: rng.normal(0.8, 0.01), 40, seed)
        certain += sum(d.is_beyond_chance for d in dial_importance(SPACE, gather(records)).dials)
    assert certain <= 10  # of 80; one in twenty would be 4


def test_a_search_that_narrows_while_its_scores_rise_makes_no_dial_look_decisive():
    space = Space({name: Float(0.0, 1.0, 0.5) for name in ("one", "other")})
    certain = 0
    for seed in range(20):
        luck = np.random.default_rng(seed)
        records = []
        for number in range(100):
            width = 1.0 - 0.009 * number
            params = {name: 0.6 + width * (luck.random() - 0.6) for name in space.dimensions}
            score = 0.8 - 0.1 * width + luck.normal(0, 0.01)
            records.append(
                TrialRecord(number, "tree", params, Origin.SEARCH, TrialState.COMPLETE, score, (score,))
            )
        certain += sum(d.is_beyond_chance for d in dial_importance(space, gather(records)).dials)
    assert certain <= 8  # of 40; across the whole length of the search nearly all would be


def test_dials_that_do_nothing_in_a_modelled_search_are_seldom_called_certain():
    space = Space({name: Float(0.0, 1.0, 0.5) for name in ("deciding", "idle", "other")})
    certain = 0
    for seed in range(8):
        luck = np.random.default_rng(seed)
        records = []
        while len(records) < 40:
            found = TPESampler().propose({"tree": space}, records, count=4, seed=1_000 * seed + len(records))
            for proposal in found:
                score = -((float(proposal.params["deciding"]) - 0.8) ** 2) + luck.normal(0, 0.01)
                records.append(
                    TrialRecord(
                        len(records), "tree", proposal.params, Origin.SEARCH, TrialState.COMPLETE, score,
                        (score,),
                    )
                )  # fmt: skip
        certain += sum(
            dial.is_beyond_chance
            for dial in dial_importance(space, gather(records)).dials
            if dial.name != "deciding"
        )
    assert certain <= 3  # of 16


def test_the_interval_narrows_with_more_trials():
    def width(count):
        first = dial_importance(SPACE, gather(trials_of(by_rate, count))).dials[0]
        return first.high - first.low

    assert width(400) < width(25)


def test_too_few_trials_are_told_so():
    found = dial_importance(SPACE, gather(trials_of(by_rate, 6)))
    assert found.dials == ()
    assert (found.trials, found.missing) == (6, LEAST_TRIALS - 6)


def test_a_dial_that_is_not_in_use_is_judged_where_it_is():
    space = Space(
        {
            "kind": Choice(("a", "b"), "a"),
            "deep": Float(0.0, 1.0, 0.5, condition={"name": "kind", "values": ["b"]}),
            "idle": Float(0.0, 1.0, 0.5),
        }
    )
    records = trials_of(
        lambda p, rng: 0.8 + 0.1 * p.get("deep", 0.5) + rng.normal(0, 0.004), 200, space=space
    )
    found = {each.name: each for each in dial_importance(space, gather(records)).dials}
    assert found["deep"].share > found["idle"].share
    assert found["deep"].is_beyond_chance
    assert 60 < found["deep"].trials < 140


def test_a_failed_trial_counts_as_the_worst():
    records = trials_of(lambda p, rng: 0.8 + rng.normal(0, 0.01), 80)
    broken = [
        TrialRecord(r.number, r.family, r.params, r.origin, TrialState.FAILED)
        if r.params["rate"] > 0.1
        else r
        for r in records
    ]
    assert dial_importance(SPACE, gather(broken)).dials[0].name == "rate"


def test_the_same_trials_give_the_same_answer():
    records = trials_of(by_rate, 50)
    assert dial_importance(SPACE, gather(records)) == dial_importance(SPACE, gather(records))


def test_a_thousand_trials_take_a_moment():
    records = trials_of(by_rate, 1_200)
    began = time.process_time()
    dial_importance(SPACE, gather(records))
    assert time.process_time() - began < 0.5
