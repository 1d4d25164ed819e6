"""Errors that people can act on; the API and the pages each give them their shape."""

from __future__ import annotations

from collections.abc import Mapping

from automl.engine.errors import UserError


class InvalidInput(UserError):
    """Something posted can't be used. `fields` maps a field's name to what is wrong with it."""

    def __init__(self, fields: Mapping[str, str]) -> None:
        self.fields = dict(fields)
        super().__init__(" ".join(self.fields.values()))


class TooLarge(UserError):
    """What was sent is over a limit of size (HTTP 413)."""


class QuotaExceeded(UserError):
    """The user has as much as they may have at once (HTTP 429)."""

    def __init__(self, message: str, *, retry_after: int = 60) -> None:
        self.retry_after = retry_after
        super().__init__(message)


class Conflict(UserError):
    """The object's state does not allow this now (HTTP 409)."""


class Unavailable(UserError):
    """A part of the service that this needs is not there just now (HTTP 503)."""

    def __init__(self, message: str, *, retry_after: int = 5) -> None:
        self.retry_after = retry_after
        super().__init__(message)


class StorageFull(UserError):
    """The disk has no room for what this needs (HTTP 507)."""

    retry_after = 60


class StorageUnavailable(Unavailable):
    """The files can't be written, or not be read, just now (HTTP 503)."""


class DatabaseAway(Unavailable):
    """The database does not answer just now (HTTP 503)."""

    def __init__(self) -> None:
        super().__init__(
            "The database does not answer just now. Nothing was changed. Searches that run go on, and this "
            "works again as soon as it is back: try again in a few seconds."
        )
