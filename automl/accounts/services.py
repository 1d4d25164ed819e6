"""Tokens and sign-in links: how people and their programs prove who they are."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.conf import settings
from django.core import signing
from django.db import transaction
from django.utils import timezone
from knox.models import get_token_model

from automl.accounts.models import User

SIGN_IN_SALT = "automl.accounts.sign-in"
SHOWN_CHARACTERS = 8


@dataclass(frozen=True, slots=True)
class TokenEntry:
    """What may be shown of a token once it has been handed out: never the token itself."""

    key: str
    created_at: datetime
    expires_at: datetime | None

    @property
    def shown(self) -> str:
        """Its first characters, by which the owner tells tokens apart."""
        return self.key[:SHOWN_CHARACTERS] + "…"


def get_or_create_user(username: str) -> User:
    """The user of that name; a new one has no password and signs in by link."""
    with transaction.atomic():
        user, created = User.objects.get_or_create(username=username)
        if created:
            user.set_unusable_password()
            user.save(update_fields=["password"])
    return user


def create_token(user: User) -> str:
    """Make a token. Only its hash is kept, so this is the one time it can be seen."""
    _, token = get_token_model().objects.create(user=user)
    return str(token)


def token_for(username: str) -> str:
    """Make a token for the user of that name, and the user if there is none."""
    return create_token(get_or_create_user(username))


def list_tokens(user: User) -> list[TokenEntry]:
    """The user's tokens that still work, newest first."""
    now = timezone.now()
    tokens = get_token_model().objects.filter(user=user).order_by("-created")
    return [
        TokenEntry(key=t.token_key, created_at=t.created, expires_at=t.expiry)
        for t in tokens
        if t.expiry is None or t.expiry > now
    ]


def revoke_token(user: User, key: str) -> bool:
    """End a token of the user at once; False if there is none with that key."""
    deleted, _ = get_token_model().objects.filter(user=user, token_key=key).delete()
    return bool(deleted)


def make_sign_in_link(user: User) -> str:
    """A link that signs the user in once.

    No row is kept: the signature covers the password and the last sign-in, so that using the link,
    signing in otherwise or changing the password ends it. It also ends by itself after
    `settings.SIGN_IN_LINK_SECONDS`.
    """
    value = _signed_value(user)
    token = _signer().sign(value).removeprefix(f"{value}:")
    return f"{settings.PUBLIC_URL}/sign-in/{user.pk.hex}/{token}/"


def check_sign_in_link(uid: str, token: str) -> User | None:
    """Whom the link would sign in. Changes nothing, so that a preview of the link does not use it up."""
    try:
        user = User.objects.get(pk=uuid.UUID(uid), is_active=True)
        _signer().unsign(f"{_signed_value(user)}:{token}", max_age=settings.SIGN_IN_LINK_SECONDS)
    except (ValueError, User.DoesNotExist, signing.BadSignature):
        return None
    return user


def redeem_sign_in_link(uid: str, token: str) -> User | None:
    """Use the link up and give its user, or None if it is wrong, old or used."""
    user = check_sign_in_link(uid, token)
    if user is None:
        return None
    # Two requests with the same link: only one of them finds last_login as the link knew it.
    now = timezone.now()
    if not User.objects.filter(pk=user.pk, last_login=user.last_login).update(last_login=now):
        return None
    user.last_login = now
    return user


def _signer() -> signing.TimestampSigner:
    return signing.TimestampSigner(salt=SIGN_IN_SALT)


def _signed_value(user: Any) -> str:
    last = user.last_login.isoformat() if user.last_login else "never"
    return f"{user.pk.hex}|{user.password}|{last}"
