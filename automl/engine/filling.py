"""What to begin where nothing that a search would try next can end in the time that is left."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from automl.engine.budget import CostModel
from automl.engine.learners import get_learner
from automl.engine.samplers.base import fresh, nearby, signature, tried
from automl.engine.space import Space
from automl.engine.trial import Params, Proposal, TrialRecord, TrialState

if TYPE_CHECKING:
    import numpy as np

CHEAPER = "Near what the search would have tried next, which could not have ended in time."
CHEAP = "Something new that can still end in the time that is left."
CUT_SHORT = "Nothing can end in the time that is left; this one keeps what it has learned by then."
# Tries to find something in a family's space that can end in time.
ATTEMPTS = 24
# Those that begin to learn soonest, as others sort all numbers of a large table before.
SOON = ("neural_network", "lightgbm", "hist_boosting")
# What is cut to less than one in so many of its rounds is not worth beginning.
MOST_CUT = 20.0


def cheaper(
    space: Space,
    found: Proposal,
    told: Sequence[TrialRecord],
    model: CostModel,
    *,
    limit: float,
    rng: np.random.Generator,
) -> Proposal | None:
    """Look around a configuration, further and further, for one that can end within ``limit`` seconds."""
    seen = tried(told)
    for attempt in range(ATTEMPTS):
        params = nearby(space, found.params, rng, scale=0.1 + 0.03 * attempt)
        if model.seconds(found.family, params) <= limit and signature(found.family, params) not in seen:
            return replace(found, params=params, reason=CHEAPER)
    return None


def cheap(
    spaces: Mapping[str, Space],
    first: Mapping[str, Params],
    told: Sequence[TrialRecord],
    model: CostModel,
    *,
    limit: float,
    rng: np.random.Generator,
) -> Proposal | None:
    """Give anything that ends within ``limit`` seconds, of the family with the best score that has something.

    `first` are the cheap and safe configurations of the families.
    """
    scores: dict[str, float] = {}
    for record in told:
        if record.score is not None:
            scores[record.family] = max(record.score, scores.get(record.family, record.score))
    seen = tried(told)
    for family in sorted(spaces, key=lambda key: -scores.get(key, float("-inf"))):
        space = spaces[family]
        around = space.validate(first[family])
        if signature(family, around) not in seen and model.seconds(family, around) <= limit:
            return Proposal(family, around, reason=CHEAP)
        for _ in range(ATTEMPTS):
            params = fresh(space, family, seen, rng, around=around if space.dimensions else None)
            if params is not None and model.seconds(family, params) <= limit:
                return Proposal(family, params, reason=CHEAP)
    return None


def cut_short(
    first: Mapping[str, Params], told: Sequence[TrialRecord], model: CostModel, *, limit: float
) -> Proposal | None:
    """Give what has to be cut short, as long as nothing else is there of what could be.

    On a large table nothing fits a short search but linear models; fewer rounds are better than none.
    """
    over = (TrialState.FAILED, TrialState.CANCELLED)
    if any(get_learner(record.family).ends_in_time and record.state not in over for record in told):
        return None
    seen = tried(told)
    able = [
        family
        for family, params in first.items()
        if get_learner(family).ends_in_time and signature(family, params) not in seen
    ]
    costs = {family: model.seconds(family, first[family]) for family in able}
    if min(costs.values(), default=0.0) <= limit:
        return None
    for family in sorted(able, key=lambda key: SOON.index(key) if key in SOON else len(SOON)):
        if costs[family] <= MOST_CUT * limit:
            return Proposal(family, first[family], reason=CUT_SHORT)
    return None
