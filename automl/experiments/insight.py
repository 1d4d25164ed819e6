"""What the trials of an experiment say together: which dials matter, whether tuning was worth it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar
from uuid import UUID

from automl.engine.dial_importance import Importance, dial_importance, most_important
from automl.engine.evidence import PairPoint, gather, on_two_dials
from automl.engine.learners import LEARNERS, get_learner
from automl.engine.response import Response, response
from automl.engine.space import Space
from automl.engine.study import Study
from automl.engine.trial import TrialRecord, TrialState
from automl.engine.worth import Worth, tuning_worth
from automl.experiments import kept
from automl.experiments.models import Experiment
from automl.experiments.records import profile_of, study_of
from automl.experiments.rows import TrialRow, read_trials

T = TypeVar("T")
# More trials of a family than this tell nothing new: the best and every so manyth of the others do.
MOST_TRIALS, MOST_BEST = 400, 100
# While a search runs each trial moves the answer a little; that may wait.
FRESH_SECONDS = 5.0
MOST_POINTS = 200
BEST_SHOWN = 40


@dataclass(frozen=True, slots=True)
class FamilyInsight:
    """What the trials of one family say of its dials.

    Attributes
    ----------
    family : str
    families : tuple of (str, int)
        Those of the experiment with their trials, most trials first.
    trials : int
        Of the family, whatever came of them.
    read : int
        Those that were looked at: of very many, the best and a part of the others.
    importance : Importance
    responses : tuple of Response
        By importance.
    best : tuple of TrialRecord
        The best trials of the family.
    pair : tuple of str
        The two dials that decide most; empty where there are not two.
    pair_points : tuple of PairPoint
        The trials on these two.
    """

    family: str
    families: tuple[tuple[str, int], ...]
    trials: int
    read: int
    importance: Importance
    responses: tuple[Response, ...]
    best: tuple[TrialRecord, ...]
    pair: tuple[str, ...]
    pair_points: tuple[PairPoint, ...]


def families_of(experiment: Experiment, rows: Sequence[TrialRow] | None = None) -> dict[str, Space]:
    """The spaces of the families that the experiment may try or has tried; none before it is prepared."""
    if not experiment.prepared:
        return {}
    study = study_of(experiment)
    others = tried_beside(study, read_trials(experiment) if rows is None else rows)
    return {**study.spaces, **{key: get_learner(key).space(study.data) for key in others}}


def tried_beside(study: Study, rows: Sequence[TrialRow]) -> list[str]:
    """The families that are none of the search's own: tried by hand, or not offered here any more."""
    return sorted({row.family for row in rows if row.family in LEARNERS} - study.spaces.keys())


def space_of(experiment: Experiment, family: str) -> Space | None:
    """The dials of a family on the experiment's table; None where they are not known."""
    if not experiment.prepared or family not in LEARNERS:
        return None
    return get_learner(family).space(profile_of(experiment))


def family_insight(experiment: Experiment, family: str | None = None) -> FamilyInsight | None:
    """What the dials of a family did; of the one with the best trial, where none is named.

    None while no trial of a family with dials has ended.
    """
    return _kept(experiment, f"family:{family or ''}", lambda: _family_insight(experiment, family))


