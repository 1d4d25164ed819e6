"""What can go wrong when one talks to the service, by what one can do about it."""

from __future__ import annotations

from typing import Any

import httpx


class ClientError(Exception):
    """Base of all that the client raises on purpose."""


class ConnectionFailed(ClientError):
    """The service did not answer."""


class WaitTimeout(ClientError):
    """What was waited for did not end in time; it goes on all the same."""


class WorkFailed(ClientError):
    """What was waited for ended without a result; the text says why."""


class DownloadDamaged(ClientError):
    """The bytes that arrived are not those that the service has."""


class ApiError(ClientError):
    """The service refused.

    Attributes
    ----------
    status : int
        The HTTP status.
    detail : str
        What was wrong, in words.
    errors : list of dict
        ``{"field", "message"}`` for each field that could not be used.
    """

    def __init__(self, status: int, detail: str, errors: list[dict[str, str]] | None = None) -> None:
        self.status, self.detail, self.errors = status, detail, errors or []
        super().__init__(f"{detail} (HTTP {status})")


class Unauthorized(ApiError):
    """The token is missing, wrong or revoked."""


class NotFound(ApiError):
    """There is no such object among yours."""


class ConflictError(ApiError):
    """The object's state does not allow this now."""


class InvalidRequest(ApiError):
    """A field could not be used; ``errors`` names it."""


class TooManyRequests(ApiError):
    """A rate is used up, or a quota."""


class QuotaExceeded(TooManyRequests):
    """You have as much as you may have at once: delete something, or wait until something ends."""


BY_STATUS: dict[int, type[ApiError]] = {
    400: InvalidRequest,
    401: Unauthorized,
    404: NotFound,
    409: ConflictError,
    413: InvalidRequest,
    415: InvalidRequest,
    422: InvalidRequest,
    429: TooManyRequests,
}
BY_TYPE: dict[str, type[ApiError]] = {"urn:bakeoff:quota": QuotaExceeded}


def error_of(response: httpx.Response) -> ApiError:
    """Give the exception that an answer stands for; its body has been read."""
    try:
        body: Any = response.json()
    except ValueError:
        body = None
    if not isinstance(body, dict) or "detail" not in body:
        # Not from our service: a proxy in between, or another server at that address.
        body = {"detail": f"{response.request.url} answered {response.reason_phrase or 'an error'}."}
    kind = BY_TYPE.get(str(body.get("type"))) or BY_STATUS.get(response.status_code, ApiError)
    return kind(response.status_code, str(body["detail"]), body.get("errors"))
