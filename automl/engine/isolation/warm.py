"""The owner's hold on a warm server: starting it, messages to and fro, and its end."""

from __future__ import annotations

import json
import logging
import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import automl
from automl.engine.isolation.openmp import openmp_folder

log = logging.getLogger("automl.engine.isolation")

# Importing takes seconds, on a cold and busy machine half a minute.
WARM_SECONDS = 180.0
CLOSE_SECONDS = 2.0
LONGEST_MESSAGE = 1 << 16


class ServerGone(Exception):
    """The warm server died, or can't be reached."""


class WarmServer:
    """A server process and the socket to it.

    Parameters
    ----------
    threads : int
        What the numeric libraries may use in a fit.
    preload : bool
        Import the heavy libraries before the first job.
    """

    def __init__(self, *, threads: int, preload: bool) -> None:
        self.threads = threads
        self.owner = os.getpid()
        self.is_ready = False
        self._jobs = 0
        self._began = time.monotonic()
        # Whole messages in order, each with the descriptors that belong to it.
        self.control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        command = [sys.executable, "-P", "-m", "automl.engine.isolation.server", str(theirs.fileno())]
        with theirs:
            # A session of its own: Ctrl-C in the owner's terminal is the owner's to handle.
            self._process = subprocess.Popen(  # noqa: S603 - our own module
                command + ["--preload"] * preload,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(),),
                env=environment(threads),
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """The server's process."""
        return self._process.pid

    @property
    def is_alive(self) -> bool:
        """Whether a job may be sent, as far as can be told without trying."""
        return self.owner == os.getpid() and self._process.poll() is None

    def wait_until_ready(self, seconds: float) -> bool:
        """Wait for the imports to be done, at most so long; tell whether they are.

        Raises
        ------
        ServerGone
            If the server died over them, or takes too long.
        """
        if not self.is_ready:
            message = self.receive(seconds)
            if message is None:
                if time.monotonic() - self._began > WARM_SECONDS:
                    raise ServerGone(f"the fit server was not ready after {WARM_SECONDS:.0f} s")
                return False
            log.info("Fit server %d was ready after %.1f s.", self.pid, message["seconds"])
            for module, reason in message["missing"].items():
                # A library may be left out on purpose; one that is there and broken may not.
                level = logging.INFO if reason.startswith("ModuleNotFoundError") else logging.WARNING
                log.log(level, "Fit server %d has no %s (%s).", self.pid, module, reason)
            self.is_ready = True
        return True

    def receive(self, seconds: float) -> dict[str, Any] | None:
        """Give the next message, or None when there was none in time."""
        try:
            self.control.settimeout(seconds)
            message = self.control.recv(LONGEST_MESSAGE)
        except TimeoutError:
            return None
        except OSError as error:
            raise ServerGone(f"the fit server can't be reached: {error}") from error
        if not message:
            raise ServerGone("the fit server died")
        found: dict[str, Any] = json.loads(message)
        return found

    def fork(self, talk: socket.socket, output: int) -> int:
        """Ask for a child that talks on one descriptor and prints to the other; give the job's number."""
        self._jobs += 1
        self._send(b"fork %d" % self._jobs, [talk.fileno(), output])
        return self._jobs

    def kill_child(self) -> None:
        """Ask for the end of the child and of whatever it started."""
        self._send(b"kill", [])

    def _send(self, message: bytes, fds: list[int]) -> None:
        try:
            self.control.settimeout(CLOSE_SECONDS)
            socket.send_fds(self.control, [message], fds)
        except OSError as error:
            raise ServerGone(f"the fit server can't be reached: {error}") from error

    def close(self) -> None:
        """End the server; it takes a running child along."""
        self.control.close()
        if self.owner != os.getpid():
            return  # a fork of the owner: the server is not ours
        try:
            # Busy with imports it would not hear that the socket is closed.
            self._process.wait(CLOSE_SECONDS if self.is_ready else 0)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def environment(threads: int) -> dict[str, str]:
    """Give the environment of a process that computes: what libraries read before Python can tell them."""
    counts = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS", "LOKY_MAX_CPU_COUNT")
    root = str(Path(automl.__file__).parent.parent)
    openmp = openmp_folder()
    libraries = {"LD_LIBRARY_PATH": _joined(openmp, "LD_LIBRARY_PATH")} if openmp else {}
    return {
        **os.environ,
        **libraries,
        **dict.fromkeys(counts, str(threads)),
        # OpenBLAS starts its threads on import, so it gets them in the child, see `child._use`.
        "OPENBLAS_NUM_THREADS": "1",
        # pyarrow's jemalloc starts a thread on import.
        "JE_ARROW_MALLOC_CONF": "background_thread:false",
        # The order of a set of words must not change from one seat to the next.
        "PYTHONHASHSEED": "0",
        "PYTHONPATH": _joined(root, "PYTHONPATH"),
    }


def _joined(first: Path | str, variable: str) -> str:
    return os.pathsep.join(filter(None, [str(first), os.environ.get(variable)]))
