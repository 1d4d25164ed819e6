"""The embedded broker: a private socket, no port, and nothing lost by a crash."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import kombu
import pytest
import redis

from automl.core import broker


@pytest.fixture
def start(tmp_path: Path) -> Iterator:
    processes: list[subprocess.Popen[bytes]] = []
    folders: set[Path] = set()

    def run(home: Path) -> subprocess.Popen[bytes]:
        path = broker.socket_of(broker.embedded_url(home))
        folders.add(path.parent)
        line = broker.command(path, home / "broker")
        processes.append(subprocess.Popen(line, stdout=subprocess.DEVNULL))
        deadline = time.monotonic() + 10
        while not broker.answers(path):
            assert time.monotonic() < deadline, "the broker does not answer"
            time.sleep(0.01)
        return processes[-1]

    yield run
    for process in processes:
        process.kill()
        process.wait()
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.parametrize("name", ["home", "a" * 150, "two words", "größe"])
def test_it_serves_celery_whatever_the_folder_is_called(start, tmp_path, name):
    home = tmp_path / name
    start(home)
    url = broker.embedded_url(home)
    with kombu.Connection(url) as connection, connection.SimpleQueue("letters") as queue:
        queue.put({"number": 1})
        assert queue.get(timeout=5).payload == {"number": 1}


def test_it_has_no_port_and_a_socket_for_its_user_only(start, tmp_path):
    start(tmp_path)
    path = broker.socket_path(tmp_path)
    with redis.Redis(unix_socket_path=str(path)) as client:
        settings = client.config_get("port", "appendonly", "maxmemory-policy")
    assert settings == {"port": "0", "appendonly": "yes", "maxmemory-policy": "noeviction"}
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0


def test_messages_survive_a_kill(start, tmp_path):
    process = start(tmp_path)
    with redis.Redis(unix_socket_path=str(broker.socket_path(tmp_path))) as client:
        client.set("letter", "one")
        client.execute_command("WAITAOF", 1, 0, 2000)
    process.kill()
    process.wait()
    start(tmp_path)
    with redis.Redis(unix_socket_path=str(broker.socket_path(tmp_path))) as client:
        assert client.get("letter") == b"one"


def test_a_short_plain_folder_holds_its_socket_and_a_long_one_does_not():
    assert broker.socket_path(Path("/srv/bakeoff")) == Path("/srv/bakeoff/broker/broker.sock")
    long = broker.socket_path(Path("/srv") / ("a" * 120))
    assert len(os.fsencode(long)) <= broker.LONGEST_SOCKET_PATH
    assert long != broker.socket_path(Path("/srv") / ("b" * 120))


def test_a_folder_that_leads_elsewhere_is_refused(tmp_path):
    (tmp_path / "theirs").mkdir()
    (tmp_path / "ours").symlink_to(tmp_path / "theirs")
    with pytest.raises(RuntimeError, match="Set AUTOML_HOME to another folder"):
        broker.command(tmp_path / "ours" / "broker.sock", tmp_path / "files")


def test_nobody_answers_where_no_broker_is(tmp_path):
    assert not broker.answers(tmp_path / "broker.sock")


def test_setting_aside_needs_something_to_set_aside(tmp_path):
    assert broker.set_aside(tmp_path) is None
    (tmp_path / "appendonlydir").mkdir()
    aside = broker.set_aside(tmp_path)
    assert aside is not None
    assert aside.is_dir()
    assert not (tmp_path / "appendonlydir").exists()
