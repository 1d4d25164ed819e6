"""What profiling says of a table: kinds of columns, what is missing, what looks wrong."""

from __future__ import annotations

import datetime
import json
import math
import random
import uuid

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from automl.engine.profiling import (
    count_duplicates,
    profile_arrow,
    profile_table,
    table_profile_from_json,
    table_profile_to_json,
)
from automl.engine.reading import convert_table
from automl.engine.reading.cells import plain
from automl.engine.schema import ColumnKind, ColumnProfile, TableProfile
from automl.engine.trial import TaskType

ROWS = 60
K = ColumnKind


def profile(columns: dict[str, list[object]]) -> TableProfile:
    """Profile columns as they are after reading."""
    return profile_arrow(pa.table({name: pa.array(cells) for name, cells in columns.items()}))


def column(cells: list[object], name: str = "x") -> ColumnProfile:
    return profile({name: cells}).columns[0]


@pytest.fixture
def profile_text(tmp_path):
    """Profile a table as it is uploaded."""

    def run(text: str) -> TableProfile:
        source, stored = tmp_path / "t.csv", tmp_path / "t.arrow"
        source.write_text(text, encoding="utf-8")
        report = convert_table(source, stored, filename="t.csv")
        return profile_table(stored, dialect=report.dialect, warnings=report.warnings)

    return run


DRAW = random.Random(0)
DAYS = [datetime.date(2015, 1, 1) + datetime.timedelta(days=7 * row) for row in range(ROWS)]
WHOLE = DRAW.sample(range(500, 300_000), ROWS)
SENTENCES = [f"the {DRAW.choice('abcdef')} order {row} was late again" for row in range(ROWS)]


