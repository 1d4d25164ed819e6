"""Queries that are compiled once: for the ORM that takes longer than a short one does in the database."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar

from django.db import connection
from django.db.models import Field, Model, QuerySet

M = TypeVar("M", bound=Model)
# The field that a value is compared with, and a value of its kind that the query holds nowhere else.
Place = tuple["Field[Any, Any]", Any]


class CompiledQuery(Generic[M]):
    """A queryset with places for values, compiled when it is first asked.

    Parameters
    ----------
    build : callable
        Gives the queryset for values, named as the places are. Each is used once in it, and whether it is
        None or not must not matter.
    places : Place
    """

    def __init__(self, build: Callable[..., QuerySet[M]], **places: Place) -> None:
        self._build = build
        self._places = places
        self._compiled: dict[str, tuple[type[M], str, list[Any], dict[str, int]]] = {}

    def ask(self, **values: Any) -> list[M]:
        """The rows as they are now; nothing of related ones is read with them."""
        if connection.vendor not in self._compiled:
            self._compiled[connection.vendor] = self._compile()
        model, sql, parameters, positions = self._compiled[connection.vendor]
        filled = parameters.copy()
        for name, position in positions.items():
            field, _ = self._places[name]
            filled[position] = field.get_db_prep_value(values[name], connection)
        return list(model._default_manager.raw(sql, filled))

    def _compile(self) -> tuple[type[M], str, list[Any], dict[str, int]]:
        """Model, SQL, its parameters, and where among them each place is."""
        rows = self._build(**{name: example for name, (_, example) in self._places.items()})
        sql, found = rows.query.sql_with_params()
        parameters, positions = list(found), {}
        for name, (field, example) in self._places.items():
            stored = field.get_db_prep_value(example, connection)
            if parameters.count(stored) != 1:
                raise ValueError(f"{name} is not used once in the query, or the query changes it")
            positions[name] = parameters.index(stored)
        return rows.model, sql, parameters, positions
