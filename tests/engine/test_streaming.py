"""Tables of any size are predicted some rows at a time; a cell means the same whichever are read with it."""

import gzip
import io
import sys
import zipfile

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from automl.engine.inference import Encoder, InputError, load, output, tables
from automl.engine.inference.command import main
from automl.engine.inference.output import predict_file
from automl.engine.inference.progress import Progress, clock_time
from automl.engine.inference.tables import Source
from automl.engine.profiling import profile_table
from automl.engine.reading import convert_table
from tests.engine.tables import people, read_whole

SCHEMA = {
    "columns": [
        {"name": "amount", "kind": "numeric"},
        {"name": "level", "kind": "categorical", "categories": ["5", "6", "9007199254740993"], "missing": 1},
        {"name": "flag", "kind": "boolean", "categories": ["True", "False"], "missing": 1},
        {"name": "day", "kind": "datetime", "format": None, "parts": ["days"]},
    ],
    "features": [{"kind": kind} for kind in ("number", "category", "number", "number")],
    "missing_values": ["", "NA"],
    "dialect": {"encoding": "cp1252"},
}
QUIET = Progress(io.StringIO(), is_shown=False)


def encoded(path, rows, schema=SCHEMA):
    with Source(path, schema, rows) as source:
        return np.concatenate([Encoder(schema).transform(chunk) for chunk in source.chunks()])


def in_one_and_in_many(path):
    whole = encoded(path, 1000)
    for rows in (1, 2, 3):
        assert np.array_equal(encoded(path, rows), whole, equal_nan=True)
    return whole


def test_a_cell_of_a_csv_means_the_same_in_chunks_of_any_size(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text(
        "day,flag,level,amount,else\n"
        "2024-01-02,True,5,1,x\n"
        "2024-01-02 00:00:00,false,5.0,1.0,\n"
        ",,,,\n"
        'nonsense,TRUE, 6 ," 2,000 ",y\n'
        "1970-01-03,NA,9007199254740993,123456789012345678901234567890,1\n"
    )

    found = in_one_and_in_many(path)

    assert found[:, 0].tolist()[:2] == [1, 1]
    assert found[3, 0] == 2000
    assert np.isnan(found[2]).all()
    assert found[:, 1].tolist()[:2] == [0, 0]
    assert found[[3, 4], 1].tolist() == [1, 2]
    assert found[[0, 1, 3], 2].tolist() == [0, 1, 0]
    assert found[0, 3] == found[1, 3]


def test_a_cell_of_a_parquet_file_means_the_same_in_chunks_of_any_size(tmp_path):
    frame = pd.DataFrame(
        {
            "amount": pd.array([1, None, 3, 4, None], dtype="Int64"),
            "level": pd.array([5, 6, None, 9007199254740993, 5], dtype="Int64"),
            "flag": pd.array([True, False, None, True, True], dtype="boolean"),
            "day": pd.to_datetime(["2024-01-02", None, "2024-01-03", "1970-01-03", "2024-01-02"]),
            "else": [[1], [2], [3], [4], [5]],
        }
    )
    path = tmp_path / "table.parquet"
    frame.to_parquet(path)

    found = in_one_and_in_many(path)

    assert found[:, 1].tolist()[:2] == [0, 1]
    assert found[3, 1] == 2  # which a float can't hold
    assert np.isnan(found[1, 0])
    assert found[:, 2].tolist()[:2] == [0, 1]
    assert found[0, 3] == found[4, 3]
    assert found[3, 3] == 2


def test_decimals_days_and_dictionaries_of_parquet_are_read_as_training_read_them(tmp_path):
    import datetime
    import decimal

    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.table(
        {
            "amount": pa.array([decimal.Decimal("2.50"), None]),
            "level": pa.array([decimal.Decimal("5.00"), decimal.Decimal("6.00")]),
            "flag": pa.array(["True", "false"]).dictionary_encode(),
            "day": pa.array([datetime.date(1970, 1, 3), None]),
        }
    )
    pq.write_table(table, tmp_path / "table.parquet")

    found = in_one_and_in_many(tmp_path / "table.parquet")

    assert found[0].tolist() == [2.5, 0, 0, 2]
    assert found[1, 1:3].tolist() == [1, 1]


@pytest.mark.parametrize("name", ["rows.csv", "rows.csv.gz", "rows.parquet"])
def test_predictions_of_a_file_in_chunks_are_those_of_the_frame(made_bundle, tmp_path, monkeypatch, name):
    frame, model = people(25, seed=9), load(made_bundle)
    frame.to_parquet(tmp_path / name) if name.endswith("parquet") else frame.to_csv(
        tmp_path / name, index=False
    )
    monkeypatch.setattr(Source, "_rows_at_once", lambda source, columns: 7)

    assert predict_file(model, tmp_path / name, [tmp_path / "out.csv"], QUIET.tell) == 25

    found = pd.read_csv(tmp_path / "out.csv")
    assert list(found.columns) == ["prediction", "probability_no", "probability_yes"]
    assert np.allclose(found[["probability_no", "probability_yes"]], model.predict_proba(frame), atol=1e-9)


def test_the_name_of_the_output_says_its_format(made_bundle, tmp_path, monkeypatch):
    people(5).to_csv(tmp_path / "rows.csv", index=False)
    monkeypatch.setattr(Source, "_rows_at_once", lambda source, columns: 2)
    for name in ("out.csv", "out.csv.gz", "out.parquet"):
        assert main([str(tmp_path / "rows.csv"), str(tmp_path / name)], folder=made_bundle) == 0

    plain = pd.read_csv(tmp_path / "out.csv")
    assert gzip.decompress((tmp_path / "out.csv.gz").read_bytes()) == (tmp_path / "out.csv").read_bytes()
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "out.parquet"), plain, check_dtype=False)


