"""Under which licence each package is that a model needs."""

from __future__ import annotations

import importlib.metadata
from itertools import chain

LONGEST = 60
CLASSIFIER = "License :: "
KEYS, FILE = ("License", "License-Expression"), "License-File"
PLACES = ("licenses/", "")


def licence_of(package: str) -> str:
    """What an installed package says of its licence: an SPDX expression where it has one."""
    try:
        about = importlib.metadata.distribution(package)
    except importlib.metadata.PackageNotFoundError:
        return "unknown: not installed here"
    told = about.metadata
    classified = [
        value.rpartition(" :: ")[2]
        for value in told.get_all("Classifier") or []
        if value.startswith(CLASSIFIER) and value.count(" :: ") > 1
    ]
    # Some packages put the whole text of their licence there, or only beside; its first line names it.
    text, expression = (_first_line("".join(told.get_all(key) or [])) for key in KEYS)
    files = (f"{place}{name}" for name in told.get_all(FILE) or [] for place in PLACES)
    beside = (_first_line(about.read_text(name) or "") for name in files)
    candidates = chain([expression, ", ".join(classified), text], beside)
    return next((found for found in candidates if found and len(found) <= LONGEST), "see the package")


def _first_line(text: str) -> str:
    return next((line.strip() for line in text.splitlines() if line.strip()), "")
