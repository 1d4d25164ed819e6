"""Levels that are measures: numbers with a unit, which name no row though nearly all of them differ."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence

from automl.engine.inference.codes import LAKHS, NUMBERS, letters_in, numbers_in
from automl.engine.levels import LEAST_LEVELS, are_in_lakhs, is_number

# Of cells that are measures: those of one form, those with a fraction, and units at the most.
QUANTITY_SHARE, FRACTION_SHARE, UNIT_SHARE = 0.9, 0.25, 0.05
# Whole numbers that name rows are counted up: so much closer to each other than those of measures.
COUNTED_GAP = 2
# Each number of a pair comes again: of a name with a part that counts up it does not.
REPEATED_SHARE = 0.5
# Letters, as in km/h, sq. ft. or m2, or signs such as in °C.
UNIT = re.compile(r"(?=.)/? ?[%‰°]?(?:[^\W\d_]+[23²³]?(?:[ ./]+|$)){0,3}")
# What stands before a number may be the name of a series (INV 1001); of these nobody calls one so.
CURRENCIES = frozenset((
    "AED", "ARS", "AUD", "BDT", "BRL", "CAD", "CHF", "CLP", "CNY", "COP", "CZK", "DKK", "EGP", "EUR", "GBP",
    "HKD", "HUF", "IDR", "ILS", "INR", "JPY", "KRW", "MXN", "MYR", "NGN", "NOK", "NZD", "PHP", "PKR", "PLN",
    "QAR", "RMB", "RON", "RS", "RUB", "SAR", "SEK", "SGD", "THB", "TRY", "TWD", "UAH", "USD", "VND", "ZAR"
))  # fmt: skip
PAIR = re.compile(r"\d+(?: ?([:/x\u00d7]) ?\d+){1,2}", re.IGNORECASE)


def are_quantities(values: Sequence[str], decimal: str, unique: int) -> bool:
    """Whether levels are numbers with a unit, or several that go together, and name no row.

    Parameters
    ----------
    values : sequence of str
        Some of the levels, each once.
    decimal : str
        As numbers of the table are written, "." or ",".
    unique : int
        How many levels there are.
    """
    if all(map(is_number, values)):
        return False
    if decimal == "." and are_in_lakhs(values):
        if all(is_number(value.replace(",", "")) for value in values):
            return True
        values = [LAKHS.sub(lambda groups: groups[0].replace(",", ""), value) for value in values]
    return _with_fractions(values, decimal) or _whole(values, decimal, unique) or _pairs(values)


def _with_fractions(values: Sequence[str], decimal: str) -> bool:
    """One number each, many of them with a fraction, in one of a few units."""
    found = [numbers_in(value, decimal) for value in values]
    if sum(len(numbers) == 1 for numbers in found) < QUANTITY_SHARE * len(values):
        return False
    fractions = sum(len(numbers) == 1 and not numbers[0].is_integer() for numbers in found)
    units = {" ".join(letters_in(value)) for value in values}
    return fractions >= FRACTION_SHARE * len(values) and len(units) <= max(UNIT_SHARE * len(values), 3)


def _whole(values: Sequence[str], decimal: str, unique: int) -> bool:
    """Nearly all have the same around a number, a unit or a currency; and the numbers are not counted up."""
    matches = [match for value in values if (match := NUMBERS[decimal].search(value))]
    around = Counter((match.string[: match.start()], match.string[match.end() :]) for match in matches)
    forms: Counter[tuple[str, str]] = Counter()
    for (before, behind), count in around.items():
        forms[before.strip().upper(), behind.strip().upper()] += count
    form, count = forms.most_common(1)[0] if forms else (("", ""), 0)
    if count < QUANTITY_SHARE * len(values) or not _is_measure(*form):
        return False
    # Zeros at the start fill up the digits of a name.
    if any(re.match(r"0\d", match[0]) for match in matches):
        return False
    numbers = [numbers_in(match[0], decimal)[0] for match in matches]
    return max(numbers) - min(numbers) >= COUNTED_GAP * unique


def _is_measure(before: str, behind: str) -> bool:
    is_unit = bool(UNIT.fullmatch(behind)) or _is_currency(behind)
    return is_unit if not before else _is_currency(before) and (is_unit or not behind)


def _is_currency(text: str) -> bool:
    letters = text.rstrip(".")
    if letters in CURRENCIES:
        return True
    # Such as US$.
    return unicodedata.category(text[-1:] or " ") == "Sc" and (len(text) == 1 or text[:-1].isalpha())


def _pairs(values: Sequence[str]) -> bool:
    """Two or three numbers in one form, such as 120/80 or 12:34:56, of which each comes again and again."""
    if not all(map(PAIR.fullmatch, values)):
        return False
    if len({re.sub(r"[\d ]+", "#", value.lower()) for value in values}) > 1:
        return False
    columns = list(zip(*(re.findall(r"\d+", value) for value in values), strict=True))
    distinct = [len(set(numbers)) for numbers in columns]
    return distinct[0] >= LEAST_LEVELS and max(distinct) <= REPEATED_SHARE * len(values)
