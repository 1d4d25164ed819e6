"""The warm process of a seat: it has imported everything, started nothing, and forks one child a job.

Run as ``python -m automl.engine.isolation.server FD``, where FD is its end of a socket to its owner.
It never fits, never predicts and starts no thread, because a fork keeps only the thread that forked:
locks held by the others, OpenMP's among them, would stay locked in the child for ever.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import select
import signal
import socket
import sys
import time
from collections.abc import Iterable
from typing import Any, NoReturn

from automl.engine.isolation import child

PRELOADED = (
    "numpy",
    "scipy.sparse",
    "scipy.stats",
    "pandas",
    "pyarrow.ipc",
    "pyarrow.csv",
    "pyarrow.parquet",
    "sklearn.calibration",
    "sklearn.compose",
    "sklearn.dummy",
    "sklearn.ensemble",
    "sklearn.feature_extraction.text",
    "sklearn.impute",
    "sklearn.inspection",
    "sklearn.kernel_approximation",
    "sklearn.linear_model",
    "sklearn.metrics",
    "sklearn.model_selection",
    "sklearn.neighbors",
    "sklearn.neural_network",
    "sklearn.pipeline",
    "sklearn.preprocessing",
    "lightgbm",
    "xgboost",
    "catboost",
    "skops.io",
    "automl.engine.learners",
    "automl.engine.inference",
    "automl.engine.profiling",
    "automl.engine.preparation",
    "automl.engine.evaluation",
    "automl.engine.blending",
    "automl.engine.bundle",
    "automl.engine.jobs",
)
# How often an idle server looks whether its owner lives: the socket tells at once, unless a process
# that the owner forked holds the other end open.
OWNER_CHECK_MS = 1000


class Server:
    """Answers the owner's messages: fork a job, kill it."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._owner = os.getppid()
        self._child: int | None = None
        self._pidfd = -1
        self._job = 0

    def warm(self, modules: Iterable[str]) -> None:
        """Import the libraries, then tell the owner that jobs are welcome."""
        began = time.monotonic()
        missing: dict[str, str] = {}
        for module in modules:
            self._check_owner()
            try:
                importlib.import_module(module)
            except Exception as error:  # noqa: BLE001, RUF100 - a broken library costs its learner, not the seat
                missing[module] = f"{type(error).__name__}: {error}"
        gc.collect()
        # Collecting in a fork would touch, and so copy, every page that it shares with the server.
        gc.freeze()
        self._tell(event="ready", seconds=time.monotonic() - began, threads=_threads(), missing=missing)

    def loop(self) -> None:
        """Serve until the owner is gone."""
        while True:
            poll = select.poll()
            poll.register(self._control, select.POLLIN)
            if self._child is not None:
                poll.register(self._pidfd, select.POLLIN)
            ready = dict(poll.poll(OWNER_CHECK_MS))
            self._check_owner()
            if self._pidfd in ready:
                self._reap()
            elif self._control.fileno() in ready:
                self._obey()

    def _obey(self) -> None:
        try:
            message, fds, _, _ = socket.recv_fds(self._control, 4096, 2)
        except ConnectionResetError:  # closed by an owner who had not read all of our news
            self._leave()
        word, _, number = message.partition(b" ")
        if not word:
            self._leave()
        if self._child is not None:
            _kill_group(self._child)
        if word == b"fork":
            # A child of before has given its result, or was left by an owner who was interrupted.
            self._reap()
            self._job = int(number)
            self._fork(*fds)

    def _fork(self, talk: int, output: int) -> None:
        server, threads = os.getpid(), _threads()
        pid = os.fork()
        if pid == 0:
            self._control.close()
            child.serve(socket.socket(fileno=talk), output, server=server)
        os.close(talk)
        os.close(output)
        self._child = pid
        self._pidfd = os.pidfd_open(pid)
        self._tell(event="started", job=self._job, pid=pid, threads=threads)

    def _reap(self) -> None:
        pid = self._child
        if pid is None:
            return
        # Not reaped yet, its number is still its own: nobody else's group can be hit.
        ended = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        _kill_group(pid)
        os.waitpid(pid, 0)
        os.close(self._pidfd)
        self._child, self._pidfd = None, -1
        assert ended is not None  # it only is with WNOHANG
        how = "code" if ended.si_code == os.CLD_EXITED else "signal"
        self._tell(event="exited", job=self._job, **{how: ended.si_status})

    def _check_owner(self) -> None:
        if os.getppid() != self._owner:
            self._leave()

    def _leave(self) -> NoReturn:
        if self._child is not None:
            _kill_group(self._child)
        os._exit(0)

    def _tell(self, **message: Any) -> None:
        try:
            self._control.send(json.dumps(message).encode())
        except OSError:
            self._leave()


def _kill_group(pid: int) -> None:
    for kill in (os.killpg, os.kill):  # the child may not have a group of its own yet
        with contextlib.suppress(ProcessLookupError, PermissionError):
            kill(pid, signal.SIGKILL)


def _threads() -> int:
    return len(os.listdir("/proc/self/task"))  # noqa: PTH208 - read at every fork: the cheap way


def main() -> None:
    """Start with the socket named on the command line."""
    control = socket.socket(fileno=int(sys.argv[1]))
    control.set_inheritable(False)
    server = Server(control)
    server.warm(PRELOADED if "--preload" in sys.argv else ())
    server.loop()


if __name__ == "__main__":
    main()
