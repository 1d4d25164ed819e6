"""The leaderboard as a page shows it: filtered, in an order, cut to a window, with rows that are open.

All of that is in the address, so that it works without scripts, can be sent to a colleague, and comes
back with every poll.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.http import HttpRequest, QueryDict
from django.urls import reverse

from automl.engine.diagnosis import tag_of
from automl.engine.learners import LEARNERS
from automl.engine.metrics import Metric
from automl.engine.trial import Origin, TrialState
from automl.experiments import clock, selectors
from automl.experiments.boards import AS_IT_SHOULD, Board, Entry, PackagedModel, keeps_rows
from automl.experiments.models import Experiment, ModelState
from automl.experiments.rows import COMPLETE
from automl.experiments.states import FINAL
from automl.pages import charts
from automl.pages.live import stamp_of
from automl.pages.sections import address_of
from automl.pages.templatetags.show import NOTHING, origin, score, seconds, size, words

WINDOW = 100
FAILURES_SHOWN = 20
DOTS_WIDTH = 180
RANKED, EVERYTHING = "ranked", "all"
MARK = "00000000-0000-0000-0000-000000000000"
SortKey = Callable[[Entry], Any]


@dataclass(frozen=True, slots=True)
class Column:
    """A column that may set the order. `first` is the direction that its first click gives."""

    key: str
    label: str
    of: SortKey
    descending: bool = False
    numeric: bool = True
    narrow: bool = True  # shown on a phone as well


def _columns(ranks: Mapping[Any, int], label: str) -> list[Column]:
    return [
        Column("rank", "Rank", lambda e: ranks.get(e.key)),
        Column("model", "Model", lambda e: (e.family, -1 if e.number is None else e.number), numeric=False),
        Column("score", label, lambda e: e.value, descending=True),
        Column("interval", "95 % interval", lambda e: e.low, descending=True, numeric=False, narrow=False),
        Column("origin", "Origin", lambda e: e.origin, numeric=False, narrow=False),
        Column("fit", "Fit", lambda e: e.fit_time, narrow=False),
        Column("predict", "Predict /1,000", lambda e: e.predict_time, narrow=False),
        Column("size", "Size", lambda e: e.size, narrow=False),
    ]


SORTS = frozenset(column.key for column in _columns({}, ""))


@dataclass(frozen=True, slots=True)
class BoardQuery:
    """What the reader asked the board for."""

    sort: str = "rank"
    text: str = ""
    family: str = ""
    origin: str = ""
    state: str = RANKED
    shown: int = WINDOW
    opened: tuple[UUID, ...] = ()

    @classmethod
    def of(cls, request: HttpRequest) -> BoardQuery:
        """Read the address; what makes no sense in it is left out."""
        asked = request.GET
        sort = asked.get("sort", "rank")
        states = {EVERYTHING, *(state.value for state in TrialState)}
        return cls(
            sort=sort if sort.removeprefix("-") in SORTS else "rank",
            text=asked.get("q", "").strip()[:80],
            family=asked.get("family", "") if asked.get("family") in {*LEARNERS, "ensemble"} else "",
            origin=asked.get("origin", "") if asked.get("origin") in set(Origin) else "",
            state=asked.get("state", "") if asked.get("state") in states else RANKED,
            shown=_shown(asked),
            opened=_opened(asked),
        )

    @property
    def digest(self) -> str:
        """Nothing for the board as it opens; else it tells one order and filter from another."""
        return "" if self == BoardQuery() else f"{zlib.crc32(repr(self).encode()):08x}"

    @property
    def filtered(self) -> bool:
        return bool(self.text or self.family or self.origin or self.state != RANKED)

    def keeps(self, entry: Entry) -> bool:
        """Whether the entry passes the filters."""
        if self.state == RANKED:
            if entry.state != COMPLETE:
                return False
        elif self.state not in (EVERYTHING, entry.state):
            return False
        if (self.family and entry.family != self.family) or (self.origin and entry.origin != self.origin):
            return False
        return not self.text or self.text.lower() in f"{entry.name} {origin(entry.origin)}".lower()


def _shown(asked: QueryDict) -> int:
    if "all" in asked:
        return 10**6
    found = asked.get("shown", "")
    return max(WINDOW, int(found)) if found.isdecimal() and len(found) < 7 else WINDOW


def _opened(asked: QueryDict) -> tuple[UUID, ...]:
    """The rows that are open; `toggle` opens one or closes it."""
    found: dict[UUID, None] = {}
    for text in (*asked.getlist("open")[:WINDOW], *asked.getlist("toggle")[-1:]):
        try:
            id = UUID(text)
        except ValueError:
            continue
        if id in found:
            del found[id]
        else:
            found[id] = None
    return tuple(found)


def board_stamp(experiment: Experiment, query: BoardQuery) -> str:
    """What a poll sends back: the state of the search, and the order and filter that are shown."""
    return stamp_of(experiment.version, experiment.state, *([query.digest] if query.digest else []))


def board_of(found: Board, query: BoardQuery) -> dict[str, Any]:
    """Everything that the fragment shows."""
    experiment = found.experiment
    metric = selectors.metric_of(experiment)
    label = selectors.metric_label(experiment)
    columns = _columns(found.ranks, label)
    kept = in_order(found, query)
    window = kept[: query.shown]
    history = found.history
    failed = [entry for entry in found.entries if entry.state == TrialState.FAILED]
    return {
        "experiment": experiment,
        "stamp": board_stamp(experiment, query),
        "metric": metric,
        "metric_label": label,
        "led_by_ensemble": _led_by_ensemble(found, metric),
        "query": query,
        "headings": [_heading(column, query.sort) for column in columns],
        "rows": _rows(found, window, query, metric),
        "matching": len(kept),
        "total": len(found.entries),
        "ranked": len(found.ranked),
        "more": min(WINDOW, len(kept) - len(window)),
        "next_window": len(window) + WINDOW,
        "families": _families(found.entries),
        "origins": [(each.value, origin(each.value)) for each in Origin],
        "states": [state.value for state in TrialState],
        "compare": address_of("pages:compare", experiment.id),
        "history": history,
        "charts": charts.best_over_time(history, clock.elapsed(experiment), label),
        "off_scale": charts.off_scale(history),
        "failed": failed[:FAILURES_SHOWN],
        "failed_left_out": max(0, len(failed) - FAILURES_SHOWN),
        "live": experiment.state not in FINAL,
    }


def in_order(found: Board, query: BoardQuery) -> list[Entry]:
    """What passes the filters, by one column; what has nothing there comes last, whatever the direction."""
    unranked = (entry for entry in found.entries if entry.state != COMPLETE)
    kept = [entry for entry in (*found.ranked, *unranked) if query.keeps(entry)]
    if query.sort == "rank":
        return kept
    of = {column.key: column.of for column in _columns(found.ranks, "")}[query.sort.removeprefix("-")]
    there = [entry for entry in kept if of(entry) is not None]
    there.sort(key=of, reverse=query.sort.startswith("-"))
    return there + [entry for entry in kept if of(entry) is None]


def _heading(column: Column, sort: str) -> dict[str, Any]:
    """A heading is a button: it asks for its column's order, or for the other direction."""
    current = sort.removeprefix("-") == column.key
    ascending, descending = column.key, f"-{column.key}"
    first = descending if column.descending else ascending
    other = ascending if sort == descending else descending
    return {
        "key": column.key,
        "label": column.label,
        "value": other if current else first,
        "sorted": ("descending" if sort == descending else "ascending") if current else "none",
        "classes": " ".join(
            [*["right"] * column.numeric, *["low"] * (not column.narrow), f"of-{column.key}"]
        ),
    }


