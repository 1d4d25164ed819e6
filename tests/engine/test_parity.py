"""What a worker reads from an upload and what predict.py reads from the same file are the same numbers."""

import io
import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from automl.engine.bundle import load_texts
from automl.engine.inference import Encoder, InputError
from automl.engine.inference.encoder import known_names, names_as_trained, names_of_file
from automl.engine.preparation import open_prepared, prepare_table
from automl.engine.profiling import profile_table, table_profile_to_json
from automl.engine.reading import ReadLimits, convert_table
from tests.engine.tables import read_whole

WORDS = ["red fast car with wheels", "blue slow boat at sea", "green old bike", "a red and old boat, again"]


def table(
    path, *, flags=("true", "false"), delimiter=",", decimal=".", encoding="utf-8", date="2024-{:02}-{:02}"
):
    """Write a file with a column of every kind, some cells empty, and a target."""
    chance = np.random.default_rng(0)
    names = ["number", "whole", "level", "flag", "yes", "joined", "note", "same", "size", "bought"]
    lines = [delimiter.join(names)]
    for row in range(300):
        cells = [
            f"{chance.normal():.4f}".replace(".", decimal),
            str(chance.integers(0, 900)),
            "" if row % 19 == 0 else str(chance.choice(["Köln", "Rome", "Oslo", " NA"])),
            flags[chance.integers(2)],
            str(chance.choice(["yes", "no"])),
            date.format(1 + row % 12, 1 + row % 28),
            f'"{WORDS[row % 4]} {row}"',
            "1",
            f"{chance.choice(['', 'B/'])}{1 + row % 80}.5 m".replace(".", decimal),
            str(chance.choice(["a", "b"])),
        ]
        lines.append(delimiter.join(cells))
    path.write_bytes(("\n".join(lines) + "\n").encode(encoding))
    return path


@pytest.mark.parametrize(
    "written",
    [
        {},
        {"flags": ("TRUE", "FALSE")},
        {"flags": ("True", "False")},
        {"flags": ("1", "0")},
        {"delimiter": ";", "decimal": ",", "date": "{1:02}.{0:02}.2024", "encoding": "cp1252"},
        {"delimiter": "\t", "encoding": "utf-16", "date": "{:02}/{:02}/2024"},
    ],
    ids=["plain", "capitals", "words", "digits", "semicolons", "utf-16"],
)
def test_a_file_is_encoded_for_prediction_as_it_was_for_training(tmp_path, written):
    source = table(tmp_path / "table.csv", **written)
    stored = tmp_path / "table.arrow"
    read = convert_table(source, stored, filename=source.name, limits=ReadLimits(max_bytes=1 << 20))
    profile = table_profile_to_json(profile_table(stored, dialect=read.dialect, warnings=read.warnings))
    prepare_table(
        stored,
        tmp_path / "prepared",
        columns=profile["columns"],
        dialect=profile["dialect"],
        target="bought",
        task_type="auto",
        metric="auto",
        ignore_columns=[],
        seed=0,
    )
    trained = np.asarray(open_prepared(tmp_path / "prepared").X)
    schema = json.loads((tmp_path / "prepared" / "schema.json").read_text())
    encoder = Encoder(schema, load_texts(tmp_path / "prepared" / "texts.skops"))

    predicted = encoder.transform(read_whole(source, schema))

    names = [feature["column"] for feature in schema["features"]]
    assert {"number", "level", "flag", "yes", "joined", "note"} <= set(names)
    told = {feature["name"] for feature in schema["features"] if feature["column"] == "size"}
    assert told == {"size", "size: number 1", "size: first letters"}
    wrong = ~np.isclose(predicted, trained, rtol=1e-5, atol=1e-5, equal_nan=True)
    assert sorted({name for name, column in zip(names, wrong.T, strict=True) if column.any()}) == []


