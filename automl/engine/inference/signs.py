"""Which sign parts whole numbers from their fractions in a file of text."""

from __future__ import annotations

import re
from collections.abc import Iterable

# Could be a thousand or a fraction: only clearer cells decide.
UNCLEAR = re.compile(r"[1-9]\d{0,2}[.,]\d{3}")
COMMA_NUMBER = re.compile(r"(\d+|\d{1,3}(\.\d{3})+),\d+")
POINT_NUMBER = re.compile(r"(\d+|\d{1,3}(,\d{3})+)\.\d+")


def count_signs(cells: Iterable[str]) -> tuple[int, int, int]:
    """Count numbers that only have sense with one decimal sign.

    Parameters
    ----------
    cells : iterable of str

    Returns
    -------
    tuple of int
        How many have a comma, how many a point; and of the unclear ones how many more have a comma.
    """
    commas = points = unclear = 0
    for cell in cells:
        digits = cell.strip().lstrip("+-")
        if UNCLEAR.fullmatch(digits):
            unclear += 1 if "," in digits else -1
        elif COMMA_NUMBER.fullmatch(digits):
            commas += 1
        elif POINT_NUMBER.fullmatch(digits):
            points += 1
    return commas, points, unclear


def decimal_sign(cells: Iterable[str], delimiter: str, *, known: str, known_delimiter: str) -> str:
    """Give the decimal sign of a file: that of training where its cells say nothing.

    Parameters
    ----------
    cells : iterable of str
        Of columns of numbers.
    delimiter : str
    known, known_delimiter : str
        Those of the training table.

    Returns
    -------
    str
        `,` or `.`.
    """
    commas, points, unclear = count_signs(cells)
    if commas != points:
        return "," if commas > points else "."
    if commas or not unclear or delimiter == known_delimiter:
        return known
    # Another program wrote it: where cells are parted by commas, or by semicolons on account of them.
    if delimiter == ",":
        return "."
    return "," if delimiter == ";" and unclear > 0 else known
