"""What processes held is known after their death, and only then."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import uuid
from pathlib import Path

import pytest

from automl.core import holdings
from automl.core.holdings import Holding, left_behind, noted, open_notes, sit

ONE = Holding("experiments.trial", uuid.UUID(int=1), 1)
TWO = Holding("experiments.experiment", uuid.UUID(int=2), 70_000)


@pytest.fixture(autouse=True)
def _forgotten():
    yield
    holdings._memory, holdings._place = None, 0


def die_holding(holding: Holding, *, place: int) -> None:
    """Have a forked process note a lease and be killed over it."""
    if (pid := os.fork()) == 0:
        sit(place)
        with noted(holding):
            os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(pid, 0)


def test_what_a_killed_process_held_is_found(tmp_path):
    open_notes(tmp_path, "worker")
    die_holding(ONE, place=3)
    die_holding(TWO, place=4)
    assert left_behind() == [(3, ONE), (4, TWO)]


def test_what_the_living_hold_is_not(tmp_path):
    open_notes(tmp_path, "worker")
    with noted(ONE):
        assert left_behind() == []
    assert left_behind(here=True) == []


def test_inner_work_does_not_hide_the_outer(tmp_path):
    open_notes(tmp_path, "worker")
    with noted(ONE):
        with noted(TWO):
            assert left_behind(here=True) == [(0, TWO)]
        assert left_behind(here=True) == [(0, ONE)]


def test_what_an_exception_ended_stays_noted(tmp_path):
    open_notes(tmp_path, "worker")
    with pytest.raises(ZeroDivisionError), noted(ONE):
        raise ZeroDivisionError
    assert left_behind(here=True) == [(0, ONE)]
    holdings.forget(0, TWO)
    assert left_behind(here=True) == [(0, ONE)]
    holdings.forget(0, ONE)
    assert left_behind(here=True) == []


def test_without_a_worker_nothing_is_noted():
    with noted(ONE):
        assert left_behind(here=True) == []


def run(folder: Path, then: str) -> subprocess.Popen[str]:
    code = f"""
        import uuid, os, signal, sys
        from pathlib import Path
        from automl.core.holdings import Holding, noted, open_notes
        print(len(open_notes(Path({str(folder)!r}), "worker")), flush=True)
        with noted(Holding("experiments.trial", uuid.UUID(int=1), 1)):
            {then}
    """
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )


def test_the_next_worker_of_the_name_finds_what_a_killed_one_held(tmp_path):
    dead = run(tmp_path, "os.kill(os.getpid(), signal.SIGKILL)")
    assert dead.communicate()[0] == "0\n"
    assert open_notes(tmp_path, "worker") == [ONE]


def test_a_second_worker_of_the_name_reads_nothing_of_a_living_one(tmp_path):
    living = run(tmp_path, "sys.stdin.read()")
    assert living.stdout is not None
    assert living.stdout.readline() == "0\n"
    try:
        assert open_notes(tmp_path, "worker") == []
        die_holding(TWO, place=0)
        assert left_behind() == [(0, TWO)]
    finally:
        living.communicate("")
