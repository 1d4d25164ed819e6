"""The seam between a search and the ways to choose what to try next."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

from automl.engine.space import Choice, Space
from automl.engine.trial import Params, ParamValue, Proposal, TrialRecord

if TYPE_CHECKING:
    import numpy as np

# Random draws before a space is taken to have nothing new left.
DRAWS = 20


class Sampler(Protocol):
    """Proposes configurations.

    A sampler keeps nothing between calls: the same spaces, history, count and seed give the same
    proposals, in any process.
    """

    def propose(
        self, spaces: Mapping[str, Space], history: Sequence[TrialRecord], *, count: int, seed: int
    ) -> list[Proposal]:
        """Propose what to try next.

        Parameters
        ----------
        spaces : mapping of str to Space
            The families that may be tried.
        history : sequence of TrialRecord
            In the order of their numbers; unfinished ones have no score yet.
        count : int
        seed : int

        Returns
        -------
        list of Proposal
            At most ``count``, valid in their spaces, none in the history, none twice; fewer when
            nothing new is left.
        """
        ...


def signature(family: str, params: Params) -> str:
    """Give a text that is equal for equal configurations."""
    return family + json.dumps(dict(params), sort_keys=True)


def tried(history: Iterable[TrialRecord]) -> set[str]:
    """Give the signatures of a history."""
    return {signature(record.family, record.params) for record in history}


def nearby(
    space: Space, params: Params, rng: np.random.Generator, *, scale: float = 0.1
) -> dict[str, ParamValue]:
    """Move a configuration a little: about half of its dials, at least one.

    Parameters
    ----------
    scale : float
        The standard deviation of a move, as a share of a dial's range.
    """
    names = list(space.dimensions)
    moved = {name for name in names if rng.random() < 0.5} or {names[int(rng.integers(len(names)))]}
    positions = {}
    for name in names:
        dimension = space.dimensions[name]
        is_there = name in params and (not isinstance(dimension, Choice) or dimension.offers(params[name]))
        position = dimension.position(params[name]) if is_there else float(rng.random())
        if name in moved:
            position = position + float(rng.normal(0.0, scale))
            # Reflected at the ends: cut off there, half of all moves would end on them.
            position = min(abs(position) if position < 1.0 else 2.0 - position, 1.0)
        positions[name] = max(position, 0.0)
    return space.at(positions)


def fresh(
    space: Space, family: str, seen: set[str], rng: np.random.Generator, around: Params | None = None
) -> dict[str, ParamValue] | None:
    """Find a configuration that is not among those seen, or None when the space seems used up.

    Parameters
    ----------
    around : mapping, optional
        Look near this one first, then further and further away.
    """
    if not space.dimensions:
        params: dict[str, ParamValue] = {}
        return params if signature(family, params) not in seen else None
    for draw in range(DRAWS):
        params = space.sample(rng) if around is None else nearby(space, around, rng, scale=0.1 * (1 + draw))
        if signature(family, params) not in seen:
            return params
    return None
