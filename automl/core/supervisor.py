"""Starts the programs of a service, starts again what dies, and leaves nothing behind.

Knows nothing of what the programs do: `automl.core.programs` says which they are.
"""

from __future__ import annotations

import contextlib
import fcntl
import math
import os
import re
import shutil
import signal
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

import psutil

from automl.core import processes
from automl.engine.errors import UserError

POLL_SECONDS = 0.1
FIRST_DELAY, LONGEST_DELAY = 0.5, 10.0
STEADY_SECONDS = 10.0  # a program that has lived this long is started again without delay
LOG_BYTES = 5 * 2**20
LOGS_KEPT = 3
MOST_UNREAD = 4  # times as long, and a log is turned over though it was not read to its end
MOST_LINES = 15  # of a program's log, shown in the terminal at once
WORTH_SHOWING = re.compile(
    r"\[(warning|error|critical)\s*\]"  # structlog on a console
    r"|\"level\": ?\"(warning|error|critical)\""  # structlog as JSON
    r"|: (WARNING|ERROR|CRITICAL)/"  # Celery
    r"|\[(WARNING|ERROR|CRITICAL)\]"  # gunicorn
    r"|^\S*(Error|Exception): "
)
# Whoever asks for the health reads there what is missing; during the start that is most things.
NOT_WORTH = re.compile(r"not_ready|/health/")

Stop = tuple[tuple[signal.Signals, float], ...]
GENTLE: Stop = ((signal.SIGTERM, 4.0),)


@dataclass(frozen=True)
class Program:
    """A program to keep running.

    Parameters
    ----------
    name : str
        What people call it, and its log.
    command : sequence of str
    stop : tuple of (signal, seconds)
        What asks it to stop, and how long each may take; then it is killed.
    environment : mapping
        Added to our own.
    keep : sequence of int
        Open files that it inherits.
    last : bool
        Stopped only when the others have gone.
    scratch : Path or None
        A folder for its temporary files, emptied at each start and gone at the end: what a killed process
        leaves there nobody else would remove.
    """

    name: str
    command: Sequence[str]
    stop: Stop = GENTLE
    environment: Mapping[str, str] = field(default_factory=dict)
    keep: Sequence[int] = ()
    last: bool = False
    scratch: Path | None = None


class Stopped(Exception):
    """Somebody asked the supervisor to stop."""


class Supervisor:
    """Keeps programs running until somebody asks it to stop.

    Use as a context: on leaving it, however that happens, every program has ended.
    """

    def __init__(self, *, folder: Path, say: Callable[[str], None], cwd: Path | None = None) -> None:
        self._lock = _lock(folder)
        self._logs = folder / "logs"
        self._logs.mkdir(parents=True, exist_ok=True)
        self._say = say
        self._cwd = cwd
        self.mark = f"{uuid.uuid4().hex}:"
        self._guard = processes.start_guard(self.mark, keep=[self._lock])
        self._children: list[_Child] = []
        self._stopping = self._hurry = False

    def __enter__(self) -> Supervisor:
        numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        self._before = {number: signal.signal(number, self._on_signal) for number in numbers}
        return self

    def __exit__(self, *details: object) -> None:
        self.stop()
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def start(self, program: Program) -> None:
        """Start a program and keep it running; raises Stopped when asked to stop."""
        self._stop_if_asked()
        self._children.append(
            _Child(program, log=_Log(self._logs / f"{program.name}.log"), mark=self.mark, cwd=self._cwd)
        )

    def wait(
        self,
        until: Callable[[], bool] | None = None,
        *,
        seconds: float = math.inf,
        every: float = POLL_SECONDS,
    ) -> bool:
        """Watch the programs until something holds or time is over; raises Stopped when asked to stop."""
        deadline = time.monotonic() + seconds
        while until is None or not until():
            self._stop_if_asked()
            if time.monotonic() > deadline:
                return False
            self._watch()
            time.sleep(every)
        return True

    def is_running(self, name: str) -> bool:
        """Whether a program lives now."""
        return any(child.program.name == name and child.is_alive() for child in self._children)

    def drop(self, name: str) -> None:
        """End one program at once, and keep it no longer."""
        for child in [child for child in self._children if child.program.name == name]:
            child.kill()
            self._children.remove(child)

    def stop(self) -> None:
        """Stop every program, the gentle way first; a second Ctrl-C ends all of them at once."""
        self._stopping = True
        for last in (False, True):
            self._stop_all([child for child in self._children if child.program.last == last])
        processes.end(self.mark)
        for child in self._children:
            child.tidy()
        self._children.clear()
        if self._guard.stdin is not None:
            self._guard.stdin.close()
        self._guard.wait()
        os.close(self._lock)

    def _stop_all(self, children: Sequence[_Child]) -> None:
        steps = {id(child): child.stopping() for child in children}
        while alive := [child for child in children if child.is_alive()]:
            for child in alive:
                if self._hurry:
                    child.kill()
                else:
                    next(steps[id(child)])
            time.sleep(POLL_SECONDS / 2)

    def _watch(self) -> None:
        for child in self._children:
            self._show(child.program.name, child.log)
            if death := child.revive_if_dead():
                self._say(f"{child.program.name}: {death}")

    def _show(self, name: str, log: _Log) -> None:
        lines = [line for line in log.news() if is_worth_showing(line)]
        for line in lines[:MOST_LINES]:
            self._say(f"{name}: {line[:400]}")
        if len(lines) > MOST_LINES:
            self._say(f"{name}: {len(lines) - MOST_LINES} more such lines are in {log.path}")

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        # No exception from here: it could end in a destructor, or leave the lock of a child's Popen locked.
        self._hurry = self._stopping
        self._stopping = True

    def _stop_if_asked(self) -> None:
        if self._stopping:
            raise Stopped


