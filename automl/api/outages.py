"""What people and programs are told while the database is away, or the disk is full."""

from __future__ import annotations

from collections.abc import Callable

import structlog
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from automl.api.errors import PREFIX, outage
from automl.core.errors import DatabaseAway
from automl.core.watch import watch

log = structlog.get_logger(__name__)
# These tell what is wrong, so they have to be answered.
WITHOUT_DATABASE = (f"{PREFIX}v1/health/",)


class Outages:
    """Middleware: an answer that says what is away and when to come again, instead of an error of ours."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if request.path.startswith(WITHOUT_DATABASE):
            return self._get_response(request)
        if watch.is_away and (answer := outage(request, DatabaseAway())):
            return answer
        with watch.over_request():
            return self._get_response(request)

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponseBase | None:
        """Answer for a view that met an outage; anything else is not ours."""
        answer = outage(request, error)
        if answer is not None:
            log.warning("outage", error=str(error).strip(), path=request.path)
        return answer
