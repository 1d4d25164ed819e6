"""Predicts with the model in this folder.

    python predict.py input.csv output.csv
    python predict.py --verify
    python predict.py --help

or, from Python::

    from predict import load
    model = load()
    model.predict(frame)          # what pandas.read_csv gives
    model.predict_proba(frame)    # classification; one column for each of model.classes_
"""

from __future__ import annotations

import hashlib
import importlib.util
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
PACKAGE = "bakeoff_model"
DAMAGED, MISSING = 4, 3
AGAIN = "Download the bundle again, and unpack the whole ZIP into an empty folder."

if __name__ == "__main__":
    # So that a file of yours that lies here, say random.py, is not taken for a library.
    sys.path[:] = [path for path in sys.path if Path(path or ".").resolve() != HERE]


class NotUsable(ImportError):
    """The bundle can't be used; `code` is the exit code that says so."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code


def _check_code() -> None:
    """Hold the code beside this file against its checksums, before it is run."""
    try:
        lines = (HERE / "SHA256SUMS").read_text(encoding="utf-8").splitlines()
        for digest, _, name in (line.partition("  ") for line in lines):
            is_code = name.startswith(f"{PACKAGE}/")
            if is_code and hashlib.sha256((HERE / name).read_bytes()).hexdigest() != digest:
                raise NotUsable(DAMAGED, f"{name} is not the file that was packaged. {AGAIN}")
    except (OSError, UnicodeDecodeError) as error:
        raise NotUsable(DAMAGED, f"The bundle is not whole ({error}). {AGAIN}") from error


def _import_code() -> None:
    """Import the package of this bundle, also where that of another one has been imported."""
    for name in [name for name in sys.modules if name.partition(".")[0] == PACKAGE]:
        del sys.modules[name]
    folder = HERE / PACKAGE
    spec = importlib.util.spec_from_file_location(
        PACKAGE, folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    assert spec is not None and spec.loader is not None
    module = sys.modules[PACKAGE] = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except ImportError as error:
        raise NotUsable(MISSING, f"{error}. Run: pip install -r requirements.txt") from error


try:
    _check_code()
    _import_code()
except NotUsable as error:
    if __name__ != "__main__":
        raise
    sys.stderr.write(f"{error}\n")
    raise SystemExit(error.code) from None

from bakeoff_model import InputError, Model  # noqa: E402
from bakeoff_model import load as load_folder  # noqa: E402
from bakeoff_model.command import main  # noqa: E402

__all__ = ["InputError", "Model", "load", "main"]


def load(folder: str | Path | None = None, *, runtime: str = "auto") -> Model:
    """Load the model of a bundle, by default of this one; nothing in it is run as code."""
    return load_folder(folder or HERE, runtime=runtime)


if __name__ == "__main__":
    raise SystemExit(main(folder=HERE))
