"""Live fragments: one partial, shown by the page and by the view that the page polls.

The fragment says what state it shows by a stamp, which the next poll sends back. Nothing new is
answered by 204; the last state by htmx's 286, which ends the polling.
"""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

NOTHING_NEW = 204
STOP_POLLING = 286


def stamp_of(*parts: object) -> str:
    """What the fragment stands for: every part that its reader can see change."""
    return ".".join(str(part) for part in parts)


def is_current(request: HttpRequest, stamp: str) -> bool:
    """Whether the browser shows this state already."""
    return request.GET.get("version") == stamp


def fragment(request: HttpRequest, template: str, context: dict[str, Any], *, final: bool) -> HttpResponse:
    """The fragment, if it differs from what the browser has. `context` holds the stamp as `stamp`."""
    if not final and is_current(request, context["stamp"]):
        answer = HttpResponse(status=NOTHING_NEW)
    else:
        answer = render(request, template, context, status=STOP_POLLING if final else 200)
    answer.headers["Cache-Control"] = "no-store"
    return answer
