"""Third-party scripts are served out of installed wheels, so that none is copied into the project."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from django.contrib.staticfiles.finders import BaseFinder
from django.core.files.storage import FileSystemStorage, Storage

# Where a file is asked for -> the package and the file in it.
FILES = {
    "vendor/plotly.min.js": ("plotly", "package_data/plotly.min.js"),
}


class WheelFinder(BaseFinder):
    """Finds the files of FILES without importing the packages that hold them."""

    def find(self, path: str, find_all: bool = False, **kwargs: Any) -> Any:
        found = _locate(path)
        if find_all:
            return [str(found)] if found else []
        return str(found) if found else None

    def list(self, ignore_patterns: Any) -> Iterator[tuple[str, Storage]]:
        for name in FILES:
            if found := _locate(name):
                yield name, _Renamed(name, found)


class _Renamed(FileSystemStorage):
    """A storage with one file, known by the name it is served under."""

    def __init__(self, name: str, file: Path) -> None:
        super().__init__(location=str(file.parent))
        self._served_as, self._file = name, file

    def path(self, name: str) -> str:
        return str(self._file) if name == self._served_as else super().path(name)


def _locate(name: str) -> Path | None:
    package, inside = FILES.get(name, ("", ""))
    spec = find_spec(package) if package else None
    if spec is None or spec.origin is None:
        return None
    file = Path(spec.origin).parent / inside
    return file if file.exists() else None
