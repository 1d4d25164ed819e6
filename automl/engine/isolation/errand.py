"""One job, watched from its fork to its outcome."""

from __future__ import annotations

import contextlib
import fcntl
import json
import logging
import os
import selectors
import signal
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from automl.engine.isolation.limits import descendants, proportional_bytes, used_bytes
from automl.engine.isolation.outcome import Limits, Outcome, Status
from automl.engine.isolation.ticker import TICK_SECONDS, OnTick, Ticker
from automl.engine.isolation.warm import ServerGone, WarmServer

log = logging.getLogger("automl.engine.isolation")

OnReport = Callable[[dict[str, Any]], str]
# An array can grow by a gigabyte in a third of a second.
LOOK_SECONDS = 0.05
# A killed process that is still there (stuck in the kernel) costs the seat its server.
KILL_SECONDS = 5.0
KEPT_OUTPUT = 8 << 10
FIT = "the fit"
# The engine's jobs that are no fit, as people know them.
OTHER_WORK = {
    "profile": "reading the table",
    "prepare": "preparing the table",
    "blend": "blending the trials",
    "package": "packaging the model",
}


@dataclass(frozen=True)
class Job:
    """What is asked for."""

    name: str
    args: dict[str, Any]
    limits: Limits
    on_report: OnReport | None = None
    on_tick: OnTick | None = None