def test_a_minus_is_the_standard_input_and_output(made_bundle, tmp_path, monkeypatch):
    frame = people(5)
    given, got = io.BytesIO(frame.to_csv(index=False).encode()), io.BytesIO()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(given))
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(got))

    assert main(["-", "-"], folder=made_bundle) == 0

    assert (
        pd.read_csv(io.BytesIO(got.getvalue()))["prediction"].tolist()
        == load(made_bundle).predict(frame).tolist()
    )


def test_a_table_without_rows_gives_the_names_of_the_columns(made_bundle, tmp_path):
    for name, write in (
        ("a.csv", lambda f, p: f.to_csv(p, index=False)),
        ("a.parquet", pd.DataFrame.to_parquet),
    ):
        write(people(3).head(0), tmp_path / name)
        assert main([str(tmp_path / name), str(tmp_path / "out.csv")], folder=made_bundle) == 0
        assert (tmp_path / "out.csv").read_text() == "prediction,probability_no,probability_yes\n"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzipped"])
def test_an_encoding_that_shows_at_the_end_of_a_file_is_found(tmp_path, encoding, packed, monkeypatch):
    monkeypatch.setattr(tables, "SCANNED", 64)
    schema = {"columns": [{"name": "Stadt", "kind": "categorical"}], "dialect": {}}
    data = ("Stadt;x\n" + "Rom;1\n" * 100 + "Köln;2\n").encode(encoding)
    (tmp_path / "table").write_bytes(gzip.compress(data) if packed else data)

    assert read_whole(tmp_path / "table", schema)["Stadt"].iloc[-1] == "Köln"


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "not even a line of column names"),
        (b"age,note\n1,x\n", "lacks 2 of the 4 columns.*'city', 'joined'"),
        (b"age,city,joined,note\n1,2,3,4\n1,2,3,4,5,6\n", "line 3"),
        (gzip.compress(b"age,city,joined,note\n1,2,3,4\n" * 99)[:-9], "gzipped file is damaged"),
        (b"PAR1 and then nonsense", "Parquet file is damaged"),
    ],
    ids=["empty", "columns", "ragged", "gzip", "parquet"],
)
def test_a_table_that_can_not_be_read_is_explained_and_leaves_the_output_as_it_was(
    made_bundle, tmp_path, capsys, data, words
):
    (tmp_path / "rows").write_bytes(data)
    (tmp_path / "out.csv").write_text("of yesterday")

    assert main([str(tmp_path / "rows"), str(tmp_path / "out.csv")], folder=made_bundle) == 2

    with pytest.raises(InputError, match=words):
        raise InputError(capsys.readouterr().err)
    assert (tmp_path / "out.csv").read_text() == "of yesterday"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.csv", "rows"]