@pytest.mark.parametrize(
    ("name", "cells", "kind"),
    [
        ("x", [DRAW.random() for _ in range(ROWS)], K.NUMERIC),
        ("x", [DRAW.randrange(90) for _ in range(ROWS)], K.NUMERIC),
        ("x", [row % 5 for row in range(ROWS)], K.NUMERIC),
        ("x", [0, 1, None] * 20, K.BOOLEAN),
        ("x", [0.0, 1.0, None] * 20, K.BOOLEAN),
        ("x", [1, 2] * 30, K.NUMERIC),
        ("x", [True, False, None] * 20, K.BOOLEAN),
        ("x", ["yes", "no"] * 30, K.BOOLEAN),
        ("x", ["N", "Y"] * 30, K.BOOLEAN),
        ("x", ["On", "OFF"] * 30, K.BOOLEAN),
        ("x", ["red", "blue"] * 30, K.CATEGORICAL),
        ("x", ["red", "blue", "green"] * 20, K.CATEGORICAL),
        ("x", [f"city {row % 20}" for row in range(ROWS)], K.CATEGORICAL),
        ("x", SENTENCES, K.TEXT),
        ("x", SENTENCES[:6] * 10, K.CATEGORICAL),
        ("x", list(range(1, ROWS + 1)), K.IDENTIFIER),
        ("x", [float(row) for row in range(ROWS)], K.IDENTIFIER),
        ("customer_id", DRAW.sample(range(10**6), ROWS), K.IDENTIFIER),
        ("customerID", DRAW.sample(range(10**6), ROWS), K.IDENTIFIER),
        ("customer_id", [row % 9 for row in range(ROWS)], K.CATEGORICAL),
        ("x", [str(uuid.UUID(int=DRAW.getrandbits(128))) for _ in range(ROWS)], K.IDENTIFIER),
        ("x", [f"AB-{1000 + DRAW.randrange(10**6)}" for _ in range(ROWS)], K.IDENTIFIER),
        ("x", [f"10.0.{row}.1" for row in range(ROWS)], K.IDENTIFIER),
        ("x", [f"{1 + row * 0.37:.2f} kg" for row in range(ROWS)], K.CATEGORICAL),
        ("x", [f"{1 + row * 0.37:.2f} square feet" for row in range(ROWS)], K.CATEGORICAL),
        ("x", [f"INV {10 + row},345" for row in range(ROWS)], K.IDENTIFIER),
        ("x", [f"{cells:,} km" for cells in WHOLE], K.CATEGORICAL),
        ("x", [f"{cells} {'Kms' if cells % 3 else 'KMS'}" for cells in WHOLE], K.CATEGORICAL),
        ("x", [f"{cells}cc" for cells in WHOLE], K.CATEGORICAL),
        ("x", [f"{cells:,} sq. ft." for cells in WHOLE], K.CATEGORICAL),
        ("x", [f"{cells} m2" for cells in WHOLE], K.CATEGORICAL),
        ("x", [f"${cells:,}" for cells in WHOLE], K.CATEGORICAL),
        ("x", [f"A$ {cells:,} per month" for cells in WHOLE], K.CATEGORICAL),
        ("x", [f"₹{cells % 80 + 1},{cells // 80 % 100:02},000" for cells in WHOLE], K.CATEGORICAL),
        ("x", [f"{cells // 1000 % 60 + 1},{cells % 100:02},000" for cells in WHOLE], K.CATEGORICAL),
        ("x", [f"${10 * row + row % 7:,}" for row in range(1_000, 21_000)], K.CATEGORICAL),
        ("x", [f"EUR {cells}" for cells in WHOLE], K.CATEGORICAL),
        ("x", [f"Rs. {cells}" for cells in WHOLE], K.CATEGORICAL),
        ("x", [*(f"{cells} €" for cells in WHOLE), "on request"], K.CATEGORICAL),
        ("x", [f"{row // 12}:{row % 12:02}" for row in range(5, 125)], K.CATEGORICAL),
        ("x", [f"{100 + row % 40}/{60 + row % 31}" for row in range(120)], K.CATEGORICAL),
        ("x", [f"{cells} km" for cells in DRAW.sample(range(1000, 1000 + ROWS), ROWS)], K.IDENTIFIER),
        ("x", [f"{1000 + row} A" for row in range(5_000)], K.IDENTIFIER),
        ("x", [f"{cells:08} km" for cells in WHOLE], K.IDENTIFIER),
        ("x", [f"INV {cells}" for cells in WHOLE], K.IDENTIFIER),
        ("x", [f"{cells}-A" for cells in WHOLE], K.IDENTIFIER),
        ("x", [f"{cells} {cells % 7}" for cells in WHOLE], K.IDENTIFIER),
        ("x", [f"#{cells}" for cells in WHOLE], K.IDENTIFIER),
        ("x", [f"{cells}/{cells % 5}" for cells in WHOLE], K.IDENTIFIER),
        ("x", [f"1{row % 10}:1{row % 7}:1{row % 9}:2{row}" for row in range(ROWS)], K.IDENTIFIER),
        ("zip", [94000 + DRAW.randrange(40) for _ in range(ROWS)], K.CATEGORICAL),
        ("Provider Zip Code", [94000 + DRAW.randrange(40) for _ in range(ROWS)], K.CATEGORICAL),
        ("humidity", [DRAW.randrange(90) for _ in range(ROWS)], K.NUMERIC),
        ("x", [7] * ROWS, K.CONSTANT),
        ("x", ["a", None] * 30, K.CONSTANT),
        ("x", [DAYS[0]] * ROWS, K.CONSTANT),
        ("x", [True] * ROWS, K.CONSTANT),
        ("x", DAYS, K.DATETIME),
    ],
)
def test_every_kind_of_column_is_known(name, cells, kind):
    assert column(cells, name).kind is kind


@pytest.mark.parametrize("empty", [pa.nulls(ROWS), pa.nulls(ROWS, pa.float64()), pa.nulls(ROWS, pa.string())])
def test_a_column_with_nothing_in_it_is_constant(empty):
    found = profile_arrow(pa.table({"x": empty, "y": list(range(ROWS))}))
    assert (found.columns[0].kind, found.columns[0].missing, found.columns[0].unique) == (K.CONSTANT, ROWS, 0)
    assert "Columns that hold one value, or none, and are left out: x." in found.warnings
    assert "More than half of the cells are missing in: x." in found.warnings


def test_a_few_rows_do_not_make_an_identifier_of_a_number():
    assert column([1, 2, 3]).kind is K.NUMERIC


DATES = {
    "%m/%d/%Y": None,
    "%d/%m/%Y": None,
    "%d.%m.%Y": None,
    "%Y/%m/%d": None,
    "%d-%b-%y": None,
    "%B %d, %Y": None,
    "%m/%d/%Y %I:%M:%S %p": None,
    "%d.%m.%Y %H:%M": None,
    "%Y-%m-%d %H:%M:%S,%f": None,
    "%Y-%m-%d": "ISO8601",
    "%Y-%m-%d %H:%M:%S": "ISO8601",
    "%Y-%m-%dT%H:%M:%SZ": "ISO8601",
}


