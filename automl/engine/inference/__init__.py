"""Predicts with a trained model; needs no service.

A bundle holds a copy of this folder as `bakeoff_model`, beside `predict.py`: so modules here import each
other relatively, and otherwise what the bundle's requirements name.
"""

from .encoder import Encoder, clean_texts, level_of, parse_dates
from .errors import InputError
from .files import check_files, load
from .model import (
    FittedModel,
    Member,
    Model,
    as_frame,
    categorical_positions,
    finish_probabilities,
    temper,
)
from .tables import predictions_frame, read_table
from .uncertainty import Uncertainty

__all__ = [
    "Encoder",
    "FittedModel",
    "InputError",
    "Member",
    "Model",
    "Uncertainty",
    "as_frame",
    "categorical_positions",
    "check_files",
    "clean_texts",
    "finish_probabilities",
    "level_of",
    "load",
    "parse_dates",
    "predictions_frame",
    "read_table",
    "temper",
]