def test_a_delimiter_at_the_end_of_every_row_shifts_nothing(tmp_path):
    schema = {"columns": [{"name": "a", "kind": "numeric"}, {"name": "b", "kind": "numeric"}]}
    (tmp_path / "rows").write_text("a,b\n1,2,\n3,4,\n")
    assert read_whole(tmp_path / "rows", schema).to_numpy().tolist() == [["1", "2"], ["3", "4"]]

    (tmp_path / "rows").write_text("a,b\n1,2,9\n3,4,9\n")
    with pytest.raises(InputError, match=r"more cells than there are column names \(2\)"):
        read_whole(tmp_path / "rows", schema)


def test_a_folder_that_is_not_there_is_named_before_anything_is_predicted(made_bundle, tmp_path, capsys):
    people(3).to_csv(tmp_path / "rows.csv", index=False)
    assert main([str(tmp_path / "rows.csv"), str(tmp_path / "no" / "out.csv")], folder=made_bundle) == 2
    assert "There is no folder" in capsys.readouterr().err


def test_parquet_without_pyarrow_says_what_to_install(made_bundle, tmp_path, capsys, monkeypatch):
    people(3).to_parquet(tmp_path / "rows.parquet")
    people(3).to_csv(tmp_path / "rows.csv", index=False)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    for given, wanted in (("rows.parquet", "out.csv"), ("rows.csv", "out.parquet")):
        assert main([str(tmp_path / given), str(tmp_path / wanted)], folder=made_bundle) == 3
        assert "pip install -r requirements-parquet.txt" in capsys.readouterr().err


def test_labels_of_several_types_fit_into_a_column_of_parquet(tmp_path):
    frame = pd.DataFrame({"prediction": np.array([1, "a"], dtype=object), "probability_1": [0.5, 0.5]})
    with output.writing(tmp_path / "out.parquet") as write:
        write(frame)
        write(frame.head(1))
    assert pd.read_parquet(tmp_path / "out.parquet")["prediction"].tolist() == ["1", "a", "1"]


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_the_bar_on_a_terminal_is_one_line_that_is_written_over():
    out, now = Terminal(), [0.0]
    progress = Progress(out, clock=lambda: now[0])
    for rows, share, seconds in ((1000, 0.25, 2.0), (1001, 0.25, 2.01), (2000, 0.5, 4.0)):
        now[0] = seconds
        progress.tell(rows, share)
    now[0] = 8.0
    progress.tell(4000, 1.0, is_last=True)

    first, second, last = out.getvalue().rstrip("\n").split("\r")[1:]
    assert first == "[######------------------]  25%  1,000 rows  500 rows/s  0:06 left"
    assert second.startswith("[############------------]  50%  2,000 rows")
    assert last.rstrip() == "[########################] 100%  4,000 rows  500 rows/s  0:08 in all"
    assert "\n" not in out.getvalue()[:-1]


