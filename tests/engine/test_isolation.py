from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from automl.engine.isolation import Limits, Outcome, Seat
from automl.engine.isolation.errand import Errand, Job

JOBS = "tests.engine.isolated_jobs:"
MB = 1 << 20


@pytest.fixture(scope="module")
def shared_seat() -> Iterator[Seat]:
    with Seat(preload=False) as seat:
        yield seat


@pytest.fixture
def run(shared_seat: Seat) -> Callable[..., Outcome]:
    def run_job(name: str, args: dict | None = None, **options) -> Outcome:
        return shared_seat.run(JOBS + name, args or {}, **options)

    return run_job


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_until(condition: Callable[[], bool], seconds: float = 5.0) -> bool:
    stop = time.monotonic() + seconds
    while time.monotonic() < stop:
        if condition():
            return True
        time.sleep(0.02)
    return condition()


def test_a_job_gives_its_result(run):
    outcome = run("double", {"number": 21})
    assert outcome.status == "ok"
    assert outcome.result == {"number": 42}
    assert outcome.error is None


def test_every_report_is_answered(run):
    seen = []

    def on_report(report):
        seen.append(report)
        return "go" if report["fold"] < 2 else "stop"

    outcome = run("tell_folds", {"folds": 3}, on_report=on_report)
    assert outcome.result == {"answers": ["go", "go", "stop"]}
    assert seen == [{"event": "fold", "fold": fold} for fold in range(3)]


def test_without_a_listener_a_job_may_go_on(run):
    assert run("tell_folds", {"folds": 2}).result == {"answers": ["go", "go"]}


def test_a_job_that_was_told_to_stop_is_stopped_not_failed(run):
    outcome = run("stop_when_told", on_report=lambda report: "stop" if report["fold"] == 1 else "go")
    assert (outcome.status, outcome.error) == ("stopped", "Pruned: after fold 1")


def test_what_the_user_can_put_right_is_told_word_for_word(run):
    outcome = run("raise_user_error")
    assert (outcome.status, outcome.user_error) == ("error", True)
    assert outcome.error == "Column 'age' is not in the table; choose another one."


def test_any_other_error_is_one_short_sentence_with_a_traceback_for_the_log(run):
    outcome = run("raise_value_error")
    assert (outcome.status, outcome.user_error) == ("error", False)
    assert outcome.error is not None and outcome.error.startswith("ValueError: xxx")
    assert len(outcome.error) == 500
    assert "in raise_value_error" in outcome.detail


@pytest.mark.parametrize(
    ("job", "status"), [("raise_memory_error", "memory"), ("raise_cancelled", "cancelled")]
)
def test_exceptions_with_a_meaning_have_a_status(run, job, status):
    assert run(job).status == status


def test_a_job_that_is_not_there_is_an_error(run):
    outcome = run("no_such_job")
    assert outcome.status == "error"
    assert "no_such_job" in outcome.error


def test_a_result_that_is_no_json_is_the_jobs_error(run):
    outcome = run("give_no_json")
    assert outcome.status == "error"
    assert "not JSON serializable" in outcome.error


def test_arguments_that_are_no_json_are_the_callers_error(run):
    with pytest.raises(TypeError, match="not JSON serializable"):
        run("double", {"number": object()})
    assert run("double", {"number": 1}).status == "ok"


def test_a_process_that_leaves_without_a_word_has_crashed(run):
    outcome = run("leave")
    assert (outcome.status, outcome.signal) == ("crashed", None)
    assert "exit code 3" in outcome.error


def test_large_arguments_and_results_pass(run):
    outcome = run("echo_size", {"text": "é" * 300_000, "times": 3})
    assert outcome.result == {"text": "é" * 900_000}


def test_a_fit_over_its_time_is_killed_even_inside_a_c_call(run):
    began = time.monotonic()
    outcome = run("stay_in_c", limits=Limits(seconds=0.4))
    assert outcome.status == "timeout"
    assert outcome.error.startswith("timeout: the fit was stopped after 0.")
    assert time.monotonic() - began < 2


def test_a_tick_that_says_no_cancels_at_once_even_inside_a_c_call(run):
    ticks: list[float] = []

    def on_tick(seconds: float) -> bool:
        ticks.append(seconds)
        return len(ticks) < 3

    outcome = run("stay_in_c", on_tick=on_tick)
    assert outcome.status == "cancelled"
    assert ticks[-1] == pytest.approx(0.5, abs=0.4)
    assert outcome.seconds < 2


