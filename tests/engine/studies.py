"""Studies that are run without fitting anything."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace

from automl.engine.learners import get_learner
from automl.engine.samplers import signature
from automl.engine.schema import DataProfile
from automl.engine.study import Study
from automl.engine.trial import Proposal, TaskType, TrialRecord, TrialState

SMALL = DataProfile(208, 60, TaskType.BINARY, 2)
LARGE = DataProfile(36_000, 6, TaskType.BINARY, 2, (9, 16, 40), (6, 7, 8))


def made_up_folds(proposal: Proposal, folds: int = 5) -> tuple[float, ...]:
    """Score a configuration without fitting: the same for the same one, noisy over folds."""
    rng = random.Random(signature(proposal.family, proposal.params))
    strength = {"dummy": 0.5, "linear": 0.7}.get(proposal.family, 0.8)
    level = strength + 0.1 * rng.random()
    return tuple(level + 0.01 * rng.gauss(0, 1) for _ in range(folds))


def simulate(
    study: Study, *, seats: int, order: int = 0, known: Sequence[TrialRecord] = ()
) -> list[TrialRecord]:
    """Run a study with so many seats, trials ending in a random order with random times."""
    rng = random.Random(order)
    trials: dict[int, TrialRecord] = {record.number: record for record in known}
    plans: dict[int, tuple[float, ...]] = {}
    for _ in range(100_000):
        history = [trials[number] for number in sorted(trials)]
        running = [r for r in history if not r.state.is_final]
        for proposal in study.ask(history, seats - len(running)):
            number = len(trials)
            plans[number] = made_up_folds(proposal, study.folds)
            trials[number] = TrialRecord(
                number, proposal.family, proposal.params, proposal.origin, TrialState.RUNNING
            )
        running = [r for r in trials.values() if not r.state.is_final]
        if not running:
            return [trials[number] for number in sorted(trials)]
        trial = rng.choice(running)
        scores = plans[trial.number][: len(trial.fold_scores) + 1]
        trial = replace(trial, fold_scores=scores, seconds=trial.seconds + rng.random())
        if len(scores) == study.folds:
            trial = replace(trial, state=TrialState.COMPLETE, score=sum(scores) / len(scores))
        elif study.should_prune(trial, [trials[number] for number in sorted(trials)]):
            trial = replace(trial, state=TrialState.PRUNED)
        trials[trial.number] = trial
    raise AssertionError("the study never ended")


def outcome(history: list[TrialRecord]) -> list[tuple[object, ...]]:
    return [(r.number, r.family, dict(r.params), r.origin, r.state, r.score) for r in history]


def proposals_in_time(study: Study, remaining: float, speed: float = 1.0) -> list[tuple[Proposal, float]]:
    """Run one seat until nothing fits any more; trials take `speed` times their predicted cost."""
    history: list[TrialRecord] = []
    found = []
    while len(history) < 400:
        proposals = study.ask(history, 1, remaining)
        if not proposals:
            break
        (proposal,) = proposals
        learner = get_learner(proposal.family)
        seconds = 0.05 + study.folds * learner.cost(study.data, proposal.params).seconds * speed
        found.append((proposal, remaining - seconds))
        remaining -= seconds
        folds = made_up_folds(proposal)
        number = len(history)
        history.append(
            TrialRecord(number, proposal.family, proposal.params, proposal.origin, TrialState.COMPLETE,
                        sum(folds) / 5, folds, seconds)
        )  # fmt: skip
    return found


def served(study: Study, seats: int, speed: float) -> tuple[list[TrialRecord], dict[int, float], float]:
    """Run a study as the service does: a trial for each seat waits while others run.

    Trials take `speed` times their predicted cost; gives those that ended, when each began, and the seconds
    that seats spent on others or on nothing.
    """
    end = study.budget.remaining(0.0) or 0.0
    trials: list[TrialRecord] = []
    began: dict[int, float] = {}
    now = 0.0
    while now < end:
        history = list(trials)
        for number, start in began.items():
            if trials[number].state is TrialState.RUNNING:
                done = int(study.folds * (now - start) / trials[number].seconds)
                history[number] = replace(trials[number], fold_scores=(0.7,) * done, seconds=0.0)
        waiting = [record for record in trials if record.state is TrialState.WAITING]
        for proposal in study.ask(history, seats - len(waiting), end - now):
            number, seconds = len(trials), 0.05 + speed * study.predicted(proposal.family, proposal.params)
            trials.append(
                TrialRecord(number, proposal.family, proposal.params, proposal.origin, seconds=seconds)
            )
        for number, record in enumerate(trials):
            busy = sum(each.state is TrialState.RUNNING for each in trials)
            if record.state is TrialState.WAITING and busy < seats:
                trials[number], began[number] = replace(record, state=TrialState.RUNNING), now
        ends = {n: began[n] + r.seconds for n, r in enumerate(trials) if r.state is TrialState.RUNNING}
        if not ends:
            break
        number = min(ends, key=lambda n: ends[n])
        now = ends[number]
        if now <= end:
            ended = trials[number]
            folds = made_up_folds(Proposal(ended.family, ended.params), study.folds)
            score = sum(folds) / len(folds)
            trials[number] = replace(ended, state=TrialState.COMPLETE, fold_scores=folds, score=score)
    complete = [record for record in trials if record.state is TrialState.COMPLETE]
    return complete, began, seats * end - sum(record.seconds for record in complete)