def _family_insight(experiment: Experiment, family: str | None) -> FamilyInsight | None:
    tried = read_trials(experiment)
    spaces = families_of(experiment, tried)
    rows = [row for row in tried if row.family in spaces]
    with_dials = [row for row in rows if spaces[row.family].dimensions]
    chosen = family if family in spaces else _best_family(with_dials)
    if chosen is None:
        return None
    own = [row for row in rows if row.family == chosen and TrialState(row.state).is_final]
    records = [row.record() for row in _thinned(own)]
    guessing = max((r.score for r in rows if r.family == "dummy" and r.score is not None), default=None)
    evidence = gather(records, guessing=guessing)
    importance = dial_importance(spaces[chosen], evidence, seed=experiment.seed)
    order = [dial.name for dial in importance.dials] or list(spaces[chosen].dimensions)
    best = sorted(
        (r for r in records if r.state is TrialState.COMPLETE and r.score is not None),
        key=lambda record: (-(record.score or 0.0), record.number),
    )
    pair = most_important(importance)
    return FamilyInsight(
        family=chosen,
        families=_counted(with_dials),
        trials=len(own),
        read=len(records),
        importance=importance,
        responses=tuple(_slim(response(spaces[chosen], name, evidence)) for name in order),
        best=tuple(best[:BEST_SHOWN]),
        pair=tuple(pair) if len(pair) == 2 else (),
        pair_points=tuple(on_two_dials(spaces[chosen], pair, evidence)) if len(pair) == 2 else (),
    )


def _slim(found: Response) -> Response:
    """The same with no more points than a chart can show: it is kept in memory."""
    step = max(1.0, len(found.points) / MOST_POINTS)
    kept = range(min(len(found.points), MOST_POINTS))
    return replace(found, points=tuple(found.points[int(place * step)] for place in kept))


def _best_family(rows: Sequence[TrialRow]) -> str | None:
    scored = [row for row in rows if row.score is not None]
    best = max(scored, key=lambda row: (row.score or 0.0, -row.number), default=None)
    ended = best or next((row for row in rows if TrialState(row.state).is_final), None)
    return ended.family if ended else None


def _counted(rows: Sequence[TrialRow]) -> tuple[tuple[str, int], ...]:
    counts: dict[str, int] = {}
    for row in rows:
        counts[row.family] = counts.get(row.family, 0) + 1
    return tuple(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def _thinned(rows: Sequence[TrialRow]) -> list[TrialRow]:
    if len(rows) <= MOST_TRIALS:
        return list(rows)
    ranked = sorted(rows, key=lambda row: -(row.score if row.score is not None else float("-inf")))
    best, rest = ranked[:MOST_BEST], sorted(ranked[MOST_BEST:], key=lambda row: row.number)
    step = len(rest) / (MOST_TRIALS - MOST_BEST)
    return best + [rest[int(place * step)] for place in range(MOST_TRIALS - MOST_BEST)]


@dataclass(frozen=True, slots=True)
class TuningWorth:
    """What tuning was worth, with what only the rows know.

    Attributes
    ----------
    worth : Worth
    default, tuned : UUID or None
        The rows of the two trials that it compares.
    ensemble : float or None
        How much the ensemble is better than the best trial, both chosen without the rows they are judged
        by; negative where it is worse, within chance. None of one from before this was kept.
    """

    worth: Worth
    default: UUID | None
    tuned: UUID | None
    ensemble: float | None


def worth_of(experiment: Experiment) -> TuningWorth:
    """What tuning added over the best default, against its cost. Two queries, one for each table."""
    return _kept(experiment, "worth", lambda: _worth_of(experiment))


def _worth_of(experiment: Experiment) -> TuningWorth:
    rows = read_trials(experiment)
    found = tuning_worth([row.record(params=False, folds=row.state == "complete") for row in rows])
    ids = {row.number: row.id for row in rows}
    ensemble = experiment.ensembles.order_by("-score", "-created_at").first()
    return TuningWorth(
        worth=found,
        default=ids[found.default.number] if found.default else None,
        tuned=ids[found.tuned.number] if found.tuned else None,
        ensemble=ensemble.gain if ensemble else None,
    )


def _kept(experiment: Experiment, what: str, compute: Callable[[], T]) -> T:
    """The answer as far as it may be old; None counts as an answer."""
    known: tuple[T] | None = kept.recall(experiment, f"insight:{what}", fresh=FRESH_SECONDS)
    if known is None:
        known = (compute(),)
        kept.keep(experiment, f"insight:{what}", known)
    return known[0]