def test_a_fit_that_eats_memory_is_killed_and_told_how_much_it_had(run):
    outcome = run("eat_memory", limits=Limits(memory_bytes=200 * MB))
    assert outcome.status == "memory"
    assert outcome.error.startswith("memory: the fit used 2")
    assert "its limit is 210 MB; use fewer rows, or fewer trees, leaves or levels." in outcome.error
    assert 200 * MB < outcome.peak_bytes < 400 * MB


@pytest.mark.parametrize(
    ("job", "words"),
    [
        (
            "automl.engine.jobs:prepare",
            "preparing the table used 300 MB, its limit is 200 MB; use fewer rows or",
        ),
        (
            "automl.engine.jobs:evaluate",
            "the fit used 300 MB, its limit is 200 MB; use fewer rows, or fewer tr",
        ),
    ],
)
def test_what_ran_out_of_memory_is_named_for_what_it_was(job, words):
    limits = Limits(memory_bytes=200_000_000)
    errand = Errand(server=None, job=Job(job, {}, limits), ticker=None, peak=300_000_000)
    errand._verdict = "memory"
    assert errand._sentence(1.0).startswith(f"memory: {words}")


def test_memory_of_what_a_fit_has_started_counts(run):
    outcome = run("let_a_child_eat_memory", limits=Limits(memory_bytes=200 * MB))
    assert outcome.status == "memory"


def test_memory_below_the_limit_is_measured_and_let_be(run):
    outcome = run("hold", {"bytes": 100 * MB}, limits=Limits(memory_bytes=400 * MB))
    assert outcome.status == "ok"
    assert 90 * MB < outcome.peak_bytes < 260 * MB


def test_endless_printing_neither_blocks_nor_fills_memory(run):
    outcome = run("print_without_end", limits=Limits(seconds=0.5))
    assert outcome.status == "timeout"
    assert 0 < len(outcome.detail) <= 8192


def test_printing_does_not_forge_a_result(run):
    assert run("print_and_return").result == {"honest": True}


def test_a_segmentation_fault_is_named_and_its_last_words_kept(run):
    outcome = run("crash")
    assert (outcome.status, outcome.signal) == ("crashed", signal.SIGSEGV)
    assert "SIGSEGV" in outcome.error
    assert "about to read what is not there" in outcome.detail
    assert "Segmentation fault" in outcome.detail


def test_a_fit_killed_from_outside_says_so(run):
    outcome = run("kill_itself")
    assert (outcome.status, outcome.signal) == ("crashed", signal.SIGKILL)
    assert "killed from outside" in outcome.error


@pytest.mark.parametrize("stay", [True, False])
def test_what_a_fit_has_started_ends_with_it(run, stay):
    told: dict[str, int] = {}

    def on_report(report):
        told.update(report)
        return "go"

    run("start_a_child", {"stay": stay}, on_report=on_report, limits=Limits(seconds=0.5))
    assert wait_until(lambda: not is_alive(told["child"]) and not is_alive(told["own"]))


def test_an_exception_of_the_listener_comes_through_and_the_fit_is_killed(run):
    told: dict[str, int] = {}

    def on_report(report):
        told.update(report)
        raise KeyError("the database is away")

    with pytest.raises(KeyError, match="the database is away"):
        run("start_a_child", {"stay": True}, on_report=on_report)
    assert not is_alive(told["own"])
    assert run("double", {"number": 1}).status == "ok"


def test_a_fit_has_a_group_of_its_own_one_thread_and_no_input(run):
    found = run("look_around").result
    assert found == {
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "threads": 1,
        "group": True,
        "stdin": "",
    }


def test_a_seat_is_for_one_thread_at_a_time(run, shared_seat):
    refused: list[str] = []

    def on_report(report):
        try:
            shared_seat.run(JOBS + "double", {"number": 1})
        except RuntimeError as error:
            refused.append(str(error))
        return "go"

    run("tell_folds", {"folds": 1}, on_report=on_report)
    assert refused and "in use" in refused[0]


def test_an_idle_server_that_died_is_replaced_without_a_word():
    with Seat(preload=False) as seat:
        assert seat.run(JOBS + "double", {"number": 1}).status == "ok"
        os.kill(seat.server_pid, signal.SIGKILL)
        assert seat.run(JOBS + "double", {"number": 2}).result == {"number": 4}


