"""Files to predict that are written otherwise than the training table: read all the same, or refused."""

import gzip
import io
import os

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import Ridge
from sklearn.preprocessing import StandardScaler

from automl.engine.inference import Encoder, FittedModel, InputError, Member, Model
from automl.engine.inference.command import main
from automl.engine.inference.quotes import fault_in_quotes
from automl.engine.inference.tables import Source
from tests.engine.tables import people, read_whole


def schema_of(*names, decimal=".", delimiter=",", **columns):
    told = [{"name": name, "kind": "numeric"} for name in names]
    told += [{"name": name, **column} for name, column in columns.items()]
    features = [{"kind": "number"} for _ in told]
    return {
        "columns": told,
        "features": features,
        "missing_values": ["", "NA"],
        "decimal": decimal,
        "dialect": {"delimiter": delimiter, "decimal": decimal},
    }


@pytest.fixture
def read(tmp_path):
    """The matrix that a model of some schema gets of a text."""

    def encoded(text, schema):
        (tmp_path / "rows.csv").write_bytes(text if isinstance(text, bytes) else text.encode())
        return Encoder(schema).transform(read_whole(tmp_path / "rows.csv", schema)).tolist()

    return encoded


POINTS = schema_of("x", "y")
COMMAS = schema_of("x", "y", decimal=",", delimiter=";")


@pytest.mark.parametrize(
    ("schema", "text", "wanted"),
    [
        (POINTS, "x;y\n1,5;12,25\n", [[1.5, 12.25]]),
        (POINTS, 'x;y\n1.234,5;1.250\n"7";\n', [[1234.5, 1250], [7, np.nan]]),
        (COMMAS, "x,y\n12.345,1.250\n", [[12.345, 1.25]]),
        (COMMAS, 'x,y\n1.5,"2,000"\n2.345,1e3\n', [[1.5, 2000], [2.345, 1000]]),
        # What stands in columns that are no numbers of the model says nothing.
        (POINTS, "x;y;version\n1.5;2;1,1\n3;4;1,2\n5;6;1,3\n", [[1.5, 2], [3, 4], [5, 6]]),
        # As training had it where cells are unclear, and the same program wrote them, or say nothing.
        (COMMAS, "x;y\n1.250;12.345\n", [[1250, 12345]]),
        (POINTS, 'x,y\n"1,250","12,345"\n', [[1250, 12345]]),
        (COMMAS, "x\ty\n1.250\t12.345\n", [[1250, 12345]]),
        (POINTS, "x;y\n1,250;12,345\n", [[1.25, 12.345]]),
        (COMMAS, "x,y\n1,2\n", [[1, 2]]),
    ],
)
def test_a_file_has_a_decimal_sign_of_its_own(read, schema, text, wanted):
    assert np.array_equal(np.float32(read(text, schema)), np.float32(wanted), equal_nan=True)


@pytest.mark.parametrize("decimal", [",", "."])
def test_levels_that_are_numbers_are_known_with_either_decimal_sign(read, decimal):
    size = {"kind": "categorical", "categories": ["0.5", "1.5", "1500", "12.345"], "missing": 0}
    cells = {",": ["0,5", "1,50", "1.500", "12,345", "NA"], ".": ["0.5", "1.50", "1500", "12.345", "NA"]}

    for trained in (",", "."):
        found = read(
            "size;z\n" + "".join(f"{cell};\n" for cell in cells[decimal]),
            schema_of(size=size, decimal=trained, delimiter=";"),
        )
        assert [cell for (cell,) in found][:4] == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("column", "cells", "words"),
    [
        (
            {"kind": "numeric"},
            ["", "12 kg", "7 kg", "1 kg", "2 kg", "unknown", "3 kg"],
            "'v'.*number.*'12 kg'",
        ),
        (
            {"kind": "datetime", "format": "%Y/%m/%d", "parts": ["days"]},
            [f"0{day}.12.2024" for day in range(1, 6)],
            "'v'.*date.*'01.12.2024'.*such as 2024/12/31",
        ),
    ],
)
def test_a_column_of_which_no_cell_can_be_read_is_refused(read, column, cells, words):
    text = "v,w\n" + "".join(f"{cell},\n" for cell in cells)
    with pytest.raises(InputError, match=words):
        read(text, schema_of(v=column))

    right = "2024/12/31" if "format" in column else "5"
    assert len(read(f"{text}{right},\n", schema_of(v=column))) == len(cells) + 1


@pytest.mark.parametrize(
    ("column", "cells"),
    [
        ({"kind": "numeric"}, ["unknown"] * 9),
        ({"kind": "numeric"}, ["#DIV/0!"] * 9),
        ({"kind": "numeric"}, ["12 kg"] * 4),
        ({"kind": "datetime", "format": None, "parts": ["days"]}, ["0000-00-00"] * 9),
    ],
)
def test_words_zeros_and_a_few_cells_that_can_not_be_read_are_missing(read, column, cells):
    found = read("v,w\n" + "".join(f"{cell},\n" for cell in cells), schema_of(v=column))
    assert np.isnan(found).all()


def test_a_column_may_be_unreadable_for_long(tmp_path):
    (tmp_path / "rows.csv").write_text("v\n" + "1 kg\n" * 9 + "2\n")
    with Source(tmp_path / "rows.csv", schema_of("v"), chunk_rows=2) as source:
        assert sum(len(chunk) for chunk in source.chunks()) == 10

    (tmp_path / "rows.csv").write_text("v\n" + "1 kg\n" * 9)
    with (
        Source(tmp_path / "rows.csv", schema_of("v"), chunk_rows=2) as source,
        pytest.raises(InputError, match="'v'"),
    ):
        list(source.chunks())


