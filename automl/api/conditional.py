"""Polling is cheap: every GET has an ETag, and what the client already has is answered by 304."""

from __future__ import annotations

import hashlib
from typing import Any

from automl import __version__


def weak_etag(*parts: Any) -> str:
    """A tag of what a body is made from.

    Weak, because the figures that move by themselves (elapsed seconds) may differ under one tag. The
    release is a part of it: another one may write the same row differently.
    """
    text = "\0".join(str(part) for part in (__version__, *parts))
    return f'W/"{hashlib.sha256(text.encode()).hexdigest()[:32]}"'
