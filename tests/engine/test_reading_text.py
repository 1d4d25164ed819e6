"""CSV and TSV of any common dialect become one table."""

from __future__ import annotations

import csv
import io
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from automl.engine.reading import ReadReport, convert_table, read_frame, read_stored
from automl.engine.schema import MISSING_MARKS

Cells = dict[str, list[object]]


@pytest.fixture
def read(tmp_path):
    """Convert bytes or text; gives the report and the columns."""

    def convert(content: str | bytes, name: str = "table.csv") -> tuple[ReadReport, Cells]:
        source, stored = tmp_path / name, tmp_path / "table.arrow"
        source.write_bytes(content.encode() if isinstance(content, str) else content)
        report = convert_table(source, stored, filename=name)
        table = read_stored(stored)
        assert (report.rows, report.columns) == table.shape
        return report, table.to_pydict()

    return convert


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_delimiters_and_line_ends_are_found(read, delimiter, end):
    lines = [("age", "city name", "pay"), ("31", "Oslo, N", "1.5"), ("42", "Rome; I", "2.25")]
    text = end.join(delimiter.join(f'"{cell}"' for cell in line) for line in lines) + end
    report, table = read(text)
    assert table == {"age": [31, 42], "city name": ["Oslo, N", "Rome; I"], "pay": [1.5, 2.25]}
    assert report.dialect == {"format": "csv", "encoding": "utf-8", "delimiter": delimiter, "decimal": "."}
    assert report.warnings == []


def test_a_decimal_comma_is_found_though_it_parts_every_row_alike(read):
    report, table = read("a;b\n1,5;2,5\n2,5;3,5\n3,5;4,5\n" * 1 + "4,5;5,5\n" * 40)
    assert (report.dialect["delimiter"], report.dialect["decimal"]) == (";", ",")
    assert table["a"][:3] == [1.5, 2.5, 3.5]


def test_a_point_groups_thousands_where_the_comma_is_decimal(read):
    _, table = read("price;count\n1.234,5;1.000\n-12,25;20\n1.234.567,0;3.000.000\n")
    assert table == {"price": [1234.5, -12.25, 1234567.0], "count": [1000, 20, 3_000_000]}


def test_dates_with_points_are_not_numbers_in_a_table_with_decimal_commas(read):
    _, table = read("day;host;x\n01.02.2015;10.0.0.1;1,5\n13.02.2015;10.0.0.2;2,5\n")
    assert table["day"] == ["01.02.2015", "13.02.2015"]
    assert table["host"] == ["10.0.0.1", "10.0.0.2"]


def test_a_comma_groups_thousands_where_the_point_is_decimal(read):
    _, table = read('price,x\n"1,234.5",1\n"12,345,678",2\n7,3\n')
    assert table["price"] == [1234.5, 12345678.0, 7.0]


@pytest.mark.parametrize("text", ['x,share\n1.5,"0,125"\n2.5,"1,234"\n', "x;share\n1,5;0.125\n2,5;1.234\n"])
def test_no_group_of_thousands_begins_with_a_zero(read, text):
    _, table = read(text)
    assert table["x"] == [1.5, 2.5]
    assert [cell.replace(",", ".") for cell in table["share"]] == ["0.125", "1.234"]


def test_lists_of_numbers_are_not_numbers(read):
    _, table = read('pair,x\n"1,2",1.5\n"3,45",2.5\n')
    assert table["pair"] == ["1,2", "3,45"]


def test_a_quoted_decimal_comma_is_read_in_a_table_with_commas(read):
    report, table = read('a,b\n"1,5",x\n"2,25",y\n"1.000,5",z\n')
    assert report.dialect["decimal"] == ","
    assert table["a"] == [1.5, 2.25, 1000.5]


def test_a_blank_groups_thousands_as_in_france(read):
    _, table = read("prix;x\n1 234,5;1\n2\u00a0000,0;2\n7,5;3\n")
    assert table["prix"] == [1234.5, 2000.0, 7.5]


@pytest.mark.parametrize(
    ("encoding", "mark", "found"),
    [
        ("utf-8", b"", "utf-8"),
        ("utf-8-sig", b"", "utf-8"),
        ("utf-16-le", b"\xff\xfe", "utf-16"),
        ("utf-16-be", b"\xfe\xff", "utf-16"),
        ("utf-16-le", b"", "utf-16-le"),
        ("utf-16-be", b"", "utf-16-be"),
        ("cp1252", b"", "cp1252"),
        ("latin-1", b"", "cp1252"),
    ],
)
def test_encodings_are_found(read, encoding, mark, found):
    text = "größe,name\n1,José\n2,Zoë\n3,café\n"
    report, table = read(mark + text.encode(encoding))
    assert table == {"größe": [1, 2, 3], "name": ["José", "Zoë", "café"]}
    assert report.dialect["encoding"] == found


def test_a_table_that_is_not_utf_8_is_said_to_be_with_the_line(read):
    report, _ = read(b"a,b\n1,x\n2,caf\xe9\n")
    assert report.warnings == ["The file is not UTF-8 (first on line 3); it was read as Windows-1252."]


