"""The supervisor keeps its programs running and leaves none behind, however it ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from automl.core import processes, supervisor
from automl.core.supervisor import LOG_BYTES, Program, Supervisor, _Log, is_worth_showing

STUB = Path(__file__).with_name("supervised.py")
SLEEP = "import time; time.sleep(600)"
DEAF = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
    "print('deaf', flush=True); time.sleep(600)"
)
# A child with a session and a group of its own, as the server of a seat has.
PARENT = (
    "import subprocess, sys, time; "
    "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'], start_new_session=True); "
    "time.sleep(600)"
)


class Service:
    """A supervisor under test."""

    def __init__(self, folder: Path, *stubs: dict[str, object], options: Sequence[str] = ()) -> None:
        self.folder = folder
        self.output = folder.with_name(f"{folder.name}-{time.monotonic_ns()}.out")
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, str(STUB), str(folder), json.dumps(stubs), *options],
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
            )

    @property
    def text(self) -> str:
        return self.output.read_text()

    @property
    def mark(self) -> str:
        eventually(lambda: "mark " in self.text)
        return next(line for line in self.text.splitlines() if line.startswith("mark ")).split()[1]

    def living(self, name: str = "") -> list[int]:
        found = processes.find(f"{self.mark}{name}")
        return [process.pid for process in found if process.pid != self.process.pid]

    def log(self, name: str) -> str:
        path = self.folder / "logs" / f"{name}.log"
        return path.read_text() if path.exists() else ""


def eventually(condition: Callable[[], bool], seconds: float = 15.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.02)


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., Service]]:
    services: list[Service] = []

    def start(*stubs: dict[str, object], folder: Path = tmp_path / "home", **settings: Any) -> Service:
        services.append(Service(folder, *stubs, **settings))
        return services[-1]

    yield start
    for service in services:
        service.process.kill()
        service.process.wait()
        if "mark " in service.text:
            processes.end(service.mark)


def test_sigint_stops_every_program_and_what_they_started(serve):
    service = serve({"name": "a", "code": PARENT}, {"name": "b", "code": SLEEP})
    eventually(lambda: len(service.living()) == 3)
    service.process.send_signal(signal.SIGINT)
    assert service.process.wait(timeout=10) == 0
    assert service.living() == []


def test_a_signal_interrupts_nothing_half_way(serve):
    service = serve({"name": "a", "code": SLEEP}, options=["--meanwhile"])
    eventually(lambda: "began" in service.text)
    service.process.send_signal(signal.SIGINT)
    assert service.process.wait(timeout=10) == 0
    assert service.text.count("began") == service.text.count("ended")
    assert "stopping" in service.text
    assert service.living() == []


def test_a_program_that_ignores_the_signal_is_killed(serve):
    service = serve({"name": "a", "code": DEAF})
    eventually(lambda: "deaf" in service.log("a"))
    service.process.send_signal(signal.SIGTERM)
    assert service.process.wait(timeout=10) == 0
    assert service.living() == []


@pytest.mark.parametrize("code", [SLEEP, DEAF, PARENT], ids=["plain", "deaf", "parent"])
def test_a_killed_supervisor_leaves_nothing(serve, code):
    service = serve({"name": "a", "code": code})
    expected = 2 if "subprocess" in code else 1
    eventually(lambda: len(service.living()) == expected)
    pids = service.living()
    service.process.kill()
    service.process.wait()
    eventually(lambda: service.living() == [] and not any(Path(f"/proc/{pid}").exists() for pid in pids))


def test_a_program_that_dies_is_started_again_and_its_children_are_swept(serve):
    service = serve({"name": "a", "code": PARENT})
    eventually(lambda: len(service.living("a")) == 2)
    before = service.living("a")
    os.kill(min(before), signal.SIGKILL)
    eventually(lambda: len(service.living("a")) == 2 and not set(service.living("a")) & set(before))
    assert "killed by SIGKILL" in service.text


def test_a_program_that_keeps_dying_is_started_ever_more_slowly(serve):
    service = serve({"name": "a", "code": "raise SystemExit('no such table')"})
    eventually(lambda: "in 1 s" in service.text)
    assert "exit status 1" in service.text
    assert "in 0.5 s" in service.text
    assert "no such table" in service.text
    service.process.send_signal(signal.SIGINT)
    assert service.process.wait(timeout=10) == 0


def test_the_last_program_is_stopped_after_the_others(serve, tmp_path):
    slow = (
        "import signal, sys, time\n"
        "def stop(*_):\n"
        "    time.sleep(0.3); print(time.monotonic(), flush=True); sys.exit()\n"
        "signal.signal(signal.SIGTERM, stop); print('up', flush=True); time.sleep(600)"
    )
    service = serve({"name": "broker", "code": slow, "last": True}, {"name": "worker", "code": slow})
    eventually(lambda: "up" in service.log("broker") and "up" in service.log("worker"))
    service.process.send_signal(signal.SIGINT)
    assert service.process.wait(timeout=10) == 0
    gone = {name: float(service.log(name).split()[-1]) for name in ("worker", "broker")}
    assert gone["broker"] > gone["worker"] + 0.2


def test_a_second_supervisor_on_the_same_folder_is_refused(serve):
    first = serve({"name": "a", "code": SLEEP})
    eventually(lambda: len(first.living()) == 1)
    second = serve({"name": "a", "code": SLEEP})
    assert second.process.wait(timeout=10) == 1
    assert f"already running on {first.folder} (process {first.process.pid})" in second.text
    assert "set AUTOML_HOME" in second.text
    assert len(first.living()) == 1


def test_the_folder_is_free_again_after_a_kill(serve):
    first = serve({"name": "a", "code": DEAF})
    eventually(lambda: "deaf" in first.log("a"))
    first.process.kill()
    second = serve({"name": "a", "code": SLEEP})
    eventually(lambda: len(second.living()) == 1)


def test_warnings_in_a_log_reach_the_terminal_and_other_lines_do_not(serve):
    code = (
        f"print('2026 [info     ] all_well'); print('2026 [warning  ] disk_nearly_full', flush=True); {SLEEP}"
    )
    service = serve({"name": "a", "code": code})
    eventually(lambda: "a: 2026 [warning  ] disk_nearly_full" in service.text)
    assert "all_well" not in service.text
    assert "all_well" in service.log("a")


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("2026-11-23T12:00:00Z [error    ] fit_failed", True),
        ('{"event": "x", "level": "warning"}', True),
        ("[2026-11-23 12:00:00,000: ERROR/MainProcess] consumer: Cannot connect", True),
        ("[2026-11-23 12:00:00 +0000] [12] [CRITICAL] WORKER TIMEOUT (pid:13)", True),
        ("ValueError: could not convert", True),
        ("[2026-11-23 12:00:00,000: INFO/MainProcess] evaluate@host ready.", False),
        ("GET /errors/ 200", False),
        ("[error    ] Service Unavailable: /api/v1/health/ready/ [django.request]", False),
    ],
)
def test_what_counts_as_a_warning(line, shown):
    assert is_worth_showing(line) is shown


def test_a_long_log_is_turned_over_and_the_old_ones_are_kept(tmp_path):
    path = tmp_path / "web.log"
    for text in (b"first", b"second"):
        path.write_bytes(text + b"." * LOG_BYTES)
        _Log(path)
    assert path.read_bytes() == b""
    assert (tmp_path / "web.log.1").read_bytes().startswith(b"second")
    assert (tmp_path / "web.log.2").read_bytes().startswith(b"first")


def test_a_log_gives_whole_lines_only(tmp_path):
    path = tmp_path / "web.log"
    log = _Log(path)
    with path.open("ab") as file:
        file.write(b"one\ntw")
        file.flush()
        assert log.news() == ["one"]
        file.write(b"o\n")
        file.flush()
        assert log.news() == ["two"]
    assert log.news() == []


def test_a_log_that_grows_while_its_program_runs_is_turned_over(tmp_path, monkeypatch):
    monkeypatch.setattr(supervisor, "LOG_BYTES", 20)
    path = tmp_path / "web.log"
    log = _Log(path)
    with path.open("ab") as file:
        for text in ("the first of many\n", "the second of many\n", "the third of many\n"):
            file.write(text.encode())
            file.flush()
            assert log.news() == [text.strip()]
    assert path.read_text() == "the third of many\n"
    assert (tmp_path / "web.log.1").read_text() == "the first of many\nthe second of many\n"


def test_a_log_is_turned_over_only_when_it_was_read_to_its_end(tmp_path, monkeypatch):
    monkeypatch.setattr(supervisor, "LOG_BYTES", 20)
    path = tmp_path / "web.log"
    log = _Log(path)
    with path.open("ab") as file:
        file.write(b"a line of this log\na warn")
        file.flush()
        assert log.news() == ["a line of this log"]
        file.write(b"ing\n")
        file.flush()
        assert log.news() == ["a warning"]
    assert path.read_bytes() == b""


def test_a_log_that_grows_faster_than_it_is_read_is_turned_over_all_the_same(tmp_path, monkeypatch):
    monkeypatch.setattr(supervisor, "LOG_BYTES", 20)
    path = tmp_path / "web.log"
    log = _Log(path)
    path.write_bytes(b"a line without an end" * supervisor.MOST_UNREAD)
    log.news()
    assert path.read_bytes() == b""


def test_why_a_program_ended_is_told_though_its_log_was_just_turned_over(tmp_path, monkeypatch):
    monkeypatch.setattr(supervisor, "LOG_BYTES", 20)
    path = tmp_path / "web.log"
    log = _Log(path)
    assert log.tail() == ""
    path.write_text("a line of this log\nthe reason\n")
    log.news()
    assert path.read_bytes() == b""
    assert log.tail() == "    a line of this log\n    the reason"


def test_a_log_that_somebody_moved_ends_nothing(tmp_path):
    path = tmp_path / "web.log"
    log = _Log(path)
    path.rename(tmp_path / "elsewhere")
    assert log.news() == []
    assert "can't be read" in log.tail()
    path.write_text("one\n")
    assert log.news() == ["one"]


def test_a_program_that_can_not_be_started_again_is_tried_again(tmp_path, monkeypatch):
    monkeypatch.setattr(supervisor, "FIRST_DELAY", 0.01)
    said = []
    with Supervisor(folder=tmp_path, say=said.append) as running:
        running.start(Program("a", [sys.executable, "-c", SLEEP]))
        start = subprocess.Popen
        full = iter([OSError(28, "No space left on device")])

        def popen(*arguments, **named):
            for error in full:
                raise error
            return start(*arguments, **named)

        monkeypatch.setattr(supervisor.subprocess, "Popen", popen)
        (process,) = processes.find(running.mark)
        process.kill()
        assert running.wait(lambda: len(said) == 2, seconds=5)
        assert running.wait(lambda: running.is_running("a"), seconds=5)
    assert "could not be started ([Errno 28] No space left on device); trying again in" in said[1]


def test_a_child_without_the_mark_is_found_by_its_parent():
    bare = PARENT.replace("start_new_session=True", "start_new_session=True, env={}")
    mark = f"test-{time.monotonic_ns()}:"
    parent = subprocess.Popen([sys.executable, "-c", bare], env={**os.environ, processes.MARK: mark})
    try:
        eventually(lambda: len(processes.find(mark)) == 2)
        assert processes.end(mark) == 2
    finally:
        parent.kill()
        parent.wait()
    assert processes.find(mark) == []


def test_what_a_killed_program_left_in_its_scratch_folder_is_gone_at_the_next_start(tmp_path):
    scratch = tmp_path / "scratch"
    code = (
        "import os, sys, tempfile, time; from pathlib import Path; "
        "print(sorted(os.listdir(tempfile.gettempdir())), flush=True); tempfile.mkdtemp(prefix='left-'); "
        "time.sleep(600)"
    )
    before = signal.getsignal(signal.SIGINT)
    with Supervisor(folder=tmp_path / "home", say=print) as running:
        running.start(Program("a", [sys.executable, "-c", code], scratch=scratch))
        running.wait(lambda: any(scratch.glob("left-*")), seconds=10)
        first = next(scratch.glob("left-*"))
        for process in processes.find(running.mark):
            process.kill()
        assert running.wait(lambda: any(scratch.glob("left-*")) and not first.exists(), seconds=10)
    assert signal.getsignal(signal.SIGINT) is before
    assert not scratch.exists()
    assert (tmp_path / "home" / "logs" / "a.log").read_text().splitlines() == ["[]", "[]"]