def _families(entries: Sequence[Entry]) -> list[tuple[str, str]]:
    found = {entry.family for entry in entries}
    labels = [(key, learner.label) for key, learner in LEARNERS.items() if key in found]
    return [*labels, *([("ensemble", "Ensemble")] if "ensemble" in found else [])]


def _rows(
    found: Board, window: Sequence[Entry], query: BoardQuery, metric: Metric | None
) -> list[dict[str, Any]]:
    """Figures are written here: a filter call for each cell of a hundred rows costs more than the queries."""
    scale = charts.scale_of([(e.low, e.value, e.high) for e in found.ranked[:10]])
    opened, shared = frozenset(query.opened), found.shared
    dials = address_of("pages:dials", found.experiment.id)
    # Looked up once: a hundred addresses take longer than all else of a row.
    models = reverse("pages:model", args=[MARK])
    rows = []
    for entry in window:
        id, rank = entry.id, found.rank_of(entry)
        model = found.models.get(id)
        ready = model.id if model and model.state == ModelState.READY else None
        is_trial = entry.number is not None
        rows.append(
            {
                "id": str(id),
                "rank": rank,
                "shared": rank in shared,
                "name": entry.name,
                "address": _address(entry, ready),
                "is_trial": is_trial,
                "family": entry.family,
                "origin": entry.origin,
                "origin_label": origin(entry.origin),
                "state": entry.state,
                "tied": entry.tied and rank != 1,
                "score": score(entry.value),
                "interval": f"{score(entry.low)} to {score(entry.high)}"
                if entry.low is not None
                else NOTHING,
                "whisker": charts.whisker(scale, entry.low, entry.value, entry.high),
                "fit": seconds(entry.fit_time),
                "predict": seconds(entry.predict_time),
                "size": size(entry.size),
                "has_curve": entry.has_curve,
                "finding": _finding(entry),
                "bundle": _bundle(entry, model),
                # Short, as a board has a hundred: the number of a trial, the identifier of an ensemble.
                "entry": id if entry.number is None else entry.number,
                "model": models.replace(MARK, str(model.id)) if model else "",
                "details": _details(entry, metric, ready, dials) if id in opened else None,
            }
        )
    return rows


