"""What can't be read is refused in a sentence with line, reason and what to do; nothing is left behind."""

from __future__ import annotations

import gzip
import json
import random
import zipfile

import pytest

from automl.engine.errors import UserError
from automl.engine.reading import ReadLimits, convert_table


@pytest.fixture
def refusal(tmp_path):
    """The words in which bytes are refused; checks that the folder is as it was."""

    def convert(content: str | bytes, name: str = "table.csv", limits: ReadLimits | None = None) -> str:
        folder = tmp_path / "stored"
        folder.mkdir(exist_ok=True)
        source = tmp_path / name
        source.write_bytes(content.encode() if isinstance(content, str) else content)
        with pytest.raises(UserError) as caught:
            convert_table(source, folder / "table.arrow", filename=name, limits=limits)
        assert list(folder.iterdir()) == []
        return str(caught.value)

    return convert


@pytest.mark.parametrize("content", [b"", b"\n\n", b"   ", b"\xef\xbb\xbf", gzip.compress(b"", mtime=0)])
def test_an_empty_file(refusal, content):
    assert refusal(content) == "The file is empty. It needs a header line and rows."


def test_a_file_of_many_blank_lines(refusal):
    assert refusal("\n" * 5000) == "The file has no header line, only blank ones."


def test_a_header_without_rows(refusal):
    for text in ("a,b\n", "a,b", "a,b\n\n\n"):
        assert refusal(text) == "The file has a header but no rows. Add rows below it."


def test_one_column(refusal):
    words = refusal("price\n1\n2\n")
    assert words.startswith("The table has one column, 'price'.")
    assert "separate them by commas, semicolons or tabs" in words


def test_binary_junk(refusal):
    assert "NUL byte" in refusal(random.Random(1).randbytes(20_000))
    without_nul = bytes(value or 1 for value in random.Random(2).randbytes(3_000))
    assert "control character" in refusal(without_nul)


def test_a_nul_byte_is_refused_with_its_line(refusal):
    assert refusal(b"a,b\n1,2\n3,\x004\n").startswith("Line 3 holds a NUL byte")
    late = b"a,b\n" + b"1,2\n" * 5000 + b"3,\x00\n"
    assert refusal(late).startswith("Line 5,002 holds a NUL byte")
    assert refusal(b"a,b\n1,caf\xe9\n" + late[4:]).startswith("Line 5,003 holds a NUL byte")


def test_utf_16_that_is_cut_off(refusal):
    words = refusal(("a,b\n" + "1,2\n" * 10).encode("utf-16")[:-1])
    assert words.startswith("The file is not valid UTF-16, or is cut off, soon after line")


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('a,b\n1,x\n2,"y\n3,z\n', 3),
        ('a,b\n1,x\n2,"y', 3),
        ('a,b\n1,"two\nlines"\n2,"y\n3,z\n4,w\n', 4),
        ('a,b,c\n1,x\n2,"y\n3,z\n', 3),
        ('a,"b\n1,x\n2,y\n', 1),
        ('a,b\r1,x\r2,"y\r3,z\r', 3),
        ("a,b\n" + "1,x\n" * 70_000 + '2,"y\n' + "3,z\n" * 200_000, 70_002),
    ],
)
def test_a_quote_that_is_never_closed_is_refused_with_the_line_where_it_opens(refusal, text, line):
    assert refusal(text) == (
        f"Line {line:,}: a quote is opened in this row and never closed. Close it, or double the quote."
    )


@pytest.mark.parametrize("rows", [0, 70_000])
def test_a_quote_that_is_open_for_long_is_not_said_to_be_never_closed(refusal, rows):
    assert refusal("a,b\n" + "1,x\n" * rows + '2,"y\n' + "3,z\n" * 300_000) == (
        f"Line {rows + 2:,}: a quote is opened in this row and not closed within 1,048,576 signs. Close it, "
        "double the quote, or shorten the cell."
    )


@pytest.mark.parametrize("before", ["2", '"Smith, J"'])
def test_a_cell_that_is_too_long_for_a_ragged_table_is_refused_as_that(refusal, before):
    assert refusal(f"a,b\n1,x\n{before},{'y' * 1_100_000}\n3\n") == (
        "Line 3: a cell of this row is longer than 1,048,576 signs. Shorten it."
    )


