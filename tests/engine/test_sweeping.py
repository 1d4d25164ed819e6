from __future__ import annotations

import pytest

from automl.engine.space import Choice, Float, Int, InvalidValue, Space
from automl.engine.sweeping import combinations, grid_errors, spread_values

RATE = Float(0.001, 1.0, 0.1, log=True)
SPACE = Space(
    {
        "penalty": Choice(("l2", "elasticnet"), "l2"),
        "ratio": Float(0.0, 1.0, 0.5, condition={"name": "penalty", "values": ["elasticnet"]}),
        "rate": RATE,
        "leaves": Int(2, 64, 31),
    }
)


def test_every_combination_is_there_and_other_dials_keep_their_values():
    found = combinations(SPACE, {"rate": [0.1, 0.2], "leaves": [4, 8.0]}, {"penalty": "l2"})
    assert found == [
        {"penalty": "l2", "rate": rate, "leaves": leaves} for rate in (0.1, 0.2) for leaves in (4, 8)
    ]


def test_values_of_a_dial_that_is_out_of_use_make_no_difference():
    found = combinations(SPACE, {"penalty": ["l2", "elasticnet"], "ratio": [0.1, 0.5, 0.9]}, {})
    assert [params.get("ratio") for params in found] == [None, 0.1, 0.5, 0.9]


@pytest.mark.parametrize(
    ("grid", "words"),
    [({"rate": [2.0]}, "rate is 2.0; give a number from 0.001 to 1."), ({"speed": [1]}, "known ones are")],
)
def test_values_are_refused_in_the_words_of_the_space(grid, words):
    with pytest.raises(InvalidValue, match=words):
        combinations(SPACE, grid, {})


@pytest.mark.parametrize(
    ("grid", "base", "field", "words"),
    [
        ({}, {}, "grid", "is empty"),
        ({"rate": []}, {}, "grid", "rate has no values"),
        ({"rate": 0.1}, {}, "grid", "give a list"),
        ({"rate": [0.1]}, {"rate": 0.2}, "base", "in the grid already"),
        ({"rate": [0.1] * 30, "leaves": [4] * 20}, {}, "grid", "600 combinations .30 x 20.; the most is 500"),
    ],
)
def test_a_grid_that_can_not_be_says_what_is_wrong(grid, base, field, words):
    import re

    errors = grid_errors(grid, base, most=500)
    assert re.search(words, errors[field])


def test_a_small_grid_is_right():
    assert grid_errors({"rate": [0.1, 0.2]}, {"leaves": 4}, most=2) == {}


def test_values_are_spread_by_distance_or_by_factor():
    assert spread_values(RATE, spacing="log", low=0.001, high=1.0, steps=4) == [0.001, 0.01, 0.1, 1.0]
    assert spread_values(RATE, spacing="linear", low=0.1, high=0.5, steps=3) == [0.1, 0.3, 0.5]
    assert spread_values(Int(1, 9, 5), spacing="linear", low=1, high=3, steps=9) == [1, 2, 3]
    assert spread_values(RATE, spacing="log", low=0.3, high=0.3, steps=1) == [0.3]


@pytest.mark.parametrize(
    ("dimension", "asked"),
    [
        (RATE, {"spacing": "log", "low": 0.0, "high": 1.0, "steps": 3}),
        (RATE, {"spacing": "linear", "low": 0.0, "high": 1.0, "steps": 0}),
        (Int(1, 9, 5), {"spacing": "linear", "low": 1, "high": float("inf"), "steps": 3}),
        (Int(1, 9, 5), {"spacing": "linear", "low": -1e308, "high": 1e308, "steps": 3}),
        (Int(1, 9, 5), {"spacing": "log", "low": 1e-308, "high": 1e308, "steps": 3}),
        (Choice((1, 2), 1), {"spacing": "linear", "low": 1, "high": 2, "steps": 2}),
    ],
)
def test_what_can_not_be_spread_is_refused(dimension, asked):
    with pytest.raises(ValueError, match=r"\w"):
        spread_values(dimension, **asked)
