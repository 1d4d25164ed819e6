"""Whether this worker was told to leave: one byte that its pool processes share with it.

A signal reaches the worker's main process only, while its pool processes wait for fits. Each of them looks at
this byte a few times a second, gives its lease back, and is free to end.
"""

from __future__ import annotations

import mmap

# Anonymous memory, shared with every process forked after this module was imported.
_asked = mmap.mmap(-1, 1)
_asked_here = False


def ask() -> None:
    """Have every process of this worker give back what it holds; safe in a signal's handler."""
    _asked[0] = 1


def ask_here() -> None:
    """Have this process alone give back what it holds."""
    global _asked_here  # noqa: PLW0603 - a process is told once
    _asked_here = True


def is_asked_here() -> bool:
    """Whether this process alone was asked."""
    return _asked_here


def take_back() -> None:
    """Forget that anybody asked."""
    global _asked_here
    _asked[0], _asked_here = 0, False


def is_asked() -> bool:
    """Whether no new work may begin, and what is at work must be given back."""
    return _asked_here or bool(_asked[0])
