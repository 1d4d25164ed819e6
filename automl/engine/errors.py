"""The exceptions of the engine: who reads them decides what they say."""


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
