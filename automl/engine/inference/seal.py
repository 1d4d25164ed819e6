"""A bundle's files are held against their checksums, and nothing may lie among its code."""

from __future__ import annotations

import hashlib
from pathlib import Path

from .errors import Damaged

SUMS = "SHA256SUMS"
CODE = "bakeoff_model"
AGAIN = "Download the bundle again, and unpack the whole ZIP into an empty folder."


def check_files(folder: Path) -> None:
    """Compare every file with its checksum.

    Files that were added are no harm where they lie beside the bundle's own, and are needed there: tables,
    predictions. Among its code they would be run in place of it.

    Raises
    ------
    Damaged
        Naming the first file that is missing, changed or too many.
    """
    sums = _sums(folder)
    for name, digest in sums.items():
        path = folder / name
        if not path.is_file():
            raise Damaged(f"The bundle lacks {name}. {AGAIN}")
        with path.open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != digest:
                raise Damaged(f"{name} is not the file that was packaged. {AGAIN}")
    # A bundle made before 0.1.0 has all its code in predict.py.
    code = folder / CODE
    for path in sorted(code.iterdir()) if code.is_dir() else ():
        name = f"{CODE}/{path.name}"
        if name not in sums and path.name != "__pycache__":
            raise Damaged(f"{name} was added to the bundle. Remove it, or unpack the ZIP again.")


def _sums(folder: Path) -> dict[str, str]:
    try:
        text = (folder / SUMS).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise Damaged(f"{folder} is no bundle: it has no file {SUMS}. Unpack the whole ZIP.") from None
    except (OSError, UnicodeDecodeError):
        raise Damaged(f"{SUMS} can't be read. {AGAIN}") from None
    sums: dict[str, str] = {}
    for line in text.splitlines():
        digest, _, name = line.partition("  ")
        # A name that leads out of the folder would have a file of the machine read.
        if len(digest) != 64 or not name or name.startswith(("/", "\\")) or ".." in Path(name).parts:
            raise Damaged(f"{SUMS} holds the line {line[:100]!r}, which names no file. {AGAIN}")
        sums[name] = digest
    absent = {"schema.json", "model.skops"} - sums.keys()
    if absent:
        raise Damaged(f"{SUMS} has no line for {', '.join(sorted(absent))}. {AGAIN}")
    return sums
