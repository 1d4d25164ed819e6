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
        self._compiled: dict[str, tuple[type[M], str, list[Any]]] = {}

    def ask(self, **values: Any) -> list[M]:
        """The rows as they are now; nothing of related ones is read with them."""
        if connection.vendor not in self._compiled:
            self._compiled[connection.vendor] = self._compile()
        model, sql, parameters = self._compiled[connection.vendor]
        stored = {
            name: field.get_db_prep_value(values[name], connection)
            for name, (field, _) in self._places.items()
        }
        return list(model._default_manager.raw(sql, [stored.get(each, each) for each in parameters]))

    def _compile(self) -> tuple[type[M], str, list[Any]]:
        """Model, SQL, and the parameters in order, the names of places among them."""
        rows = self._build(**{name: example for name, (_, example) in self._places.items()})
        sql, parameters = rows.query.sql_with_params()
        names = {
            field.get_db_prep_value(example, connection): name
            for name, (field, example) in self._places.items()
        }
        placed = [names.get(each, each) for each in parameters]
        if missing := [name for name in self._places if placed.count(name) != 1]:
            raise ValueError(f"not used once in the query, or with another value of it: {missing}")
        return rows.model, sql, placed
