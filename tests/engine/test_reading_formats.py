"""Gzip, Parquet and workbooks; and the table they are all stored as."""

from __future__ import annotations

import datetime
import decimal
import gzip
import zipfile
from pathlib import Path
from xml.sax.saxutils import escape

import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet as pq
import pytest

from automl.engine.errors import UserError
from automl.engine.reading import ReadLimits, convert_table, preview, read_frame, read_stored

DAY = datetime.datetime.fromisoformat("2015-04-05T23:43:00")


@pytest.fixture
def stored(tmp_path):
    return tmp_path / "table.arrow"


# Gzip


@pytest.mark.parametrize("name", ["a.csv.gz", "a.csv", "a"])
def test_gzip_is_known_by_its_first_bytes(tmp_path, stored, name):
    source = tmp_path / name
    source.write_bytes(gzip.compress(b"a;b\n1;x\n") + gzip.compress(b"2;y\n"))
    convert_table(source, stored, filename=name)
    assert read_stored(stored).to_pydict() == {"a": [1, 2], "b": ["x", "y"]}
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        {name, "table.arrow", "table.arrow.seal"}
    )


# Parquet


def parquet(folder: Path, columns: dict[str, pa.Array]) -> Path:
    path = folder / "a.parquet"
    pq.write_table(pa.table(columns), path)
    return path


def test_parquet_keeps_the_types_it_has(tmp_path, stored):
    moments = [DAY, None, DAY]
    source = parquet(
        tmp_path,
        {
            "small": pa.array([1, 2, None], pa.int8()),
            "huge": pa.array([2**64 - 1, 1, 2], pa.uint64()),
            "money": pa.array([decimal.Decimal("1.50"), None, decimal.Decimal("2.25")]),
            "half": pa.array([1.5, float("nan"), None], pa.float16()),
            "moment": pa.array(moments, pa.timestamp("ns")),
            "zoned": pa.array(moments, pa.timestamp("ms", tz="Europe/Oslo")),
            "date": pa.array([DAY.date(), None, DAY.date()]),
            "level": pa.array(["x", "y", "x"]).dictionary_encode(),
            "code": pa.array([7, 8, 7]).dictionary_encode(),
            "yes": pa.array([True, None, False]),
            "words": pa.array([" 1", "?", "None"], pa.string_view()),
            "time": pa.array([datetime.time(12, 30), None, None]),
            "nothing": pa.nulls(3),
        },
    )
    report = convert_table(source, stored, filename="a.parquet")
    midnight = DAY.replace(hour=0, minute=0)
    assert report.dialect == {"format": "parquet"}
    assert read_stored(stored).to_pydict() == {
        "small": [1, 2, None],
        "huge": [float(2**64), 1.0, 2.0],
        "money": [1.5, None, 2.25],
        "half": [1.5, None, None],
        "moment": moments,
        "zoned": moments,
        "date": [midnight, None, midnight],
        "level": ["x", "y", "x"],
        "code": [7, 8, 7],
        "yes": [True, None, False],
        "words": [1, None, None],
        "time": ["12:30:00.000000", None, None],
        "nothing": [None, None, None],
    }


def test_parquet_columns_that_hold_lists_records_or_bytes_are_named(tmp_path, stored):
    source = parquet(
        tmp_path,
        {"a": pa.array([1]), "tags": pa.array([["x"]]), "who": pa.array([{"k": 1}]), "raw": pa.array([b"x"])},
    )
    with pytest.raises(UserError, match=r"can't be used: tags, who, raw\. Leave them out"):
        convert_table(source, stored, filename="a.parquet")
    assert not stored.exists()


def test_parquet_that_is_damaged(tmp_path, stored):
    source = parquet(tmp_path, {"a": pa.array([1, 2]), "b": pa.array([1, 2])})
    source.write_bytes(source.read_bytes()[:-30])
    with pytest.raises(UserError, match=r"The Parquet file is damaged .* Write it again"):
        convert_table(source, stored, filename="a.parquet")


def test_parquet_that_unpacks_to_too_much(tmp_path, stored):
    source = parquet(tmp_path, {"a": pa.array([0.5] * 200_000), "b": pa.array([1] * 200_000)})
    for limits in (ReadLimits(max_bytes=100_000), ReadLimits(max_rows=1000)):
        with pytest.raises(UserError, match=r"holds 200,000 rows and unpacks to .* Take a sample"):
            convert_table(source, stored, filename="a.parquet", limits=limits)


