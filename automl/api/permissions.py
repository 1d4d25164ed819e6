"""Who is asking: a program with a token, or a browser that is signed in."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from django.db.models import Q, QuerySet
from django.utils import timezone
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from knox.auth import TokenAuthentication
from knox.crypto import hash_token
from knox.models import AuthToken
from rest_framework.authentication import SessionAuthentication
from rest_framework.exceptions import AuthenticationFailed

from automl.accounts.models import User
from automl.core.compiled import CompiledQuery


def _holders(digest: str, now: datetime) -> QuerySet[User]:
    lasting = Q(auth_token_set__expiry=None) | Q(auth_token_set__expiry__gt=now)
    return User.objects.filter(lasting, auth_token_set__digest=digest)


_HOLDERS = CompiledQuery(
    _holders,
    digest=(AuthToken._meta.get_field("digest"), "the digest"),
    now=(AuthToken._meta.get_field("expiry"), datetime(1999, 1, 1, tzinfo=UTC)),
)


class BearerToken(TokenAuthentication):  # type: ignore[misc]
    """`Authorization: Bearer TOKEN`, looked up by its hash, which is all that is stored of it."""

    def authenticate_credentials(self, token: bytes) -> tuple[User, None]:
        if not token.isascii():
            raise AuthenticationFailed("The token is not one of ours.")
        # Knox looks through all tokens of the user here, and has each query compiled anew.
        found = _HOLDERS.ask(digest=hash_token(token.decode()), now=timezone.now())
        if not found:
            raise AuthenticationFailed("Invalid token.")
        if not found[0].is_active:
            raise AuthenticationFailed("User inactive or deleted.")
        return found[0], None


class BrowserSession(SessionAuthentication):
    """The session of the pages; what changes something needs the CSRF token."""


class BearerTokenScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    target_class = BearerToken
    name = "token"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {
            "type": "http",
            "scheme": "bearer",
            "description": "From the account page, or `python manage.py token USERNAME`.",
        }


class BrowserSessionScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    target_class = BrowserSession
    name = "session"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {"type": "apiKey", "in": "cookie", "name": "sessionid"}
