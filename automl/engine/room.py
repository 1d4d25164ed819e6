"""How large an ensemble may get. What several members have in common, such as what they are based on, counts
once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]


@dataclass(frozen=True, slots=True)
class Room:
    """What candidates take, and how much of it there is.

    Attributes
    ----------
    sizes : array of shape (parts,)
        Bytes of each part.
    owns : bool array of shape (candidates, parts)
        Which parts each candidate consists of.
    members : int
        The most that there may be.
    bytes : float
        The most that all members together may take.
    """

    sizes: Array
    owns: Array
    members: int
    bytes: float

    @classmethod
    def of(cls, parts: Sequence[Mapping[Any, float]], members: int, bytes_: float) -> Room:
        """Make it from the bytes of each candidate's parts, by names that say which are the same."""
        sizes = {name: float(size) for each in parts for name, size in each.items()}
        owns = [[name in each for name in sizes] for each in parts]
        return cls(np.array(list(sizes.values())), np.array(owns, dtype=bool), members, bytes_)

    @classmethod
    def unlimited(cls, candidates: int, members: int) -> Room:
        """Make it for candidates that take nothing."""
        return cls(np.zeros(0), np.zeros((candidates, 0), dtype=bool), members, np.inf)

    def only(self, candidates: Array) -> Room:
        """The same room for some of the candidates."""
        return replace(self, owns=self.owns[candidates])

    def with_each(self, members: Array) -> Array:
        """The bytes that members take with each candidate, of shape (candidates,)."""
        there = self.owns[members].any(axis=0)
        return np.asarray(self.sizes[there].sum() + (self.owns & ~there) @ self.sizes)

    def is_over(self, members: Array) -> bool:
        """Tell whether these candidates are too many, or too large."""
        there = self.owns[members].any(axis=0)
        return bool(members.sum() > self.members or self.sizes[there].sum() > self.bytes)

    def freed(self, members: Array) -> Array:
        """How much less of what these have too much of there is without each of them, at least 1."""
        if members.sum() > self.members:
            return np.ones(len(self.owns))
        alone = self.owns[members].sum(axis=0) == 1
        return np.asarray(np.maximum((self.owns & alone) @ self.sizes, 1.0))
