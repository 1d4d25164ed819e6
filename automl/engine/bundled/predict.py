"""Predicts with the model in this folder.

    python predict.py input.csv output.csv

or, from Python::

    from predict import load
    model = load()
    model.predict(frame)          # what pandas.read_csv gives
    model.predict_proba(frame)    # classification; one column for each of model.classes_
"""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from bakeoff_model import InputError, Model  # noqa: E402
from bakeoff_model import load as load_folder  # noqa: E402
from bakeoff_model.command import main  # noqa: E402

__all__ = ["InputError", "Model", "load", "main"]


def load(folder: str | Path | None = None, *, runtime: str = "auto") -> Model:
    """Load the model of a bundle, by default of this one; nothing in it is run as code."""
    return load_folder(folder or HERE, runtime=runtime)


if __name__ == "__main__":
    raise SystemExit(main())
