"""Known good configurations first, then another sampler."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

from automl.engine.learners import get_learner
from automl.engine.learners.base import STRONG_SKEW, learns_logarithms
from automl.engine.learners.boosting import MANY_CLASSES
from automl.engine.samplers.base import Sampler, signature, tried
from automl.engine.schema import DataProfile
from automl.engine.space import Space
from automl.engine.trial import Origin, Proposal, TrialRecord

# These three fill the board within a second or two; a table too hard for anything else has them.
QUICK = ("dummy", "linear", "lightgbm")
# Each name stands for its family's next configuration. Learned by benchmarks/portfolio.py on parts of
# the public tables: greedily, what lowers the loss of the ensemble most for the square root of its time
# (of the configurations of before docs/decisions/021; kernels were put among them since, 033).
# Each family is tried once early all the same, for the board.
ORDER = (
    "xgboost",
    "extra_trees",
    "hist_boosting",
    "catboost",
    "lightgbm",
    "neural_network",
    "linear",
    "kernel",
    "random_forest",
    "neighbors",
    "kernel",
    "xgboost",
    "neural_network",
    "catboost",
    "lightgbm",
    "extra_trees",
    "kernel",
    "lightgbm",
    "hist_boosting",
    "kernel",
    "xgboost",
    "lightgbm",
    "catboost",
    "extra_trees",
    "random_forest",
    "neural_network",
    "hist_boosting",
    "xgboost",
    "linear",
    "neural_network",
)
# With many classes each round of boosting is as many trees: a network has learned before they begin to.
QUICK_OF_MANY_CLASSES = ("dummy", "neural_network")
FIRST_OF_MANY_CLASSES = ("neural_network", "extra_trees", "neural_network", "neighbors")
# What is this many times dearer than the cheapest waits one place a doubling.
CHEAP_RATIO = 4.0


class PortfolioSampler:
    """Proposes a list from top to bottom, then asks another sampler.

    Parameters
    ----------
    entries : sequence of Proposal
        In the order in which they are to be tried.
    then : Sampler
    """

    def __init__(self, entries: Sequence[Proposal], then: Sampler) -> None:
        self.entries = tuple(entries)
        self.then = then

    def waiting(self, history: Iterable[TrialRecord]) -> list[Proposal]:
        """Give the entries that have not been tried yet."""
        seen = tried(history)
        return [entry for entry in self.entries if signature(entry.family, entry.params) not in seen]

    def propose(
        self, spaces: Mapping[str, Space], history: Sequence[TrialRecord], *, count: int, seed: int
    ) -> list[Proposal]:
        proposals = [entry for entry in self.waiting(history) if entry.family in spaces][:count]
        if len(proposals) == count:
            return proposals
        # The next sampler has to know what was just proposed, or it might propose it again.
        number = 1 + max((record.number for record in history), default=-1)
        pending = [
            TrialRecord(number + i, entry.family, entry.params, entry.origin)
            for i, entry in enumerate(proposals)
        ]
        later = self.then.propose(spaces, [*history, *pending], count=count - len(proposals), seed=seed)
        return proposals + later


def default_entries(spaces: Mapping[str, Space], data: DataProfile, *, strong: bool = True) -> list[Proposal]:
    """Order the learners' own configurations so that every prefix of the list is a good one.

    Parameters
    ----------
    spaces : mapping of str to Space
        The families that may be tried.
    data : DataProfile
    strong : bool
        With the portfolios; without them only each family's default is listed.

    Returns
    -------
    list of Proposal
        The quick ones, then those of `ORDER`, then what is left; dear ones a few places later.
    """
    rows: list[Proposal] = []
    many = data.classes > MANY_CLASSES and "neural_network" in spaces
    for family in QUICK_OF_MANY_CLASSES if many else QUICK:
        if family in spaces:
            params = spaces[family].validate(get_learner(family).first(data))
            rows.append(Proposal(family, params, Origin.DEFAULT))
    waiting = {family: _configurations(family, data, strong) for family in spaces if family != "dummy"}
    later = [family for family, found in waiting.items() for _ in found]
    entries: list[Proposal] = []
    for family in (*(FIRST_OF_MANY_CLASSES if many else ()), *ORDER, *later):
        if waiting.get(family):
            entries.append(Proposal(family, spaces[family].validate(waiting[family].pop(0)), Origin.DEFAULT))
    rows += _cheap_first(entries, data)
    unique: dict[str, Proposal] = {}
    for entry in rows:
        unique.setdefault(signature(entry.family, entry.params), entry)
    return list(unique.values())


def _configurations(family: str, data: DataProfile, strong: bool) -> list[Mapping[str, object]]:
    learner = get_learner(family)
    if not strong:
        return [learner.space(data).default()]
    found = list(learner.portfolio(data)) or [learner.first(data)]
    if "target" not in learner.space(data).dimensions:
        return list(found)
    targets = _targets(data)
    return [{**params, "target": targets[n % len(targets)]} for n, params in enumerate(found)]


def _targets(data: DataProfile) -> tuple[str, ...]:
    """What of the target is learned, in turn."""
    # Where the skew is strong the number itself has never been the better one, nor can it be where the metric
    # compares logarithms; a search may still try it.
    if data.log_offset or data.skew >= STRONG_SKEW:
        return ("log",)
    # Influences on a target that is not skewed may add up, also where errors count by their share of it.
    return ("log", "raw") if learns_logarithms(data) else ("raw", "log")


def _cheap_first(entries: list[Proposal], data: DataProfile) -> list[Proposal]:
    """Let the dear ones wait a few places: the order was learned where a fold takes a second or so."""
    if not entries:
        return []
    costs = [get_learner(entry.family).cost(data, entry.params).seconds for entry in entries]
    # Below a few seconds for the fold nobody waits long enough to mind.
    floor = max(min(costs), 0.5) * CHEAP_RATIO

    def place(index: int) -> float:
        return index + 2.0 * math.sqrt(max(costs[index] / floor - 1.0, 0.0))

    return [entries[index] for index in sorted(range(len(entries)), key=place)]