SWALLOWED = 'x,y,note\n1,5,"hello\n2,6,fine\n3,7,"good day"\n4,8,bye\n5,9,end\n'


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzipped"])
def test_rows_that_a_quote_would_swallow_are_refused_with_both_lines(read, encoding, pack):
    with pytest.raises(InputError, match=r"Line 2: a quote is opened in this row.* on line 4"):
        read(pack(SWALLOWED.encode(encoding)), POINTS)


def test_the_line_is_told_of_the_whole_file(read):
    with pytest.raises(InputError, match="Line 4: a quote is opened"):
        read("sep=,\n\n" + SWALLOWED, POINTS)
    with pytest.raises(InputError, match="Line 3: a quote is opened in this row and never closed"):
        read('x,y,note\n1,2,fine\n3,4,"so\n5,6,\n', POINTS)


@pytest.mark.parametrize(
    "cell",
    [
        '"two\nlines"',
        '"a ""word""\n\nand ""more"""',
        ' "after\nblanks" ',
        '5" pipe',
        '"""\n"',
        '"a"b "c',
        '"a,\n"',
    ],
)
def test_cells_on_several_lines_and_quotes_within_words_are_fine(read, cell):
    text = f"x,y,note\n1,5,{cell}\n2,6,{cell}\n3,7,\n"
    for end in ("\n", "\r\n", "\r"):
        assert read(text.replace("\n", end), POINTS) == [[1, 5], [2, 6], [3, 7]]


def test_a_blank_before_a_quote_says_something_only_where_cells_are_spaced():
    lines = ['1; "a\n', "2;b\n"]
    assert fault_in_quotes(lines, ";", spaced=False) is None
    assert fault_in_quotes(lines, ";", 8).startswith("Line 8")


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("rows", [1, 2, 100])
def test_a_blank_line_of_a_file_of_one_column_is_a_row(tmp_path, end, rows):
    text = '\nx\n1\n\n3\n""\n\n \n'.replace("\n", end)
    (tmp_path / "rows.csv").write_bytes(text.encode())
    with Source(tmp_path / "rows.csv", schema_of("x"), rows) as source:
        found = pd.concat(list(source.chunks()))

    assert found["x"].fillna("none").tolist() == ["1", "none", "3", "none"]


def test_a_blank_line_beside_other_columns_is_none(read):
    assert read("x,y\n1,2\n\n3,4\n", POINTS) == [[1, 2], [3, 4]]


def test_a_number_that_is_too_large_once_it_is_scaled_is_named():
    narrow = np.float32([[1, 5], [1.001, 6], [1.002, 9]])
    scaler = StandardScaler().fit(narrow)
    fitted = FittedModel(scaler, Ridge().fit(scaler.transform(narrow), [1, 2, 3]))
    model = Model(Encoder({**POINTS, "task_type": "regression"}), [Member(1.0, [fitted])])

    with pytest.raises(InputError, match=r"too large.*'9\.96921e36', in the column 'x'"):
        model.predict(pd.DataFrame({"y": ["1e9", "3"], "x": ["1", "9.96921e36"]}))
    with pytest.raises(ValueError, match="NaN"):  # which is no matter of a table
        model.predict(pd.DataFrame({"y": ["1e9"], "x": [""]}))


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzipped"])
def test_an_input_that_can_only_be_read_once_is_read(made_bundle, tmp_path, pack):
    given, into = os.pipe()
    os.write(into, pack(people(5).to_csv(index=False).encode()))
    os.close(into)

    assert main([f"/dev/fd/{given}", str(tmp_path / "out.csv")], folder=made_bundle) == 0

    os.close(given)
    assert len(pd.read_csv(tmp_path / "out.csv")) == 5


def test_a_link_stays_one_and_its_target_gets_the_predictions(made_bundle, tmp_path):
    people(5).to_csv(tmp_path / "rows.csv", index=False)
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "of-today").write_text("of yesterday")
    (tmp_path / "out.csv.gz").symlink_to(tmp_path / "real" / "of-today")

    assert main([str(tmp_path / "rows.csv"), str(tmp_path / "out.csv.gz")], folder=made_bundle) == 0

    assert (tmp_path / "out.csv.gz").is_symlink()
    assert len(pd.read_csv(tmp_path / "real" / "of-today", compression="gzip")) == 5
    assert [path.name for path in (tmp_path / "real").iterdir()] == ["of-today"]


def test_a_pipe_is_written_into_and_stays_one(made_bundle, tmp_path):
    people(5).to_csv(tmp_path / "rows.csv", index=False)
    os.mkfifo(tmp_path / "pipe")
    got = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)

    assert main([str(tmp_path / "rows.csv"), str(tmp_path / "pipe")], folder=made_bundle) == 0

    assert len(pd.read_csv(io.BytesIO(os.read(got, 1 << 16)))) == 5
    os.close(got)
    assert (tmp_path / "pipe").is_fifo()


def test_a_folder_is_no_output(made_bundle, tmp_path, capsys):
    people(5).to_csv(tmp_path / "rows.csv", index=False)
    assert main([str(tmp_path / "rows.csv"), str(tmp_path)], folder=made_bundle) == 2
    assert "Is a directory" in capsys.readouterr().err


def test_the_standard_output_has_a_name_too(made_bundle, tmp_path, capfdbinary):
    people(5).to_csv(tmp_path / "rows.csv", index=False)
    assert main([str(tmp_path / "rows.csv"), "/dev/stdout"], folder=made_bundle) == 0
    assert len(pd.read_csv(io.BytesIO(capfdbinary.readouterr().out))) == 5
