"""The inside of one fit's process: forked from the warm server, it runs one job and is gone."""

from __future__ import annotations

import ctypes
import faulthandler
import gc
import importlib
import json
import os
import resource
import signal
import socket
import sys
import traceback
from collections.abc import Callable
from typing import Any, NoReturn

from automl.engine.errors import Cancelled, Pruned, UserError, is_disk_full, is_storage_error
from automl.engine.isolation.limits import used_bytes

LONGEST_SENTENCE = 500
PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None)

Job = Callable[[dict[str, Any], Callable[[dict[str, Any]], str]], dict[str, Any]]


def serve(talk: socket.socket, output: int, *, server: int) -> NoReturn:
    """Take one job from the socket, run it, answer, and leave without going back to the server."""
    code = 1
    try:
        _settle(output, server)
        with talk, talk.makefile("rw", encoding="utf-8", newline="\n") as lines:
            _send(lines, {"begun": used_bytes(os.getpid())})
            last = _run(json.loads(lines.readline()), lines)
            sys.stdout.flush()
            sys.stderr.flush()
            _send(lines, last)
        code = 0
    finally:
        # Not sys.exit: the server's exit handlers are the server's, and libraries' may hang in a fork.
        os._exit(code)


def _settle(output: int, server: int) -> None:
    # A session of its own, so that the job and whatever it starts can be killed as one group.
    os.setsid()
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != server:  # it died before the line above could tell us
        os._exit(1)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.close(output)
    # Line by line, so that what was printed before a crash is seen.
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    faulthandler.enable()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    gc.enable()


def _run(request: dict[str, Any], lines: Any) -> dict[str, Any]:
    """Run the job and give the last line to send: its result, or what it raised."""

    def report(message: dict[str, Any]) -> str:
        _send(lines, {"report": message})
        return str(lines.readline().strip() or "stop")

    try:
        if os.environ.get("OMP_NUM_THREADS") != "1":
            _use(request["threads"])
        result = _find(request["job"])(request["args"], report)
        # Made here, so that a result that is no JSON is the job's error.
        return {"result": json.loads(json.dumps(result)), "used": used_bytes(os.getpid())}
    except BaseException as error:  # noqa: BLE001, RUF100 - whatever it is, it is this job's end
        return _told(error)


def _find(job: str) -> Job:
    module, _, name = job.partition(":")
    found: Job = getattr(importlib.import_module(module), name)
    return found


def _use(threads: int) -> None:
    """Let libraries use so many threads: in the server BLAS has one, and OpenMP as many as the seat."""
    from threadpoolctl import threadpool_limits

    threadpool_limits(limits=threads)


def _told(error: BaseException) -> dict[str, Any]:
    """Say what an exception means, in the words of `Outcome`."""
    text = str(error).strip()
    sentence = text if isinstance(error, UserError) else f"{type(error).__name__}: {text or 'no message'}"
    status = "error"
    if isinstance(error, Pruned):
        status = "stopped"
    elif isinstance(error, Cancelled):
        status = "cancelled"
    elif isinstance(error, MemoryError) or "bad_alloc" in text or "bad allocation" in text:
        status = "memory"
        sentence = "memory: more was asked for than there is; use fewer rows or columns, or a smaller model."
    elif isinstance(error, OSError) and is_storage_error(error):
        status = "storage"
        full = "The disk is full" if is_disk_full(error) else f"The disk can't be used ({error.strerror})"
        sentence = (
            f"{full}: what was computed could not be stored. Make room on it; the same may be tried again."
        )
    return {
        "failed": status,
        "error": sentence[:LONGEST_SENTENCE],
        "user_error": isinstance(error, UserError),
        "detail": "".join(traceback.format_exception(error)),
    }


def _send(lines: Any, message: dict[str, Any]) -> None:
    lines.write(json.dumps(message) + "\n")
    lines.flush()
