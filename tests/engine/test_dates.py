"""Days that a table has as whole numbers, such as 20240131, are dates wherever they are read."""

import json

import numpy as np
import pandas as pd
import pytest

from automl.engine.inference import Encoder
from automl.engine.inference.onnx_model import OnnxModel, session_of
from automl.engine.onnx.columns import add_columns, describe_inputs, input_ports
from automl.engine.onnx.graph import FLOAT, Graph, Port
from automl.engine.preparation import prepare_table
from automl.engine.profiling import profile_table, table_profile_to_json
from automl.engine.reading import convert_table
from automl.engine.schema import ColumnKind
from tests.engine.tables import read_whole

ROWS = 240
DAYS = pd.date_range("2023-11-05", periods=ROWS)
GAPS = np.arange(ROWS) % 7 == 3


def uploaded(folder, cells, *, kind=None, **dialect):
    """The profile of a column as uploaded, and what encodes it, perhaps as another kind."""
    frame = pd.DataFrame({"day": cells, "other": np.arange(ROWS) / 4, "y": ["a", "b"] * (ROWS // 2)})
    frame.to_csv(folder / "table.csv", index=False, **dialect)
    stored = folder / "table.arrow"
    report = convert_table(folder / "table.csv", stored, filename="table.csv")
    profile = table_profile_to_json(profile_table(stored, dialect=report.dialect))
    column = profile["columns"][0]
    found = [{**column, "kind": kind or column["kind"]}, *profile["columns"][1:]]
    prepare_table(stored, folder / "prepared", columns=found, target="y", dialect=report.dialect)
    schema = json.loads((folder / "prepared" / "schema.json").read_text())
    return column, Encoder(schema), np.load(folder / "prepared" / "X.npy")


@pytest.mark.parametrize("dialect", [{}, {"sep": ";", "decimal": ","}])
@pytest.mark.parametrize("gaps", [GAPS, np.zeros(ROWS, dtype=bool)], ids=["gaps", "whole"])
def test_days_as_whole_numbers_have_a_weekday_however_they_are_read(tmp_path, gaps, dialect):
    numbers = pd.Series(DAYS.strftime("%Y%m%d").astype("int64")).mask(gaps)
    column, encoder, X = uploaded(tmp_path, numbers, **dialect)

    assert (column["kind"], column["datetime_format"]) == (ColumnKind.DATETIME, "%Y%m%d")
    assert column["dtype"] == ("float64" if gaps.any() else "int64")
    assert column["statistics"]["top"][0][0] in set(DAYS.strftime("%Y%m%d"))
    names = [feature["name"] for feature in encoder.schema["features"]]
    place = names.index("day: weekday")
    assert np.array_equal(X[:, place], np.float32(DAYS.dayofweek.where(~gaps)), equal_nan=True)

    text = numbers.astype("Int64").astype("string").astype(object).where(~gaps, None)
    for cells in (
        numbers,
        numbers.astype("Int64"),
        text,
        [*text[:99], *numbers[99:]],
        [*numbers[:9], *text[9:]],
    ):
        frame = pd.DataFrame({"day": cells, "other": np.arange(ROWS) / 4})
        assert np.array_equal(encoder.transform(frame), X, equal_nan=True)
    read = read_whole(tmp_path / "table.csv", encoder.schema)
    assert np.array_equal(encoder.transform(read), X, equal_nan=True)


def test_a_graph_is_told_days_by_whole_numbers_as_the_encoder_is(tmp_path):
    _, encoder, X = uploaded(tmp_path, DAYS.strftime("%Y%m%d"))
    graph = Graph()
    graph.rename(add_columns(graph, encoder), "matrix")
    ports = input_ports(encoder.schema), [Port("matrix", FLOAT, ("rows", X.shape[1]))]
    model = OnnxModel({**encoder.schema, "task_type": "regression"}, session_of(graph.written(*ports)))
    assert [each["type"] for each in describe_inputs(encoder.schema)] == ["days", "number"]
    cells = [
        20240131,
        20240131.0,
        "20240131",
        "20240131.0",
        20240231,
        "2024-01-31",
        None,
        7,
        "soon",
        20240131.5,
    ]
    frame = pd.DataFrame({"day": pd.Series(cells, dtype=object), "other": 0.5})

    wanted = encoder.transform(frame)

    assert np.isfinite(wanted[:, 0]).tolist() == [True] * 4 + [False] * 6
    for ways in (
        {column.input: column.values(frame[column.name]) for column in model._columns},
        {column.input: column.cells(list(frame[column.name])) for column in model._columns},
    ):
        assert np.array_equal(model.session.run(None, ways)[0], wanted, equal_nan=True)


@pytest.mark.parametrize("kind", [ColumnKind.NUMERIC, ColumnKind.CATEGORICAL])
def test_days_as_whole_numbers_may_be_numbers_or_levels_all_the_same(tmp_path, kind):
    cells = DAYS.strftime("%Y%m%d")
    _, encoder, X = uploaded(tmp_path, cells, kind=kind.value)

    assert [feature["column"] for feature in encoder.schema["features"]] == ["day", "other"]
    if kind is ColumnKind.NUMERIC:
        assert np.array_equal(X[:, 0], cells.astype("int64").astype(np.float32))
