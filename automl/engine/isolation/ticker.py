"""Asks whether a job may go on, in a thread of its own: what is asked may have to wait for a database."""

from __future__ import annotations

import contextvars
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

OnTick = Callable[[float], bool]
TICK_SECONDS = 0.25


class Ticker:
    """Asks `on_tick` about four times a second, never twice at once.

    Parameters
    ----------
    thread : ThreadPoolExecutor
        Of one thread, kept by the seat: connections to a database belong to a thread.
    on_tick : callable or None
        Called with the seconds since the start; its answer False means that the job must end.
    """

    def __init__(self, thread: ThreadPoolExecutor, on_tick: OnTick | None) -> None:
        self._thread = thread
        self._on_tick = on_tick
        self._asked: Future[bool] | None = None
        self._next = 0.0

    def may_go_on(self, elapsed: float) -> bool:
        """Tell the latest answer, and ask again when it is time; raises what `on_tick` raised."""
        if self._on_tick is None:
            return True
        if self._asked is not None:
            if not self._asked.done():
                return True
            asked, self._asked = self._asked, None
            if not asked.result():
                return False
        if elapsed >= self._next:
            self._next = elapsed + TICK_SECONDS
            # What is logged meanwhile is about the same trial.
            self._asked = self._thread.submit(contextvars.copy_context().run, self._on_tick, elapsed)
        return True

    def wait(self) -> None:
        """Let the last question end: its answer is of no interest any more."""
        if self._asked is not None:
            self._asked.exception()
            self._asked = None
