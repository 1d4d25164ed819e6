"""Parts that live and do nothing: `ready` sees it within 15 s, answers at once, and recovers by itself."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator

import psutil
import pytest

from tests.service import Service

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    service = Service(tmp_path_factory.mktemp("home"))
    try:
        service.start()
        yield service
    finally:
        for process in service.processes():
            process.send_signal(signal.SIGCONT)
        service.close()


def seats(service: Service) -> list[psutil.Process]:
    """The pool processes of the evaluate worker, without the worker itself."""
    found = service.named("celery", "-Q evaluate")
    return [process for process in found if process.ppid() in {each.pid for each in found}]


def scheduler(service: Service) -> list[psutil.Process]:
    return service.named("celery", " beat ")


def broker(service: Service) -> list[psutil.Process]:
    return service.named("valkey-server") or pytest.skip("The broker of these tests is not ours to stop.")


@pytest.mark.parametrize(
    ("part", "processes", "words"),
    [
        ("workers", seats, "have moved nothing"),
        ("workers", scheduler, "no sweep has run"),
        ("broker", broker, "broker"),
    ],
)
def test_what_lives_and_is_deaf_is_not_ready(
    service: Service, part: str, processes: Callable[[Service], list[psutil.Process]], words: str
):
    # What has only just started is given time.
    service.wait_for(
        lambda: _has_been_up(service), within=30, what="the workers to have been there for a while"
    )
    service.wait_for(lambda: _ready(service)[0] == 200, within=30, what="the service to be ready")
    stopped = processes(service)
    assert stopped
    for process in stopped:
        process.send_signal(signal.SIGSTOP)
    try:
        service.wait_for(
            lambda: words in _ready(service)[1][part], within=15, what=f"ready to see it: {words}"
        )
    finally:
        for process in stopped:
            process.send_signal(signal.SIGCONT)
    service.wait_for(lambda: _ready(service)[0] == 200, within=20, what="the service to be ready again")


def _ready(service: Service) -> tuple[int, dict[str, str]]:
    began = time.monotonic()
    answer = service.client.get("health/ready/")
    assert time.monotonic() - began < 4, "the answer about health took too long"
    return answer.status_code, answer.json()["checks"]


def _has_been_up(service: Service) -> bool:
    worker = service.named("celery", "-Q evaluate")
    return bool(worker) and min(time.time() - process.create_time() for process in worker) > 15
