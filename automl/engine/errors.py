"""The exceptions of the engine: who reads them decides what they say."""

from __future__ import annotations

import errno

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_UNUSABLE = frozenset({errno.EROFS, errno.EIO, errno.ESTALE, errno.EACCES, errno.EPERM})


class EngineError(Exception):
    """Base of everything the engine raises on purpose."""


class UserError(EngineError, ValueError):
    """Something the user can put right; the text is shown to the user as it is.

    A good text says what was wrong, the value seen, and what to do.
    """


class Retryable(EngineError):
    """The surroundings failed (disk, broker, database); the same work may succeed later."""


class Pruned(EngineError):
    """A trial was stopped early because it could not win."""


class Cancelled(EngineError):
    """Somebody asked for the work to stop."""


class Damaged(UserError):
    """A file is missing, cut short or altered: it is not what was written."""


def is_disk_full(error: OSError) -> bool:
    """Whether there was no room to write."""
    # numpy counts what it could not write, and loses the number of the error (numpy#10866 is alike).
    return error.errno in _FULL or (error.errno is None and "requested and" in str(error))


def is_storage_error(error: BaseException) -> bool:
    """Whether the disk is to blame, not what was to be written: the same may work once that is mended."""
    return isinstance(error, OSError) and (is_disk_full(error) or error.errno in _UNUSABLE)
