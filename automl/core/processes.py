"""Processes that can't outlive the one that started them.

Three nets: the kernel kills a direct child when its parent dies (Linux); a mark in the
environment, inherited by every descendant, tells whom to kill; and a guard, a process of
its own, does so when the supervisor is gone, however it died.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence

import psutil

MARK = "BAKEOFF_SERVICE"
_PR_SET_PDEATHSIG = 1


def die_with_parent() -> Callable[[], None] | None:
    """What a new child must call before it becomes another program, where the kernel knows how."""
    if sys.platform != "linux":
        return None
    libc = ctypes.CDLL(None, use_errno=True)
    parent = os.getpid()

    def ask() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it died before the kernel was asked
            os._exit(1)

    return ask


def find(mark: str) -> list[psutil.Process]:
    """The living processes whose mark begins with `mark`, and their descendants."""
    found: dict[int, psutil.Process] = {}
    others: list[tuple[int, psutil.Process]] = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.pid == os.getpid() or process.status() == psutil.STATUS_ZOMBIE:
                continue
            if _mark_of(process).startswith(mark):
                found[process.pid] = process
            else:
                others.append((process.ppid(), process))
    # One whose environment was swept clean is still somebody's child.
    while adopted := {process.pid: process for parent, process in others if parent in found}:
        found.update(adopted)
        others = [(parent, process) for parent, process in others if process.pid not in found]
    return list(found.values())


def end(mark: str, *, seconds: float = 5.0) -> int:
    """Kill every process that carries the mark; the number of them."""
    killed: set[int] = set()
    deadline = time.monotonic() + seconds
    while processes := find(mark):
        for process in processes:
            killed.add(process.pid)
            with contextlib.suppress(psutil.Error):
                process.kill()
        if time.monotonic() > deadline:
            break
        time.sleep(0.02)  # one that was just about to fork is met in the next round
    return len(killed)


def start_guard(mark: str, *, keep: Sequence[int] = ()) -> subprocess.Popen[bytes]:
    """Start the process that ends everything with the mark as soon as this one is gone.

    `keep` are open files it holds until it has done so: the lock on the service's folder.
    """
    environment = {name: value for name, value in os.environ.items() if name != MARK}
    return subprocess.Popen(  # noqa: S603 - our own module
        # -P: the folder of this file, full of modules with common names, stays out of the path.
        [sys.executable, "-P", __file__, mark],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        env=environment,
        pass_fds=keep,
        start_new_session=True,
    )


def stand_guard(mark: str) -> None:
    """Wait until the supervisor's end of the pipe closes, then end what it left."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    sys.stdin.buffer.read()
    end(mark)


def _mark_of(process: psutil.Process) -> str:
    """The mark of a process, or nothing where it may not be read."""
    with contextlib.suppress(psutil.AccessDenied):
        return process.environ().get(MARK, "")
    return ""


if __name__ == "__main__":
    stand_guard(sys.argv[1])
