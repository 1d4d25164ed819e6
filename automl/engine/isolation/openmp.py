"""LightGBM needs the system's libgomp.so.1, and a slim system has none.

scikit-learn's wheel brings the same library under a name of its own; a link with the name that
LightGBM looks for, in a folder that the loader searches, is all that is missing.
"""

from __future__ import annotations

import ctypes
import os
import sys
from functools import cache
from importlib.util import find_spec
from pathlib import Path

NAME = "libgomp.so.1"


@cache
def openmp_folder() -> Path | None:
    """Give the folder to add to LD_LIBRARY_PATH; None where the system has the library, or nobody has."""
    try:
        ctypes.CDLL(NAME)
    except OSError:
        return link_openmp(Path(sys.prefix) / "lib" / "bakeoff")
    return None


def link_openmp(folder: Path) -> Path | None:
    """Link the library of scikit-learn's wheel into a folder under its usual name."""
    spec = find_spec("sklearn")
    if spec is None or spec.origin is None:
        return None
    found = sorted((Path(spec.origin).parent.parent / "scikit_learn.libs").glob("libgomp*"))
    if not found:
        return None
    draft = folder / f".{NAME}.{os.getpid()}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        draft.symlink_to(found[0])
        draft.replace(folder / NAME)
    except OSError:
        return None
    return folder
