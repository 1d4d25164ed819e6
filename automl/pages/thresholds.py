"""What calling rows positive from a threshold on costs: read from the counts that the engine stored."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.http import QueryDict

LARGEST_COST = 1e9


@dataclass(frozen=True, slots=True)
class Costs:
    """What a false alarm and a miss cost, in any unit."""

    false_positive: float = 1.0
    false_negative: float = 1.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a threshold brings."""

    threshold: float
    tp: int
    fp: int
    fn: int
    tn: int
    cost: float  # per 1,000 rows

    @property
    def precision(self) -> float | None:
        return self.tp / (self.tp + self.fp) if self.tp + self.fp else None

    @property
    def recall(self) -> float | None:
        return self.tp / (self.tp + self.fn) if self.tp + self.fn else None

    @property
    def called(self) -> float:
        return (self.tp + self.fp) / max(self.tp + self.fp + self.fn + self.tn, 1)


class Table:
    """The stored counts of `automl.engine.diagnostics.classification.thresholds`."""

    def __init__(self, found: Mapping[str, Any], costs: Costs) -> None:
        self.values: list[float] = found["values"]
        self._found = found
        self._costs = costs
        self.costs = [self._at(place).cost for place in range(len(self.values))]

    def at(self, threshold: float) -> Outcome:
        """The nearest stored threshold that is not above this one."""
        return self._at(max(bisect_right(self.values, threshold) - 1, 0))

    @property
    def best(self) -> Outcome:
        """The cheapest; of several the one in their middle, which is least a matter of luck."""
        least = min(self.costs)
        cheapest = [place for place, cost in enumerate(self.costs) if cost <= least]
        return self._at(cheapest[len(cheapest) // 2])

    def _at(self, place: int) -> Outcome:
        tp, fp = self._found["true_positives"][place], self._found["false_positives"][place]
        fn, tn = self._found["positives"] - tp, self._found["negatives"] - fp
        rows = max(self._found["positives"] + self._found["negatives"], 1)
        cost = 1000 * (fp * self._costs.false_positive + fn * self._costs.false_negative) / rows
        return Outcome(self.values[place], tp, fp, fn, tn, cost)


def costs_of(query: QueryDict) -> Costs:
    """The costs in an address; what is no cost counts as 1."""
    return Costs(_number(query, "false_positive", 1.0), _number(query, "false_negative", 1.0))


def threshold_of(query: QueryDict) -> float | None:
    """The threshold in an address, if there is one."""
    found = _number(query, "threshold", -1.0)
    return min(found, 1.0) if found >= 0 else None


def _number(query: QueryDict, name: str, otherwise: float) -> float:
    try:
        value = float(query.get(name, ""))
    except ValueError:
        return otherwise
    return min(value, LARGEST_COST) if math.isfinite(value) and value >= 0 else otherwise
