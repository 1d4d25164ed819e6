"""Charts and figures, apart from any page."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from automl.engine.evidence import gather, on_two_dials
from automl.engine.metrics import METRICS
from automl.engine.response import response
from automl.engine.space import Choice, Float, Int, Space
from automl.engine.trial import Origin, TrialRecord, TrialState
from automl.pages import charts
from automl.pages.charts import quality
from automl.pages.charts.dials import dial_ticks
from automl.pages.charts.figure import Axis
from automl.pages.charts.shares import seat_time
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


def test_a_baseline_does_not_press_the_progress_after_it_flat():
    history = [(0.1, 0.4975, "Baseline #0"), (0.3, 0.87, "LightGBM #2"), (1.3, 0.8917, "LightGBM #5")]
    assert charts.off_scale(history) == history[:1]
    assert charts.off_scale(history[:2]) == []


def test_there_is_no_chart_of_nothing():
    assert charts.best_over_time([], 10.0, "x") == []
    assert charts.learning_curve(None) == []
    assert charts.learning_curve({"x": [], "train": [], "valid": []}) == []
    assert charts.histogram({}) is None


def test_training_by_another_metric_is_not_drawn_on_the_axis_of_validation():
    curve = {"x": [1, 2], "train": [0.6, 0.5], "valid": [0.7, 0.8], "best": 2, "metric": "roc_auc"}
    assert [each.name for each in charts.curve_series(curve)] == ["Training", "Validation"]
    (only,) = charts.curve_series({**curve, "train_metric": "log_loss"})
    assert only.name == "Validation"


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
        (0.00012, "0.0001200"),
        (0.000012, "1.200e-05"),
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
        (3527.4, "3,527"),
        (-5471.2, "\N{MINUS SIGN}5,471"),
        (-0.25, "\N{MINUS SIGN}0.25"),
    ],
)
def test_numbers(value, text):
    assert show.number(value) == text


def test_labels_of_others_are_written_like_ours():
    assert show.sentence("Remember Me") == "Remember me"
    assert show.sentence("Password (again)") == "Password (again)"
    assert show.sentence("Metric ROC AUC") == "Metric ROC AUC"


def test_a_dial_has_the_name_that_people_have_for_it_in_its_family():
    assert show.called("n_estimators", "lightgbm") == "Most rounds"
    assert show.called("n_estimators", "extra_trees") == "Trees"
    assert show.called("never_heard_of", "linear") == "Never heard of"


@pytest.mark.parametrize(
    ("value", "largest", "text"),
    [
        (-0.0004, 0.1, "0.000"),
        (-0.0126, 0.1, "\N{MINUS SIGN}0.013"),
        (131_240.4, 338_230, "131,240"),
        (None, 1.0, show.NOTHING),
    ],
)
def test_what_is_rounded_to_nothing_has_no_sign(value, largest, text):
    assert show.fixed(value, largest) == text


@pytest.mark.parametrize(
    ("value", "text"), [(-5.964e-4, "\N{MINUS SIGN}0.001"), (0.98765, "0.988"), (None, show.NOTHING)]
)
def test_correlations(value, text):
    assert show.correlation(value) == text


def test_labels_of_categories_leave_room_between_them():
    codes = ["77030", "32803", "90048", "78205", "34239", "33805"] * 2
    marks = Axis("zip", 0, 11, names=codes).marks(5)
    assert sum(len(label) + 2 for _, label in marks) <= 5 * 6


def test_between_whole_numbers_there_is_no_mark():
    assert [label for _, label in Axis("class", 1.0, 3.0, whole=True).marks(7)] == ["1", "2", "3"]
    assert "1.5" in [label for _, label in Axis("depth", 1.0, 3.0).marks(7)]


def test_single_rows_stay_inside_of_their_axis():
    line = {
        "class": None,
        "mean": [1.0, 2.0],
        "low": [0.0, 1.0],
        "high": [2.0, 3.0],
        "examples": [[9.0, 8.0]],
    }
    curve = {"column": "x", "kind": "numeric", "grid": [0.0, 1.0], "share": [0.5, 0.5], "lines": [line]}
    (row, _), *_ = quality.dependence(curve, "Prediction")[0].lines
    assert len({point.split(",")[1] for point in row.split()}) == 2


def test_of_several_classes_the_axis_fits_their_means():
    line = {"mean": [0.1, 0.2], "low": [0.0, 0.0], "high": [0.9, 0.9], "examples": []}
    lines = [{"class": label, **line} for label in "AB"]
    curve = {"column": "x", "kind": "numeric", "grid": [0.0, 1.0], "share": [0.5, 0.5], "lines": lines}
    assert quality.dependence(curve, "Probability")[0].y_ticks[-1].label == "0.2"


def test_errors_are_told_in_words_and_round_numbers():
    groups = [
        {"predicted": 10.0, "bias": bias, "low": -9e4, "high": 9e4, "rows": rows}
        for bias, rows in ((-10_170.0, 1), (18_580.0, 42))
    ]
    figure = quality.residuals({"by_predicted": groups, "log": False})[0]
    assert [dot[4] for dot in figure.dots] == [
        "On average 10.2k too low, 1 row",
        "On average 18.6k too high, 42 rows",
    ]


def test_a_curve_of_a_learned_logarithm_says_so():
    curve = {"unit": "rounds", "x": [1, 2], "train": [], "valid": [0.7, 0.2], "best": 2, "metric": "rmse"}
    assert charts.curve_label(curve) == "RMSE"
    assert charts.curve_label({**curve, "of_logarithms": True}) == "RMSE of logarithms"
    assert charts.curve_label({**curve, "metric": "squared_error"}) == "Squared error"


def test_long_lists_are_cut():
    assert show.learned(list(range(20))) == "0, 1, 2, 3, 4, 5, 6, 7, … (20 in all)"
    assert show.learned([["age", 0.52], ["city", 0.1]]) == "age 0.52, city 0.1"
    assert show.learned({"a": 1, "b": [2]}) == "a: 1, b: 2"


def test_a_bar_is_as_long_as_its_share_of_the_most():
    drawn = charts.bar(0.5, 0.25, 2.0, most=1.0)
    assert (drawn.length, drawn.low, drawn.high) == (80.0, 40.0, 160.0)
    assert charts.bar(0.5, most=0.0).length == 0.0


def test_dots_keep_the_order_of_the_folds():
    drawn = charts.dots([0.2, 0.4, 0.3])
    assert drawn.places[0] < drawn.places[2] < drawn.places[1]
    assert charts.dots([math.nan]) is None
    assert charts.dots([0.5, 0.5]).places[0] == drawn.width / 2


def test_a_dial_has_round_labels_on_its_own_scale():
    rate = Float(0.005, 0.4, 0.05, log=True)
    assert [label for _, label in dial_ticks(rate, 5)] == ["0.01", "0.03", "0.1", "0.3"]
    assert [label for _, label in dial_ticks(Int(1, 8, 4), 5)] == ["2", "4", "6", "8"]
    assert [label for _, label in dial_ticks(Choice((True, None), True), 5)] == ["on", "none"]
    assert all(0.0 <= at <= 1.0 for at, _ in dial_ticks(Int(4, 256, 31, log=True), 5))


def test_seat_time_is_split_among_the_spans_it_lies_in():
    columns = seat_time([("a", 0.0, 4.0), ("b", 3.0, 9.0), ("a", 9.0, 10.0)], 10.0, 5)
    assert [column.get("a", 0.0) for column in columns] == [2.0, 2.0, 0.0, 0.0, 1.0]
    assert sum(column.get("b", 0.0) for column in columns) == 6.0
    assert charts.shared_time([]) is None
    assert charts.shares_over_time(None, ["a"]) == charts.shares_table(None, ["a"]) == []
    time = charts.shared_time([("a", 0.0, 8.0), ("b", 4.0, 8.0)])
    first, second = charts.shares_table(time, ["a", "b"], rows=2)
    assert first == (4.0, [1.0, 0.0])
    assert second == (8.0, pytest.approx([0.5, 0.5]))


def test_columns_of_shares_fill_the_whole_height():
    wide, narrow = charts.shares_over_time(
        charts.shared_time([("a", 0.0, 10.0), ("b", 5.0, 10.0)]), ["a", "b"]
    )
    assert (wide.size, narrow.size) == ("wide", "narrow")
    first, second = dict(wide.paths).values()
    assert (first.count("M"), second.count("M")) == (32, 16)
    heights = [float(path.rsplit("v", 1)[1].split("h")[0]) for path in (first, second)]
    assert sum(heights) == pytest.approx(wide.bottom - wide.top, abs=0.3)


def searched(count=40):
    space = Space({"rate": Float(0.01, 1.0, 0.1, log=True), "kind": Choice(("a", "b"), "a")})
    records = [
        TrialRecord(
            n,
            "t",
            {"rate": 0.01 * 100 ** (n / count), "kind": "ab"[n % 2]},
            Origin.SEARCH,
            TrialState.COMPLETE,
            0.8 + n / 1000,
            (0.8, 0.8),
        )
        for n in range(count)
    ]
    return space, records


@pytest.mark.parametrize("metric", ["roc_auc", "rmse"])
@pytest.mark.parametrize("name", ["rate", "kind"])
def test_better_is_up_in_a_response_whatever_the_metric(name, metric):
    space, records = searched()
    found = response(space, name, gather(records))
    chart = charts.response_chart(found, space.dimensions[name], METRICS[metric], "Score")
    assert chart.cut == 0
    ys = [float(dot.split(" ")[1].removesuffix("h0")) for dot in (chart.fine + chart.ruined)[1:].split("M")]
    assert all(chart.top - 0.1 <= y <= chart.bottom + 0.1 for y in ys)
    assert ys[0] > ys[-1]
    assert bool(chart.whisks) == (name == "kind")
    assert [tick.label for tick in chart.y_ticks] != []


def test_nothing_is_drawn_of_too_few():
    space, records = searched(1)
    evidence = gather(records)
    assert charts.pair_chart(space, ("rate", "kind"), on_two_dials(space, ("rate", "kind"), evidence)) is None
    assert charts.parallel_chart(space, ["rate", "kind"], records) == []
    assert (
        charts.response_chart(response(space, "rate", gather([])), space.dimensions["rate"], None, "") is None
    )


def test_pairs_have_their_cells_and_lines_end_on_their_choices():
    space, records = searched()
    pair = ("rate", "kind")
    cells = charts.pair_cells(space, pair, on_two_dials(space, pair, gather(records)))
    assert cells.columns == ("0.01 to 0.032", "0.032 to 0.1", "0.1 to 0.32", "0.32 to 1")
    assert [label for label, _ in cells.rows] == ["b", "a"]
    assert sum(count for _, row in cells.rows for _, count in row) == 40
    wide, narrow = charts.parallel_chart(space, ["rate", "kind"], records[::-1])
    assert wide.threads[-1].kind == "first"
    assert wide.threads[-1].points.endswith(f",{wide.top}.0")
    assert len(narrow.axes) == 2


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0123, "+0.0123"),
        (-0.000047, "\N{MINUS SIGN}0.000047"),
        (0.0, "0.0000"),
        (1234.5, "+1,234"),
        (None, "\N{EN DASH}"),
    ],
)
def test_differences_have_a_sign(value, text):
    assert show.signed(value) == text


def test_sizes_are_products():
    assert show.shape([1, 106]) == "1 \N{MULTIPLICATION SIGN} 106"
    assert show.shape([[108, 64], [64, 1]]) == "108 \N{MULTIPLICATION SIGN} 64, 64 \N{MULTIPLICATION SIGN} 1"
    assert show.shape(40) == "40"
