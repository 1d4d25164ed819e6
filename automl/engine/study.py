"""A search: what to try next, what to stop, when it is over, and what is best so far."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Literal, get_args

from automl.engine.budget import SEARCHED, Budget, CostModel
from automl.engine.errors import UserError
from automl.engine.filling import cheap, cheaper, cut_short
from automl.engine.learners import families_for, get_learner, stacks
from automl.engine.pruners import HalvingPruner, Mark, NoPruner, Pruner
from automl.engine.samplers import (
    GridSampler,
    PortfolioSampler,
    RandomSampler,
    Sampler,
    TPESampler,
    default_entries,
)
from automl.engine.samplers.allocation import family_shares
from automl.engine.samplers.base import signature
from automl.engine.schema import DataProfile
from automl.engine.space import Space
from automl.engine.stacking import (
    LEAST_BASES,
    LEAST_ROWS,
    TOO_FEW_BASES,
    lacks_bases,
    may_be_base,
    stacked_profile,
)
from automl.engine.trial import Origin, Params, Proposal, TrialRecord, TrialState

Search = Literal["auto", "random", "grid", "manual"]
# A manual search asks its sampler for nothing.
SAMPLERS: dict[Search, Callable[[], Sampler]] = {
    "auto": TPESampler,
    "random": RandomSampler,
    "grid": GridSampler,
    "manual": RandomSampler,
}

# With a budget in trials, trial n is chosen knowing only the trials before n - LAG. So up to LAG seats
# can work at once and the choices do not depend on how many there are, or on which is faster.
LAG = 8
# A prediction of time is off by this factor often enough; a trial cut off at the end is time lost.
SAFETY = 1.25
# One default may take this share of what is left, as long as there are others that take less.
GREEDY_SHARE = 0.4
# The first of a family may take more, as it says what that is worth; so may, early, the family that leads.
FIRST_SHARE = 0.55
STACKED = "On what the best models so far predict: a second layer, ready-made."
# With the best models of so many families there is enough for a second layer to learn from.
ENOUGH_BASES = 4
# What was stacked in this first part of the others' seat time is stacked again.
STALE_SHARE = 0.35
# In a search with so many seconds for trials that has nothing ready-made left it has time for all of its own.
LONG_SECONDS = 120.0
# It does not begin before this share of the time is left, and begins at the latest with this one.
STACKED_SHARE, LATEST_SHARE = 0.5, 0.2
# A family of which so many trials have failed, and none has come to a score, is given up.
MOST_FAILED = 3


class Study:
    """Drives a search over families of models. It knows no owner, no database and no clock.

    A study keeps nothing between calls: it can be made anew from its settings for every call, in any
    process, and gives the same answer to the same history.

    Parameters
    ----------
    data : DataProfile
    families : sequence of str, optional
        Keys of learners; all that are offered for the task if left out. Those that do not suit the table
        are never proposed.
    search : {"auto", "random", "grid", "manual"}
        "auto": strong defaults, then Bayesian search, the time shared among families by merit; towards the
        end a second layer, see `automl.engine.stacking`.
        "random" and "grid": each family's default, then that search, the families in turn; no second layer.
        "manual": proposes nothing.
    seed : int
    budget : Budget
    folds : int
        Folds of a trial, over all repeats; its cost is that of one fold as many times.
    repeats : int
        More than one in experiments of older versions, which have no second layer.

    Examples
    --------
    >>> from automl.engine.schema import DataProfile
    >>> from automl.engine.trial import TaskType
    >>> table = DataProfile(rows=500, numeric=4, task_type=TaskType.BINARY, classes=2)
    >>> study = Study(table, families=["dummy", "linear"], budget=Budget(max_trials=2))
    >>> [proposal.family for proposal in study.ask([], count=2)]
    ['dummy', 'linear']
    """

    def __init__(
        self,
        data: DataProfile,
        *,
        families: Sequence[str] | None = None,
        search: Search = "auto",
        seed: int = 0,
        budget: Budget | None = None,
        folds: int = 5,
        repeats: int = 1,
    ) -> None:
        if search not in get_args(Search):
            raise UserError(f"search is {search!r}; give one of {', '.join(get_args(Search))}.")
        keys = list(dict.fromkeys(families_for(data.task_type) if families is None else families))
        for key in keys:
            if data.task_type not in get_learner(key).task_types:
                raise UserError(f"{key} cannot do {data.task_type}.")
        if not keys:
            raise UserError("families is empty; name at least one, or leave it out for all.")
        if lacks_bases(keys):
            raise UserError(TOO_FEW_BASES)
        self.data = data
        self.search = search
        self.seed = seed
        self.budget = budget or Budget()
        self.folds = folds
        self.spaces: dict[str, Space] = {key: get_learner(key).space(data) for key in keys}
        # A family may have been offered when the search began, and its package be gone since.
        suiting = {key: space for key, space in self.spaces.items() if get_learner(key).suits(data)}
        self.first_layer = {key: space for key, space in suiting.items() if not stacks(key)}
        strong = search == "auto"
        self.sampler = SAMPLERS[search]()
        entries = default_entries(self.first_layer, data, strong=strong)
        self.portfolio = PortfolioSampler(entries, self.sampler)
        layered = strong and data.rows >= LEAST_ROWS and repeats == 1
        self.second_layer = self._second_layer() if layered else []
        self.pruner: Pruner = HalvingPruner() if search in ("auto", "random") else NoPruner()

    def next_seed(self, number: int) -> int:
        """Give the seed of a trial: from the experiment's seed and the trial's number alone."""
        digest = hashlib.blake2b(f"{self.seed}:{number}".encode(), digest_size=4).digest()
        return int.from_bytes(digest) >> 1

    def costs(self, history: Sequence[TrialRecord]) -> CostModel:
        """Give the cost model that the trials so far have taught."""
        return CostModel.learn(self._fold_seconds, self.folds, history)

    def ask(
        self, history: Sequence[TrialRecord], count: int = 1, remaining: float | None = None
    ) -> list[Proposal]:
        """Propose the next trials, in the order of their numbers.

        Parameters
        ----------
        history : sequence of TrialRecord
            All trials so far, unfinished ones too.
        count : int
            Free seats.
        remaining : float, optional
            Seconds in which a trial must have ended; not used with a budget in trials.

        Returns
        -------
        list of Proposal
            Fewer than ``count`` when earlier trials have to end first, when the budget is used up,
            or when nothing new fits in the time.
        """
        if self.search == "manual":
            return []
        told = sorted(history, key=lambda record: record.number)
        left = self.budget.trials_left(told)
        proposals: list[Proposal] = []
        # What the times have taught holds for all the proposals of one call.
        model = self.costs(told) if self.budget.max_trials is None and remaining is not None else None
        while len(proposals) < count and (left is None or len(proposals) < left):
            number = told[-1].number + 1 if told else 0
            if self.budget.max_trials is not None:
                found = self._by_number(told, number)
            elif remaining is None or model is None:
                found = self._any(told, number)
            else:
                found = self._in_time(told, number, model, remaining)
            if found is None:
                break
            proposals.append(found)
            told.append(TrialRecord(number, found.family, found.params, found.origin))
        return proposals

    @staticmethod
    def _charged(record: TrialRecord, model: CostModel) -> TrialRecord:
        """A record with the seconds that it will have taken, where it has not ended."""
        if record.state.is_final:
            return record
        expected = model.seconds(record.family, record.params)
        return replace(record, seconds=max(record.seconds, expected))

    def should_prune(self, trial: TrialRecord, history: Sequence[TrialRecord]) -> bool:
        """Tell whether a running trial should be stopped, from the folds that it has finished.

        What a person asked for is fitted to its end: they want its score, not only that it is no winner. So
        are the few of the second layer: an ensemble gains by those too that are behind the leaders.
        """
        if not self.may_prune(trial):
            return False
        return self.pruner.should_prune(trial, self.known_to(trial, history))

    def may_prune(self, trial: TrialRecord) -> bool:
        """Whether anything that others come to can stop a running trial."""
        asked = trial.origin in (Origin.MANUAL, Origin.SWEEP)
        is_raced = isinstance(self.pruner, HalvingPruner) and not stacks(trial.family)
        return is_raced and not asked and len(trial.fold_scores) < self.folds

    def mark(self, trial: TrialRecord, history: Sequence[TrialRecord]) -> Mark | None:
        """Give what a running trial has to reach now; None while nothing can stop it."""
        if not isinstance(self.pruner, HalvingPruner) or stacks(trial.family):
            return None
        return self.pruner.mark(trial, self.known_to(trial, history))

    def is_done(self, history: Sequence[TrialRecord], elapsed: float) -> bool:
        """Tell whether the search is over.

        When time is up it is over even while trials run: those are to be stopped, but for one that has all
        its folds and only has to be stored. Without that it is over when every trial is final and there is
        none to add.
        """
        remaining = self.budget.remaining(elapsed)
        if remaining is not None and remaining <= 0.0:
            is_grace = self.budget.remaining(elapsed - self.budget.grace) != 0.0
            return not (is_grace and any(self._is_fitted(record) for record in history))
        if self.search == "manual" or not all(record.state.is_final for record in history):
            return False
        return not self.ask(history, 1, remaining)

    def _is_fitted(self, record: TrialRecord) -> bool:
        return record.state is TrialState.RUNNING and len(record.fold_scores) >= self.folds

    def known_to(self, trial: TrialRecord, history: Sequence[TrialRecord]) -> Sequence[TrialRecord]:
        """Give what a trial may go by: of a budget in trials what any number of seats would know by then."""
        if self.budget.max_trials is None or trial.origin in (Origin.MANUAL, Origin.SWEEP):
            return history
        return [record for record in history if record.number < trial.number - LAG]

    def predicted(self, family: str, params: Params) -> float:
        """Give the seconds that a whole trial should take, whatever others have taken."""
        return self.folds * self._fold_seconds(family, params)

    def settled(
        self, history: Sequence[TrialRecord], predicted: Mapping[int, float] | None = None
    ) -> list[TrialRecord]:
        """Give what the next trial is chosen by.

        With a budget in trials that is what every number of seats, and every speed of theirs, would know
        by then: nothing of the latest trials but that they are there, and no measured times. Who has
        `predicted` the seconds of trials before, by number, need not bring their hyperparameters.
        """
        if self.budget.max_trials is None:
            return list(history)
        number = 1 + max((record.number for record in history), default=-1)
        known, times = [], predicted or {}
        for record in history:
            seconds = times.get(record.number)
            if seconds is None:
                seconds = self.predicted(record.family, record.params)
            who = (record.number, record.family, record.params, record.origin)
            if record.number >= number - LAG:
                known.append(TrialRecord(*who, seconds=seconds))
            else:
                # By hand: to replace one field of each of thousands takes four times as long.
                known.append(TrialRecord(*who, record.state, record.score, record.fold_scores, seconds))
        return known

    @staticmethod
    def best(history: Sequence[TrialRecord]) -> TrialRecord | None:
        """Give the complete trial with the highest score; the earlier one of equals."""
        complete = [r for r in history if r.state is TrialState.COMPLETE and r.score is not None]
        return max(complete, key=lambda record: (record.score or 0.0, -record.number), default=None)

    def _fold_seconds(self, family: str, params: Params) -> float:
        learner, data = get_learner(family), self.data
        if learner.stacks:
            data = stacked_profile(data, len(self._bases()))
        try:
            return learner.cost(data, params).seconds
        except KeyError:
            # A record of an older version: a dial has been added since.
            return learner.cost(data, learner.space(data).clip(params)).seconds

    def _second_layer(self) -> list[Proposal]:
        """The configurations that are stacked once there is something to learn from."""
        keys = [key for key in self.spaces if stacks(key)]
        waiting = {key: list(get_learner(key).portfolio(self.data)) for key in keys}
        found = []
        while any(waiting.values()):
            for key in keys:
                if waiting[key]:
                    found.append(Proposal(key, waiting[key].pop(0), Origin.DEFAULT, reason=STACKED))
        return found

    def stacked_waiting(self, told: Sequence[TrialRecord]) -> list[Proposal]:
        """What of the second layer has not been tried, if enough of the first is there to learn from."""
        if not self.second_layer:
            return []
        # A search that has gone on since for long has others to learn from.
        stale = STALE_SHARE * sum(record.seconds for record in told if not stacks(record.family))
        spent, seen = 0.0, set()
        for record in told:
            if not stacks(record.family):
                spent += record.seconds
            elif spent >= stale:
                seen.add(signature(record.family, record.params))
        waiting = [each for each in self.second_layer if signature(each.family, each.params) not in seen]
        if not waiting:
            return []
        there = {record.family for record in told if record.state is TrialState.COMPLETE}
        there &= {*filter(may_be_base, self.spaces)}
        # A family whose every trial was stopped, or failed, may never have one to learn from.
        running = {record.family for record in told if not record.state.is_final}
        hopeless = {record.family for record in told} - there - running
        possible = {*self._bases()} - hopeless
        return waiting if len(there) >= max(LEAST_BASES, min(ENOUGH_BASES, len(possible))) else []

    def sound(self, history: Sequence[TrialRecord]) -> dict[str, Space]:
        """The first layer's families, in a search that chooses among them without those that only fail.

        Failing costs little time, and who has no score counts as good as the best: such a family would be
        asked again and again.
        """
        if self.search != "auto":
            return self.first_layer
        failed = Counter(
            record.family
            for record in history
            if record.state is TrialState.FAILED and record.origin in SEARCHED
        )
        # What has failed may have some folds too.
        came = {
            record.family
            for record in history
            if record.score is not None or (record.fold_scores and record.state is not TrialState.FAILED)
        }
        return {
            key: space for key, space in self.first_layer.items() if key in came or failed[key] < MOST_FAILED
        }

    def ready_made(self, history: Sequence[TrialRecord]) -> list[Proposal]:
        """What of the list of good settings has not been tried, of families that are not given up."""
        sound = self.sound(history)
        return [entry for entry in self.portfolio.waiting(history) if entry.family in sound]

    def _bases(self) -> list[str]:
        """The families that a search tries by itself and that others can learn from."""
        return [key for key in self.first_layer if may_be_base(key)]

    def _stacked_in_time(
        self, told: Sequence[TrialRecord], model: CostModel, remaining: float, entry: Proposal | None
    ) -> Proposal | None:
        """Give one of the second layer: as late as those that are left can end, to learn from the best.

        The longest goes first, so that the others can wait for better ones to learn from. `entry` is what the
        first layer has ready-made now.
        """
        whole = self.budget.remaining(0.0) or 0.0
        if remaining > STACKED_SHARE * whole:
            return None
        costs = [(model.seconds(each.family, each.params), each) for each in self.stacked_waiting(told)]
        fitting = [(cost, each) for cost, each in costs if cost <= remaining / SAFETY]
        if not fitting:
            return None
        longest, found = max(fitting, key=lambda pair: pair[0])
        if entry is not None or whole < LONG_SECONDS:
            # As if each trial that runs or waits had a seat, and this one: the layer seems short, and begins
            # late. A stacked trial will keep its own.
            seats = 1 + sum(not record.state.is_final and not stacks(record.family) for record in told)
            needed = max(sum(cost for cost, _ in fitting) / seats, longest)
        else:
            # What else there is to try is a search that finds little: all of the layer is to end, after those
            # that have the seats before it.
            seats, before = self._seats(told, model)
            needed = before / seats + max(sum(cost for cost, _ in fitting) / seats, longest)
        return found if remaining <= max(SAFETY**2 * needed, LATEST_SHARE * whole) else None

    def _seats(self, told: Sequence[TrialRecord], model: CostModel) -> tuple[int, float]:
        """How many seats there seem to be, and the seconds that trials will take on them that run or wait."""
        running = [record for record in told if record.state is TrialState.RUNNING]
        waiting = [record for record in told if record.state is TrialState.WAITING]
        # A free one asks, if it has none of those that wait: there is one for each seat.
        seats = max(len(running), len(waiting) + 1) if waiting else len(running) + 1
        ahead = 0.0
        for record in (*running, *waiting):
            share = 1.0 - min(len(record.fold_scores) / self.folds, 1.0)
            ahead += share * model.seconds(record.family, record.params)
        return seats, ahead

    def _any(self, told: Sequence[TrialRecord], number: int) -> Proposal | None:
        found = self.portfolio.propose(self.sound(told), told, count=1, seed=self.next_seed(number))
        return found[0] if found else None

    def _by_number(self, told: Sequence[TrialRecord], number: int) -> Proposal | None:
        """Propose trial ``number`` from what every number of seats would know by then."""
        if not all(record.state.is_final for record in told if record.number < number - LAG):
            return None
        settled = self.settled(told)
        left = self.budget.trials_left(told)
        if left is not None and left <= len(self.second_layer) and (stacked := self.stacked_waiting(settled)):
            return stacked[0]
        return self._any(settled, number)

    def _in_time(
        self, told: Sequence[TrialRecord], number: int, model: CostModel, remaining: float
    ) -> Proposal | None:
        """Propose something that can end in the time that is left."""
        limit = remaining / SAFETY
        entry = self._entry_in_time(told, model, limit)
        short = self._cut_short(told, model, limit, entry) if self.search == "auto" else None
        found = short or self._stacked_in_time(told, model, remaining, entry) or entry
        if found is not None:
            return found
        import numpy as np

        seed = self.next_seed(number)
        if isinstance(self.sampler, GridSampler):
            points = self.sampler.propose(
                self.first_layer,
                told,
                count=1,
                seed=seed,
                fits=lambda family, params: model.seconds(family, params) <= limit,
            )
            return points[0] if points else None
        rng = np.random.default_rng(seed)
        sound = self.sound(told)
        first = self._first(sound)
        affordable = {key: space for key, space in sound.items() if model.seconds(key, first[key]) <= limit}
        charged = [self._charged(record, model) for record in told]
        for found in self.sampler.propose(affordable, charged, count=1, seed=seed) if affordable else []:
            if model.seconds(found.family, found.params) <= limit:
                return found
            if less := cheaper(self.spaces[found.family], found, told, model, limit=limit, rng=rng):
                return less
        return cheap(sound, first, told, model, limit=limit, rng=rng)

    def _cut_short(
        self, told: Sequence[TrialRecord], model: CostModel, limit: float, entry: Proposal | None
    ) -> Proposal | None:
        """Give what has to be cut short, unless a family that is ready-made now has not been tried at all."""
        if entry is not None and all(record.family != entry.family for record in told):
            return None
        return cut_short(self._first(self.sound(told)), told, model, limit=limit)

    def _first(self, families: Iterable[str]) -> dict[str, Params]:
        """The cheap and safe configurations of some families."""
        return {key: get_learner(key).first(self.data) for key in families}

    def _entry_in_time(self, told: Sequence[TrialRecord], model: CostModel, limit: float) -> Proposal | None:
        """Give the next default that fits: first those that leave time for others."""
        waiting = self.ready_made(told)
        costs = [model.seconds(entry.family, entry.params) for entry in waiting]
        started = {record.family for record in told}
        # Later its dear ones would take the second layer's time.
        is_early = limit > STACKED_SHARE * (self.budget.remaining(0.0) or 0.0)
        leader = best.family if is_early and (best := self.best(told)) else None
        for entry, seconds in zip(waiting, costs, strict=True):
            others = entry.family in started and entry.family != leader
            share = GREEDY_SHARE if others else FIRST_SHARE
            if seconds <= share * limit:
                return entry
        fitting = [place for place, seconds in enumerate(costs) if seconds <= limit]
        if new := [place for place in fitting if waiting[place].family not in started]:
            return waiting[min(new, key=lambda place: costs[place])]
        # Of families that have been tried, only those that do well here: a search may be worth more.
        shares = family_shares(list(self.sound(told)), told)
        good = [place for place in fitting if shares[waiting[place].family] * len(shares) >= 1.0]
        return waiting[good[0]] if good else None
