"""What a card says of how sure predictions are: as found on rows held out, and never more than that."""

import numpy as np
import pytest

from automl.engine.conformal import checked, fit_conformal, least_rows
from automl.engine.model_card.certainty import how_sure, levels_of
from automl.engine.model_card.document import Card, Section
from automl.engine.model_card.html import to_html
from automl.engine.model_card.markdown import to_markdown
from automl.engine.trial import TaskType


def found_of(rows, task_type=TaskType.REGRESSION):
    """What is found of a target with noise that is known, or of classes drawn from the probabilities."""
    chance = np.random.default_rng(0)
    folds = np.arange(rows) % 5
    if task_type is TaskType.REGRESSION:
        predicted = chance.uniform(0, 100, rows)
        return checked(fit_conformal(task_type, predicted + chance.normal(0, 10, rows), predicted, folds))
    probabilities = chance.dirichlet([0.3, 0.3, 0.3], rows)
    y = (chance.random(rows)[:, None] > probabilities.cumsum(axis=1)).sum(axis=1)
    return checked(fit_conformal(task_type, y, probabilities, folds))


def read(blocks):
    card = Card("A model", "", [], [Section("How sure", blocks)])
    assert to_html(card)
    return to_markdown(card).replace("\u00a0", " ").replace("**", "")


def test_an_interval_is_told_by_what_it_held_and_by_its_half_width():
    uncertainty = found_of(4_000)
    at_90 = uncertainty["levels"][1]

    text = read(how_sure(uncertainty, [], 4_000))

    assert "Asked to be 90 % sure" in text
    assert f"truth of {at_90['coverage']:.0%}".replace("%", " %") in text
    assert f"{at_90['median_width'] / 2:.4g}" in text
    # Noise of 10: 90 % of the normal law are within 16.4 of its middle.
    assert at_90["median_width"] / 2 == pytest.approx(16.4, rel=0.1)
    assert at_90["narrow_width"] <= at_90["median_width"] <= at_90["wide_width"]
    assert "few rows" not in text


def test_a_set_is_told_by_its_size_and_by_how_many_hold_one_class():
    uncertainty = found_of(4_000, TaskType.MULTICLASS)
    at_90 = uncertainty["levels"][1]

    text = read(how_sure(uncertainty, ["a", "b", "c"], 4_000))

    assert f"names {at_90['mean_size']:.2f} of 3 classes" in text
    assert 0 < at_90["single"] < 1
    assert at_90["single"] + at_90["empty"] <= 1


def test_an_engineer_gets_every_level_with_the_interval_of_its_share():
    text = read(levels_of(found_of(4_000), 4_000))

    for level in ("80 %", "90 %", "95 %", "99 %"):
        assert f"| {level} |" in text
    assert "python predict.py --level 0.9 input.csv output.csv" in text
    assert "predict_interval(frame, 0.9)" in text
    assert "missing" not in text


def test_of_a_small_table_it_says_how_little_that_is_and_what_the_missing_levels_take():
    uncertainty = found_of(80)

    words, table = read(how_sure(uncertainty, [], 80)), read(levels_of(uncertainty, 80))

    assert "checked on few rows (80)" in words
    assert "95 % takes 120, 99 % takes 600" in table
    assert "| 95 % |" not in table


def test_of_too_few_rows_it_says_that_it_has_none_and_why():
    uncertainty = found_of(20)
    assert uncertainty["levels"] == []

    assert "20 rows are too few to tell. The lowest level, 80 %, takes 30" in read(
        how_sure(uncertainty, [], 20)
    )
    assert "80 % takes 30" in read(levels_of(uncertainty, 20))


def test_a_level_that_could_not_be_checked_is_not_said_to_hold():
    uncertainty = found_of(32)
    assert [found.get("coverage") for found in uncertainty["levels"]] == [None]

    assert "too few rows to check" in read(how_sure(uncertainty, [], 32))
    assert "not checked" in read(levels_of(uncertainty, 32))


def test_a_level_that_held_less_than_it_says_is_warned_of():
    uncertainty = found_of(4_000)
    warning = "It is less sure than it says"
    assert warning not in read(how_sure(uncertainty, [], 4_000))

    uncertainty["levels"][1]["coverage"] = 0.8

    assert warning in read(how_sure(uncertainty, [], 4_000))


@pytest.mark.parametrize(
    ("task_type", "kind"), [(TaskType.REGRESSION, "intervals"), (TaskType.MULTICLASS, "sets")]
)
def test_a_level_takes_as_many_rows_as_are_told(task_type, kind):
    least = least_rows(kind, 0.9)

    def has(rows):
        return 0.9 in [found["level"] for found in found_of(rows, task_type)["levels"]]

    assert has(least)
    assert not has(least - 1)
