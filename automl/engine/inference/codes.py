"""What levels of a category say beside their names: the numbers in them, their first and their last letters.

`F/123/S` holds the number 123, F and S; `23.4 kmpl` holds 23.4 and KMPL.
"""

from __future__ import annotations

import re

# With thousands in groups, which no zero begins, or else as programs write them; a sign counts at the start
# only, as later on it may be a dash.
NUMBERS = {
    ".": re.compile(
        "(?:^-)?(?:(?P<grouped>[1-9][0-9]{0,2}(?:[,\u00a0\u202f ][0-9]{3})+(?![0-9])(?:[.][0-9]+)?)"
        "|[0-9]+(?:[.][0-9]+)?(?:[eE][+-][0-9]+)?)"
    ),
    ",": re.compile(
        "(?:^-)?(?:(?P<grouped>[1-9][0-9]{0,2}(?:[.\u00a0\u202f ][0-9]{3})+(?![0-9])(?:,[0-9]+)?)"
        "|[0-9]+(?:[.,][0-9]+)?(?:[eE][+-][0-9]+)?)"
    ),
}
# As in India: groups of two digits but for the last. Earlier releases read them as several numbers.
LAKHS = re.compile(r"(?<![0-9,])(?<![0-9]\.)[1-9][0-9]?(?:,[0-9]{2})+,[0-9]{3}(?![0-9]|,[0-9])")
LETTERS = re.compile(r"[^\W\d_]+")


def numbers_in(level: str, decimal: str = ".", *, lakhs: bool = False) -> list[float]:
    """Give the numbers in a level, in order.

    Parameters
    ----------
    level : str
    decimal : str
        "." or ",", as numbers of the table are written.
    lakhs : bool
        Whether 1,20,000 is one of them.
    """
    if lakhs:
        level = LAKHS.sub(lambda groups: groups[0].replace(",", ""), level)
    found = []
    for match in NUMBERS[decimal].finditer(level):
        number = re.sub(f"[^0-9{decimal}-]", "", match[0]) if match["grouped"] else match[0]
        found.append(float(number.replace(",", ".")))
    return found


def letters_in(level: str) -> list[str]:
    """Give what is made of letters alone in a level, in order and in capitals; `#` where there is nothing."""
    return LETTERS.findall(level.upper()) or ["#"]


def first_letters(level: str) -> str:
    """Give the first of them."""
    return letters_in(level)[0]


def last_letters(level: str) -> str:
    """Give the last of them."""
    return letters_in(level)[-1]


# What else a level may be told by, as a category of its own; none of them is empty, which a missing cell is.
LABELS = {"first letters": first_letters, "last letters": last_letters}
