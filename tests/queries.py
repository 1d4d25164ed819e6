"""Which tables are read, and how often."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping

# What Django calls the inner query of an outer one.
NAMELESS = re.compile(r"^(qualify\w*|subquery|_\w+)$")
INNERMOST = re.compile(r"\([^()]*\)")
FROM = re.compile(r'\bFROM\s+"(\w+)"')

WORK = {
    "experiments_trial", "datasets_dataset", "experiments_experiment", "experiments_trainedmodel",
    "experiments_prediction",
}  # fmt: skip
# Pages that read a table twice, and why that is better than once.
EXCEPTIONS = {
    # The table itself with all its columns, and the names of the others, on which its model may be tested.
    "new-experiment": {"datasets_dataset"},
    # All of a few answers, and next to nothing of the thousands of trials that they came from.
    "compare-experiments": {"experiments_trial"},
    # What is held, what waits, what has failed: few rows each by an index; at once it is the whole table.
    # And whether all parts are there is asked apart from the page, so that one that hangs does not hold it.
    "operations": WORK | {"core_worker", "core_pulse"},
    # Not ours: django-allauth's own page.
    "email": {"account_emailaddress"},
}


def read_twice(page: str, queries: Iterable[Mapping[str, str]]) -> dict[str, int]:
    """The tables that a page has read more than once, but for those where it may."""
    allowed = EXCEPTIONS.get(page, set())
    return {
        table: count for table, count in tables_read(queries).items() if count > 1 and table not in allowed
    }


def tables_read(queries: Iterable[Mapping[str, str]]) -> Counter[str]:
    """How many queries read each table; a query counts for the table that its rows are of."""
    found = (main_table(query["sql"]) for query in queries)
    return Counter(table for table in found if table)


def main_table(sql: str) -> str:
    """The table that a SELECT gives rows of; nothing for other statements."""
    if not sql.lstrip("( ").upper().startswith("SELECT"):
        return ""
    outer, before = re.sub(r"'(?:[^']|'')*'", "?", sql), ""
    while outer != before:
        before, outer = outer, INNERMOST.sub(" ", outer)
    names = [name for name in FROM.findall(outer) if not NAMELESS.match(name)]
    return (names or [name for name in FROM.findall(sql) if not NAMELESS.match(name)] or [""])[0]
