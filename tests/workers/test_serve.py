"""`manage.py serve` with all its real programs: it comes up, and nothing of it stays."""

from __future__ import annotations

import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.service import Service

pytestmark = pytest.mark.slow


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    service = Service(tmp_path, REDIS_URL="")  # also promises what becomes of the embedded broker
    yield service
    service.close()


def gone(service: Service) -> None:
    service.wait_for(lambda: service.processes() == [], within=10, what="every process to be gone")


def terminal(service: Service) -> str:
    return (service.home / "serve.log").read_text()


def test_it_comes_up_even_over_a_damaged_broker_file_and_sigint_leaves_nothing(service):
    folder = service.home / "broker" / "appendonlydir"
    folder.mkdir(parents=True)
    (folder / "appendonly.aof.manifest").write_text("this is no manifest\n")
    service.start()
    assert "could not read its files" in terminal(service)
    assert len(list(service.home.glob("broker/unreadable-*"))) == 1
    assert f"{service.url}/sign-in/" in terminal(service)
    for words in ("valkey-server", "gunicorn", "-Q evaluate", "-Q short"):
        assert service.named(words), words
    assert service.stop(signal.SIGINT) == 0
    gone(service)


def test_a_killed_program_comes_back_and_kill_9_leaves_nothing(service):
    service.start()
    before = service.named("gunicorn")
    for process in before:
        process.kill()
    service.wait_for(service.is_ready, within=30, what="the web server to be back")
    assert set(before).isdisjoint(service.named("gunicorn"))
    assert "web: ended after" in terminal(service)
    service.stop(signal.SIGKILL)
    gone(service)


def test_a_port_in_use_is_told_and_nothing_is_started(service):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", service.port))
        with pytest.raises(AssertionError, match=f"Can't listen on 127.0.0.1, port {service.port}"):
            service.start()
    assert service.process is not None
    assert service.process.wait(timeout=10) == 1
    assert "Set AUTOML_PORT" in terminal(service)
    gone(service)
