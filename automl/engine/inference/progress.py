"""A line on the terminal that says how far a prediction is."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TextIO

WIDTH = 24
# On a terminal the line is written over; elsewhere every one of them stays.
SECONDS = 0.1
SECONDS_OF_A_LOG = 5.0


class Progress:
    """Tells rows, share, speed and what is left.

    Parameters
    ----------
    out : file
    is_shown : bool or None
        None shows it on a terminal only.
    clock : callable
        Seconds, from whenever.
    """

    def __init__(
        self, out: TextIO, is_shown: bool | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._out, self._clock = out, clock
        self._is_terminal = out.isatty()
        self._is_shown = self._is_terminal if is_shown is None else is_shown
        self._start = self._last = clock()
        self._width = 0

    def tell(self, rows: int, share: float, *, is_last: bool = False) -> None:
        """Say that so many rows are done, which is that share of the file."""
        now = self._clock()
        pause = SECONDS if self._is_terminal else SECONDS_OF_A_LOG
        if not self._is_shown or (now - self._last < pause and not is_last):
            return
        self._last = now
        line = describe(rows, 1.0 if is_last else share, now - self._start)
        if self._is_terminal:
            end = "\n" if is_last else ""
            self._out.write(f"\r{line.ljust(self._width)}{end}")
            self._width = len(line)
        else:
            self._out.write(line + "\n")
        self._out.flush()

    def leave(self) -> None:
        """End the line, so that what is said next begins a new one."""
        if self._width:
            self._out.write("\n")


def describe(rows: int, share: float, seconds: float) -> str:
    """Give the line for so many rows after so many seconds."""
    bar = "#" * round(share * WIDTH)
    speed = f"{rows / seconds:,.0f} rows/s" if seconds > 0 else ""
    left = clock_time(seconds / share - seconds) if 0 < share < 1 else clock_time(seconds)
    what = "left" if 0 < share < 1 else "in all"
    return f"[{bar.ljust(WIDTH, '-')}] {share:4.0%}  {rows:,} rows  {speed}  {left} {what}"


def clock_time(seconds: float) -> str:
    """Give minutes and seconds, and hours where there are some."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
