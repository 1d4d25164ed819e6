"""Requests that survive a restart of the service: what is safe to repeat is repeated."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import httpx

from automl.client.errors import ConnectionFailed, QuotaExceeded, WaitTimeout, error_of

BASE = "/api/v1/"
# Answers of a service that is busy or being restarted.
PASSING = frozenset({429, 502, 503, 504})
# Of these, what is answered before anything is done.
UNTOUCHED = frozenset({429, 503})
UNSENT = (httpx.ConnectError, httpx.ConnectTimeout)
LONGEST_PAUSE = 30.0
IDEMPOTENT = frozenset({"GET", "HEAD", "DELETE", "PUT"})


class Transport:
    """One connection pool, one token, and how often to try.

    Parameters
    ----------
    url : str
        Where the service is, such as ``http://127.0.0.1:8000``.
    token : str
    timeout : float
        Seconds to wait for each part of an answer.
    retries : int
        How often a request is repeated when the service is away or busy.
    """

    def __init__(self, url: str, token: str, *, timeout: float = 60.0, retries: int = 5) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.netloc:
            raise ValueError(f"{url!r} is no address of a service; give one such as http://127.0.0.1:8000.")
        root = url.rstrip("/").removesuffix(BASE.rstrip("/"))
        self.retries = retries
        self.http = httpx.Client(
            base_url=root + BASE,
            timeout=httpx.Timeout(timeout, connect=min(timeout, 10.0)),
            headers={"Authorization": f"Bearer {token}"},
        )

    def get(self, path: str, **params: Any) -> Any:
        """Give the JSON at an address."""
        return self.call("GET", path, params={k: v for k, v in params.items() if v is not None}).json()

    def post(self, path: str, body: dict[str, Any] | None = None) -> Any:
        """Post JSON and give the JSON of the answer; repeated, the work is done once."""
        return self.call("POST", path, json={} if body is None else body).json()

    def pages(self, path: str, *, limit: int | None = None) -> Iterator[Any]:
        """Walk over a list, page by page."""
        page = self.get(path, limit=limit)
        yield from page["results"]
        while page["next"]:
            page = self.get(page["next"])
            yield from page["results"]

    def call(
        self,
        method: str,
        path: str,
        *,
        make: Callable[[], dict[str, Any]] | None = None,
        changes: bool = True,
        again: bool = True,
        take: Callable[[httpx.Response], None] | None = None,
        **request: Any,
    ) -> httpx.Response:
        """Send a request and give the answer, or raise what it stands for.

        Parameters
        ----------
        make : callable, optional
            Gives the body anew for each try: a file has to be read from its start.
        changes : bool
            Whether a POST changes something; one that only asks needs no key to be repeated.
        again : bool
            False for what must not be repeated, though its method may be, once it may have been done.
        take : callable, optional
            Reads the body of a good answer while it comes; anew for each try.
        """
        headers = dict(request.pop("headers", {}))
        if method == "POST" and changes:
            headers["Idempotency-Key"] = uuid.uuid4().hex
        may_repeat = method in IDEMPOTENT or not changes or "Idempotency-Key" in headers
        lost = False  # whether an answer was, so that the work may have been done
        for attempt in range(self.retries + 1):
            last = attempt == self.retries or not may_repeat
            try:
                body = make() if make else {}
                with self.http.stream(method, path, headers=headers, **request, **body) as response:
                    if take is None or response.is_error:
                        response.read()
                    else:
                        take(response)
            except httpx.TransportError as error:
                unsent = isinstance(error, UNSENT)
                if last or not (again or unsent):
                    raise unreachable(self.http, error) from error
                lost = lost or not unsent
                time.sleep(pause(attempt))
                continue
            if not response.is_error:
                return response
            if method == "DELETE" and lost and response.status_code == 404:
                return response  # by the try whose answer was lost
            refusal = error_of(response)
            untouched = refusal.status in UNTOUCHED
            if last or not (again or untouched):
                raise refusal
            if refusal.status not in PASSING or isinstance(refusal, QuotaExceeded):
                raise refusal
            lost = lost or not untouched
            time.sleep(pause(attempt, response))
        raise AssertionError("the last try returns or raises")

    def wait(
        self,
        path: str,
        *,
        done: Callable[[Any], bool],
        timeout: float | None,
        on_change: Callable[[Any], None] | None = None,
        interval: float | None = None,
    ) -> Any:
        """Poll until `done`; an answer that has not changed costs the service next to nothing."""
        deadline = None if timeout is None else time.monotonic() + timeout
        etag, body = "", None
        while True:
            response = self.call("GET", path, headers={"If-None-Match": etag} if etag else {})
            if response.status_code != 304:
                etag, body = response.headers.get("ETag", ""), response.json()
                if on_change:
                    on_change(body)
                if done(body):
                    return body
            step = interval if interval is not None else float(response.headers.get("Retry-After", 1))
            if deadline is not None and time.monotonic() + step > deadline:
                raise WaitTimeout(
                    f"{path} has not ended within {timeout:g} s. It goes on; wait for it again."
                )
            time.sleep(step)


def pause(attempt: int, response: httpx.Response | None = None) -> float:
    """Seconds before the next try: as long as the service asks for, else doubling."""
    asked = response.headers.get("Retry-After", "") if response is not None else ""
    return min(float(asked) if asked.isdigit() else 0.25 * 2**attempt, LONGEST_PAUSE)


def unreachable(http: httpx.Client, error: Exception) -> ConnectionFailed:
    """Give the exception for a service that does not answer."""
    root = str(http.base_url).removesuffix(BASE)
    return ConnectionFailed(
        f"No answer from {root}: {error or type(error).__name__}. Is the service running there?"
    )
