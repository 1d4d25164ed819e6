"""What MLflow loads: the file `MLmodel` of the bundle names this module."""

from __future__ import annotations

from typing import Any

import pandas as pd

from .files import load
from .tables import predictions_frame


class PyFunc:
    """A model with the method that MLflow calls."""

    def __init__(self, folder: str) -> None:
        self.model = load(folder)

    def predict(self, frame: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """A column `prediction`, and for classification a column `probability_CLASS` for each class."""
        return predictions_frame(self.model, pd.DataFrame(frame))


def _load_pyfunc(path: str) -> PyFunc:
    return PyFunc(path)