def read_by_both(folder, name, **kinds):
    """The matrix of a file as training and as predicting read it; the last column is the target."""
    stored = folder / "table.arrow"
    read = convert_table(folder / name, stored, filename=name)
    profile = table_profile_to_json(profile_table(stored, dialect=read.dialect, warnings=read.warnings))
    columns = [{**column, "kind": kinds.get(column["name"], column["kind"])} for column in profile["columns"]]
    prepare_table(
        stored,
        folder / "prepared",
        columns=columns,
        dialect=profile["dialect"],
        target=columns[-1]["name"],
        task_type="binary",
        metric="auto",
        ignore_columns=[],
        seed=0,
    )
    schema = json.loads((folder / "prepared" / "schema.json").read_text())
    encoder = Encoder(schema, load_texts(folder / "prepared" / "texts.skops"))
    trained = np.asarray(open_prepared(folder / "prepared").X)
    return trained, encoder.transform(read_whole(folder / name, schema))


@pytest.mark.parametrize(
    ("cells", "kind"),
    [
        (["01234", "02139", "94110", "10001"], "categorical"),
        (["0.00", "1.00", "0.00", "1.00"], "boolean"),
        (["1,234", "5,678", "9,012", "1,234"], "categorical"),
        (["1.50", "2.25", "3.00", ""], "categorical"),
        (["12345678901234567", "22345678901234567", "", "32345678901234567"], "categorical"),
    ],
    ids=["leading zeros", "fractions", "groups", "halves", "large"],
)
def test_codes_that_are_numbers_are_the_same_levels_however_they_are_written(tmp_path, cells, kind):
    rows = [f'"{cells[n % 4]}",{"ab"[n % 2]},{"xy"[n % 3 == 0]}\n' for n in range(80)]
    (tmp_path / "table.csv").write_text("zip code,other,bought\n" + "".join(rows))

    trained, read = read_by_both(tmp_path, "table.csv", **{"zip code": kind})

    assert np.array_equal(trained, read, equal_nan=True)
    assert np.isnan(read[:, 0]).sum() == (20 if "" in cells else 0)


@pytest.mark.parametrize(
    "start", ["sep=;\n", ";;\n", "\n\n", ""], ids=["declared", "only delimiters", "blank", "nothing"]
)
def test_what_stands_before_the_header_is_passed_over_by_both(tmp_path, start):
    rows = [f"{n % 11};{n % 7},5;{'xy'[n % 3 == 0]}\n" for n in range(80)]
    (tmp_path / "table.csv").write_text(f"{start}number;amount;bought\n" + "".join(rows))

    trained, read = read_by_both(tmp_path, "table.csv")

    assert trained.shape == (80, 2)
    assert np.array_equal(trained, read)


def test_names_of_rows_without_a_header_are_a_column_to_both(tmp_path):
    rows = [f"{'pqr'[n % 3]},{n % 11},{n % 7},{'xy'[n % 3 == 0]}\n" for n in range(80)]
    (tmp_path / "table.csv").write_text("number,amount,bought\n" + "".join(rows))

    trained, read = read_by_both(tmp_path, "table.csv")

    assert trained.shape == (80, 3)
    assert np.array_equal(trained, read)


def test_texts_are_as_long_to_both(tmp_path):
    notes = ['"{} {}   "', '" {} {}"', "N/A", '"{} and then {}"']
    rows = [f"{n},{notes[n % 4].format(WORDS[n % 3], n)},{'xy'[n % 3 == 0]}\n" for n in range(200)]
    (tmp_path / "table.csv").write_text("number,note,bought\n" + "".join(rows))

    trained, read = read_by_both(tmp_path, "table.csv", note="text")

    assert np.allclose(trained, read, atol=1e-5)


def test_a_point_is_a_decimal_sign_where_it_parts_no_groups(tmp_path):
    rows = [f"{n % 9},5;1.{n:03},25;{'xy'[n % 3 == 0]}\n" for n in range(80)]
    (tmp_path / "table.csv").write_text("number;amount;bought\n" + "".join(rows))
    trained, read = read_by_both(tmp_path, "table.csv")
    encoder = Encoder(json.loads((tmp_path / "prepared" / "schema.json").read_text()))

    cells = pd.Series([1.5, "2,5", "1.5", "1.234", 1234.0, "1.234,5", "12.345", None], dtype=object)

    assert np.array_equal(trained, read)
    assert encoder.numbers(cells).tolist()[:-1] == [1.5, 2.5, 1.5, 1234.0, 1234.0, 1234.5, 12345.0]


