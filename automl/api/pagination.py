"""Long lists come in pages: `{"next", "previous", "results"}`, `?limit=` up to 500."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ValidationError
from rest_framework import pagination
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.utils.urls import replace_query_param

from automl.core.errors import InvalidInput

LARGEST_PAGE = 500


def whole_number(request: Request, name: str, *, default: int, low: int, high: int) -> int:
    """A whole number from the query.

    Raises
    ------
    InvalidInput
        If it is none, or out of its range.
    """
    text = request.query_params.get(name)
    if text is None:
        return default
    if text.isascii() and text.isdigit() and len(text) < 19 and low <= int(text) <= high:
        return int(text)
    raise InvalidInput({name: f"{text[:40]!r} is not a whole number from {low} to {high}."})


class CursorPagination(pagination.CursorPagination):
    """Pages of rows, newest first; a row added meanwhile does not shift those that follow."""

    page_size = 100
    page_size_query_param = "limit"
    page_size_query_description = f"Rows on a page, at most {LARGEST_PAGE}."
    max_page_size = LARGEST_PAGE
    ordering: Any = ("-created_at", "id")

    def get_schema_operation_parameters(self, view: Any) -> list[dict[str, Any]]:
        parameters = super().get_schema_operation_parameters(view)
        for parameter in parameters:
            if parameter["name"] == "limit":
                parameter["schema"] |= {"minimum": 1, "maximum": LARGEST_PAGE, "default": self.page_size}
        return parameters

    def get_page_size(self, request: Request) -> int:
        return whole_number(
            request, "limit", default=int(self.page_size or LARGEST_PAGE), low=1, high=LARGEST_PAGE
        )

    def paginate_queryset(self, queryset: Any, request: Request, view: Any = None) -> list[Any] | None:
        try:
            return super().paginate_queryset(queryset, request, view)
        except InvalidInput:
            raise
        except (
            NotFound,
            ValueError,
            TypeError,
            OverflowError,
            ValidationError,
        ) as error:  # no value of the column
            raise InvalidInput({"cursor": _BAD_CURSOR}) from error

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        link = {"type": ["string", "null"], "format": "uri"}
        return {
            "type": "object",
            "required": ["next", "previous", "results"],
            "properties": {"next": link, "previous": link, "results": schema},
        }


class TrialPagination(CursorPagination):
    """Trials in the order in which they were asked for."""

    ordering = ("number",)


class BoardPagination(CursorPagination):
    """Pages of a list that is ranked anew each time: the cursor is a position on it."""

    page_size = LARGEST_PAGE

    def paginate_queryset(self, queryset: Any, request: Request, view: Any = None) -> list[Any]:
        limit = self.get_page_size(request)
        start = whole_number(request, "cursor", default=0, low=0, high=10**9)
        self._address = request.build_absolute_uri()
        self._next = start + limit if start + limit < len(queryset) else None
        self._previous = max(start - limit, 0) if start else None
        return list(queryset[start : start + limit])

    def get_next_link(self) -> str | None:
        return self._link(self._next)

    def get_previous_link(self) -> str | None:
        return self._link(self._previous)

    def _link(self, position: int | None) -> str | None:
        if position is None:
            return None
        return replace_query_param(self._address, "cursor", str(position))


_BAD_CURSOR = "This cursor is not one of ours. Take it from `next` or `previous` of a page, or leave it out."