class _Child:
    """One program's process, and when to start it again."""

    def __init__(self, program: Program, *, log: _Log, mark: str, cwd: Path | None) -> None:
        self.program = program
        self.log = log
        self._mark = f"{mark}{program.name}:"
        self._cwd = cwd
        self._delay = FIRST_DELAY
        self._due: float | None = None  # when a dead one is started again
        self._process = self._start()

    def is_alive(self) -> bool:
        return self._process.poll() is None

    def revive_if_dead(self) -> str:
        """Start it again when it has died and its time has come; what there is to say about it."""
        if self.is_alive():
            return ""
        now = time.monotonic()
        if self._due is None:
            self._sweep()
            # One that ended in order was asked to, by somebody who wants a new one.
            asked = self._process.returncode in (0, -signal.SIGTERM)
            if now - self._started > STEADY_SECONDS or asked:
                self._delay = FIRST_DELAY
            self._due = now + self._delay
            lived, delay = now - self._started, self._delay
            self._delay = min(2 * self._delay, LONGEST_DELAY)
            return (
                f"ended after {lived:.0f} s ({_reason(self._process.returncode)}); starting it again in "
                f"{delay:g} s. Its log: {self.log.path}\n{self.log.tail()}"
            )
        if now >= self._due:
            try:
                self._process, self._due = self._start(), None
            except OSError as error:
                # A full disk, or no process to be had: neither need last.
                self._due, delay = now + self._delay, self._delay
                self._delay = min(2 * self._delay, LONGEST_DELAY)
                return f"could not be started ({error}); trying again in {delay:g} s"
        return ""

    def stopping(self) -> Iterator[None]:
        """Ask, wait, ask harder, wait, kill: one step at every `next`."""
        for number, seconds in self.program.stop:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(number)
            patience = time.monotonic() + seconds
            while time.monotonic() < patience:
                yield
        while True:
            self.kill()
            yield

    def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._sweep()

    def tidy(self) -> None:
        """Remove its temporary files, once it has ended."""
        if self.program.scratch is not None:
            shutil.rmtree(self.program.scratch, ignore_errors=True)

    def _sweep(self) -> None:
        """End what the process started and left; its own children may have sessions of their own."""
        processes.end(self._mark)

    def _start(self) -> subprocess.Popen[bytes]:
        self._started = time.monotonic()
        self.tidy()
        scratch = {}
        if self.program.scratch is not None:
            self.program.scratch.mkdir(parents=True, mode=0o700, exist_ok=True)
            scratch = {"TMPDIR": str(self.program.scratch)}
        self.log.path.parent.mkdir(parents=True, exist_ok=True)
        # To append: what the log holds is taken out under the program that writes it.
        with self.log.path.open("ab") as output:
            return subprocess.Popen(  # noqa: S603 - the programs of this service
                list(self.program.command),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=self._cwd,
                env={**os.environ, **scratch, **self.program.environment, processes.MARK: self._mark},
                pass_fds=tuple(self.program.keep),
                process_group=0,
                # Safe here: the supervisor has one thread, and the call is one system call.
                preexec_fn=processes.die_with_parent(),  # noqa: PLW1509
            )