def test_parquet_in_a_folder_named_like_a_partition_gets_no_column_of_it(tmp_path, stored):
    (tmp_path / "year=2020").mkdir()
    source = parquet(tmp_path / "year=2020", {"a": pa.array([1, 2]), "b": pa.array([1, 2])})
    convert_table(source, stored, filename="a.parquet")
    assert read_stored(stored).column_names == ["a", "b"]


# Workbooks


def workbook(folder: Path, sheets: dict[str, list[list[object]]]) -> Path:
    """Write the least that is a workbook."""
    path = folder / "a.xlsx"
    main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    office = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    package = "http://schemas.openxmlformats.org/package/2006/relationships"
    numbered = list(enumerate(sheets, start=1))
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(
            "_rels/.rels",
            f'<Relationships xmlns="{package}"><Relationship Id="r1" Type="{office}/officeDocument" '
            'Target="xl/workbook.xml"/></Relationships>',
        )
        archive.writestr(
            "xl/workbook.xml",
            f'<workbook xmlns="{main}" xmlns:r="{office}"><sheets>'
            + "".join(f'<sheet name="{name}" sheetId="{n}" r:id="r{n}"/>' for n, name in numbered)
            + "</sheets></workbook>",
        )
        archive.writestr(
            "xl/_rels/workbook.xml.rels",
            f'<Relationships xmlns="{package}">'
            + "".join(
                f'<Relationship Id="r{n}" Type="{office}/worksheet" Target="worksheets/sheet{n}.xml"/>'
                for n, _ in numbered
            )
            + f'<Relationship Id="s" Type="{office}/styles" Target="styles.xml"/></Relationships>',
        )
        archive.writestr(
            "xl/styles.xml",
            f'<styleSheet xmlns="{main}"><cellXfs count="2"><xf numFmtId="0"/>'
            '<xf numFmtId="22"/></cellXfs></styleSheet>',
        )
        for n, name in numbered:
            rows = "".join(
                f'<row r="{r}">' + "".join(_cell(r, c, cell) for c, cell in enumerate(row)) + "</row>"
                for r, row in enumerate(sheets[name], start=1)
            )
            archive.writestr(
                f"xl/worksheets/sheet{n}.xml",
                f'<worksheet xmlns="{main}"><sheetData>{rows}</sheetData></worksheet>',
            )
    return path


def _cell(row: int, column: int, value: object) -> str:
    place = f'r="{chr(65 + column)}{row}"'
    if value is None:
        return ""
    if isinstance(value, bool):
        return f'<c {place} t="b"><v>{int(value)}</v></c>'
    if isinstance(value, datetime.datetime):
        days = (value - datetime.datetime.fromisoformat("1899-12-30")) / datetime.timedelta(days=1)
        return f'<c {place} s="1"><v>{days!r}</v></c>'
    if isinstance(value, int | float):
        return f"<c {place}><v>{value!r}</v></c>"
    return f'<c {place} t="inlineStr"><is><t>{escape(str(value))}</t></is></c>'


def test_a_workbook_s_cells_keep_their_types(tmp_path, stored):
    source = workbook(
        tmp_path,
        {
            "data": [
                ["n", "x", "when", "yes", "word", "mixed", 2024, None],
                [1, 1.5, DAY, True, "a", 5, 1, 7],
                [2, None, None, False, "?", "b", 2, None],
                [None, None, None, None, None, None, None, None],
                [3, 2.5, DAY, None, "c", 7.5, "-", None],
            ]
        },
    )
    report = convert_table(source, stored, filename="a.xlsx")
    assert report.dialect == {"format": "xlsx", "names": "repaired"}
    assert read_stored(stored).to_pydict() == {
        "n": [1, 2, 3],
        "x": [1.5, None, 2.5],
        "when": [DAY, None, DAY],
        "yes": [True, False, None],
        "word": ["a", None, "c"],
        "mixed": ["5", "b", "7.5"],
        "2024": [1, 2, None],
        "column_8": [7, None, None],
    }


def test_the_first_sheet_that_holds_rows_is_read_and_named(tmp_path, stored):
    source = workbook(tmp_path, {"cover": [], "data": [["a", "b"], [1, 2]], "more": [["z"], [9]]})
    report = convert_table(source, stored, filename="a.xlsx")
    assert read_stored(stored).to_pydict() == {"a": [1], "b": [2]}
    assert report.warnings == ["The workbook has 3 sheets; 'data' was read."]