def _bundle(entry: Entry, model: PackagedModel | None) -> str:
    """How its model stands; empty where there can be none."""
    if model is not None:
        return model.state
    return "none" if entry.state == COMPLETE and not keeps_rows(entry.family) else ""


def _led_by_ensemble(found: Board, metric: Metric | None) -> bool:
    """Whether an ensemble stands before a trial whose value is better."""
    trial = next((entry for entry in found.ranked if entry.number is not None), None)
    first = found.ranked[0] if found.ranked else None
    if metric is None or trial is None or first is None or first.number is not None or first.value is None:
        return False
    return metric.score_of(first.value) < (trial.score or 0.0)


def _finding(entry: Entry) -> str:
    """What its learning curve warns of, in a few words."""
    said = entry.diagnosis or ""
    return "" if said.startswith(AS_IT_SHOULD) else tag_of(said)


def _interval(entry: Entry) -> str:
    return NOTHING if entry.low is None else f"{score(entry.low)} to {score(entry.high)}"


def _address(entry: Entry, model: UUID | None) -> str:
    if entry.number is not None:
        return reverse("pages:trial", args=[entry.id])
    return reverse("pages:model", args=[model]) if model else ""


def _details(entry: Entry, metric: Metric | None, model: UUID | None, dials: str | None) -> dict[str, Any]:
    """What an opened row shows."""
    folds = [metric.score_of(each) if metric else each for each in entry.fold_scores or ()]
    return {
        "hyperparameters": [(words(name), value) for name, value in (entry.hyperparameters or {}).items()],
        "folds": [score(each) for each in folds],
        "dots": charts.dots(folds, width=DOTS_WIDTH),
        "diagnosis": entry.diagnosis,
        "reason": entry.reason,
        "error": entry.error,
        "tweak": f"{dials}?trial={entry.id}" if dials and entry.number is not None else "",
        "model": reverse("pages:model", args=[model]) if model else "",
    }
