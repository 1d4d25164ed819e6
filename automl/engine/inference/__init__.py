"""Predicts with a trained model; needs no service.

A bundle holds a copy of this folder as `bakeoff_model`, beside `predict.py`: so modules here import each
other relatively, and otherwise what the bundle's requirements name.
"""

from .encoder import Encoder, clean_texts, level_of, names_as_trained, parse_dates
from .errors import Damaged, InputError, WrongVersion
from .files import load
from .model import (
    LEAST_POOLED,
    LEAST_PROBABILITY,
    FittedModel,
    Member,
    Model,
    as_columns,
    as_frame,
    bases_of,
    categorical_positions,
    combine,
    finish_probabilities,
    temper,
)
from .safe import load_skops
from .seal import check_files
from .tables import predictions_frame
from .uncertainty import Uncertainty
from .verify import verify_bundle

__all__ = [
    "LEAST_POOLED",
    "LEAST_PROBABILITY",
    "Damaged",
    "Encoder",
    "FittedModel",
    "InputError",
    "Member",
    "Model",
    "Uncertainty",
    "WrongVersion",
    "as_columns",
    "as_frame",
    "bases_of",
    "categorical_positions",
    "check_files",
    "clean_texts",
    "combine",
    "finish_probabilities",
    "level_of",
    "load",
    "load_skops",
    "names_as_trained",
    "parse_dates",
    "predictions_frame",
    "temper",
    "verify_bundle",
]
