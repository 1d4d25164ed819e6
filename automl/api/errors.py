"""Every error of the API has one shape: RFC 9457 `application/problem+json`."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any, TypedDict

import structlog
from django.core.exceptions import PermissionDenied, RequestDataTooBig, SuspiciousOperation
from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.template import loader
from django.views import defaults
from django.views.decorators.csrf import csrf_exempt
from rest_framework import exceptions

from automl.core import errors as core
from automl.core import storage
from automl.core.downloads import RangeNotSatisfiable
from automl.core.patience import is_away
from automl.engine.errors import UserError

log = structlog.get_logger(__name__)
PREFIX = "/api/"
MEDIA_TYPE = "application/problem+json"

BUG = "Something went wrong on our side. It has been logged; trying again may help."
NOTHING = "There is nothing here."

# Errors of the layers below, most special first.
STATUS_OF_ERROR: tuple[tuple[type[Exception], int], ...] = (
    (core.TooLarge, 413),
    (core.QuotaExceeded, 429),
    (core.Conflict, 409),
    (core.Unavailable, 503),
    (core.StorageFull, 507),
    (UserError, 422),
    (Http404, 404),
    (RequestDataTooBig, 413),
    (SuspiciousOperation, 400),
    (PermissionDenied, 403),
)
# What the status alone does not say: a rate passes, but no room is made by trying again.
GENERAL = "about:blank"
KINDS: dict[type[Exception], str] = {core.QuotaExceeded: "urn:bakeoff:quota"}


class FieldError(TypedDict):
    field: str
    message: str


class NoSuchReference(Http404):
    """The body names an object that does not exist, or is somebody else's."""

    def __init__(self, fields: dict[str, str]) -> None:
        self.fields = fields
        super().__init__(" ".join(fields.values()))


class ProblemResponse(HttpResponse):
    """An answer that says what went wrong."""

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        kind: str = GENERAL,
        errors: list[FieldError] | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        body: dict[str, Any] = {
            "type": kind,
            "title": HTTPStatus(status).phrase,
            "status": status,
            "detail": detail,
        }
        if errors:
            body["errors"] = errors
        super().__init__(json.dumps(body), content_type=MEDIA_TYPE, status=status, headers=headers)


def problem_response(error: Exception, context: dict[str, Any]) -> HttpResponseBase:
    """The answer to an exception; REST framework calls this for whatever a view raises."""
    if (found := of_surroundings(error)) is not None:
        # A mistake of ours may look the same, such as a migration that was forgotten.
        log.warning("outage", view=type(context.get("view")).__name__, error=str(error), exc_info=error)
        error = found
    answer = _of_fields(error) or _refusal(error)
    if answer is None:
        log.exception("unhandled_error", view=type(context.get("view")).__name__, exc_info=error)
        answer = ProblemResponse(500, BUG)
    return answer


def of_surroundings(error: BaseException) -> UserError | None:
    """What people are told of an error for which neither they nor we are to blame: database, disk."""
    return core.DatabaseAway() if is_away(error) else storage.trouble(error)


def outage(request: HttpRequest, error: BaseException) -> HttpResponseBase | None:
    """The answer to such an error, in the shape that belongs to the address; None if it is none.

    The page is drawn without a user or a session: they are in the database.
    """
    found = error if isinstance(error, core.Unavailable | core.StorageFull) else of_surroundings(error)
    if found is None:
        return None
    status = 507 if isinstance(found, core.StorageFull) else 503
    headers = _headers(found)
    if request.path.startswith(PREFIX):
        return ProblemResponse(status, str(found), headers=headers)
    page = loader.get_template("outage.html").render({"status": status, "error": str(found)})
    return HttpResponse(page, status=status, headers=headers)


def _of_fields(error: Exception) -> ProblemResponse | None:
    """The answer to an error that belongs to fields of the request."""
    if isinstance(error, exceptions.ValidationError):
        found = list(_flatten(error.detail))
    elif isinstance(error, core.InvalidInput | NoSuchReference):
        found = [FieldError(field=f, message=m) for f, m in error.fields.items()]
    else:
        return None
    status = 404 if isinstance(error, NoSuchReference) else 422
    return ProblemResponse(status, _sentence(found), errors=[e for e in found if e["field"]])


def _refusal(error: Exception) -> ProblemResponse | None:
    """The answer to any other error that is meant for the client."""
    if isinstance(error, exceptions.APIException):
        return ProblemResponse(error.status_code, _detail(error), headers=_headers(error))
    if isinstance(error, RangeNotSatisfiable):
        return ProblemResponse(416, str(error), headers={"Content-Range": f"bytes */{error.size}"})
    for kind, status in STATUS_OF_ERROR:
        if isinstance(error, kind):
            headers, detail = _headers(error), str(error) or NOTHING
            return ProblemResponse(status, detail, kind=KINDS.get(kind, GENERAL), headers=headers)
    return None


def _detail(error: exceptions.APIException) -> str:
    if isinstance(error, exceptions.MethodNotAllowed):
        return f"{error.detail} The header Allow lists what this address answers to."
    text = str(error.detail)
    return text if text.endswith(".") else f"{text}."


def _headers(error: Exception) -> dict[str, str]:
    headers = {}
    if challenge := getattr(error, "auth_header", None):
        headers["WWW-Authenticate"] = challenge
    wait = getattr(error, "retry_after", None) or getattr(error, "wait", None)
    if wait:
        headers["Retry-After"] = str(max(1, round(wait)))
    return headers


def _flatten(detail: Any, field: str = "") -> Iterator[FieldError]:
    """One entry for each message; the field of a nested one is its path, such as `columns.0.kind`."""
    if isinstance(detail, dict):
        for name, inner in detail.items():
            own = field if name == "non_field_errors" else f"{field}.{name}" if field else str(name)
            yield from _flatten(inner, own)
    elif isinstance(detail, list):
        for position, inner in enumerate(detail):
            nested = isinstance(inner, dict | list)
            yield from _flatten(inner, f"{field}.{position}" if nested and field else field)
    else:
        yield FieldError(field=field, message=str(detail))


def _sentence(found: list[FieldError]) -> str:
    return " ".join(f"{e['field']}: {e['message']}" if e["field"] else e["message"] for e in found)


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponseBase:
    if request.path.startswith(PREFIX):
        return ProblemResponse(400, "The request could not be understood.")
    return defaults.bad_request(request, exception)


def permission_denied(request: HttpRequest, exception: Exception) -> HttpResponseBase:
    if request.path.startswith(PREFIX):
        return ProblemResponse(403, "This is not allowed.")
    return defaults.permission_denied(request, exception)


@csrf_exempt
def nothing_here(request: HttpRequest, rest: str = "") -> HttpResponseBase:
    """Any address that is none. Not a redirect to the one with a slash: a POST would become a GET."""
    slash = "" if request.path.endswith("/") else " Every address of the API ends with a slash."
    return ProblemResponse(404, f"There is nothing at {request.path}.{slash}")


def page_not_found(request: HttpRequest, exception: Exception) -> HttpResponseBase:
    if request.path.startswith(PREFIX):
        return nothing_here(request)
    return defaults.page_not_found(request, exception)


def server_error(request: HttpRequest) -> HttpResponseBase:
    # Middleware met it, before or after the view: sessions are in the database, uploads on the disk.
    error = sys.exc_info()[1]
    if error is not None and (answer := outage(request, error)):
        return answer
    if request.path.startswith(PREFIX):
        return ProblemResponse(500, BUG)
    return defaults.server_error(request)