def test_a_quote_that_closes_rows_later_is_refused_with_both_lines(refusal):
    words = refusal('a,b\n1,"x\n2,y\n3,"z",w\n4,v\n')
    assert words.startswith(
        "Line 2: a quote is opened in this row, and text follows where it is closed, on line 4"
    )


@pytest.mark.parametrize(
    ("name", "content", "what"),
    [
        ("a.xls", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600), "old or encrypted Excel file"),
        ("a.pdf", b"%PDF-1.7\n", "a PDF document"),
        ("a.csv", b"%PDF-1.7\n", "a PDF document"),
        ("a.json", json.dumps([{"a": 1}]).encode(), "JSON"),
        ("a.csv", b'{"a": [1, 2],\n "b": 2}', "JSON"),
        ("a.html", b"<!DOCTYPE html>\n<table></table>", "a web page or XML"),
        ("a.db", b"SQLite format 3\x00" + bytes(600), "an SQLite database"),
        ("a.bz2", b"BZh91AY&SY", "a bzip2 archive"),
        ("a.tar", b"a.csv".ljust(257, b"\x00") + b"ustar\x0000", "a tar archive"),
        ("a.gz", gzip.compress(gzip.compress(b"a,b\n1,2\n", mtime=0), mtime=0), "gzipped twice"),
    ],
)
def test_other_kinds_of_file_are_named(refusal, name, content, what):
    words = refusal(content, name)
    assert what in words
    assert "CSV" in words


def test_a_zip_archive_is_to_be_unpacked(refusal, tmp_path):
    archive = tmp_path / "packed"
    with zipfile.ZipFile(archive, "w") as packed:
        packed.writestr("table.csv", "a,b\n1,2\n")
    assert refusal(archive.read_bytes(), "table.zip").startswith(
        "'table.zip' is a ZIP archive. Unpack it first."
    )


def test_a_gzip_file_that_is_cut_off(refusal):
    packed = gzip.compress(b"a,b\n" + random.Random(0).randbytes(5000).hex().encode())
    for content in (packed[:-20], packed[:200], packed[:-6] + b"123456"):
        words = refusal(content, "table.csv.gz")
        assert words.startswith("The gzip file is damaged or cut off")
        assert words.endswith("Compress and upload it again.")


def test_a_gzip_file_that_unpacks_to_too_much(refusal):
    bomb = gzip.compress(b"a,b\n" + b"1,2\n" * 3_000_000)
    assert len(bomb) < 2**16
    words = refusal(bomb, limits=ReadLimits(max_bytes=2**20))
    assert words == "The gzipped file unpacks to more than 6 MB. Take a sample."


def test_too_many_columns(refusal):
    header = ",".join(f"c{place}" for place in range(12))
    words = refusal(f"{header}\n{header}\n", limits=ReadLimits(max_columns=10))
    assert words == "The table has 12 columns; the limit is 10. Leave some out."


@pytest.mark.parametrize("ragged", ["", "1\n"])
def test_too_many_rows(refusal, ragged):
    words = refusal("a,b\n" + ragged + "1,2\n" * 100, limits=ReadLimits(max_rows=50))
    assert f"The table has {100 + bool(ragged)} rows; the limit is 50. Take a sample." == words


def test_an_earlier_table_stays_when_a_new_one_is_refused(tmp_path):
    good, bad, stored = tmp_path / "good.csv", tmp_path / "bad.csv", tmp_path / "out" / "table.arrow"
    stored.parent.mkdir()
    good.write_text("a,b\n1,2\n")
    bad.write_text('a,b\n1,"2\n')
    convert_table(good, stored, filename="good.csv")
    before = stored.read_bytes()
    with pytest.raises(UserError):
        convert_table(bad, stored, filename="bad.csv")
    assert stored.read_bytes() == before
    assert sorted(path.name for path in stored.parent.iterdir()) == ["table.arrow", "table.arrow.seal"]


def test_a_full_disk_leaves_nothing_half_written(tmp_path, monkeypatch):
    source, folder = tmp_path / "a.csv", tmp_path / "out"
    folder.mkdir()
    source.write_text("a,b\n1,2\n")
    monkeypatch.setattr("os.fsync", fail_as_a_full_disk)
    with pytest.raises(OSError, match="No space left"):
        convert_table(source, folder / "table.arrow", filename="a.csv")
    assert list(folder.iterdir()) == []


def fail_as_a_full_disk(number: int) -> None:
    raise OSError(28, "No space left on device")
