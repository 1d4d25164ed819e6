"""Levels of a category that hold numbers are told apart by those as well."""

import copy
import json

import numpy as np
import pandas as pd
import pytest

from automl.engine.bundle import load_texts
from automl.engine.inference import Encoder
from automl.engine.inference.codes import letters_in, numbers_in
from automl.engine.inference.onnx_model import OnnxModel, session_of
from automl.engine.onnx.columns import add_columns, describe_inputs, input_ports
from automl.engine.onnx.graph import FLOAT, Graph, Port
from automl.engine.preparation import Request, prepare, profile_columns

ROWS = 240
MAKES = ("Fiat", "Opel")
CHANCE = np.random.default_rng(5)
CABINS = [f"{'ABCF'[row % 4]}/{row % 97}/{'PS'[row % 2]}" for row in range(ROWS)]


@pytest.mark.parametrize(
    ("level", "decimal", "numbers", "letters"),
    [
        ("F/123/S", ".", [123], ["F", "S"]),
        ("23.4 kmpl", ".", [23.4], ["KMPL"]),
        ("23,4  kmpl", ",", [23.4], ["KMPL"]),
        ("$1,234,567.50", ".", [1_234_567.5], ["#"]),
        ("1.234.567,5 EUR", ",", [1_234_567.5], ["EUR"]),
        ("1.234 EUR", ",", [1_234], ["EUR"]),
        ("12.34 EUR", ",", [12.34], ["EUR"]),
        ("0.125 EUR", ",", [0.125], ["EUR"]),
        ("0,125 EUR", ".", [0, 125], ["EUR"]),
        ("2100 - 2850", ".", [2100, 2850], ["#"]),
        ("-5 °C", ".", [-5], ["C"]),
        ("A-12", ".", [12], ["A"]),
        ("1920x1080", ".", [1920, 1080], ["X"]),
        ("1,2345", ".", [1, 2345], ["#"]),
        ("10+ years", ".", [10], ["YEARS"]),
        ("12345.678 m", ",", [12345.678], ["M"]),
        ("1 234,50 zł", ",", [1234.5], ["ZŁ"]),
        ("1\u00a0234.50 USD", ".", [1234.5], ["USD"]),
        ("1e-05", ".", [1e-5], ["E"]),
        ("12E5", ".", [12, 5], ["E"]),
        ("0." + "0" * 310 + "1 kg", ".", [1e-311], ["KG"]),
        ("9" * 400, ".", [float("inf")], ["#"]),
        ("Größe_ß 4", ".", [4], ["GRÖSSE", "SS"]),
        ("", ".", [], ["#"]),
    ],
)
def test_numbers_and_letters(level, decimal, numbers, letters):
    assert numbers_in(level, decimal) == numbers
    assert letters_in(level) == letters