def test_a_server_killed_in_mid_fit_loses_that_fit_only():
    told: dict[str, int] = {}

    def on_report(report):
        told.update(report)
        os.kill(report["server"], signal.SIGKILL)
        return "go"

    with Seat(preload=False) as seat:
        outcome = seat.run(JOBS + "start_a_child", {"stay": True}, on_report=on_report)
        assert outcome.status == "crashed"
        assert "can be tried again" in outcome.error
        assert wait_until(lambda: not is_alive(told["own"]) and not is_alive(told["child"]))
        assert seat.run(JOBS + "double", {"number": 2}).result == {"number": 4}


def test_closing_ends_the_server():
    seat = Seat(preload=False)
    seat.run(JOBS + "double", {"number": 1})
    pid = seat.server_pid
    seat.close()
    assert not is_alive(pid)


OWNER = """
import os, sys, threading
from automl.engine.isolation import Seat
seat = Seat(preload=False)

def on_report(report):
    print(*report.values(), seat.server_pid, flush=True)
    return "go"

def work():
    seat.run("tests.engine.isolated_jobs:start_a_child", {"stay": True}, on_report=on_report)

thread = threading.Thread(target=work)
thread.start()
thread.join()
"""


@pytest.mark.parametrize("forks_hold_the_socket", [False, True])
def test_an_owner_killed_outright_leaves_no_process_behind(forks_hold_the_socket):
    code = OWNER
    if forks_hold_the_socket:
        code = code.replace("def work", "bystander = None\ndef work").replace(
            "print(*report", "bystander = os.fork() or (sys.stdin.read(), os._exit(0)); print(*report"
        )
    owner = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True
    )
    assert owner.stdout is not None and owner.stdin is not None
    pids = [int(word) for word in owner.stdout.readline().split()]
    assert len(pids) == 4 and all(is_alive(pid) for pid in pids)
    owner.kill()
    owner.wait()
    gone = wait_until(lambda: not any(is_alive(pid) for pid in pids))
    owner.stdin.close()
    owner.stdout.close()
    assert gone


def test_a_seat_outlives_the_thread_that_started_it():
    seat = Seat(preload=False)
    outcomes: list[Outcome] = []
    for number in range(2):
        thread = threading.Thread(
            target=lambda number=number: outcomes.append(seat.run(JOBS + "double", {"number": number}))
        )
        thread.start()
        thread.join()
    pid = seat.server_pid
    outcomes.append(seat.run(JOBS + "double", {"number": 2}))
    assert [outcome.result for outcome in outcomes] == [{"number": 0}, {"number": 2}, {"number": 4}]
    assert seat.server_pid == pid
    seat.close()


def _double_in_a_daemon(seat: Seat, answers: multiprocessing.Queue) -> None:
    answers.put(seat.run(JOBS + "double", {"number": 4}).result)
    seat.close()


def test_a_daemonic_fork_of_the_owner_gets_a_server_of_its_own():
    context = multiprocessing.get_context("fork")
    answers = context.Queue()
    with Seat(preload=False) as seat:
        seat.run(JOBS + "double", {"number": 1})
        process = context.Process(target=_double_in_a_daemon, args=(seat, answers), daemon=True)
        process.start()
        assert answers.get(timeout=20) == {"number": 8}
        process.join()
        assert seat.run(JOBS + "double", {"number": 1}).result == {"number": 2}


def test_cancelling_works_while_the_server_is_still_warming_up():
    with Seat() as seat:
        outcome = seat.run(JOBS + "double", {"number": 1}, on_tick=lambda seconds: False)
    assert outcome.status == "cancelled"


def test_the_warm_server_has_one_thread_and_its_forks_may_use_openmp(caplog):
    caplog.set_level("INFO", "automl.engine.isolation")
    with Seat(threads=2) as seat:
        for _ in range(2):
            outcome = seat.run(JOBS + "fit_with_openmp", {}, limits=Limits(seconds=60))
            assert outcome.status == "ok", outcome.error
            assert outcome.result["score"] > 0.9
            assert outcome.result["heavy"]
        threads = seat.run(JOBS + "blas_threads", {}).result["threads"]
        fewer = seat.run(JOBS + "blas_threads", {"threads": 1}).result["threads"]
    # A thread at fork time, or a library that does not load, is a warning.
    assert not [record.message for record in caplog.records if record.levelname == "WARNING"]
    assert "was ready after" in caplog.text
    assert (threads, fewer) == ([2], [1])


def test_warming_up_tells_whether_the_server_is_ready():
    with Seat(preload=False) as seat:
        assert seat.warm_up()
    with Seat() as seat:
        assert not seat.warm_up(lambda seconds: False)
