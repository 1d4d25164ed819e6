"""A second layer: models that learn from the columns and from what the best model of each family predicts.

Wolpert 1992. A row's predictions are those of the fold models that did not see it, so that the second
layer learns how right they are on new rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from automl.engine.budget import MOST_BYTES
from automl.engine.errors import UserError
from automl.engine.learners import get_learner, stacks
from automl.engine.schema import DataProfile

if TYPE_CHECKING:
    from automl.engine.preparation import Prepared

TOO_FEW_BASES = (
    "Stacked families learn from what models of at least two others predict; choose more families. The "
    "baseline and nearest neighbours are not learned from."
)
# Of one model's predictions alone there is little to learn.
LEAST_BASES = 2
# Of so few rows the second layer learns the luck of the first.
LEAST_ROWS = 1_000
# Whoever downloads a stacked model downloads these too: the rest of a bundle's room is for others.
BASES_SHARE = 0.75


def choose_bases(trials: Sequence[Mapping[str, Any]], bundled: float = MOST_BYTES) -> list[Mapping[str, Any]]:
    """Choose what a stacked trial learns from: the best trial of each family, best first.

    Parameters
    ----------
    trials : sequence of mapping
        Complete trials, see `automl.engine.jobs.Candidate`.
    bundled : float
        How many bytes the models of an ensemble may take, see `automl.engine.budget.most_bytes`.

    Returns
    -------
    list of mapping
        None of them stacked, or holding rows of the table; as many as a bundle has room for.
    """
    ranked = sorted(trials, key=lambda trial: (-trial["score"], trial["number"]))
    ranked = [trial for trial in ranked if may_be_base(trial["family"])]
    chosen: dict[str, Mapping[str, Any]] = {}
    room = BASES_SHARE * bundled
    for trial in ranked:
        size = trial.get("size") or 0
        if trial["family"] not in chosen and size <= room:
            chosen[trial["family"]] = trial
            room -= size
    for trial in sorted(ranked, key=lambda trial: trial.get("size") or 0):
        if len(chosen) < LEAST_BASES:
            chosen.setdefault(trial["family"], trial)
    return list(chosen.values())


def may_be_base(family: str) -> bool:
    """Whether stacked trials may learn from what a family's trials predict."""
    learner = get_learner(family)
    return not (learner.stacks or learner.keeps_rows or family == "dummy")


def lacks_bases(families: Iterable[str]) -> bool:
    """Whether some of the families are stacked, and too few of the others can be learned from."""
    keys = list(families)
    return any(map(stacks, keys)) and sum(map(may_be_base, keys)) < LEAST_BASES


def check_bases(family: str, bases: Sequence[Mapping[str, Any]]) -> None:
    """Raise UserError if a family needs more trials of others than there are."""
    if stacks(family) and len(bases) < LEAST_BASES:
        raise UserError(too_few(family, len(bases)))


def too_few(family: str, bases: int) -> str:
    """Say that there is not enough yet for a family to learn from."""
    return (
        f"{get_learner(family).label} learns from what models of other families predict: at least "
        f"{LEAST_BASES} families need a complete trial; there are {bases}. Try it again when there are."
    )


def stacked_profile(data: DataProfile, bases: int) -> DataProfile:
    """What learners may know of a table that the predictions of so many trials have joined."""
    return replace(data, numeric=data.numeric + bases * (data.classes if data.classes > 2 else 1))


def stacked(prepared: Prepared, bases: Sequence[Mapping[str, Any]]) -> Prepared:
    """A prepared table with what trials have predicted of its rows, out of fold, as columns.

    Parameters
    ----------
    prepared : Prepared
    bases : sequence of mapping
        See `automl.engine.jobs.Base`.
    """
    import numpy as np

    from automl.engine.evaluation import read_predictions
    from automl.engine.inference import as_columns

    columns = [as_columns(read_predictions(base["dir"])) for base in bases]
    X = np.concatenate([np.asarray(prepared.X), *columns], axis=1)
    each = (X.shape[1] - prepared.X.shape[1]) // len(bases)
    names = [name_of(base) for base in bases for _ in range(each)]
    features = [
        *prepared.meta["features"],
        *({"name": name, "column": name, "kind": "number"} for name in names),
    ]
    return replace(
        prepared,
        X=X,
        profile=stacked_profile(prepared.profile, len(bases)),
        meta={**prepared.meta, "features": features},
    )


def name_of(trial: Mapping[str, Any]) -> str:
    """What people call a trial."""
    return f"{get_learner(trial['family']).label} #{trial['number']}"