def test_elsewhere_it_is_silent_unless_it_is_asked_for():
    out, now = io.StringIO(), [0.0]
    Progress(out, clock=lambda: now[0]).tell(10, 1.0, is_last=True)
    assert out.getvalue() == ""

    asked = Progress(out, is_shown=True, clock=lambda: now[0])
    for now[0] in (1.0, 6.0, 7.0, 12.0):
        asked.tell(10, 0.5)
    assert len(out.getvalue().splitlines()) == 2
    assert "\r" not in out.getvalue()


def test_times_are_minutes_and_hours_when_they_are_long():
    assert [clock_time(seconds) for seconds in (4.6, 65, 3700)] == ["0:05", "1:05", "1:01:40"]


def test_the_help_tells_of_formats_and_exit_codes(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    said = capsys.readouterr().out
    for words in ("usage: predict.py", "--verify", "requirements-parquet.txt", "exit codes:", "tampered"):
        assert words in said


def test_a_table_alone_is_not_enough(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["rows.csv"])
    assert ended.value.code == 2
    assert "where its predictions go" in capsys.readouterr().err


AWKWARD = ["water  (kg)", "", "water  (kg)", " total", "sum\nof all"]
PLAIN = ["water (kg)", "column_2", "water (kg)_2", "total", "sum of all"]
NAMED = {
    "columns": [{"name": name, "kind": "numeric"} for name in PLAIN],
    "features": [{"kind": "number"} for _ in PLAIN],
    "missing_values": [""],
}


def awkward_files(folder):
    frame = pd.DataFrame([[1, 2, 3, 4, 5], [6, 7, 8, 9, 10]], columns=AWKWARD)
    frame.to_csv(folder / "comma.csv", index=False)
    frame.to_csv(folder / "semicolon.csv", index=False, sep=";", encoding="utf-8-sig")
    repeated = pa.table([pa.array(frame.iloc[:, place]) for place in range(5)], names=AWKWARD)
    pq.write_table(
        repeated.rename_columns([*AWKWARD[:2], "water (kg)_2", *AWKWARD[3:]]), folder / "a.parquet"
    )
    return ["comma.csv", "semicolon.csv", "a.parquet"]


def test_training_and_predicting_call_the_columns_of_a_file_the_same(tmp_path):
    for name in awkward_files(tmp_path):
        convert_table(tmp_path / name, tmp_path / "table.arrow", filename=name)
        trained = profile_table(tmp_path / "table.arrow")

        assert [column.name for column in trained.columns] == PLAIN, name
        assert encoded(tmp_path / name, 1, NAMED).tolist() == [[1, 2, 3, 4, 5], [6, 7, 8, 9, 10]], name


def test_a_frame_with_names_as_they_are_in_the_file_is_understood():
    frame = pd.DataFrame([[1, 2, 3, 4, 5]], columns=AWKWARD)

    assert Encoder(NAMED).transform(frame).tolist() == [[1, 2, 3, 4, 5]]
    assert Encoder(NAMED).transform(frame.set_axis(PLAIN, axis=1)).tolist() == [[1, 2, 3, 4, 5]]
    with pytest.raises(InputError, match="lacks 1 of the 5 columns"):
        Encoder(NAMED).transform(frame.drop(columns=" total"))


def test_names_that_training_got_from_a_frame_are_left_as_they_are(tmp_path):
    # A frame's names are its own: nothing is read.
    schema = {
        **NAMED,
        "columns": [{"name": "water  (kg)", "kind": "numeric"}],
        "features": [{"kind": "number"}],
    }
    (tmp_path / "table.csv").write_text("water  (kg),,x\n5,6,7\n")

    assert encoded(tmp_path / "table.csv", 1, schema).tolist() == [[5]]


def test_a_workbook_is_refused_with_what_to_do(tmp_path):
    # A workbook is a ZIP archive.
    with zipfile.ZipFile(tmp_path / "table.xlsx", "w") as file:
        file.writestr("xl/workbook.xml", "<workbook/>")

    with pytest.raises(InputError, match="an Excel file or an archive"):
        encoded(tmp_path / "table.xlsx", 1)
