"""A POST that is repeated with the same Idempotency-Key is answered as it was the first time."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django.core.files.uploadedfile import UploadedFile
from django.db import IntegrityError, transaction
from django.http import HttpResponse
from django.http.response import HttpResponseBase
from django.utils import timezone
from rest_framework.request import Request
from rest_framework.response import Response

from automl.accounts.models import User
from automl.api.encoding import FiniteJSONRenderer
from automl.api.errors import MEDIA_TYPE, ProblemResponse
from automl.core.errors import InvalidInput, Unavailable
from automl.core.models import IdempotentAnswer

HEADER = "Idempotency-Key"
LONGEST_KEY = 255
KEPT_HEADERS = ("Location", "Retry-After")
# Answers that say "not now": a retry is meant to find out whether it is possible by then.
TRANSIENT = frozenset({401, 403, 409, 429})
PATIENCE_SECONDS = 30.0
# A request that has not been answered for so long died with its process.
ABANDONED_SECONDS = 300.0

Handler = Callable[..., HttpResponseBase]


def idempotent(*, atomic: bool = True) -> Callable[[Handler], Handler]:
    """Make a view's POST safe to repeat.

    Parameters
    ----------
    atomic : bool
        The work and its answer are committed together, so that a process that dies in between has
        done nothing. Not for work that takes long: the one writer of SQLite would be held up.
    """

    def decorate(handler: Handler) -> Handler:
        @functools.wraps(handler)
        def answer(view: Any, request: Request, *args: Any, **kwargs: Any) -> HttpResponseBase:
            key = request.headers.get(HEADER)
            if key is None:
                return handler(view, request, *args, **kwargs)
            row, mine = _claim(request, _checked(key))
            if not mine:
                return _replay(row)
            try:
                with transaction.atomic() if atomic else contextlib.nullcontext():
                    response = handler(view, request, *args, **kwargs)
                    _keep(row, response)
            except Exception as error:
                response = view.handle_exception(error)
                _keep(row, response)
            return response

        return answer

    return decorate


def _checked(key: str) -> str:
    if not key.strip() or len(key) > LONGEST_KEY or not key.isprintable():
        raise InvalidInput({HEADER: f"The key has to have 1 to {LONGEST_KEY} printable characters."})
    return key


def fingerprint(request: Request) -> str:
    """What the request asks for, whatever the order of its fields or the multipart boundary."""
    if hasattr(request.data, "lists"):
        fields = {name: [_plain(v) for v in values] for name, values in request.data.lists()}
        body = json.dumps(fields, sort_keys=True)
    else:
        body = json.dumps(request.data, sort_keys=True)
    return hashlib.sha256(f"{request.META.get('QUERY_STRING', '')}\n{body}".encode()).hexdigest()


def _plain(value: Any) -> Any:
    if not isinstance(value, UploadedFile):
        return value
    digest = hashlib.sha256()
    for chunk in value.chunks():
        digest.update(chunk)
    value.seek(0)
    return ["file", value.name, digest.hexdigest()]


def _claim(request: Request, key: str) -> tuple[IdempotentAnswer, bool]:
    """The row of the key, and whether this request is the one to answer."""
    assert isinstance(request.user, User)
    asked = fingerprint(request)
    mine = {"user": request.user, "path": request.path, "key": key}
    give_up = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            with transaction.atomic():
                return IdempotentAnswer.objects.create(**mine, fingerprint=asked), True
        except IntegrityError:
            row = IdempotentAnswer.objects.filter(**mine).first()
        if row is None:  # the first request was refused for now, and has taken its row away
            continue
        if row.fingerprint != asked:
            raise InvalidInput(
                {HEADER: f"The key {key[:40]!r} came with another request before. Take a new key."}
            )
        if row.status or _take_over(row):
            return row, not row.status
        if time.monotonic() > give_up:
            raise Unavailable(
                "The first request with this Idempotency-Key is still being answered. Try again."
            )
        time.sleep(0.05)


def _take_over(row: IdempotentAnswer) -> bool:
    long_ago = timezone.now() - timedelta(seconds=ABANDONED_SECONDS)
    same = IdempotentAnswer.objects.filter(pk=row.pk, status=0, created_at=row.created_at)
    return row.created_at < long_ago and same.update(created_at=timezone.now()) == 1


def _keep(row: IdempotentAnswer, response: HttpResponseBase) -> None:
    if response.status_code in TRANSIENT or response.status_code >= 500:
        IdempotentAnswer.objects.filter(pk=row.pk).delete()
        return
    row.status = response.status_code
    kept = KEPT_HEADERS if isinstance(response, Response) else (*KEPT_HEADERS, "Content-Type")
    row.headers = {name: response.headers[name] for name in kept if name in response.headers}
    row.body = _body(response)
    row.save(update_fields=["status", "headers", "body"])


def _body(response: HttpResponseBase) -> Any:
    if isinstance(response, Response):
        return json.loads(FiniteJSONRenderer().render(response.data))
    assert isinstance(response, HttpResponse)
    text = response.content.decode()
    return json.loads(text) if isinstance(response, ProblemResponse) else text


def _replay(row: IdempotentAnswer) -> HttpResponseBase:
    headers = {**row.headers, "Idempotent-Replay": "true"}
    if isinstance(row.body, str):  # no JSON: a table
        return HttpResponse(row.body, status=row.status, headers=headers)
    content_type = MEDIA_TYPE if row.status >= 400 else None
    return Response(row.body, status=row.status, headers=headers, content_type=content_type)
