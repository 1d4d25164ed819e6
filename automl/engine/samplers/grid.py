"""Grid search: every combination of a few values of every dial."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice

from automl.engine.samplers.base import signature, tried
from automl.engine.space import Space
from automl.engine.trial import Params, Proposal, TrialRecord

GOLDEN = (math.sqrt(5) - 1) / 2
# So many new points of a family are looked at for one that fits: that takes some hundredths of a second.
MOST_POINTS = 1_000
Fits = Callable[[str, Params], bool]


class GridSampler:
    """Walks over the grid of each family, the families in turn.

    Parameters
    ----------
    resolution : int
        Values for each number; choices are all taken.

    Notes
    -----
    A grid in eight dimensions is never finished, and walked in order its first hundred points
    differ in two dials only. So the walk goes in long equal strides: any number of first points is
    spread over the whole grid, and in the end each point has been visited once.
    """

    def __init__(self, resolution: int = 3) -> None:
        self.resolution = resolution

    def propose(
        self,
        spaces: Mapping[str, Space],
        history: Sequence[TrialRecord],
        *,
        count: int,
        seed: int,
        fits: Fits = lambda family, params: True,
    ) -> list[Proposal]:
        """As any sampler; points that do not fit are passed over, and come again when they do."""
        seen = tried(history)
        walks = {family: self._walk(space) for family, space in spaces.items()}
        counts = dict.fromkeys(spaces, 0)
        for record in history:
            if record.family in counts:
                counts[record.family] += 1
        proposals: list[Proposal] = []
        while len(proposals) < count and walks:
            family = min(walks, key=lambda key: counts[key])
            new = (point for point in walks[family] if signature(family, point) not in seen)
            params = next((point for point in islice(new, MOST_POINTS) if fits(family, point)), None)
            if params is None:
                del walks[family]
                continue
            seen.add(signature(family, params))
            counts[family] += 1
            proposals.append(Proposal(family, params))
        return proposals

    def _walk(self, space: Space) -> Iterator[Params]:
        size = space.grid_size(self.resolution)
        stride = max(round(size * GOLDEN), 1)
        while math.gcd(stride, size) != 1:
            stride += 1
        for step in range(size):
            point = space.grid_point(step * stride % size, self.resolution)
            if point is not None:
                yield point
