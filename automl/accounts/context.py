"""What every page may know of accounts."""

from __future__ import annotations

from django.conf import settings
from django.http import HttpRequest


def signup_open(request: HttpRequest) -> dict[str, bool]:
    """Whether people may sign up by themselves."""
    return {"signup_open": settings.SIGNUP_OPEN}
