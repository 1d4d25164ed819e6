"""Trials and experiments chosen to be seen side by side, and whether they can be paired row by row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from django.db.models import Q
from django.http import Http404

from automl.accounts.models import User
from automl.engine.trial import TrialState
from automl.experiments import selectors
from automl.experiments.models import Ensemble, Experiment, Trial

# What stands for the best ensemble of an experiment in an address.
ENSEMBLE = "ensemble"


Entry = Trial | Ensemble


@dataclass(frozen=True, slots=True)
class Choice:
    """What was chosen to be compared, each once, in that order; and what may be chosen, best first."""

    entries: list[Entry]
    offered: list[Entry]


def chosen_entries(experiment: Experiment, ids: Sequence[str], *, offered: int = 0) -> Choice:
    """The trials and ensembles that an address names, or Http404, and the best of the board. Two queries."""
    wanted = list(dict.fromkeys(text if text == ENSEMBLE else _hex(text, "trial") for text in ids))
    complete = experiment.trials.filter(state=TrialState.COMPLETE.value).order_by("-score", "number")
    asked_for = Q(id__in=[text for text in wanted if text != ENSEMBLE])
    trials = experiment.trials.filter(asked_for | Q(id__in=complete.values("id")[:offered]))
    ensembles = list(experiment.ensembles.select_related("model").order_by("-score", "-created_at"))
    rows: list[Entry] = [*ensembles, *trials.select_related("model").defer("learned")]
    by_id = {row.id.hex: row for row in rows}
    if ENSEMBLE in wanted:
        if not ensembles:
            raise Http404("This experiment has no ensemble.")
        wanted = list(dict.fromkeys(ensembles[0].id.hex if text == ENSEMBLE else text for text in wanted))
    if not set(wanted) <= set(by_id):
        raise Http404("There is no such trial in this experiment.")
    return Choice([by_id[text] for text in wanted], sorted(rows, key=lambda row: -(row.score or 0.0)))


def chosen_experiments(
    user: User, ids: Sequence[str], *, offered: int = 0
) -> tuple[list[Experiment], list[Experiment]]:
    """The user's experiments that an address names, each once, in that order, or Http404; and the newest.

    One query.
    """
    wanted = list(dict.fromkeys(_hex(text, "experiment") for text in ids))
    mine = selectors.list_experiments(user)
    newest = mine.values("id")[:offered]
    rows = list(mine.filter(Q(id__in=wanted) | Q(id__in=newest)))
    by_id = {each.id.hex: each for each in rows}
    if not set(wanted) <= set(by_id):
        raise Http404("There is no such experiment.")
    return [by_id[text] for text in wanted], rows


def _hex(text: str, what: str) -> str:
    try:
        return UUID(text).hex
    except ValueError as error:
        raise Http404(f"There is no such {what}.") from error


def _division(experiment: Experiment) -> tuple[int, int] | None:
    prepared = experiment.prepared
    return (prepared["folds"], prepared["repeats"]) if prepared else None


def _drawn(experiment: Experiment) -> int | None:
    return (experiment.prepared or {}).get("drawn")


def why_not_paired(experiments: Sequence[Experiment]) -> str:
    """Why the answers of experiments can't be held against each other row by row; empty where they can."""
    first = experiments[0]
    for other in experiments[1:]:
        for what, one, another in (
            ("tables", first.dataset_id, other.dataset_id),
            ("targets", first.target, other.target),
            ("task types", first.task_type, other.task_type),
            ("seeds, so other folds", first.seed, other.seed),
            # Of a large table as many rows are learned from as there was time for at first.
            ("numbers of rows, as there was time for", _drawn(first), _drawn(other)),
            # Versions divide tables of few rows otherwise.
            ("folds", _division(first), _division(other)),
        ):
            if one != another:
                return (
                    f"{other.name} and {first.name} have different {what}: their scores are of other rows, "
                    "so a difference between them can't be tested row by row."
                )
    return ""