@dataclass
class Errand:
    """The conversation with one child."""

    server: WarmServer
    job: Job
    ticker: Ticker
    pid: int | None = None
    began: float = 0.0
    peak: int = 0
    _baseline: int | None = None
    _said: dict[str, Any] | None = None
    _verdict: Status | None = None
    _exit: dict[str, Any] | None = None
    _number: int = 0
    _gone_by: float = float("inf")
    _received: bytearray = field(default_factory=bytearray)
    _printed: bytearray = field(default_factory=bytearray)
    _others: int = 0

    def run(self) -> Outcome:
        """Have the job done and say what came of it.

        Raises
        ------
        ServerGone
            If the server died; `pid` tells whether the job had begun.
        """
        with contextlib.ExitStack() as stack:
            self._open(stack)
            try:
                self._watch()
            except ServerGone:
                if self._said is None:
                    raise
            finally:
                # Also when a callback raised, or a signal's handler did. A job that has given its
                # result is leaving; nobody has to wait while the kernel takes its pages back.
                if self._exit is None and self._said is None:
                    self._finish_off()
                self.ticker.wait()
            return self._outcome()

    def _open(self, stack: contextlib.ExitStack) -> None:
        # First of all, so that arguments that are no JSON cost no fork.
        threads = min(self.job.args.get("threads", self.server.threads), self.server.threads)
        request = json.dumps({"job": self.job.name, "args": self.job.args, "threads": threads})
        talk, theirs = socket.socketpair()
        self._talk = stack.enter_context(talk)
        self._output, written = os.pipe()
        stack.callback(os.close, self._output)
        fcntl.fcntl(self._output, fcntl.F_SETFL, os.O_NONBLOCK)
        try:
            self._number = self.server.fork(theirs, written)
        finally:
            # The child's end is the child's alone, so that its end is our end of file.
            theirs.close()
            os.close(written)
        self._selector = stack.enter_context(selectors.DefaultSelector())
        self._selector.register(self.server.control, selectors.EVENT_READ, self._hear_server)
        self._selector.register(self._talk, selectors.EVENT_READ, self._hear_child)
        self._selector.register(self._output, selectors.EVENT_READ, self._drain)
        self.began = self._next_walk = time.monotonic()
        self._answer(request)

    def _watch(self) -> None:
        while self._exit is None and self._said is None:
            for key, _ in self._selector.select(LOOK_SECONDS):
                key.data()
            self._look()
        while self._hear_child():
            pass
        self._drain()

    def _look(self) -> None:
        """Hold the job against its limits."""
        now = time.monotonic()
        if self._verdict is not None:
            if now > self._gone_by:
                raise ServerGone("a killed fit did not end")
            return None
        if self._said is not None:
            return None
        limits = self.job.limits
        if limits.seconds is not None and now - self.began > limits.seconds:
            return self._kill("timeout")
        self._measure(now)
        if limits.memory_bytes is not None and self.peak > limits.memory_bytes:
            return self._kill("memory")
        if not self.ticker.may_go_on(now - self.began):
            return self._kill("cancelled")
        return None

    def _measure(self, now: float) -> None:
        """Read the memory of the child, less what it was forked with, and of what it has started."""
        if self.pid is None or self._baseline is None:
            return
        if now >= self._next_walk:
            self._next_walk = now + TICK_SECONDS
            self._others = sum(proportional_bytes(pid) for pid in descendants(self.pid))
        self.peak = max(self.peak, used_bytes(self.pid) - self._baseline + self._others)

    def _kill(self, verdict: Status) -> None:
        self._verdict = verdict
        self._gone_by = time.monotonic() + KILL_SECONDS
        self.server.kill_child()

    def _finish_off(self) -> None:
        try:
            self.server.kill_child()
            stop = time.monotonic() + KILL_SECONDS
            while self._exit is None:
                if time.monotonic() > stop:
                    raise ServerGone("a killed fit did not end")
                self._hear_server(wait=KILL_SECONDS)
        except ServerGone:
            # Its children die with it; what they have started is in the same group.
            if self.pid is not None:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(self.pid, signal.SIGKILL)
            self.server.close()

    def _hear_server(self, wait: float = 0.0) -> bool:
        message = self.server.receive(wait)
        if message is None:
            return False
        if message.get("job") != self._number:
            return True  # about a job that its owner did not wait for
        if message["event"] == "started":
            self.pid = message["pid"]
            if message["threads"] != 1:
                log.warning("Fit server %d forked with %d threads.", self.server.pid, message["threads"])
        elif message["event"] == "exited":
            self._exit = message
        return True

    def _hear_child(self) -> bool:
        try:
            data = self._talk.recv(1 << 16, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return False
        except OSError:
            data = b""
        if not data:
            if self._talk in self._selector.get_map():
                self._selector.unregister(self._talk)
            return False
        self._received += data
        while (end := self._received.find(b"\n")) >= 0:
            line = bytes(self._received[:end])
            del self._received[: end + 1]
            self._take(json.loads(line))
        return True

    def _take(self, message: dict[str, Any]) -> None:
        if "begun" in message:
            self._baseline = message["begun"]
        elif "report" in message:
            answer = self.job.on_report(message["report"]) if self.job.on_report else "go"
            self._answer(answer)
        elif self._verdict is None:
            self._said = message
            if self._baseline is not None:
                self.peak = max(self.peak, message.get("used", 0) - self._baseline)

    def _answer(self, line: str) -> None:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self._talk.sendall(line.encode() + b"\n")

    def _drain(self) -> bool:
        """Take what was printed and keep the end: a full pipe would stop the fit, an endless one us."""
        try:
            data = os.read(self._output, 1 << 16)
        except BlockingIOError:
            return False
        if not data:
            if self._output in self._selector.get_map():
                self._selector.unregister(self._output)
            return False
        self._printed += data
        del self._printed[:-KEPT_OUTPUT]
        return True

    def _outcome(self) -> Outcome:
        seconds = time.monotonic() - self.began
        said = self._said
        if said is not None and "result" in said:
            return Outcome("ok", said["result"], seconds=seconds, peak_bytes=self.peak)
        common: dict[str, Any] = {"seconds": seconds, "peak_bytes": self.peak}
        if said is not None:
            return Outcome(
                said["failed"],
                error=said["error"],
                user_error=said["user_error"],
                detail=said["detail"],
                **common,
            )
        printed = self._printed.decode(errors="replace")
        if self._verdict is not None:
            return Outcome(self._verdict, error=self._sentence(seconds), detail=printed, **common)
        number, code = (self._exit or {}).get("signal"), (self._exit or {}).get("code")
        common |= {"signal": number, "lost": number == signal.SIGKILL}
        return Outcome("crashed", error=crash_sentence(number, code, self._what()), detail=printed, **common)

    def _sentence(self, seconds: float) -> str:
        what, less, smaller = self._what(), "rows or columns", "fewer columns"
        if what == FIT:
            less, smaller = "rows, or fewer trees, leaves or levels", "a smaller model"
        if self._verdict == "memory":
            limit = self.job.limits.memory_bytes or 0
            used = f"{what} used {readable(self.peak)}, its limit is {readable(limit)}"
            return f"memory: {used}; use fewer {less}."
        if self._verdict == "timeout":
            return f"timeout: {what} was stopped after {seconds:.1f} s; use fewer rows or {smaller}."
        return "Cancelled."

    def _what(self) -> str:
        return OTHER_WORK.get(self.job.name.rpartition(":")[2], FIT)


def readable(size: int) -> str:
    """Write a number of bytes as people do."""
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.0f} MB"


def crash_sentence(number: int | None, code: int | None, what: str = FIT) -> str:
    """Say how a process ended that gave no result."""
    what = what[0].upper() + what[1:]
    if number is None:
        return f"{what} ended without a result (exit code {code})."
    try:
        name = signal.Signals(number).name
    except ValueError:
        name = f"signal {number}"
    if number == signal.SIGKILL:
        return f"{what} was killed from outside ({name}); most often the machine has run out of memory."
    return f"{what} crashed ({name}), inside a library; other settings may avoid it."
