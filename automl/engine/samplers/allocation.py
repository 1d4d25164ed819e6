"""How a search shares its time among families: most to those that win, some to every one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from automl.engine.trial import TrialRecord, TrialState

# No family's share falls under this part of an equal one: a late bloomer gets its chance.
FLOOR = 0.15
# How fast the share falls with the distance to the best, in units of the spread between families.
SHARPNESS = 2.5
# A family that has improved lately is worth this much more.
STILL_IMPROVING = 1.6
# Lately: its best trial is among the last three tenths of them.
LATELY = 0.7


@dataclass(frozen=True, slots=True)
class Merit:
    """Why a family has its share of the time.

    Attributes
    ----------
    share : float
    gap : float or None
        How far its best lies behind the leader, in units of the usual distance between families; None
        while it has no score.
    is_improving : bool
        Its latest trials were among its best.
    """

    share: float
    gap: float | None
    is_improving: bool


def family_shares(families: Sequence[str], history: Sequence[TrialRecord]) -> dict[str, float]:
    """Say what part of the time each family should have; the parts add up to 1.

    Parameters
    ----------
    families : sequence of str
    history : sequence of TrialRecord

    Returns
    -------
    dict
        A family with no score yet counts as the best, so that it is tried; one of which all trials were
        stopped counts by the folds that they have finished.
    """
    return {family: merit.share for family, merit in family_merits(families, history).items()}


def family_merits(families: Sequence[str], history: Sequence[TrialRecord]) -> dict[str, Merit]:
    """Say what part of the time each family should have, and why; see `family_shares`."""
    best: dict[str, float] = {}
    improved: dict[str, float] = {}
    grouped: dict[str, list[float]] = {family: [] for family in families}
    for record in history:
        if record.score is not None and record.family in grouped:
            grouped[record.family].append(record.score)
    for family, scores in grouped.items():
        if not scores:
            grouped[family] = _levels_of_stopped(family, history)
    for family, scores in grouped.items():
        if scores:
            best[family] = max(scores)
            # 1 when the latest trial was the best one, 0 when the first was.
            improved[family] = (scores.index(best[family]) + 1) / len(scores)
    top = max(best.values(), default=0.0)
    gaps = {family: top - score for family, score in best.items()}
    spread = sorted(gaps.values())[len(gaps) // 2] if gaps else 0.0
    weights = {}
    for family in families:
        gap = gaps.get(family, 0.0)
        weight = math.exp(-SHARPNESS * gap / spread) if spread > 0 else 1.0
        weights[family] = weight * (STILL_IMPROVING if improved.get(family, 1.0) > LATELY else 1.0)
    total = sum(weights.values())
    floor = FLOOR / max(len(families), 1)
    return {
        family: Merit(
            share=floor + (1.0 - FLOOR) * weight / total,
            gap=(gaps[family] / spread if spread > 0 else 0.0) if family in gaps else None,
            is_improving=improved.get(family, 1.0) > LATELY,
        )
        for family, weight in weights.items()
    }


def _levels_of_stopped(family: str, history: Sequence[TrialRecord]) -> list[float]:
    """What a family's best stopped trial would have come to, by how far behind the leader it was."""
    stopped = [
        record
        for record in history
        if record.family == family and record.state is TrialState.PRUNED and record.fold_scores
    ]
    complete = [record for record in history if record.score is not None and record.fold_scores]
    if not stopped or not complete:
        return []
    leader = max(complete, key=lambda record: record.score or 0.0)
    gaps = [fmean(leader.fold_scores[: len(each.fold_scores)]) - fmean(each.fold_scores) for each in stopped]
    return [(leader.score or 0.0) - max(min(gaps), 0.0)]


def next_family(families: Sequence[str], history: Sequence[TrialRecord]) -> str:
    """Pick the family that has had least of the time that it should have.

    Parameters
    ----------
    families : sequence of str
        Those that have something new to propose.
    history : sequence of TrialRecord
    """
    shares = family_shares(families, history)
    spent = dict.fromkeys(families, 0.0)
    for record in history:
        if record.family in spent:
            spent[record.family] += max(record.seconds or 0.1, 1e-3)
    latest = sorted(history, key=lambda record: -record.number)
    for family in families:
        # Stopped early again and again, or failed, it costs little each time, and would be asked for ever.
        spent[family] *= 1 + _in_vain(family, latest)
    total = sum(spent.values()) or 1.0
    return max(families, key=lambda family: (shares[family] - spent[family] / total, -families.index(family)))


def _in_vain(family: str, latest_first: Sequence[TrialRecord]) -> int:
    """Count the family's latest trials that were all stopped early, or failed."""
    count = 0
    for record in latest_first:
        if record.family != family or not record.state.is_final:
            continue
        if record.state not in (TrialState.PRUNED, TrialState.FAILED):
            break
        count += 1
    return count
