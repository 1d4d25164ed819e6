"""What trials of earlier releases did in another way."""

from __future__ import annotations

from typing import Any

from automl.engine.evaluation import Fitting
from automl.engine.learners import Learner
from automl.engine.learners.preprocessing import NORMAL_ROWS, ONE_HOT_LEVELS, TARGET_CLASSES
from automl.engine.schema import DataProfile
from automl.engine.trial import Params


def is_otherwise(
    fitting: Fitting, learner: Learner, params: Params | dict[str, Any], data: DataProfile
) -> bool:
    """Whether the same dials would come to another model now than they did in a trial."""
    if fitting.get("training", 1) != learner.training:
        return True

    if "factor" not in fitting and _is_learned_otherwise(fitting["metric"], data):
        return True
    # Ranks were spread as a normal distribution, however many rows there were.
    return not leaves_doubt(fitting) and params.get("numeric") == "quantile" and data.rows >= NORMAL_ROWS


def leaves_doubt(fitting: Fitting) -> bool:
    """Whether a trial's temperature leaves some doubt: those before it do not tell what is held either."""
    return "is_held" in fitting


def _is_learned_otherwise(metric: str, data: DataProfile) -> bool:
    """Whether trials of before factors were stored have learned such a table in another way."""
    # By squared errors; and large categories with so many classes as the codes of their levels.
    has_codes = data.classes > TARGET_CLASSES and max(data.cardinalities, default=0) > ONE_HOT_LEVELS
    return metric in ("mape", "median_absolute_error") or has_codes
