"""Charts and figures, apart from any page."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from automl.pages import charts
from automl.pages.templatetags import show

finite = st.floats(-1e12, 1e12)


def test_the_best_score_is_a_staircase_that_lasts_until_now():
    wide, narrow = charts.best_over_time([(1.0, 0.5, "a"), (3.0, 0.75, "b")], 10.0, "Accuracy")
    assert (wide.size, narrow.size) == ("wide", "narrow")
    points = [tuple(map(float, point.split(","))) for point in wide.lines[0].points.split()]
    assert [y for _, y in points] == [points[0][1], points[0][1], points[2][1], points[2][1]]
    assert points[1][0] == points[2][0]
    assert points[-1][0] > points[2][0]
    assert len(wide.dots) == 2


def test_there_is_no_chart_of_nothing():
    assert charts.best_over_time([], 10.0, "x") == []
    assert charts.learning_curve(None) == []
    assert charts.learning_curve({"x": [], "train": [], "valid": []}) == []
    assert charts.histogram({}) is None


@given(st.lists(st.tuples(st.floats(0, 1e6), finite), min_size=1, max_size=20))
def test_everything_stays_inside_of_the_drawing(history):
    for chart in charts.best_over_time([(x, y, "t") for x, y in history], 1.0, "y"):
        for point in chart.lines[0].points.split():
            x, y = map(float, point.split(","))
            assert chart.left - 0.1 <= x <= chart.right + 0.1
            assert chart.top - 0.1 <= y <= chart.bottom + 0.1
        assert all(chart.left - 0.1 <= tick.at <= chart.right + 0.1 for tick in chart.x_ticks)
        assert all(chart.top - 0.1 <= tick.at <= chart.bottom + 0.1 for tick in chart.y_ticks)
        assert 1 <= len(chart.y_ticks) <= 12


def test_whiskers_share_a_scale_and_leave_out_what_is_far_behind():
    rows = [(0.90, 0.91, 0.92), (0.89, 0.90, 0.91), (0.49, 0.50, 0.51)]
    best, second, baseline = charts.whiskers(rows)
    assert best.low < best.at < best.high
    assert second.at < best.at
    assert baseline is None
    assert charts.whiskers([(None, 1.0, None)]) == [None]
    assert charts.whiskers([]) == []


def test_bars_are_as_tall_as_their_counts():
    drawn = charts.histogram({"histogram": {"edges": [0.0, 1.0, 2.0], "counts": [5, 10]}})
    heights = [bar[3] for bar in drawn.bars]
    assert heights == [13.0, 26.0]
    assert "0 to 2" in drawn.summary


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.91234, "0.9123"),
        (-0.5, "-0.5000"),
        (0.00012, "1.200e-04"),
        (31415.9, "31,416"),
        (math.nan, show.NOTHING),
        (None, show.NOTHING),
        (12.3456, "12.35"),
        (0, "0.0000"),
    ],
)
def test_scores(value, text):
    assert show.score(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0001, "< 1 ms"),
        (0.012, "12 ms"),
        (0.2, "200 ms"),
        (1.0, "1.0 s"),
        (1.5, "1.5 s"),
        (20.0, "20 s"),
        (59.7, "1 min"),
        (125, "2 min 05 s"),
        (12000, "3 h 20 min"),
        (7200, "2 h"),
        (None, show.NOTHING),
    ],
)
def test_durations(value, text):
    assert show.seconds(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0 B"),
        (2048, "2.0 kB"),
        (120_000, "117 kB"),
        (500 * 2**20, "500 MB"),
        (5 * 2**30, "5.0 GB"),
        (None, show.NOTHING),
    ],
)
def test_sizes(value, text):
    assert show.size(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1234567, "1,234,567"),
        (0.05, "0.05"),
        (True, "True"),
        ("gini", "gini"),
        (None, show.NOTHING),
        (12345.6, "12,346"),
    ],
)
def test_numbers(value, text):
    assert show.number(value) == text


def test_long_lists_are_cut():
    assert show.learned(list(range(20))) == "0, 1, 2, 3, 4, 5, 6, 7, … (20 in all)"
    assert show.learned([["age", 0.52], ["city", 0.1]]) == "age 0.52, city 0.1"
    assert show.learned({"a": 1, "b": [2]}) == "a: 1, b: 2"
