"""Why a search tries what it tries, in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from automl.engine.learners import LEARNERS, stacks
from automl.engine.samplers.allocation import FLOOR, Merit, next_family
from automl.engine.samplers.base import signature
from automl.engine.samplers.tpe import Guess, next_guess, searched
from automl.engine.study import LAG, MOST_FAILED, Study
from automl.engine.trial import Origin, Proposal, TrialRecord, TrialState

GUESSES = {
    Guess.DEFAULTS: "the family's defaults, as it has no score yet",
    Guess.NEAR_WIDELY: "a step away from the family's best, to learn which dials matter",
    Guess.ANYWHERE: "anywhere in the family's ranges, to learn which dials matter",
    Guess.NEAR: "a small step from the family's best, to refine it",
    Guess.MODEL: "values that are frequent among the family's good trials and rare among its others (TPE)",
}
SECOND = " Before the end a second layer learns from what the best models predict."
WHY_ASKED = {Origin.MANUAL: "Asked for by hand.", Origin.SWEEP: "A point of a sweep."}


def why_tried(study: Study, record: TrialRecord, history: Sequence[TrialRecord]) -> str:
    """Say why a trial was proposed.

    Parameters
    ----------
    study : Study
    record : TrialRecord
    history : sequence of TrialRecord
        At least the trials of its family, as they stood when it was proposed; only those before it count.
    """
    if record.origin in WHY_ASKED:
        return WHY_ASKED[record.origin]
    if record.origin is Origin.DEFAULT:
        entries = study.portfolio.entries
        known = [signature(entry.family, entry.params) for entry in entries]
        mine = signature(record.family, record.params)
        if mine in known:
            return (
                f"Ready-made settings, number {known.index(mine) + 1} of {len(known)}: good on other tables."
            )
        return "Ready-made settings: good on other tables."
    if study.search == "random":
        return "Random search: the families in turn, each dial drawn evenly."
    if study.search == "grid":
        return "The next point of its family's grid."
    own = [other for other in history if other.family == record.family and other.number < record.number]
    # What the sampler did not know of the latest trials is no reason either: see `Study.settled`.
    latest = record.number if study.budget.max_trials is None else record.number - LAG
    return _capital(f"{GUESSES[next_guess(len(own), _usable([r for r in own if r.number < latest]))]}.")


def why_proposed(study: Study, proposals: Sequence[Proposal], history: Sequence[TrialRecord]) -> list[str]:
    """Say why each was proposed, by the trials that were there then.

    Parameters
    ----------
    study : Study
    proposals : sequence of Proposal
        In the order of their numbers, from one `Study.ask`.
    history : sequence of TrialRecord
        What they were asked for with.
    """
    told, reasons = list(history), []
    for number, found in enumerate(proposals, start=1 + max((r.number for r in told), default=-1)):
        record = TrialRecord(number, found.family, found.params, found.origin)
        reasons.append(found.reason or why_tried(study, record, told))
        told.append(record)
    return reasons


def what_is_next(
    study: Study, history: Sequence[TrialRecord], predicted: Mapping[int, float] | None = None
) -> str:
    """Say what the search will do when a seat is free, as far as it is settled now.

    Parameters
    ----------
    study : Study
    history : sequence of TrialRecord
        All trials; the hyperparameters are needed of the ready-made ones only.
    predicted : mapping, optional
        By number, the seconds that trials should take; see `Study.settled`.
    """
    if study.search == "manual":
        return "Nothing by itself: you add the trials."
    history = study.settled(history, predicted)
    ready = [each for each in history if each.origin is Origin.DEFAULT or not each.state.is_final]
    waiting = study.ready_made(ready)
    stacked = study.stacked_waiting(history)
    left = study.budget.trials_left(history)
    if stacked and left is not None and 0 < left <= len(study.second_layer):
        return f"A second layer: {_label(stacked[0].family)}, on what the best models so far predict."
    return _next_of_the_first(study, history, waiting) + (SECOND if stacked else "")


def _next_of_the_first(study: Study, history: Sequence[TrialRecord], waiting: Sequence[Proposal]) -> str:
    own_choice = (Origin.DEFAULT, Origin.SEARCH)
    latest = max(
        (record for record in history if record.origin in own_choice and not stacks(record.family)),
        key=lambda record: record.number,
        default=None,
    )
    # Once it searches, what is left of the list did not fit into the time.
    if waiting and (latest is None or latest.origin is Origin.DEFAULT):
        in_time = ", if it fits into the time that is left" if study.budget.max_trials is None else ""
        place = len(study.portfolio.entries) - len(waiting) + 1
        return (
            f"Ready-made settings number {place} of {len(study.portfolio.entries)}: "
            f"{_label(waiting[0].family)}{in_time}."
        )
    if study.search != "auto":
        return "The next point of its family's grid." if study.search == "grid" else "A random draw."
    sound = searched(study.sound(history))
    if not sound:
        return "Nothing: all families have failed."
    family = next_family(sound, history)
    own = [record for record in history if record.family == family]
    return (
        f"{_label(family)}, which has had least of its share: {GUESSES[next_guess(len(own), _usable(own))]}."
    )


def why_share(merit: Merit, families: int) -> str:
    """Say why a family gets the share that it gets."""
    if merit.gap is None:
        return "It has no score yet, so it counts as good as the best."
    if merit.gap <= 0:
        words = "It has the best score"
    elif merit.share < 1.2 * FLOOR / max(families, 1):
        return f"Its best is {merit.gap:.1f} spreads behind the leader; no family gets less than this."
    else:
        words = f"Its best is {merit.gap:.1f} spreads behind the leader"
    return words + (" and it is still improving." if merit.is_improving else ".")


def why_given_up() -> str:
    """Say why a family is tried no more."""
    return (
        f"At least {MOST_FAILED} of its trials have failed and none has come to a score: it is tried no more."
    )


def why_stacked(study: Study) -> str:
    """Say when families that learn from the others' predictions get their time."""
    if study.second_layer:
        return "It learns from what the others predict, so it has its turn at the end."
    return "It learns from what the others predict. This search asks for none; you can."


def why_unsuited(study: Study, family: str) -> str:
    """Say why a search doesn't try a family by itself."""
    learner = LEARNERS[family]
    if not learner.is_installed(study.data.task_type):
        return "It is not installed here."
    if family not in study.spaces:
        return "It is not among the families of this search; you can try more of it."
    if learner.most_rows is not None and study.data.rows > learner.most_rows:
        return f"A search tries it by itself on up to {learner.most_rows:,} rows; you can on more."
    return "A search tries it by itself on tables of fewer columns; you can on this one."


def why_nothing(study: Study) -> str:
    """Say why a search can try nothing at all; empty where it can."""
    if study.first_layer:
        return ""
    reasons = (f"{_label(family)}: {why_unsuited(study, family)}" for family in study.spaces)
    return f"There is nothing to try. {' '.join(reasons)}"


def _usable(own: Sequence[TrialRecord]) -> int:
    return sum(
        record.state is TrialState.COMPLETE
        or (record.state is TrialState.PRUNED and bool(record.fold_scores))
        for record in own
    )


def _label(family: str) -> str:
    return LEARNERS[family].label if family in LEARNERS else family


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