@pytest.mark.parametrize(("form", "found"), DATES.items())
@pytest.mark.parametrize("rows", [ROWS, 3000])
def test_dates_are_known_by_their_format(form, found, rows):
    start = datetime.datetime.fromisoformat("2015-04-13T23:43:07")
    cells = [(start + datetime.timedelta(hours=10 * row)).strftime(form) for row in range(rows)]
    seen = profile({"x": [*cells, None]})
    assert seen.columns[0].kind is K.DATETIME
    assert seen.columns[0].datetime_format == (found or form)
    assert not any("told apart" in warning for warning in seen.warnings)
    dates = pd.to_datetime(pd.Series(cells), format=seen.columns[0].datetime_format)
    assert dates.notna().all()


def test_day_and_month_that_cannot_be_told_apart_are_a_warning():
    seen = profile({"x": [f"0{1 + row % 9}/0{1 + row % 7}/2015" for row in range(ROWS)]})
    assert seen.columns[0].datetime_format == "%m/%d/%Y"
    assert seen.warnings[0] == (
        "Column 'x': day and month can't be told apart; read as month first (%m/%d/%Y)."
    )


def test_one_day_over_12_among_many_decides(rows=2000):
    cells = [f"{1 + row % 9:02}/{1 + row % 7:02}/20{row % 90:02}" for row in range(rows)]
    assert profile({"x": [*cells, "13/02/2015"]}).columns[0].datetime_format == "%d/%m/%Y"


@pytest.mark.parametrize(
    "cells",
    [
        [f"2015-13-{1 + row % 28:02}" for row in range(ROWS)],
        [f"10.0.0.{row}" for row in range(ROWS)],
        [f"{row % 30}/250" for row in range(ROWS)],
        [f"555-{row:04}" for row in range(ROWS)],
        [f"12:{row:02}:00" for row in range(ROWS)],
        ["2015-01-01", "2015-01-02", "soon"] * 20,
        [f"2015-01-{1 + row % 28:02} 10:00:00+05:30:{10 + row}" for row in range(ROWS)],
    ],
)
def test_what_only_looks_like_a_date_is_none(cells):
    assert column(cells).kind is not K.DATETIME


NUMBERED = [int(day.strftime("%Y%m%d")) for day in DAYS]
MONTH = [20240101 + row for row in range(31)]


@pytest.mark.parametrize(
    ("name", "cells", "kind"),
    [
        ("x", NUMBERED, K.DATETIME),
        ("x", [*map(float, NUMBERED), None], K.DATETIME),
        ("date_key", NUMBERED, K.DATETIME),
        ("x", NUMBERED[:12] * 5, K.DATETIME),
        ("x", NUMBERED[:3], K.DATETIME),
        ("x", MONTH, K.DATETIME),
        ("order_id", MONTH, K.IDENTIFIER),
        ("x", NUMBERED[:5] * 5, K.NUMERIC),
        ("x", [*NUMBERED, 20150230], K.NUMERIC),
        ("x", [*NUMBERED, 0], K.NUMERIC),
        ("x", [*NUMBERED, 20150101.5], K.NUMERIC),
        ("x", [*map(float, NUMBERED), math.inf], K.NUMERIC),
        ("x", [number - 4_000_000 for number in NUMBERED], K.NUMERIC),
        ("x", NUMBERED[:1] * 40, K.CONSTANT),
        ("x", list(map(str, NUMBERED)), K.DATETIME),
    ],
)
def test_days_as_whole_numbers_are_dates(name, cells, kind):
    found = column(cells, name)
    assert found.kind is kind
    assert found.datetime_format == ("%Y%m%d" if kind is K.DATETIME else None)


def test_statistics_of_numbers():
    found = column([1, 2, 2, 3, None, 10])
    assert (found.missing, found.unique, found.dtype) == (1, 4, "int64")
    histogram = found.statistics.pop("histogram")
    assert found.statistics == {
        "min": 1.0,
        "max": 10.0,
        "mean": 3.6,
        "std": pytest.approx(3.2619, abs=1e-4),
        "median": 2.0,
        "whole": True,
    }
    assert sum(histogram["counts"]) == 5
    assert len(histogram["edges"]) == len(histogram["counts"]) + 1


def test_statistics_of_words_are_the_most_frequent():
    found = column(["b", "a", "b", None, "c"] + [f"w{row}" for row in range(30)])
    assert found.statistics["top"][0] == ["b", 2]
    assert len(found.statistics["top"]) == 20