def prepared(folder, cells, **settings):
    """The features of one column, and what encodes it."""
    frame = pd.DataFrame(
        {"x": cells, "other": CHANCE.random(len(cells)), "y": ["a", "b"] * (len(cells) // 2)}
    )
    columns = profile_columns(frame)
    columns[0]["kind"] = "categorical"
    request = Request(
        frame=frame,
        columns=columns,
        target="y",
        task_type="auto",
        metric="auto",
        ignore_columns=[],
        seed=0,
        **settings,
    )
    prepare(request, folder / "prepared")
    schema = json.loads((folder / "prepared" / "schema.json").read_text())
    names = [feature["name"] for feature in schema["features"] if feature["column"] == "x"]
    return names, Encoder(schema, load_texts(folder / "prepared" / "texts.skops"))


@pytest.mark.parametrize(
    ("level", "numbers"),
    [
        ("Rs.1,20,000", [120_000]),
        ("1,20,000, Delhi", [120_000]),
        ("0.1,20,000", [0.1, 20_000]),
        ("1,20,0000", [1, 20, 0]),
    ],
)
def test_groups_of_india_are_told_from_what_stands_beside_them(level, numbers):
    assert numbers_in(level, lakhs=True)[: len(numbers)] == numbers


@pytest.mark.parametrize(
    ("cells", "lakhs"),
    [
        ([f"{row // 10},{row % 10}0,000 km" for row in range(10, 90)] + ["45,000 km"] * 10, True),
        ([f"{row // 10},{row % 10}0,000 km" for row in range(10, 90)] + ["145,000 km"] * 10, False),
        ([f"{row},000 km" for row in range(10, 100)], False),
        ([f"{row},20,300 and 1,2" for row in range(10, 100)], False),
    ],
)
def test_numbers_may_be_grouped_as_in_india(tmp_path, cells, lakhs):
    names, encoder = prepared(tmp_path, cells)
    told = encoder.transform(pd.DataFrame({"x": ["1,20,000 km", "12,34,567", "5,000 km"], "other": 0.5}))
    place = names.index("x: number 1")
    assert told[:, place].tolist() == ([120_000, 1_234_567, 5_000] if lakhs else [1, 12, 5_000])

    # As bundles of earlier releases have it.
    schema = copy.deepcopy(encoder.schema)
    schema["columns"][0].pop("lakhs", None)
    told = Encoder(schema).transform(pd.DataFrame({"x": ["1,20,000 km", "5,000 km"], "other": 0.5}))
    assert told[:, place].tolist() == [1, 5_000]


@pytest.mark.parametrize(
    ("cells", "told"),
    [
        (CABINS, ["x", "x: number 1", "x: first letters", "x: last letters"]),
        ([f"{row % 40}.5 kg" for row in range(ROWS)], ["x", "x: number 1"]),
        ([f"{row % 9}x{row % 5}" for row in range(ROWS)], ["x", "x: number 1", "x: number 2"]),
        (
            [f"{MAKES[row % 2]} {chr(97 + row % 23)}" for row in range(ROWS)],
            ["x", "x: first letters"],
        ),
        (
            [f"{MAKES[row % 2]} {row % 23}" for row in range(ROWS)],
            ["x", "x: number 1", "x: first letters"],
        ),
        # A level of few numbers, of none in most rows, and levels that are codes on purpose.
        ([f"{row % 7} rooms" for row in range(ROWS)], ["x"]),
        ([f"{row}m" if row % 3 == 0 else "unknown" for row in range(ROWS)], ["x"]),
        ([f"0{row % 90}" for row in range(ROWS)], ["x"]),
        # Hardly two with the same letters.
        ([f"{chr(97 + row % 26)}{chr(97 + row // 26)}{row}" for row in range(ROWS)], ["x", "x: number 1"]),
    ],
)
def test_what_is_told_of_the_levels_of_a_column(tmp_path, cells, told):
    assert prepared(tmp_path, cells)[0] == told


def test_of_a_level_that_training_did_not_know_numbers_and_letters_are_told(tmp_path):
    names, encoder = prepared(tmp_path, CABINS)
    frame = pd.DataFrame({"x": ["F/1/S", "F/5000/S", "nowhere", None, "?", 7], "other": 0.5})

    found = encoder.transform(frame)[:, : len(names)]

    nan, code = np.nan, encoder.lookup("x")["F/1/S"]
    labels = encoder.schema["columns"][0]["labels"]
    first, last = labels["first letters"].index("F"), labels["last letters"].index("S")
    # Their own codes come after those that training knew; what is missing has none.
    unknown = len(encoder.lookup("x"))
    others = [len(known) for known in labels.values()]
    expected = [
        [code, 1, first, last],
        [unknown, 5000, first, last],
        [unknown, nan, *others],
        *[[nan] * 4] * 2,
        [unknown, 7, *others],
    ]
    assert np.array_equal(found, np.array(expected, dtype=np.float32), equal_nan=True)


def test_a_cell_that_is_a_number_is_that_number(tmp_path):
    names, encoder = prepared(tmp_path, [*CABINS, "3.5", "on request"])
    encoder._decimal = ","
    found = encoder.transform(pd.DataFrame({"x": [7.125, 1e-5, 1e16, np.float32(0.5), 12], "other": 0.5}))
    assert np.array_equal(found[:, names.index("x: number 1")], np.float32([7.125, 1e-5, 1e16, 0.5, 12]))


def test_a_word_that_is_read_as_an_empty_cell_is_told_as_in_training(tmp_path):
    cells = ["None" if row % 3 == 0 else f"{row % 40}.5 kg" for row in range(ROWS)]
    names, encoder = prepared(tmp_path, cells)
    assert names == ["x", "x: number 1", "x: first letters"]
    found = encoder.transform(pd.DataFrame({"x": ["None", None, np.nan], "other": 0.5}))
    assert np.isfinite(found[0, [0, 2]]).all()
    assert all(np.array_equal(row, found[0], equal_nan=True) for row in found)


def test_experiments_of_before_tell_codes_alone(tmp_path):
    _, encoder = prepared(tmp_path, CABINS)
    schema = copy.deepcopy(encoder.schema)
    del schema["columns"][0]["numbers"], schema["columns"][0]["labels"]
    old = Encoder(schema).transform(pd.DataFrame({"x": CABINS, "other": 0.5}))
    new = encoder.transform(pd.DataFrame({"x": CABINS, "other": 0.5}))
    assert old.shape == (ROWS, 2)
    assert np.array_equal(old[:, 0], new[:, 0])


def test_a_graph_reads_codes_as_the_encoder_does(tmp_path):
    _, encoder = prepared(tmp_path, CABINS)
    graph = Graph()
    graph.rename(add_columns(graph, encoder), "matrix")
    width = len(encoder.schema["features"])
    session = session_of(graph.written(input_ports(encoder.schema), [Port("matrix", FLOAT, ("rows", width))]))
    assert [each["type"] for each in describe_inputs(encoder.schema)] == ["code", "number"]
    model = OnnxModel({**encoder.schema, "task_type": "regression"}, session)
    cells = [*CABINS[:20], "F/5000/S", "G/0.1/S", f"F/{10**60}/S", "F/0." + "0" * 310 + "1"]
    cells += ["nowhere", None, "?", " ", 7, 7.25, 1e-310, True]
    frame = pd.DataFrame({"x": pd.Series(cells, dtype=object), "other": 0.5})

    whole = {column.input: column.values(frame[column.name]) for column in model._columns}
    single = {column.input: column.cells(list(frame[column.name])) for column in model._columns}

    for feed in (whole, single):
        assert np.array_equal(session.run(None, feed)[0], encoder.transform(frame), equal_nan=True)