def test_a_workbook_is_known_by_what_is_in_it_not_by_its_name(tmp_path, stored):
    source = workbook(tmp_path, {"data": [["a", "b"], [1, 2]]})
    assert convert_table(source, stored, filename="upload.csv").rows == 1


def test_a_workbook_that_holds_nothing(tmp_path, stored):
    with pytest.raises(UserError, match="The workbook holds no rows"):
        convert_table(workbook(tmp_path, {"one": [], "two": []}), stored, filename="a.xlsx")
    with pytest.raises(UserError, match="a header but no rows"):
        convert_table(workbook(tmp_path, {"one": [["a", "b"]]}), stored, filename="a.xlsx")


def test_a_workbook_that_is_damaged_or_none(tmp_path, stored):
    source = workbook(tmp_path, {"data": [["a", "b"], [1, 2]]})
    whole = source.read_bytes()
    source.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match=r"'a.xlsx' is damaged or cut off .* Save and upload it again"):
        convert_table(source, stored, filename="a.xlsx")
    with zipfile.ZipFile(source, "w") as archive:
        archive.writestr("xl/nothing.xml", "<x/>")
    with pytest.raises(UserError, match="The workbook is damaged or protected"):
        convert_table(source, stored, filename="a.xlsx")


def test_a_workbook_that_unpacks_to_too_much(tmp_path, stored):
    source = workbook(tmp_path, {"data": [["a", "b"], [1, 2]]})
    with zipfile.ZipFile(source, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/media/big.bin", bytes(7 * 2**20))
    with pytest.raises(UserError, match="The workbook unpacks to more than 6 MB"):
        convert_table(source, stored, filename="a.xlsx", limits=ReadLimits(max_bytes=2**20))


# The stored table


@pytest.fixture
def long_table(tmp_path, stored):
    source = tmp_path / "long.csv"
    rows = "".join(f"{row},{row / 2},w{row % 7},\n" for row in range(150_000))
    source.write_text(f"n,x,w,none\n{rows}")
    convert_table(source, stored, filename="long.csv")
    return stored


def test_a_stored_table_is_mapped_not_copied(long_table):
    before = pa.total_allocated_bytes()
    with pa.memory_map(str(long_table)) as source:
        reader = pa.ipc.open_file(source)
        assert reader.num_record_batches > 1
        assert max(reader.get_batch(n).num_rows for n in range(reader.num_record_batches)) <= 65_536
    table = read_stored(long_table)
    assert table.num_rows == 150_000
    assert table.nbytes > 2**20
    assert pa.total_allocated_bytes() - before < 2**16


@pytest.mark.parametrize("offset", [0, 65_530, 131_071, 149_998, 150_000, 999_999])
def test_a_preview_is_a_slice(long_table, offset):
    columns, rows = preview(long_table, 20, offset)
    assert columns == ["n", "x", "w", "none"]
    assert rows == [[row, row / 2, f"w{row % 7}", None] for row in range(offset, min(offset + 20, 150_000))]


def test_a_preview_holds_json_values_only(tmp_path, stored):
    source = parquet(
        tmp_path,
        {"when": pa.array([DAY, None]), "x": pa.array([float("inf"), 1.5]), "b": pa.array([True, None])},
    )
    convert_table(source, stored, filename="a.parquet")
    assert preview(stored, 5) == (
        ["when", "x", "b"],
        [["2015-04-05T23:43:00", None, True], [None, 1.5, None]],
    )


def test_a_frame_of_a_parquet_file_has_its_dates(tmp_path, stored):
    source = parquet(tmp_path, {"when": pa.array([DAY, None]), "w": pa.array(["x", None])})
    convert_table(source, stored, filename="a.parquet")
    frame = read_frame(stored)
    assert str(frame["when"].dtype) == "datetime64[us]"
    assert frame["w"].isna().tolist() == [False, True]


def test_progress_rises_and_ends_below_one(tmp_path, stored):
    source = tmp_path / "a.csv"
    source.write_text("a,b\n1,2\n")
    told: list[float] = []
    convert_table(source, stored, filename="a.csv", on_progress=told.append)
    assert told == sorted(told)
    assert 0 < told[0] < told[-1] <= 1