def test_statistics_of_dates_are_their_ends():
    assert column(DAYS).statistics == {
        "min": "2015-01-01T00:00:00",
        "max": DAYS[-1].isoformat() + "T00:00:00",
    }


@pytest.mark.parametrize(
    "cells",
    [
        [math.inf, 1.5, 2.5],
        [math.inf, -math.inf, None],
        [math.inf, math.inf],
        [0.0, 1.0, math.inf],
        [1e308, -1e308, 1e308],
        [2**60, 2**60 + 1, 2**60 + 2],
        [2**63 - 1, -(2**63)],
        [5e-324, 1e-323, 0.0],
        [1e16, 1e16 + 2],
        [math.nan, 1.0, 2.0],
        [math.inf] * 30 + [float(row) for row in range(30)],
    ],
)
def test_statistics_are_json_whatever_the_numbers(cells):
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        found = table_profile_to_json(profile({"x": cells, "id": cells}))
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_a_profile_comes_back_from_json():
    seen = profile(
        {
            "größe": [1.5, 2.5, None] * 20,
            "日付": DAYS,
            "mot": ["x", "ÿ", None] * 20,
            "label": ["a", "b"] * 30,
        }
    )
    text = json.dumps(table_profile_to_json(seen), allow_nan=False)
    assert table_profile_from_json(json.loads(text)) == seen
    assert [each.name for each in seen.columns] == ["größe", "日付", "mot", "label"]


def test_a_profile_without_a_target_comes_back_from_json():
    seen = profile({"x": [1] * 5, "y": [2] * 5})
    assert seen.suggested_target is None
    assert table_profile_from_json(table_profile_to_json(seen)) == seen