def test_signs_that_only_windows_has_are_read(read):
    _, table = read("price,note\n1,5 €\n2,“x”\n".encode("cp1252"))
    assert table["note"] == ["5 €", "“x”"]


def test_a_letter_cut_in_two_by_a_chunk_is_still_utf_8(read):
    text = "a,b\n" + "x" * (2**20 - 7) + "é,1\ny,2\n"
    assert text.encode()[2**20 - 3 : 2**20 + 1].count("é".encode()[:1]) == 1
    report, table = read(text)
    assert report.dialect["encoding"] == "utf-8"
    assert table["b"] == [1, 2]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_quoted_cell_may_hold_line_ends_delimiters_and_quotes(read, end):
    _, table = read(f'id,note{end}1,"two{end}lines, and ""quotes"""{end}2,plain{end}')
    assert table == {"id": [1, 2], "note": [f'two{end}lines, and "quotes"', "plain"]}


def test_a_header_may_hold_line_ends(read):
    _, table = read('"net\npay",b\n1,2\n3,4\n')
    assert table == {"net pay": [1, 3], "b": [2, 4]}


def test_blanks_before_quotes_are_left_out(read):
    _, table = read('name, note\n"a", "x, y"\n"b", "z"\n')
    assert table == {"name": ["a", "b"], "note": ["x, y", "z"]}


def test_a_quote_within_a_word_is_a_letter(read):
    report, table = read('disk,note\n5" floppy,"a"\n8 inch,b\n')
    assert table["disk"] == ['5" floppy', "8 inch"]
    assert report.warnings == []


@pytest.mark.parametrize("quote", ["", '"'])
def test_short_and_long_rows_are_repaired_and_counted(read, quote):
    report, table = read(f"a,b,c\n1,2,3\n4,5\n6,{quote}x\ny{quote},7\n8\n1,2,3,4\n5,6,7,,\n" if quote else
                         "a,b,c\n1,2,3\n4,5\n6,x y,7\n8\n1,2,3,4\n5,6,7,,\n")  # fmt: skip
    assert table["a"] == [1, 4, 6, 8, 1, 5]
    assert table["c"] == [3, None, 7, None, 3, 7]
    assert report.warnings == [
        "2 rows have fewer cells than the header; the rest of them is missing (the first is line 3).",
        f"1 row has more cells than the header; the extra cells are left out (the first is line "
        f"{7 if quote else 6}).",
    ]


def test_a_delimiter_at_every_line_s_end_makes_no_column(read):
    for header in ("a;b;", "a;b"):
        report, table = read(f"{header}\n1;2;\n3;4;\n")
        assert table == {"a": [1, 3], "b": [2, 4]}
        assert report.warnings == []


def test_a_row_name_without_a_header_gets_one(read):
    for header in (",a,b", "a,b"):
        report, table = read(f"{header}\nr1,1,2\nr2,3,4\n")
        assert table == {"column_1": ["r1", "r2"], "a": [1, 3], "b": [2, 4]}
        assert report.warnings == [
            "Empty or repeated headers were given names: column 1 is called 'column_1'."
        ]


def test_empty_and_repeated_headers_get_names_of_their_own(read):
    report, table = read("x,,x,x_2, y \n1,2,3,4,5\n6,7,8,9,10\n")
    assert list(table) == ["x", "column_2", "x_2", "x_2_2", "y"]
    assert "column 3 is called 'x_2'" in report.warnings[0]


def test_blank_lines_are_no_rows(read):
    for text in ("\n\n  \na,b\n1,2\n\n3,4\n\n", "\r\n,\r\na,b\r\n1,2\r\n   \r\n3,4"):
        _, table = read(text)
        assert table == {"a": [1, 3], "b": [2, 4]}


def test_a_row_of_missing_cells_is_a_row_whichever_reader_took_it(read):
    for ragged in ("", "5\n"):
        _, table = read(f"a,b\n1,2\n,\n3,4\n{ragged}")
        assert table["a"][:3] == [1, None, 3]


def test_the_last_line_needs_no_end(read):
    assert read("a,b\n1,2\n3,x")[1] == {"a": [1, 3], "b": ["2", "x"]}


def test_a_first_line_that_names_the_delimiter_is_obeyed(read):
    report, table = read("sep=|\r\na|b,c\r\n1|2,5\r\n")
    assert report.dialect["delimiter"] == "|"
    assert list(table) == ["a", "b,c"]


def test_cells_that_say_nothing_are_missing(read):
    _, table = read("n,w\n?,?\n NA , - \n-,\n1,x\n2.5,None\nNone,y\n")
    assert table["n"] == [None, None, None, 1.0, 2.5, None]
    assert table["w"] == [None, None, None, "x", "None", "y"]


def test_a_column_with_nothing_in_it_is_kept(read):
    _, table = read("a,b\n1,\n2,?\n")
    assert table["b"] == [None, None]


