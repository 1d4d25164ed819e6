"""Random search: hard to beat in many dimensions, and the yardstick for cleverer samplers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from automl.engine.samplers.base import fresh, signature, tried
from automl.engine.space import Space
from automl.engine.trial import Proposal, TrialRecord


class RandomSampler:
    """Takes the families in turn and draws evenly from each one's space."""

    def propose(
        self, spaces: Mapping[str, Space], history: Sequence[TrialRecord], *, count: int, seed: int
    ) -> list[Proposal]:
        import numpy as np

        rng = np.random.default_rng(seed)
        seen = tried(history)
        counts = dict.fromkeys(spaces, 0)
        for record in history:
            if record.family in counts:
                counts[record.family] += 1
        order = list(spaces)
        proposals: list[Proposal] = []
        while len(proposals) < count and order:
            family = min(order, key=lambda key: (counts[key], order.index(key)))
            params = fresh(spaces[family], family, seen, rng)
            if params is None:
                order.remove(family)
                continue
            seen.add(signature(family, params))
            counts[family] += 1
            proposals.append(Proposal(family, params))
        return proposals
