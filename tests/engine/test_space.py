"""Spaces: validation, conditions, sampling, grids and JSON."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from automl.engine.errors import UserError
from automl.engine.evidence import in_range
from automl.engine.learners import LEARNERS
from automl.engine.samplers.base import nearby
from automl.engine.schema import DataProfile
from automl.engine.space import Choice, Float, Int, InvalidValue, Space
from automl.engine.trial import TaskType

SPACE = Space(
    {
        "rate": Float(1e-4, 1.0, 0.1, log=True, effect="Higher is faster."),
        "depth": Int(1, 9, 4),
        "kind": Choice(("a", "b", None), "a"),
        "power": Int(1, 3, 2, condition={"name": "kind", "values": ["b"]}),
        "bend": Float(0.0, 1.0, 0.5, condition={"name": "power", "values": [3]}),
    }
)


def test_defaults_leave_out_what_is_not_in_use() -> None:
    assert SPACE.default() == {"rate": 0.1, "depth": 4, "kind": "a"}


def test_missing_values_are_filled_and_whole_floats_become_ints() -> None:
    found = SPACE.validate({"depth": 5.0, "kind": "b"})
    assert found == {"rate": 0.1, "depth": 5, "kind": "b", "power": 2}
    assert type(found["depth"]) is int


def test_conditions_chain() -> None:
    assert SPACE.validate({"kind": "b", "power": 3, "bend": 0.25})["bend"] == 0.25
    assert "bend" not in SPACE.validate({"kind": "b", "power": 1, "bend": 0.25})
    assert "bend" not in SPACE.validate({"kind": "a", "power": 3, "bend": 0.25})


@pytest.mark.parametrize(
    ("params", "field", "text"),
    [
        ({"rate": 2.0}, "rate", r"rate is 2\.0; give a number from 0\.0001 to 1\."),
        ({"rate": "0.1"}, "rate", r"rate is '0\.1', which is not a number; give a number from"),
        ({"rate": float("nan")}, "rate", "rate is nan, which is not a number"),
        ({"rate": 10**400}, "rate", r"rate is 10+\.\.\.0+; give a number from"),
        ({"depth": -(10**400)}, "depth", r"depth is -10+\.\.\.0+; give a whole number from"),
        ({"rate": True}, "rate", "rate is True, which is not a number"),
        ({"depth": 4.5}, "depth", r"depth is 4\.5; give a whole number from 1 to 9\."),
        ({"depth": None}, "depth", "depth is None, which is not a number"),
        ({"depth": 10}, "depth", "depth is 10; give a whole number from 1 to 9"),
        ({"kind": "c"}, "kind", "kind is 'c'; give one of 'a', 'b', None"),
        ({"dept": 3}, "dept", "dept is not a hyperparameter here; the known ones are: rate, depth, kind"),
        ({"kind": "a", "power": 7}, "power", "power is 7; give a whole number from 1 to 3"),
    ],
)
def test_a_wrong_value_is_named_with_what_is_allowed(params: dict, field: str, text: str) -> None:
    with pytest.raises(InvalidValue, match=text) as caught:
        SPACE.validate(params)
    assert caught.value.field == field
    assert isinstance(caught.value, UserError)


def test_true_is_not_one() -> None:
    space = Space({"flag": Choice((False, True), False), "p": Choice((1, 2), 2)})
    assert space.validate({"p": 1.0}) == {"flag": False, "p": 1}
    with pytest.raises(InvalidValue):
        space.validate({"p": True})
    with pytest.raises(InvalidValue):
        space.validate({"flag": 1})


@pytest.mark.parametrize(
    "make",
    [
        lambda: Float(1.0, 0.0, 0.5),
        lambda: Int(1, 5, 9),
        lambda: Float(0.0, 1.0, 0.5, log=True),
        lambda: Choice(("a",), "b"),
        lambda: Space(
            {"late": Int(1, 2, 1, condition={"name": "kind", "values": [1]}), "kind": Int(1, 2, 1)}
        ),
    ],
)
def test_a_space_that_makes_no_sense_is_refused(make) -> None:
    with pytest.raises(ValueError):
        make()


@given(st.integers(0, 2**32 - 1))
def test_samples_are_valid_and_come_from_the_seed(seed: int) -> None:
    params = SPACE.sample(np.random.default_rng(seed))
    assert SPACE.validate(params) == params
    assert SPACE.sample(np.random.default_rng(seed)) == params


@given(st.floats(0, 1))
def test_positions_survive_the_way_there_and_back(position: float) -> None:
    for dimension in (
        Float(1e-4, 1.0, 0.1, log=True),
        Float(-2, 5, 0),
        Int(1, 9, 4),
        Int(1, 500, 4, log=True),
    ):
        value = dimension.at(position)
        assert dimension.check("x", value) == value
        assert dimension.at(dimension.position(value)) == pytest.approx(value, rel=1e-9)


def test_samples_are_even_on_a_logarithmic_scale() -> None:
    rng = np.random.default_rng(0)
    rates = [SPACE.sample(rng)["rate"] for _ in range(2_000)]
    assert np.mean([math.log10(rate) for rate in rates]) == pytest.approx(-2.0, abs=0.1)


def test_both_ends_of_an_int_are_as_likely_as_its_middle() -> None:
    rng = np.random.default_rng(0)
    counts = np.bincount([SPACE.sample(rng)["depth"] for _ in range(9_000)], minlength=10)[1:]
    assert counts.min() > 800


def test_a_grid_has_every_combination_once() -> None:
    points = list(SPACE.grid(3))
    marks = {json.dumps(point) for point in points}
    assert len(marks) == len(points)
    # rate 3 x depth 3 x (kind a, kind None, kind b with power 1, 2 and power 3 with three bends)
    assert len(points) == 9 * (2 + 2 + 3)
    assert all(SPACE.validate(point) == point for point in points)


def test_the_grid_of_an_empty_space_is_one_point() -> None:
    assert list(Space({}).grid(3)) == [{}]


def test_a_narrow_int_has_no_repeated_levels() -> None:
    assert Int(1, 2, 1).levels(5) == [1, 2]


def test_json_is_what_the_api_promises() -> None:
    rows = json.loads(json.dumps(SPACE.to_json()))
    keys = {"name", "type", "low", "high", "log", "choices", "default", "condition", "effect"}
    assert all(set(row) == keys for row in rows)
    assert rows[0] == {
        "name": "rate", "type": "float", "low": 1e-4, "high": 1.0, "log": True, "choices": None,
        "default": 0.1, "condition": None, "effect": "Higher is faster.",
    }  # fmt: skip
    assert (rows[2]["type"], rows[2]["choices"], rows[2]["low"]) == ("choice", ["a", "b", None], None)
    assert rows[3]["condition"] == {"name": "kind", "values": ["b"]}
    assert Space.from_json(rows) == SPACE


def test_a_configuration_of_another_table_is_made_to_fit() -> None:
    assert SPACE.clip({"rate": 7.0, "depth": 0, "kind": "z", "unknown": 1}) == {
        "rate": 1.0,
        "depth": 1,
        "kind": "a",
    }


@given(st.integers(0, 2**32 - 1), st.sampled_from(sorted(LEARNERS)), st.sampled_from(list(TaskType)))
def test_every_sample_of_every_learner_is_valid_and_has_a_cost(
    seed: int, family: str, task: TaskType
) -> None:
    classes = {TaskType.BINARY: 2, TaskType.MULTICLASS: 5, TaskType.REGRESSION: 0}[task]
    data = DataProfile(500, 3, task, classes, (3, 200), (3, 4), 0.1)
    space = LEARNERS[family].space(data)
    params = space.sample(np.random.default_rng(seed))
    assert space.validate(params) == params
    assert LEARNERS[family].cost(data, params).seconds > 0


def test_what_is_withdrawn_can_be_fitted_and_is_not_offered() -> None:
    dial = Choice(("standard", "quantile"), "quantile", withdrawn=("splines",))
    space = Space({"numeric": dial})
    old = {"numeric": "splines"}

    assert space.validate(old) == old
    assert space.clip(old) == {"numeric": "quantile"}
    assert in_range(space, "numeric", old) is None
    found = [nearby(space, old, np.random.default_rng(seed)) for seed in range(20)]
    assert {params["numeric"] for params in found} == {*dial.choices}
    with pytest.raises(InvalidValue, match="one of 'standard', 'quantile'"):
        space.validate({"numeric": "bent"})


@pytest.mark.parametrize("family", ["linear", "neural_network"])
def test_many_numbers_are_not_bent(family: str) -> None:
    learner = LEARNERS[family]
    for numbers, is_offered in ((30, True), (4_500, False)):
        data = DataProfile(5_000, numbers, TaskType.BINARY, 2)
        steps = learner.space(data).dimensions["numeric"]
        assert isinstance(steps, Choice)
        assert ("splines" in steps.choices) is is_offered
        assert any(params["numeric"] == "splines" for params in learner.portfolio(data)) is is_offered
