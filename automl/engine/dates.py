"""How the dates of a column are written."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd

from automl.engine.inference.encoder import DAY_NUMBER, parse_dates

# So many values are looked at one by one.
SAMPLED = 1_000
# Of whole numbers so many may be days by chance, if there are other rows.
FEW_DAYS = 12
FIRST_DAY, LAST_DAY = 19_000_101, 21_001_231
ISO = re.compile(r"\d{4}-\d\d-\d\d([ T]\d\d:\d\d.*)?")
DATE_FORMATS = (
    "%Y-%m-%d",
    "%m/%d/%Y",
    "%d/%m/%Y",
    "%Y/%m/%d",
    "%d.%m.%Y",
    "%m-%d-%Y",
    "%d-%m-%Y",
    DAY_NUMBER,
    "%m/%d/%y",
    "%d/%m/%y",
    "%d %b %Y",
    "%d %B %Y",
    "%b %d, %Y",
    "%B %d, %Y",
    "%d-%b-%Y",
    "%d-%b-%y",
)
TIME_FORMATS = ("", " %H:%M", " %H:%M:%S", " %I:%M %p", " %I:%M:%S %p", " %H:%M:%S.%f", " %H:%M:%S,%f")


def date_format(name: str, counts: Any, warnings: list[str]) -> str | None:
    """The one format in which all values are dates; day and month are told apart by values over 12."""
    sample = counts.field("values")[:SAMPLED].to_pylist()
    if not all(any(sign.isdigit() for sign in value) and 6 <= len(value) <= 40 for value in sample[:20]):
        return None
    if _all_iso(sample):
        return "ISO8601" if _all_iso(counts.field("values").to_pylist()) else None
    fitting = [
        form
        for form in (f"{day}{time}" for day in DATE_FORMATS for time in TIME_FORMATS)
        if _all_parse(sample[:50], form)
    ]
    fitting = [form for form in fitting if _all_parse_at_once(counts.field("values"), form)]
    if not fitting:
        return None
    if len({form[:5] for form in fitting} & {"%m/%d", "%d/%m", "%m-%d", "%d-%m"}) > 1:
        warnings.append(
            f"Column {name!r}: day and month can't be told apart; read as month first ({fitting[0]})."
        )
    return fitting[0]


def _all_iso(values: Sequence[str]) -> bool:
    """Asks the reader that predictions use: what it can't read would be missing to them."""
    if not all(map(ISO.fullmatch, values)):
        return False
    return bool(parse_dates(pd.Series(values), "ISO8601").notna().all())


def _all_parse(values: Sequence[str], form: str) -> bool:
    for value in values:
        try:
            year = datetime.strptime(value, form).year  # noqa: DTZ007 - only the shape is asked for
        except ValueError:
            return False
        if not 1600 <= year <= 2500:
            return False
    return True


def _all_parse_at_once(values: Any, form: str) -> bool:
    """As `_all_parse`, with the reader that predictions use: a hundred times as fast on many."""
    if len(values) <= SAMPLED:
        return _all_parse(values.to_pylist(), form)
    years = pd.to_datetime(values.to_pandas(), format=form, errors="coerce").dt.year
    return bool(years.between(1600, 2500).all())


def are_days(ordered: np.ndarray[Any, Any], unique: int) -> bool:
    """Whether all numbers are days as 20240131 is, and too many for chance: of others 1 in 27 would be one.

    Parameters
    ----------
    ordered : array
    unique : int
        How many of them differ.
    """
    if unique < min(FEW_DAYS, len(ordered)) or not FIRST_DAY <= ordered[0] <= ordered[-1] <= LAST_DAY:
        return False
    distinct = ordered[np.append(True, ordered[1:] != ordered[:-1])]
    whole = distinct.astype(np.int64)
    return bool(np.all(whole == distinct)) and bool(parse_dates(pd.Series(whole), DAY_NUMBER).notna().all())