class _Log:
    """A program's log file: read as it grows, and turned over when it is long."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.touch()
        self._read_to = path.stat().st_size
        self._turn_over()

    def news(self) -> list[str]:
        """The whole lines written since the last call; none while the file can't be read."""
        try:
            return self._news()
        except OSError:
            # Somebody has moved it; the program writes on where it is now.
            return []

    def _news(self) -> list[str]:
        size = self.path.stat().st_size
        if size == self._read_to:
            return []
        with self.path.open("rb") as file:
            file.seek(self._read_to if size > self._read_to else 0)
            data = file.read(2**20)
            whole = data.rfind(b"\n") + 1
            self._read_to = file.tell() - len(data) + whole
        self._turn_over()
        return data[:whole].decode(errors="replace").splitlines()

    def tail(self, lines: int = 8) -> str:
        """The last lines, to show why a program ended."""
        try:
            older = self.path.with_suffix(".log.1")
            turned_over = self.path.stat().st_size == 0 and older.exists()
            with (older if turned_over else self.path).open("rb") as file:
                file.seek(max(file.seek(0, os.SEEK_END) - 8192, 0))
                last = file.read().decode(errors="replace").splitlines()[-lines:]
        except OSError as error:
            return f"    The log can't be read: {error}"
        return "\n".join(f"    {line}" for line in last)

    def _turn_over(self) -> None:
        """Set the log aside once it is long and read, and keep some; the program keeps its open file."""
        size = self.path.stat().st_size
        # A flood that comes faster than it is read is not waited for.
        if size <= LOG_BYTES or self._read_to < size <= MOST_UNREAD * LOG_BYTES:
            return
        # On a full disk the log is lost, and its room won.
        with contextlib.suppress(OSError):
            for number in range(LOGS_KEPT - 1, 0, -1):
                older = self.path.with_suffix(f".log.{number}")
                if older.exists():
                    older.replace(self.path.with_suffix(f".log.{number + 1}"))
            shutil.copyfile(self.path, self.path.with_suffix(".log.1"))
        os.truncate(self.path, 0)
        self._read_to = 0


def is_worth_showing(line: str) -> bool:
    """Whether a line of a log is a warning or worse, which belongs in the terminal."""
    return bool(WORTH_SHOWING.search(line)) and not NOT_WORTH.search(line)


def _lock(folder: Path) -> int:
    """Take the folder for this supervisor; only one may use it at a time."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "serve.lock"
    number = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    deadline = time.monotonic() + 5.0
    while True:
        try:
            fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except BlockingIOError:
            owner = path.read_text(encoding="ascii", errors="replace").strip()
            # After a crash the guard of the last supervisor holds the lock until it has cleaned up.
            if _is_process(owner) or time.monotonic() > deadline:
                os.close(number)
                raise UserError(
                    f"Bakeoff is already running on {folder} (process {owner or 'unknown'}). "
                    "Stop it, or set AUTOML_HOME to another folder."
                ) from None
            time.sleep(0.1)
    os.ftruncate(number, 0)
    os.write(number, str(os.getpid()).encode())
    return number


def _is_process(text: str) -> bool:
    with contextlib.suppress(psutil.Error, ValueError):
        return psutil.Process(int(text)).status() != psutil.STATUS_ZOMBIE
    return False


def _reason(code: int) -> str:
    if code >= 0:
        return f"exit status {code}"
    try:
        return f"killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"killed by signal {-code}"
