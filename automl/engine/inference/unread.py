"""Columns that are written in a way that nothing of them can be read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from .encoder import Encoder, parse_dates
from .errors import InputError

# Fewer may be wrong by themselves.
LEAST_CELLS = 5
# The first of these says of nearly all columns that they can be read.
FIRST_CELLS = 100


class Unread:
    """Looks for columns of numbers or dates of which no cell can be read in the whole table.

    Words are no hint: they say that a cell is missing, in whatever way. Zeros alone may do so too.

    Parameters
    ----------
    schema : dict
    """

    def __init__(self, schema: Mapping[str, Any]) -> None:
        # For how it reads numbers only.
        self._encoder = Encoder({"columns": [], "missing_values": [], "decimal": schema.get("decimal")})
        self._columns = {
            column["name"]: column
            for column in schema["columns"]
            if column["kind"] in ("numeric", "datetime")
        }
        self._cells: dict[str, list[str]] = {}

    def look_at(self, chunk: pd.DataFrame) -> None:
        """Look at some more rows."""
        for name in list(self._columns):
            cells = chunk[name].dropna()
            if self._is_read(cells.head(FIRST_CELLS), self._columns[name]) or self._is_read(
                cells, self._columns[name]
            ):
                del self._columns[name]
                continue
            seen = self._cells.setdefault(name, [])
            texts = cells.astype(str)
            seen += texts[texts.str.contains("[1-9]")].head(LEAST_CELLS - len(seen)).tolist()

    def _is_read(self, cells: pd.Series, column: Mapping[str, Any]) -> bool:
        if column["kind"] == "numeric":
            return bool(pd.notna(self._encoder.numbers(cells)).any())
        return bool(parse_dates(cells, column.get("format")).notna().any())

    def check(self) -> None:
        """Refuse the table after its last row.

        Raises
        ------
        InputError
            Naming a column, and one of its cells.
        """
        for name, column in self._columns.items():
            cells = self._cells.get(name, [])
            if len(cells) < LEAST_CELLS:
                continue
            kind, way = ("number", "numbers with nothing around them")
            if column["kind"] == "datetime":
                kind, way = "date", f"dates as training had them, such as {_example(column.get('format'))}"
            raise InputError(
                f"No cell of the column {name!r} can be read as a {kind}; one of them is {cells[0]!r}. Write "
                f"{way}, or leave the cells empty."
            )


def _example(form: str | None) -> str:
    return pd.Timestamp("2024-12-31").strftime("%Y-%m-%d" if form in (None, "ISO8601") else form)
