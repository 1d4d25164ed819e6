"""What a job may use, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

Status = Literal["ok", "error", "stopped", "timeout", "memory", "storage", "crashed", "cancelled"]


@dataclass(frozen=True, slots=True)
class Limits:
    """What one job may use; None is no limit.

    Attributes
    ----------
    seconds : float or None
        Wall seconds, counted from the fork.
    memory_bytes : int or None
        Memory beside what is shared with the warm server and beside mapped files.
    """

    seconds: float | None = None
    memory_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one job.

    Attributes
    ----------
    status : str
        ``ok``; ``error``: the job raised; ``stopped``: it ended itself after being told to;
        ``timeout`` and ``memory``: it went over a limit and was killed; ``crashed``: its process
        died; ``storage``: the disk was full, or could not be written; ``cancelled``: `on_tick` said so.
    result : dict or None
        What the job returned; only with ``ok``.
    error : str or None
        One sentence for people; None with ``ok``.
    user_error : bool
        The job raised `UserError`: `error` is its text, and the user can put it right.
    detail : str
        Traceback, or the last of what the job printed; for the log.
    seconds : float
        Wall seconds from the fork to the end.
    peak_bytes : int
        The most memory seen.
    signal : int or None
        The signal that the process died of, if it was not sent from here.
    lost : bool
        Somebody else ended the process, or its server: that says nothing about the job, which may be
        tried again.
    """

    status: Status
    result: dict[str, Any] | None = None
    error: str | None = None
    user_error: bool = False
    detail: str = ""
    seconds: float = 0.0
    peak_bytes: int = 0
    signal: int | None = None
    lost: bool = False