@pytest.mark.parametrize("rows", [4, 5000])
@pytest.mark.parametrize(
    "words",
    [
        ["2015-01-01", "2016-12-31"],
        ["2015-01-01 10:00:00", "2015-01-02 11:30:00"],
        ["2015-01-01T10:00:00Z", "2015-01-02T11:30:00+02:00"],
        ["12:30:00", "23:59:59"],
        ["12:30", "23:59:01"],
        ["0x1F", "0x2a"],
        ["04/05/2015 11:43:00 PM", "04/06/2015 01:00:00 AM"],
    ],
)
def test_dates_times_and_hexadecimal_numbers_stay_the_text_they_were(read, words, rows):
    column = [words[row % 2] for row in range(rows)]
    _, table = read("a,b\n" + "".join(f"{word},{row}\n" for row, word in enumerate(column)))
    assert table == {"a": column, "b": list(range(rows))}


def test_truth_values_are_read_however_they_are_written(read):
    _, table = read("a,b\nTrue,yes\nFALSE,no\n,yes\n")
    assert table == {"a": [True, False, None], "b": ["yes", "no", "yes"]}


def test_numbers_larger_than_64_bits_are_floats(read):
    _, table = read("a,b\n99999999999999999999,9007199254740993\n1,2\n")
    assert table == {"a": [1e20, 1.0], "b": [9007199254740993, 2]}


def test_words_that_differ_by_blanks_only_are_one(read):
    _, table = read("a,b\n" + "x,1\n x ,2\nx ,3\n" * 50)
    assert set(table["a"]) == {"x"}


def test_a_cell_longer_than_a_block_is_read(read):
    long = "word " * 180_000
    _, table = read(f'a,b\n"{long}",1\n' + f"{long},2\n" * 6)
    assert {len(cell) for cell in table["a"]} == {len(long) - 1}


@pytest.mark.parametrize("quote", ["", '"'])
def test_a_cell_longer_than_the_careful_reader_takes_is_read_where_rows_are_alike(read, quote):
    long = "word" * 300_000
    _, table = read(f"a,b\n{quote}{long}{quote},1\nx,2\n")
    assert table == {"a": [long, "x"], "b": [1, 2]}


def test_types_that_change_after_the_first_block_are_read(read):
    _, table = read("a,b\n" + "1,0.5\n" * 1_200_000 + "x,0.5\n")
    assert table["a"][0] == "1"
    assert table["a"][-1] == "x"


def test_a_frame_has_the_types_that_pandas_gives(tmp_path):
    source, stored = tmp_path / "a.csv", tmp_path / "a.arrow"
    source.write_text("i,f,g,b,w\n" + "1,1.5,,true,x\n2,2.5,3,false,y\n" * 3)
    convert_table(source, stored, filename="a.csv")
    frame = read_frame(stored)
    assert [str(kind) for kind in frame.dtypes] == ["int64", "float64", "float64", "bool", "category"]
    assert list(read_frame(stored, ["w", "i"]).columns) == ["w", "i"]


LETTERS = st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Zs", "Zl", "Zp"])
WORD = st.text(st.one_of(LETTERS, st.sampled_from(list(" ,;|\t\"'\n"))), max_size=8)
NUMBER = st.integers(-(10**6), 10**6).map(str) | st.floats(-1e6, 1e6).map(repr)
WRITTEN = st.fixed_dictionaries(
    {
        "delimiter": st.sampled_from([",", ";", "\t", "|"]),
        "lineterminator": st.sampled_from(["\n", "\r\n"]),
        "quoting": st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC]),
    }
)


@st.composite
def tables(draw: st.DrawFn) -> list[list[str]]:
    kinds = draw(st.lists(st.sampled_from([WORD, NUMBER]), min_size=2, max_size=5))
    return draw(st.lists(st.tuples(*kinds).map(list), min_size=1, max_size=8))


@settings(max_examples=120, deadline=None, derandomize=True)
@given(tables(), WRITTEN, st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]))
def test_what_csv_writes_comes_back_cell_for_cell(rows, dialect, encoding):
    header = [f"column {place}" for place in range(len(rows[0]))]
    out = io.StringIO(newline="")
    csv.writer(out, **dialect).writerows([header, *rows])
    with tempfile.TemporaryDirectory() as folder:
        source, stored = Path(folder, "t.csv"), Path(folder, "t.arrow")
        source.write_bytes(out.getvalue().encode(encoding))
        report = convert_table(source, stored, filename="t.csv")
        found = read_stored(stored).to_pydict()
    assert report.dialect["delimiter"] == dialect["delimiter"]
    assert list(found) == header
    for place, name in enumerate(header):
        for cell, value in zip((row[place] for row in rows), found[name], strict=True):
            assert is_what_was_written(cell.strip(), value)


def is_what_was_written(cell: str, value: object) -> bool:
    if value is None:
        return cell in MISSING_MARKS or cell == "None"
    if isinstance(value, bool):
        return cell.lower() == str(value).lower()
    if isinstance(value, int | float):
        return float(cell) == value
    return cell == value
