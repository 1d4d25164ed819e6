"""Writes requirements.txt and requirements-dev.txt: exact versions, and why each package is there."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

HEADERS = {
    "requirements": "every package that the service installs, direct or not.",
    "requirements-dev": "what tests and lint need besides requirements.txt.",
}
OPTIONS = ["--quiet", "--no-header", "--no-emit-index-url", "--no-emit-find-links", "--annotation-style=line"]


def pin(name: str, *, upgrade: bool) -> None:
    source, target = f"{name}.in", Path(f"{name}.txt")
    command = [str(Path(sys.executable).with_name("uv")), "pip", "compile", source, *OPTIONS]
    # What is pinned stays, but for what an .in file or `--upgrade` changes.
    command += ["--python-version", "3.11", "--output-file", str(target), *(["--upgrade"] if upgrade else [])]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)  # noqa: S603
    text = re.sub(r"-c requirements\.txt, |, -c requirements\.txt", "", target.read_text())
    lines = [re.sub(r" +# via", "  # via", line) for line in text.splitlines() if not line.startswith("#")]
    target.write_text(
        "\n".join([f"# Written by `make requirements` from {source}: {HEADERS[name]}", *lines, ""])
    )


if __name__ == "__main__":
    for each in HEADERS:
        pin(each, upgrade="--upgrade" in sys.argv)
