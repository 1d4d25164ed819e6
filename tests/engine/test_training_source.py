import ast
from collections.abc import Sequence

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet
import pytest
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from automl.engine.inference import Encoder
from automl.engine.reading import convert_table, read_frame
from automl.engine.training_code.source import Writer, import_lines, layout, literal
from automl.engine.training_code.table import columns_source, prepare_source, read_source, table_of, written
from tests.engine.test_reading_formats import workbook


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


@pytest.mark.parametrize("decimal", [".", ","])
def test_a_script_reads_numbers_as_the_encoder_does(decimal):
    told = schema({"name": "a", "kind": "numeric"}, decimal=decimal, missing_values=[])
    cells = ["1,234", "1.234", "0,125", "0.125", "-1\u00a0234,5", "1 234.5", "12345.678", "1,2", "1e3", None]
    known = {"pd": pd, "np": np}
    exec(prepare_source(table_of(told), target="number")[0], known)

    found = known["numbers"](pd.Series(cells))

    assert np.array_equal(np.float32(found), Encoder(told).numbers(pd.Series(cells)), equal_nan=True)
    zero = found[2:4].tolist()
    assert zero[decimal == "."] == 0.125
    assert zero[decimal == ","] != 125


@pytest.mark.parametrize(
    ("dialect", "told"),
    [
        ({"delimiter": ";", "encoding": "cp1252"}, '"sep": ";", "encoding": "cp1252", "encoding_errors"'),
        ({"format": "parquet"}, "pq.ParquetFile(path)"),
        ({"format": "xlsx"}, '"engine": "calamine"'),
        ({}, '"sep": ",", "encoding": "utf-8-sig"}'),
    ],
)
def test_a_table_is_read_as_it_was_written(dialect, told):
    (source,) = read_source(table_of(schema({"name": "a", "kind": "numeric"}, dialect=dialect)))

    assert told in source


WRITTEN = {
    "plain": (b"a,b\n1,x\n2,y\n", ["a", "b"], 1),
    "repeated": (b"x,x,, y \n1,2,3,4\n5,6,7,8\n", ["x_2", "column_3", "y"], 2),
    "repeated_but_not_needed": (b",a,a,b\n1,2,3,4\n2,6,7,8\n", ["a", "b"], 1),
    "rows_named": (b"a,b\nr1,1,2\nr2,3,4\n", ["column_1", "b"], 2),
    "rows_named_but_not_needed": (b"a,b\nr1,1,2\nr2,3,4\n", ["a", "b"], 2),
    "rows_end_with_a_delimiter": (b"a,b\n1,2,\n3,4,\n", ["a", "b"], 1),
    "all_lines_end_with_a_delimiter": (b"a,a,\n1,2,\n3,4,\n", ["a", "a_2"], 2),
    "delimiter_is_named": (b"\r\nsep=|\r\na|b,c\r\n1|2,x\r\n3|4,x\r\n", ["a", "b,c"], 1),
    "delimiter_is_named_and_names_repeat": (b"sep=;\na;a\n1;2\n3;4\n", ["a", "a_2"], 2),
    "rows_are_longer": (b'a,b\n1,x\n2,y,more\n3\n \n4,"z ""q"",\n",\n5,NA,,\n', ["a", "b"], 1),
    "rows_are_longer_and_names_repeat": (b"sep=;\na;a\n1;2;3\n3;4\n", ["a", "a_2"], 2),
    "named_rows_are_longer": (b"a,b\nr1,1,2\nr2,3,4\n" + b"r3,5,6\n" * 600 + b"r4,7,8,9\n", ["a", "b"], 2),
    "rows_are_longer_and_no_text": (b"a, b\nna\xefve, 1\n\x81x,2,3\n", ["a", "b"], 1),
    "no_text": (b"a;b\nna\xefve;1\n\x81x;2\n", ["a", "b"], 1),
}


@pytest.mark.parametrize(("content", "needed", "functions"), WRITTEN.values(), ids=WRITTEN)
@pytest.mark.filterwarnings("ignore:Length of header:pandas.errors.ParserWarning")
def test_a_script_reads_what_reading_repaired(tmp_path, content, needed, functions):
    assert read_by_script(tmp_path, content, needed, functions)


def test_a_script_reads_repeated_names_of_every_format(tmp_path):
    book = workbook(tmp_path, {"data": [["a", "a", None], ["1", "x", "v"], ["2", "y", "w"]]})
    file = tmp_path / "made.parquet"
    pyarrow.parquet.write_table(pa.table([["1", "2"], ["x", "y"], ["v", "w"]], names=["a", "a", ""]), file)

    for path in (book, file):
        assert read_by_script(tmp_path, path.read_bytes(), ["a_2", "column_3"], 2)


@pytest.mark.parametrize(
    ("sheets", "needed", "functions"),
    [
        ({"none": [], "data": [["a", "b"], ["1", "x"]]}, ["a", "b"], 1),
        ({"data": [[None] * 4, [None, None, "a", "b"], [None, None, "1", "x"]]}, ["a", "b"], 1),
        ({"data": [[None] * 4, [None, "a", "a", None], [None, "1", "x", "v"]]}, ["a_2", "column_3"], 2),
        ({"none": [[None]], "data": [[None], [None, "a", "b"], [None, "1", "x"]]}, ["a", "b"], 1),
    ],
    ids=["second_sheet", "further_down", "further_down_and_names_repeat", "all"],
)
def test_a_script_reads_a_table_wherever_it_is_in_its_workbook(tmp_path, sheets, needed, functions):
    book = workbook(tmp_path, sheets)
    assert read_by_script(tmp_path, book.read_bytes(), needed, functions)


def read_by_script(folder, content, needed, functions):
    """Whether a table's script reads the very cells that were stored of it."""
    source, stored = folder / "table", folder / "table.arrow"
    source.write_bytes(content)
    dialect = convert_table(source, stored, filename="table").dialect
    *columns, target = needed
    told = schema(*({"name": name, "kind": "text"} for name in columns), dialect=dialect, target=target)
    sources = read_source(table_of(told))
    assert len(sources) == functions
    assert max(map(len, "\n".join(sources).splitlines())) <= 110
    known = {"pd": pd, "pq": pyarrow.parquet, "Sequence": Sequence}
    known |= {"COLUMNS": columns, "TARGET": target, "MISSING": ["", "NA"]}
    exec("\n".join(sources), known)
    found, wanted = known["read"](source), read_frame(stored)[needed].astype("string")
    return found.fillna("").to_dict("list") == wanted.fillna("").to_dict("list")
