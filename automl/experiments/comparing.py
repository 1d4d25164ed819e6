"""Trials and experiments chosen to be seen side by side, and whether they can be paired row by row."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from django.http import Http404

from automl.accounts.models import User
from automl.experiments import selectors
from automl.experiments.models import Ensemble, Experiment, Trial

# What stands for the best ensemble of an experiment in an address.
ENSEMBLE = "ensemble"


def chosen_entries(experiment: Experiment, ids: Sequence[str]) -> list[Trial | Ensemble]:
    """The trials and ensembles that an address names, each once, in that order; or Http404."""
    wanted: list[str] = []
    for text in ids:
        if text == ENSEMBLE:
            newest = experiment.ensembles.order_by("-score", "-created_at").first()
            if newest is None:
                raise Http404("This experiment has no ensemble.")
            text = str(newest.id)  # noqa: PLW2901 - the word stands for it
        try:
            wanted.append(str(UUID(text)))
        except ValueError as error:
            raise Http404("There is no such trial.") from error
    found = selectors.entries_of(list(dict.fromkeys(wanted)), within=experiment)
    if found is None:
        raise Http404("There is no such trial in this experiment.")
    return found


def chosen_experiments(user: User, ids: Sequence[str]) -> list[Experiment]:
    """The user's experiments that an address names, each once, in that order; or Http404. One query."""
    try:
        wanted = list(dict.fromkeys(UUID(text) for text in ids))
    except ValueError as error:
        raise Http404("There is no such experiment.") from error
    found = {each.id: each for each in selectors.list_experiments(user).filter(id__in=wanted)}
    if len(found) < len(wanted):
        raise Http404("There is no such experiment.")
    return [found[id] for id in wanted]


def why_not_paired(experiments: Sequence[Experiment]) -> str:
    """Why the answers of experiments can't be held against each other row by row; empty where they can."""
    first = experiments[0]
    for other in experiments[1:]:
        for what, one, another in (
            ("tables", first.dataset_id, other.dataset_id),
            ("targets", first.target, other.target),
            ("task types", first.task_type, other.task_type),
            ("seeds, so other folds", first.seed, other.seed),
        ):
            if one != another:
                return (
                    f"{other.name} and {first.name} have different {what}: their scores are of other rows, "
                    "so a difference between them can't be tested row by row."
                )
    return ""