@pytest.mark.parametrize(
    ("columns", "target", "task_type"),
    [
        ({"a": [1.5, 2.5] * 30, "b": ["x", "y"] * 30}, "b", TaskType.BINARY),
        ({"a": [1.5, 2.5] * 30, "b": ["x", "y", "z"] * 20}, "b", TaskType.MULTICLASS),
        ({"a": ["x", "y"] * 30, "b": [row * 1.5 for row in range(ROWS)]}, "b", TaskType.REGRESSION),
        ({"a": ["x", "y"] * 30, "b": [3, 4, 5] * 20}, "b", TaskType.MULTICLASS),
        ({"a": ["x", "y"] * 30, "b": [3.0, 4.0, 5.0] * 20}, "b", TaskType.MULTICLASS),
        ({"a": ["x", "y"] * 30, "b": [0.5, 0.25, 1.5] * 20}, "b", TaskType.REGRESSION),
        ({"a": ["x", "y"] * 30, "b": [row // 2 for row in range(ROWS)]}, "b", TaskType.REGRESSION),
        ({"Survived": [0, 1] * 30, "b": [3, 4, 5] * 20}, "Survived", TaskType.BINARY),
        ({"a": [True, False] * 30, "b": list(range(ROWS)), "c": [1] * ROWS}, "a", TaskType.BINARY),
        ({"a": ["x", "y"] * 30, "b": SENTENCES, "c": DAYS}, "a", TaskType.BINARY),
    ],
)
def test_a_target_and_its_task_type_are_suggested(columns, target, task_type):
    seen = profile(columns)
    assert (seen.suggested_target, seen.suggested_task_type) == (target, task_type)


def test_duplicates_repeat_an_earlier_row_in_every_cell(profile_text):
    seen = profile_text("a,b,c\n1,x,\n1,x,\n1,y,\n1,x,?\n2,x,\n,,\n,,\n1.0, x ,-\n")
    assert seen.duplicates == 4
    assert "4 rows repeat an earlier row in every cell." in seen.warnings


def test_duplicates_are_counted_across_batches():
    words = [f"w{row % 700}" for row in range(1400)]
    parts = [pa.table({"w": pa.array(words[at : at + 200]).dictionary_encode(), "n": [1] * 200})
             for at in range(0, 1400, 200)]  # fmt: skip
    table = pa.concat_tables(parts)
    assert count_duplicates(table.columns) == 700
    assert profile_arrow(table).duplicates == 700


@pytest.mark.parametrize("distinct", [1, 40, 900, 2_000])
def test_duplicates_are_those_that_pandas_counts(distinct):
    rng = np.random.default_rng(distinct)
    base = pd.DataFrame(
        {
            "a": rng.normal(size=distinct).round(2),
            "b": rng.integers(-1, 3, distinct),
            "c": rng.integers(0, 2, distinct).astype(bool),
            "d": pd.Series(rng.choice(["x", "y", None], distinct), dtype="str"),
            "e": pd.Timestamp("2026-01-01") + pd.to_timedelta(rng.integers(0, 3, distinct), "D"),
            "f": np.where(rng.random(distinct) < 0.3, np.nan, -1.0),
            "g": pd.Categorical(rng.choice(["p", "q"], distinct)),
        }
    )
    frame = base.iloc[rng.integers(0, distinct, 1_000)]
    table = pa.Table.from_pandas(frame, preserve_index=False)

    assert count_duplicates([plain(column) for column in table.columns]) == frame.duplicated().sum()
    assert profile_arrow(table).duplicates == frame.duplicated().sum()


def test_minus_one_is_not_missing():
    assert profile({"a": [-1, None, 3], "b": [1, 1, 1]}).duplicates == 0


def test_rows_that_one_column_tells_apart_are_no_duplicates():
    assert profile({"a": [1, 1, 1], "b": ["x", "y", None]}).duplicates == 0
    assert profile({"a": [1, 1, 1], "b": ["x", "x", None]}).duplicates == 1


def test_missing_is_counted_however_it_is_written(profile_text):
    marks = ["?", " ", "NA", "-", "", "N/A", "null", "#N/A", "nan"]
    rows = "".join(f"{mark},{mark},1\n" for mark in marks)
    seen = profile_text(f"n,w,k\n{rows}5,x,1\n2.5,y,2\n")
    assert [each.missing for each in seen.columns] == [len(marks), len(marks), 0]
    assert [each.kind for each in seen.columns[:2]] == [K.NUMERIC, K.CATEGORICAL]


def test_none_is_a_level_among_words_and_missing_among_numbers(profile_text):
    seen = profile_text("n,w\n" + "None,None\n3,brick\n4.5,stone\n" * 20)
    number, word = seen.columns
    assert (number.kind, number.missing) == (K.NUMERIC, 20)
    assert (word.kind, word.missing, word.unique) == (K.CATEGORICAL, 0, 3)


def test_a_number_column_with_a_few_words_in_it_is_a_warning(profile_text):
    rows = "".join(f"{row % 40},{row % 3}\n" for row in range(200))
    seen = profile_text(f"price,y\n{rows}" + "on request,1\n" * 50)
    assert seen.columns[0].kind is K.CATEGORICAL
    assert (
        "Column 'price' is mostly numbers, but holds words such as 'on request'; "
        "it is used as a category, and models are told the numbers as well." in (seen.warnings)
    )


def test_warnings_of_reading_are_kept(profile_text):
    seen = profile_text("a,b\n1,2\n3\n")
    assert seen.warnings[0].startswith("1 row has fewer cells")
    assert seen.dialect["delimiter"] == ","


def test_identifiers_are_named_as_left_out(profile_text):
    seen = profile_text("row,x\n" + "".join(f"{row},{row % 7}\n" for row in range(ROWS)))
    assert seen.warnings == ("Columns that only name a row and are left out: row.",)


def test_a_frame_in_memory_is_profiled_whatever_its_types():
    frame = pd.DataFrame(
        {
            "category": pd.Categorical(["x", "y", None] * 20),
            "codes": pd.Categorical([7, 8, 9] * 20),
            "small": np.arange(ROWS, dtype=np.int8) % 7,
            "half": np.linspace(0, 1, ROWS, dtype=np.float32),
            "when": pd.date_range("2015-01-01", periods=ROWS, tz="UTC"),
            "day": DAYS,
            "truth": pd.array([True, False, None] * 20, dtype="boolean"),
            "gap": pd.to_timedelta(np.arange(ROWS) % 11, unit="h"),
            "nothing": [None] * ROWS,
            "word": ["1", "?", " b "] * 20,
        }
    )
    seen = profile_arrow(pa.Table.from_pandas(frame, preserve_index=False))
    assert {each.name: (each.kind.value, each.dtype, each.missing) for each in seen.columns} == {
        "category": ("categorical", "string", 20),
        "codes": ("numeric", "int64", 0),
        "small": ("numeric", "int64", 0),
        "half": ("numeric", "float64", 0),
        "when": ("datetime", "timestamp", 0),
        "day": ("datetime", "timestamp", 0),
        "truth": ("boolean", "bool", 20),
        "gap": ("numeric", "int64", 0),
        "nothing": ("constant", "string", ROWS),
        "word": ("categorical", "string", 0),
    }
    assert seen.duplicates == 0
