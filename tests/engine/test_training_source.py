import ast

import pytest
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from automl.engine.training_code.source import Writer, import_lines, layout, literal
from automl.engine.training_code.table import columns_source, prepare_source, read_source, table_of, written


def schema(*columns, **settings):
    features = [
        {"name": column["name"], "column": column["name"], "kind": column.pop("as", "number")}
        for column in columns
    ]
    return {"columns": list(columns), "features": features, "decimal": ".", "dialect": {}, **settings}


@pytest.mark.parametrize(
    "value", ['"""', "a\\", "line\nbreak", "naïve", 'x"; import os #', True, None, 0.1, ("a",)]
)
def test_whatever_a_name_holds_it_is_one_value_in_the_source(value):
    assert ast.literal_eval(literal(value)) == value


def test_an_estimator_is_told_by_what_differs_from_its_defaults():
    writer = Writer({})

    told = layout(writer.value(make_pipeline(StandardScaler(), Ridge(alpha=2.5))), 0)

    assert told == "make_pipeline(StandardScaler(), Ridge(alpha=2.5))"
    assert import_lines(writer.imports, ["import numpy as np"]) == [
        "import numpy as np",
        "from sklearn.linear_model import Ridge",
        "from sklearn.pipeline import make_pipeline",
        "from sklearn.preprocessing import StandardScaler",
    ]


@pytest.mark.parametrize(
    ("levels", "how"),
    [
        (["1", "2", "0.5"], "numbers"),
        (["True", "False"], "truth values"),
        (["01", "1"], "words"),  # as numbers they would be the same
        (["1", "x"], "words"),
        ([], "words"),
    ],
)
def test_levels_are_read_as_training_read_them(levels, how):
    assert written(levels) == how


def test_a_mark_for_missing_cells_that_is_a_level_is_no_mark():
    column = {"name": "grade", "kind": "categorical", "categories": ["A", "NA"], "as": "category"}

    assert "NA" not in table_of(schema(column)).missing


def test_many_columns_stand_several_on_a_line():
    wide = table_of(schema(*({"name": f"pixel {place}", "kind": "numeric"} for place in range(400))))

    lines = columns_source(wide)

    assert len(lines) < 110
    assert max(map(len, lines)) <= 110
    assert len(ast.literal_eval("\n".join(lines).removeprefix("COLUMNS = "))) == 400


def test_only_what_a_table_has_is_in_the_source():
    source = "\n".join(prepare_source(table_of(schema({"name": "a", "kind": "numeric"})), target="words"))

    assert "def numbers" in source
    assert not [name for name in ("codes", "date_parts", "word_parts") if f"{name}(" in source]
    assert "for name in COLUMNS:" in source


@pytest.mark.parametrize(
    ("dialect", "told"),
    [
        ({"format": "csv", "delimiter": ";", "encoding": "cp1252"}, 'sep=";", encoding="cp1252"'),
        ({"format": "parquet"}, "pq.read_table(path)"),
        ({"format": "xlsx"}, 'engine="calamine"'),
        ({}, 'sep=",", encoding="utf-8-sig"'),
    ],
)
def test_a_table_is_read_as_it_was_written(dialect, told):
    assert told in read_source(table_of(schema({"name": "a", "kind": "numeric"}, dialect=dialect)))
