"""By what an ensemble is judged: predictions of weights that were chosen without each row."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from automl.engine.errors import Damaged
from automl.engine.evaluation import are_decided, as_packaged
from automl.engine.labels import decided
from automl.engine.metrics import METRICS
from automl.engine.preparation import Prepared

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]


def honest_predictions(
    prepared: Prepared, args: Mapping[str, Any], y: Array, own: Array
) -> tuple[Array, Array]:
    """Predictions of the rows that folds judge, and what their labels are decided by.

    The rows that weights were chosen by flatter them, the fewer there are the more.

    Parameters
    ----------
    prepared : Prepared
    args : mapping
        A job's, with `members`, `metric` and, where there is one, the folder `honest`.
    y : array of shape (rows,)
    own : array of shape (rows,) or (rows, classes)
        What is taken where there are no others: a trial's, or those of an ensemble of before these were kept.
    """
    found = _kept(prepared, args.get("honest"), own)
    return found, decided(METRICS[args["metric"]], y, found) if are_decided(args["members"]) else found


def _kept(prepared: Prepared, folder: str | None, own: Array) -> Array:
    if not folder:
        return own
    try:
        _, found, _ = as_packaged(prepared, [{"dir": folder, "weight": 1.0}])
    except Damaged:
        return own
    return found if len(found) == len(own) else own
