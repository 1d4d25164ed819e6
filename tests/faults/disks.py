"""A real file system of a few megabytes, to be filled and made read-only.

Root mounts it. Anybody else gets it in a name space of his own, where the service then runs too; from
here it is seen through the root of a process that holds the name space.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
from pathlib import Path

import pytest

UNSHARE = ("unshare", "--user", "--map-root-user", "--mount")


class SmallDisk:
    """A tmpfs at a folder: `prefix` starts a program that sees it, `path` is where this process does."""

    def __init__(self, folder: Path, *, megabytes: int) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._holder: subprocess.Popen[str] | None = None
        self.prefix: list[str] = []
        self.path = folder
        mount = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(folder)]
        if os.geteuid() == 0 and subprocess.run(mount, capture_output=True, check=False).returncode == 0:
            return
        self._holder = subprocess.Popen(
            [
                "unshare",
                "--user",
                "--map-root-user",
                "--mount",
                "sh",
                "-c",
                '"$@" && echo mounted && cat',
                "sh",
                *mount,
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert self._holder.stdout is not None
        if self._holder.stdout.readline() != "mounted\n":
            self.close()
            words = (
                "A small file system can't be mounted here, neither as root nor in a name space of one's own."
            )
            if os.environ.get("CI"):
                pytest.fail(words)
            pytest.skip(words)
        pid = str(self._holder.pid)
        self.prefix = ["nsenter", "--target", pid, "--user", "--mount", "--preserve-credentials"]
        self.path = Path("/proc") / pid / "root" / folder.relative_to("/")

    @property
    def _ballast(self) -> Path:
        return self.path / "ballast"

    def fill(self, *, leave: int = 0) -> None:
        """Take all room but so many bytes; what others free meanwhile is not taken."""
        free = os.statvfs(self.path)
        size = free.f_bavail * free.f_frsize - leave
        with contextlib.suppress(OSError), self._ballast.open("ab") as file:
            while size > 0:
                size -= file.write(bytes(min(size, 1 << 16)))
                file.flush()

    def make_room(self) -> None:
        self._ballast.unlink(missing_ok=True)

    def lock(self, inside: Path) -> None:
        """Let nothing of a folder be written any more; what is open for writing stays so."""
        self._call("mount", "--bind", str(inside), str(inside))
        self._call("mount", "-o", "remount,ro,bind", str(inside))

    def unlock(self, inside: Path) -> None:
        self._call("umount", "-l", str(inside))

    def _call(self, *command: str) -> None:
        subprocess.run([*self.prefix, *command], check=True)

    def close(self) -> None:
        if self._holder is not None:
            self._holder.kill()
            self._holder.communicate()
        else:
            subprocess.run(["umount", "-l", str(self.folder)], check=False, capture_output=True)
