"""The whole service, started as `make run` does: its own home, a free port, a broker of its own.

Where `DATABASE_URL` or `REDIS_URL` are set it stands on those servers instead.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import uuid
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import psutil
import psycopg
from psycopg import sql
from redis import Redis

ROOT = Path(__file__).resolve().parent.parent
MARK = "BAKEOFF_TEST_SERVICE"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def servers_of_tests(name: str) -> dict[str, str]:
    """A PostgreSQL database and an emptied Redis of one's own, where the tests were given such servers."""
    given: dict[str, str] = {}
    if database := os.environ.get("DATABASE_URL"):
        parts = urlsplit(database)
        with psycopg.connect(database, autocommit=True) as connection:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(f"service_{name}")))
        given["DATABASE_URL"] = parts._replace(path=f"/service_{name}").geturl()
    if broker := os.environ.get("REDIS_URL"):
        Redis.from_url(broker).flushdb()
        given["REDIS_URL"] = broker
    return given


class Service:
    """One running service and a client that holds a token."""

    def __init__(self, home: Path, **environment: str) -> None:
        self.home = home
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.mark = uuid.uuid4().hex
        kept = ("PATH", "HOME", "LANG", "TMPDIR", "SSL_CERT_FILE", "LD_LIBRARY_PATH")
        self.environment = {
            **{name: os.environ[name] for name in kept if name in os.environ},
            "AUTOML_HOME": str(home),
            "AUTOML_PORT": str(self.port),
            MARK: self.mark,
            **servers_of_tests(self.mark),
            **environment,
        }
        self.process: subprocess.Popen[bytes] | None = None
        self.prefix: list[str] = []  # what starts the programs, where they are to see something of their own
        self.client = httpx.Client(base_url=f"{self.url}/api/v1/", timeout=30)

    def start(self, *, within: float = 90) -> None:
        log = (self.home / "serve.log").open("ab")
        self.process = subprocess.Popen(
            [*self.prefix, sys.executable, str(ROOT / "manage.py"), "serve"],
            cwd=ROOT,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        self.wait_for(self.is_ready, within=within, what="the service to be ready")

    def is_ready(self) -> bool:
        assert self.process is not None
        if self.process.poll() is not None:
            raise AssertionError(f"The service ended at once:\n{self.log()}")
        try:
            return self.client.get("health/ready/").status_code == 200
        except httpx.HTTPError:
            return False

    def sign_in(self, user: str = "alice") -> str:
        token = self.manage("token", user).strip()
        self.client.headers["Authorization"] = f"Bearer {token}"
        return token

    def manage(self, *arguments: str) -> str:
        done = subprocess.run(
            [*self.prefix, sys.executable, str(ROOT / "manage.py"), *arguments],
            cwd=ROOT,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def stop(self, sign: int = signal.SIGINT, *, within: float = 20) -> int:
        assert self.process is not None
        self.process.send_signal(sign)
        return self.process.wait(timeout=within)

    def close(self) -> None:
        """Leave nothing behind, whatever the test did."""
        self.client.close()
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait(timeout=10)
        for process in self.processes():
            process.kill()

    def processes(self) -> list[psutil.Process]:
        """Every process that carries this service's mark in its environment."""
        found = []
        for process in psutil.process_iter():
            try:
                if process.environ().get(MARK) == self.mark and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
            except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
                continue
        return found

    def named(self, *words: str) -> list[psutil.Process]:
        """The service's processes whose command line holds all the words."""
        found = []
        for process in self.processes():
            try:
                line = " ".join(process.cmdline())
            except psutil.NoSuchProcess:
                continue
            if all(word in line for word in words):
                found.append(process)
        return found

    def log(self) -> str:
        parts = [self.home / "serve.log", *sorted((self.home / "logs").glob("*.log"))]
        return "\n".join(f"== {path.name}\n{path.read_text()[-6000:]}" for path in parts if path.exists())

    def wait_for(self, condition: Any, *, within: float, what: str) -> Any:
        end = time.monotonic() + within
        while time.monotonic() < end:
            if value := condition():
                return value
            time.sleep(0.1)
        raise AssertionError(f"Waited {within:g} s for {what}.\n{self.log()}")

    def upload(self, path: Path) -> dict[str, Any]:
        with path.open("rb") as file:
            answer = self.client.post("datasets/", files={"file": (path.name, file, "text/csv")})
        assert answer.status_code == 201, answer.text
        return self.settled(f"datasets/{answer.json()['id']}/", ("ready", "failed"), within=60)

    def experiment(self, dataset: dict[str, Any], target: str, **settings: Any) -> dict[str, Any]:
        answer = self.client.post(
            "experiments/", json={"dataset": dataset["id"], "target": target, **settings}
        )
        assert answer.status_code == 201, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def settled(
        self, path: str, states: tuple[str, ...] = ("complete", "failed", "cancelled"), *, within: float
    ) -> dict[str, Any]:
        def reached() -> dict[str, Any] | None:
            found: dict[str, Any] = self.client.get(path).json()
            return found if found["status"] in states else None

        found: dict[str, Any] = self.wait_for(reached, within=within, what=f"{path} to be one of {states}")
        return found
