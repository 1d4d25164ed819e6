"""Who is asking: a program with a token, or a browser that is signed in."""

from __future__ import annotations

from typing import Any

from django.utils import timezone
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from knox.auth import TokenAuthentication
from rest_framework.authentication import SessionAuthentication
from rest_framework.exceptions import AuthenticationFailed


class BearerToken(TokenAuthentication):  # type: ignore[misc]
    """`Authorization: Bearer TOKEN`, looked up by its first characters and compared by its hash."""

    def authenticate_credentials(self, token: bytes) -> Any:
        if not token.isascii():
            raise AuthenticationFailed("The token is not one of ours.")
        return super().authenticate_credentials(token)

    def _cleanup_token(self, auth_token: Any) -> bool:
        # Knox looks through all tokens of the user here, a query on every request.
        return auth_token.expiry is not None and auth_token.expiry < timezone.now()


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
