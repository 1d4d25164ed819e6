"""Bayesian search inside a family by Optuna's TPE, rebuilt from the records at every call."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from automl.engine.learners import LEARNERS, stacks
from automl.engine.samplers.allocation import next_family
from automl.engine.samplers.base import fresh, nearby, signature, tried
from automl.engine.space import Choice, Dimension, Float, Space
from automl.engine.stopped import Comparison
from automl.engine.trial import Params, ParamValue, Proposal, TrialRecord, TrialState

if TYPE_CHECKING:
    import numpy as np

# With fewer scores in a family the model of TPE knows nothing; near the best one is a better guess.
STARTUP = 8
# So many records keep a proposal under 50 ms; the best and the latest hold what TPE looks at.
MOST_RECORDS = 150
# One proposal in so many is a small step from the family's best: TPE rarely refines.
REFINE_EVERY = 4

# A trial and what it comes to, that of a stopped one guessed from its folds.
Scored = tuple[TrialRecord, float]


class Guess(StrEnum):
    """How the next configuration of a family is found."""

    DEFAULTS = "defaults"
    NEAR_WIDELY = "near_widely"
    ANYWHERE = "anywhere"
    NEAR = "near"
    MODEL = "model"


def next_guess(tried_before: int, usable: int) -> Guess:
    """Say how a family's next configuration is found.

    Parameters
    ----------
    tried_before : int
        Trials of the family so far.
    usable : int
        Those of them that have a score, if only of some folds.
    """
    if not usable:
        return Guess.DEFAULTS
    if usable < STARTUP:
        # Half of the first ones look around the best default, half anywhere.
        return Guess.NEAR_WIDELY if tried_before % 2 else Guess.ANYWHERE
    return Guess.NEAR if tried_before % REFINE_EVERY == 0 else Guess.MODEL


def searched(families: Iterable[str]) -> list[str]:
    """Leave out the families that can't be shipped, which would pay for nothing, and those that stack."""
    keys = [key for key in families if not stacks(key)]
    return [key for key in keys if not _holds_rows(key)] or keys


class TPESampler:
    """Shares the trials among the families and models each one's space by itself."""

    def propose(
        self, spaces: Mapping[str, Space], history: Sequence[TrialRecord], *, count: int, seed: int
    ) -> list[Proposal]:
        import numpy as np

        rng = np.random.default_rng(seed)
        seen = tried(history)
        families = searched(spaces)
        told = list(history)
        proposals: list[Proposal] = []
        while len(proposals) < count and families:
            family = next_family(families, told)
            own = [record for record in told if record.family == family]
            known = own if any(record.state is TrialState.COMPLETE for record in own) else told
            params = self._params(spaces[family], family, own, Comparison(known), seen, rng)
            if params is None:
                families.remove(family)
                continue
            seen.add(signature(family, params))
            proposals.append(Proposal(family, params))
            told.append(_pending(family, params, told))
        return proposals

    def _params(
        self,
        space: Space,
        family: str,
        own: list[TrialRecord],
        comparison: Comparison,
        seen: set[str],
        rng: np.random.Generator,
    ) -> dict[str, ParamValue] | None:
        if not space.dimensions:
            return fresh(space, family, seen, rng)
        scored = [(record, comparison.score(record)) for record in own if _inside(space, record.params)]
        usable = [(record, score) for record, score in scored if score is not None]
        guess = next_guess(len(own), len(usable))
        if guess is Guess.DEFAULTS:
            default = space.default()
            return default if signature(family, default) not in seen else fresh(space, family, seen, rng)
        best, _ = max(
            usable, key=lambda pair: (pair[0].state is TrialState.COMPLETE, pair[1], -pair[0].number)
        )
        if guess is Guess.NEAR_WIDELY:
            params = nearby(space, best.params, rng, scale=0.2)
        elif guess is Guess.ANYWHERE:
            params = space.sample(rng)
        elif guess is Guess.NEAR:
            params = nearby(space, best.params, rng)
        else:
            params = _ask_optuna(space, _kept(usable), seed=int(rng.integers(2**31)))
        if signature(family, params) not in seen:
            return params
        return fresh(space, family, seen, rng, around=params)


def _holds_rows(family: str) -> bool:
    return family in LEARNERS and LEARNERS[family].keeps_rows


def _pending(family: str, params: Params, told: Sequence[TrialRecord]) -> TrialRecord:
    """Make a record of something just proposed; it costs what its family's trials cost on average."""
    times = [record.seconds for record in told if record.family == family and record.seconds > 0]
    number = 1 + max((record.number for record in told), default=-1)
    return TrialRecord(number, family, params, seconds=sum(times) / len(times) if times else 0.0)


def _inside(space: Space, params: Params) -> bool:
    """Whether the space offers them: what is withdrawn can be fitted, and is no place to look around."""
    try:
        if space.validate(params) != dict(params):
            return False
    except ValueError:
        return False
    dials = {name: space.dimensions[name] for name in params}
    return all(dial.offers(params[name]) for name, dial in dials.items() if isinstance(dial, Choice))


def _kept(records: list[Scored]) -> list[Scored]:
    if len(records) <= MOST_RECORDS:
        return records
    half = MOST_RECORDS // 2
    latest = records[-half:]
    rest = sorted(records[:-half], key=lambda pair: -pair[1])[:half]
    return sorted(rest + latest, key=lambda pair: pair[0].number)


def _ask_optuna(space: Space, records: Sequence[Scored], *, seed: int) -> dict[str, ParamValue]:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=0, n_ei_candidates=24)
    study = optuna.create_study(direction="maximize", sampler=sampler)
    distributions = {name: _distribution(optuna, dim) for name, dim in space.dimensions.items()}
    with warnings.catch_warnings():
        # Choices with None or a bool among them are fine in memory; it warns for databases.
        warnings.simplefilter("ignore")
        study.add_trials(
            [
                optuna.create_trial(
                    params=dict(record.params),
                    distributions={name: distributions[name] for name in record.params},
                    value=score,
                )
                for record, score in records
            ]
        )
        trial = study.ask()
        values: dict[str, ParamValue] = {}
        for name, dimension in space.dimensions.items():
            if space.is_active(name, values):
                values[name] = _suggest(trial, name, dimension)
    return space.validate(values)


def _distribution(optuna: Any, dimension: Dimension) -> Any:
    if isinstance(dimension, Choice):
        return optuna.distributions.CategoricalDistribution(dimension.choices)
    if isinstance(dimension, Float):
        return optuna.distributions.FloatDistribution(dimension.low, dimension.high, log=dimension.log)
    return optuna.distributions.IntDistribution(dimension.low, dimension.high, log=dimension.log)


def _suggest(trial: Any, name: str, dimension: Dimension) -> ParamValue:
    if isinstance(dimension, Choice):
        value: ParamValue = trial.suggest_categorical(name, dimension.choices)
    elif isinstance(dimension, Float):
        # Eight digits: nobody can tell the rest, and it makes pages and URLs long.
        found = trial.suggest_float(name, dimension.low, dimension.high, log=dimension.log)
        value = min(max(float(f"{found:.8g}"), dimension.low), dimension.high)
    else:
        value = trial.suggest_int(name, dimension.low, dimension.high, log=dimension.log)
    return value
