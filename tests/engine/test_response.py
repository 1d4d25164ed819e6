"""Response curves: the best region and the danger zone of known functions are found."""

from __future__ import annotations

import numpy as np
import pytest

from automl.engine.evidence import Evidence, Judged, gather
from automl.engine.response import response, told
from automl.engine.space import Choice, Float, Int, Space
from automl.engine.trial import Origin, TrialRecord, TrialState
from tests.engine.test_dial_importance import SPACE, by_kind, by_rate, trials_of


def wrecked(params, rng):
    """Fine below 0.3, ruined above."""
    return by_rate(params, rng) if params["rate"] < 0.3 else 0.55 + rng.normal(0, 0.02)


def test_the_best_stretch_holds_the_optimum():
    found = response(SPACE, "rate", gather(trials_of(by_rate, 120)))
    low, high = (SPACE.dimensions["rate"].at(place) for place in found.best)
    assert low < 0.1 < high
    assert high / low < 30
    assert found.sentence.startswith("Best about")
    assert found.dangers == ()


def test_the_danger_zone_is_found_and_told():
    found = response(SPACE, "rate", gather(trials_of(wrecked, 120)))
    (danger,) = found.dangers
    assert SPACE.dimensions["rate"].at(danger.low) == pytest.approx(0.3, rel=0.25)
    assert danger.high == 1.0
    assert danger.ruined >= 0.9 * danger.trials
    assert danger.sentence.startswith("Above 0.")
    assert f"{danger.trials} trials" in danger.sentence
    assert danger.sentence.startswith(f"Above {told(danger.values[0])} it")
    assert danger.values[1] == 1.0


def test_a_danger_at_the_low_end():
    def crawling(params, rng):
        return 0.5 if params["rate"] < 0.005 else by_rate(params, rng)

    (danger,) = response(SPACE, "rate", gather(trials_of(crawling, 120))).dangers
    assert danger.low == 0.0
    assert danger.sentence.startswith("Below ")


def test_the_other_dials_have_no_danger_of_their_own():
    evidence = gather(trials_of(wrecked, 120))
    for name in ("leaves", "share", "kind"):
        assert response(SPACE, name, evidence).dangers == ()


def test_a_choice_that_fails_is_a_danger():
    records = [
        TrialRecord(r.number, r.family, r.params, r.origin, TrialState.FAILED)
        if r.params["kind"] == "c"
        else r
        for r in trials_of(by_kind, 60)
    ]
    found = response(SPACE, "kind", gather(records))
    (danger,) = found.dangers
    assert danger.sentence.startswith("With c it has always ruined the result")
    assert danger.values == ("c", "c")
    assert found.sentence == "b is better than the others."


@pytest.mark.parametrize(("count", "share"), [(30, 0.5), (60, 0.3), (450, 0.3)])
def test_a_dial_that_does_nothing_is_called_dangerous_no_more_often_than_chance_allows(count, share):
    space = Space({"idle": Float(0.0, 1.0, 0.5), "steps": Int(1, 8, 4), "kind": Choice(("a", "b"), "a")})
    seen = 0
    for seed in range(30):
        luck = np.random.default_rng(seed)
        trials = tuple(
            Judged(TrialRecord(number, "tree", space.sample(luck)), 0.8, bool(luck.random() < share))
            for number in range(count)
        )
        evidence = Evidence(trials, 0.8, 0.5)
        seen += sum(bool(response(space, name, evidence).dangers) for name in space.dimensions)
    assert seen <= 9  # of 90; one in twenty would be 4.5, and more than 9 come once in fifty


def test_a_danger_that_few_trials_show_plainly_is_found():
    space = Space({"rate": Float(0.0, 1.0, 0.5)})
    trials = tuple(
        Judged(TrialRecord(number, "tree", {"rate": number / 12}), 0.8, number >= 8) for number in range(12)
    )
    (danger,) = response(space, "rate", Evidence(trials, 0.8, 0.5)).dangers
    assert (danger.ruined, danger.trials) == (4, 4)
    assert danger.sentence == "Above 0.62 it has always ruined the result (all 4 trials)."


def test_where_it_is_the_same_all_over_no_stretch_is_named():
    found = response(SPACE, "leaves", gather(trials_of(lambda _, rng: rng.normal(0.8, 0.01), 150)))
    assert found.best is None or found.best[1] - found.best[0] < 0.8
    flat = response(SPACE, "leaves", gather(trials_of(lambda *_: 0.8, 30)))
    assert flat.best is None
    assert "No stretch" in flat.sentence


def test_few_trials_say_that_they_are_few():
    found = response(SPACE, "rate", gather(trials_of(by_rate, 4)))
    assert found.best is None
    assert found.sentence == "Too few trials to say more (4; 8 are needed)."


def test_nothing_is_drawn_where_nothing_was_tried():
    space = Space({"rate": Float(0.0, 1.0, 0.5)})
    records = [
        TrialRecord(n, "tree", {"rate": 0.1 + n / 1000}, Origin.SEARCH, TrialState.COMPLETE, 0.8, (0.8, 0.8))
        for n in range(20)
    ]
    curve = response(space, "rate", gather(records)).curve
    assert curve[4].mean == pytest.approx(0.8)
    assert curve[-1].mean is None


def test_a_trial_that_was_stopped_is_compared_on_its_own_folds():
    full = TrialRecord(0, "t", {"x": 1}, Origin.DEFAULT, TrialState.COMPLETE, 0.8, (0.7, 0.9))
    # On the hard first fold it is the better one, so its 0.71 is not worse than 0.8.
    cut = TrialRecord(1, "t", {"x": 2}, Origin.SEARCH, TrialState.PRUNED, None, (0.71,))
    first, second = gather([full, cut]).trials
    assert second.score == pytest.approx(0.81)
    assert not second.ruined
    assert first.score == 0.8


def test_what_ruins_is_measured_against_guessing():
    good = [
        TrialRecord(n, "t", {"x": n}, Origin.DEFAULT, TrialState.COMPLETE, 0.9 + n / 1000, (0.9, 0.9))
        for n in range(6)
    ]
    poor = TrialRecord(9, "t", {"x": 9}, Origin.SEARCH, TrialState.COMPLETE, 0.88, (0.88, 0.88))
    assert gather([*good, poor]).trials[-1].ruined
    assert not gather([*good, poor], guessing=0.5).trials[-1].ruined


def test_a_dial_of_whole_numbers_and_of_choices():
    space = Space({"depth": Int(1, 8, 4), "on": Choice((True, False, None), True)})
    records = trials_of(lambda p, rng: 0.8 - 0.02 * abs(p["depth"] - 5), 60, space=space)
    found = response(space, "depth", gather(records))
    assert found.best is not None
    assert [step.value for step in response(space, "on", gather(records)).curve] == [True, False, None]


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (0.05, "0.05"),
        (1e-5, "1e-05"),
        (31, "31"),
        (True, "on"),
        (None, "none"),
        ("a", "a"),
        (1, "1"),
        (0.0, "0"),
    ],
)
def test_values_are_told_briefly(value, words):
    assert told(value) == words


def test_zones_stay_inside_of_the_range():
    for seed in range(5):
        for name in SPACE.dimensions:
            found = response(SPACE, name, gather(trials_of(wrecked, 60, seed)))
            for danger in found.dangers:
                assert 0.0 <= danger.low < danger.high <= 1.0
            assert all(np.isfinite(step.mean) for step in found.curve if step.mean is not None)
