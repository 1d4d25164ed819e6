"""Quotes that are opened and not closed: rows after them would be taken for one cell."""

from __future__ import annotations

import re
from collections.abc import Iterable


def fault_in_quotes(
    lines: Iterable[str], delimiter: str, first: int = 1, *, spaced: bool = True
) -> str | None:
    """Say what is wrong with a quoted cell of several lines: it is meant to be, or lacks a quote.

    Parameters
    ----------
    lines : iterable of str
        With their ends, from the beginning of a row.
    delimiter : str
    first : int
        The number of the first line.
    spaced : bool
        Whether a cell may be quoted after blanks.

    Returns
    -------
    str or None
        With the line; None if nothing is wrong.
    """
    sign = re.escape(delimiter)
    closed = r'[^"]*(?:""[^"]*)*"(?!")'
    blanks, plain = (" *", '(?![ "])') if spaced else ("", '(?!")')
    cell = rf'{blanks}(?:"{closed}[^{sign}]*|{plain}[^{sign}]*)'
    others = rf"(?:{sign}{cell})*"
    row, rest = re.compile(cell + others), re.compile(rf"{closed}([^{sign}]*){others}")
    opened = 0
    for number, line in enumerate(lines, first):
        if '"' not in line:
            continue
        found = (rest if opened else row).match(line)
        if opened and found is None:
            continue
        if opened and found is not None and found[1].strip():
            return (
                f"Line {opened:,}: a quote is opened in this row, and text follows where it is closed, on "
                f"line {number:,}. Close it earlier, or double the quotes inside a cell."
            )
        opened = 0 if found is not None and found.end() == len(line) else number
    return _never_closed(opened) if opened else None


def _never_closed(line: int) -> str:
    return f"Line {line:,}: a quote is opened in this row and never closed. Close it, or double the quote."
