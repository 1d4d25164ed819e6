from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.core.paginator import Page, Paginator
from django.db.models import Count, QuerySet, Window
from django.http import HttpRequest


def page_of(request: HttpRequest, rows: QuerySet[Any] | Sequence[Any], size: int) -> Page[Any]:
    """The page that `?page=` names, or the form that was sent; the nearest one if there is no such page.

    How many rows of a query there are comes with them, so that the table is read once.
    """
    asked = request.GET.get("page") or request.POST.get("page", "1")
    if not isinstance(rows, QuerySet):
        return Paginator(rows, size).get_page(asked)
    number = min(max(int(asked[:7]), 1), 10**6) if asked.isdecimal() else 1
    counted = rows.annotate(rows_in_all=Window(Count("pk")))
    found = list(counted[(number - 1) * size : number * size])
    if not found:
        # Nothing at all, or a page after the last one.
        return Paginator(rows, size).get_page(asked)
    paginator = Paginator(rows, size)
    paginator.count = found[0].rows_in_all
    return Page(found, number, paginator)