def test_ones_among_truth_values_are_words_to_both(tmp_path):
    rows = [f"{['1', 'true', '0', 'false'][n % 4]},{n},{'xy'[n % 3 == 0]}\n" for n in range(80)]
    (tmp_path / "table.csv").write_text("flag,number,bought\n" + "".join(rows))

    trained, read = read_by_both(tmp_path, "table.csv")

    assert np.array_equal(trained, read)


@pytest.mark.parametrize(
    ("towns", "encoding", "stray"),
    [
        # Without a letter over 127 it is UTF-8 too.
        (["Rome", "Oslo", "Bern", "Wien"], "utf-16-le", b""),
        (["Köln", "São Paulo", "“x”", "é~"], "cp1252", b"\x81"),
    ],
    ids=["two bytes", "not quite windows"],
)
def test_signs_are_the_same_to_both(tmp_path, towns, encoding, stray):
    rows = [f"{towns[n % 4]},{n % 11},{'xy'[n % 3 == 0]}\n" for n in range(80)]
    text = "town,number,bought\n" + "".join(rows)
    (tmp_path / "table.csv").write_bytes(text.encode(encoding).replace(b"~", stray))

    trained, read = read_by_both(tmp_path, "table.csv")

    assert trained.shape == (80, 2)
    assert not np.isnan(read).any()
    assert np.array_equal(trained, read)


def test_times_of_parquet_are_the_same_to_both(tmp_path):
    times = pa.array([(n % 5) * 3_600_000 for n in range(80)], pa.time32("ms"))
    frame = {
        "time": times,
        "number": [n % 11 for n in range(80)],
        "bought": ["xy"[n % 3 == 0] for n in range(80)],
    }
    pq.write_table(pa.table(frame), tmp_path / "table.parquet")

    trained, read = read_by_both(tmp_path, "table.parquet")

    assert trained.shape == (80, 2)
    assert np.array_equal(trained, read)


@pytest.mark.parametrize("header", [",a,a", "a,,a,,a", "a,,column", "x,x,y,y,y", ' a,," a"', "a,a_2,a,a"])
def test_the_names_that_pandas_gives_are_known(header):
    frame = pd.read_csv(io.StringIO(f"{header}\n" + ",".join(map(str, range(header.count(",") + 1)))))
    trained = names_as_trained(header.replace('"', "").split(","))

    assert known_names(trained, list(frame)) == trained
    # What was written again is no other table.
    assert names_of_file(trained, list(frame)) == trained


def test_a_column_without_a_name_is_known_where_others_are_left_out():
    assert known_names(["column_3"], ["b", "Unnamed: 2", "a.5"]) == ["b", "column_3", "a.5"]


@pytest.mark.parametrize(
    "names",
    [["a.1", "a.2"], ["a", "a.2", "a.3"], ["a", "a.2", "a.1"], ["a.1", "a"], ["a", "b.1"]],
    ids=["no first", "one left out", "another order", "behind", "another"],
)
def test_names_that_pandas_would_not_give_stay_unknown(names):
    with pytest.raises(InputError, match="lacks 1 of the 1 columns"):
        known_names(["a_2"], names)


def test_a_frame_of_the_training_file_is_encoded_as_the_file_was(tmp_path):
    rows = [f"{n * 7 % 80},{n % 11},{n % 7},{'xy'[n % 3 == 0]}\n" for n in range(80)]
    (tmp_path / "table.csv").write_text(",a,a,bought\n" + "".join(rows))

    trained, read = read_by_both(tmp_path, "table.csv", column_1="numeric")

    schema = json.loads((tmp_path / "prepared" / "schema.json").read_text())
    assert trained.shape == (80, 3)
    assert np.array_equal(trained, read)
    assert np.array_equal(trained, Encoder(schema).transform(pd.read_csv(tmp_path / "table.csv")))
