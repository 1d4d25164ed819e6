"""Reading experiments, trials and models, always as somebody: what is not yours is not there."""

from __future__ import annotations

import sys
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar
from uuid import UUID

from django.db.models import Case, Count, F, Model, OuterRef, Prefetch, Q, QuerySet, Subquery, When
from django.db.models.functions import Coalesce
from django.http import Http404
from django.utils.text import slugify

from automl.accounts.models import User
from automl.core.compiled import CompiledQuery
from automl.engine.learners import LEARNERS
from automl.engine.metrics import METRICS, Metric
from automl.engine.trial import TrialState
from automl.experiments import clock
from automl.experiments.models import (
    Ensemble,
    Experiment,
    ExperimentState,
    ModelState,
    Sweep,
    TrainedModel,
    Trial,
)
from automl.experiments.states import FINAL

M = TypeVar("M", bound=Model)
# In place of a number: an ensemble made in the same moment as a trial was made of it.
AFTER_TRIALS = sys.maxsize


@dataclass(frozen=True, kw_only=True)
class LeaderboardRow:
    """A line of the board. Scores are in the metric's own unit."""

    rank: int
    trial: str | None
    ensemble: str | None
    name: str
    family: str
    origin: str
    hyperparameters: dict[str, Any]
    score: float
    score_low: float | None
    score_high: float | None
    tied_with_best: bool
    fit_time: float | None
    predict_time: float | None
    size: int | None
    model: str | None


def list_experiments(user: User) -> QuerySet[Experiment]:
    """The user's experiments, newest first."""
    mine = Experiment.objects.filter(owner=user, deleted_at=None, dataset__deleted_at=None)
    return mine.select_related("dataset", "test_dataset").order_by("-created_at", "id")


def get_experiment(*, user: User, id: UUID | str) -> Experiment:
    """One experiment of the user, or Http404."""
    return _one(list_experiments(user), id, "experiment")


def list_trials(experiment: Experiment) -> QuerySet[Trial]:
    """Every trial of the experiment, also the pruned and failed ones, in order of number."""
    return experiment.trials.select_related("model").order_by("number")


def scored_folds(experiment: Experiment) -> list[int]:
    """How many folds each running trial has scored: a trial that ends raises the version, a fold does not."""
    running = experiment.trials.filter(state=TrialState.RUNNING.value).order_by("number")
    return [len(scores) for scores in running.values_list("fold_scores", flat=True)]


def list_sweeps(experiment: Experiment) -> QuerySet[Sweep]:
    """The experiment's sweeps, newest first, with the trials that they added."""
    trials = Trial.objects.only("id", "sweep_id", "number").order_by("number")
    return experiment.sweeps.prefetch_related(Prefetch("trials", trials)).order_by("-created_at", "id")


def get_trial(*, user: User, id: UUID | str) -> Trial:
    """One trial of one of the user's experiments, or Http404."""
    mine = Trial.objects.filter(
        experiment__owner=user, experiment__deleted_at=None, experiment__dataset__deleted_at=None
    )
    return _one(mine.select_related("experiment__dataset", "model"), id, "trial")


def get_ensemble(*, user: User, id: UUID | str) -> Ensemble:
    """One ensemble of one of the user's experiments, or Http404."""
    mine = Ensemble.objects.filter(
        experiment__owner=user, experiment__deleted_at=None, experiment__dataset__deleted_at=None
    )
    return _one(mine.select_related("experiment__dataset", "model"), id, "ensemble")


def list_models(user: User) -> QuerySet[TrainedModel]:
    """The user's models, newest first."""
    mine = _models_of(user)
    return mine.select_related("experiment__dataset", "trial", "ensemble").order_by("-created_at", "id")


def _models_of(owner: User | UUID) -> QuerySet[TrainedModel]:
    return TrainedModel.objects.filter(
        experiment__owner=owner, experiment__deleted_at=None, experiment__dataset__deleted_at=None
    )


def get_model(*, user: User, id: UUID | str) -> TrainedModel:
    """One model of one of the user's experiments, or Http404."""
    return _one(list_models(user), id, "model")


def get_model_in_use(*, user: User, id: UUID) -> TrainedModel:
    """As `get_model`, but only what predicting needs is read: this is asked for many times a second."""
    found = _MODEL_IN_USE.ask(owner=user.pk, id=id)
    if not found:
        raise Http404("There is no such model.")
    return found[0]


def _model_in_use(owner: UUID, id: UUID) -> QuerySet[TrainedModel]:
    used = ("id", "experiment_id", "state", "error", "sha256", "bundle_attempt")
    return _models_of(owner).filter(id=id).only(*used)


_MODEL_IN_USE = CompiledQuery(
    _model_in_use,
    owner=(User._meta.pk, UUID(int=1)),
    id=(TrainedModel._meta.pk, UUID(int=2)),
)


def unwritten_models() -> QuerySet[TrainedModel]:
    """Models whose bundle is to be written, for the first time or anew with its graph."""
    unwritten = Q(state=ModelState.PACKAGING) | Q(state=ModelState.READY, graph_due=True)
    return TrainedModel.objects.filter(unwritten, experiment__deleted_at=None)


def entries_of(ids: Sequence[str]) -> list[Trial | Ensemble] | None:
    """Trials and ensembles by their ids, in that order; None if one is not there. Two queries."""
    related = ("experiment__dataset", "model")
    rows: list[Trial | Ensemble] = [
        *Trial.objects.filter(id__in=list(ids)).select_related(*related),
        *Ensemble.objects.filter(id__in=list(ids)).select_related(*related),
    ]
    found = {str(row.id): row for row in rows}
    return [found[id] for id in ids] if all(id in found for id in ids) else None


def line_of(experiment: Experiment, name: str) -> Trial | Ensemble:
    """A line of the board, by the number of its trial or the identifier of its ensemble; or Http404."""
    if name.isascii() and name.isdecimal() and len(name) < 10:
        trial = experiment.trials.filter(number=int(name)).first()
        if trial is not None:
            return trial
    ensembles = experiment.ensembles.select_related("experiment__dataset", "model")
    return _one(ensembles, name, "line on the board")


def entry_name(entry: Trial | Ensemble) -> str:
    """What people call a line of the board."""
    return trial_name(entry) if isinstance(entry, Trial) else entry.name


def list_ensembles(ids: Sequence[UUID]) -> list[Ensemble]:
    """The ensembles of these experiments, the best last, and of equals the newest. One query."""
    found = Ensemble.objects.filter(experiment__in=ids).select_related("experiment__dataset", "model")
    return list(found.order_by("score", "created_at"))


def best_entries(ids: Sequence[UUID], ensembles: Sequence[Ensemble]) -> dict[UUID, Trial | Ensemble]:
    """Each experiment's answer as far as it is known: what `best_rows` shows, itself. One query."""
    answers: dict[UUID, Trial | Ensemble] = {
        trial.experiment_id: trial
        for trial in _best_trials(ids).select_related("experiment__dataset", "model")
    }
    for ensemble in ensembles:
        best = answers.get(ensemble.experiment_id)
        if best is None or ensemble.score >= (best.score or float("-inf")):
            answers[ensemble.experiment_id] = ensemble
    return answers


def _one(rows: QuerySet[M], id: UUID | str, what: str) -> M:
    try:
        return rows.get(id=UUID(str(id)))
    except (rows.model.DoesNotExist, ValueError) as error:  # type: ignore[attr-defined]
        raise Http404(f"There is no such {what}.") from error


def trial_name(trial: Trial) -> str:
    """What people call a trial: the family's name and the trial's number."""
    return name_of(trial.family, trial.number)


def name_of(family: str, number: int) -> str:
    """The same, of one that was not read whole."""
    return f"{LEARNERS[family].label if family in LEARNERS else family} #{number}"


def leaderboard(experiment: Experiment) -> list[LeaderboardRow]:
    """Complete trials and the ensemble, best first; equal scores share a rank. Two queries."""
    trials = experiment.trials.filter(state=TrialState.COMPLETE.value).select_related("model")
    ensembles = experiment.ensembles.select_related("model")
    entries: list[Trial | Ensemble] = sorted(
        [*trials.defer("learning_curve", "learned"), *ensembles],
        key=lambda entry: (-(entry.score or 0.0), _place_among_equals(entry)),
    )
    rows: list[LeaderboardRow] = []
    rank, before = 0, None
    for position, entry in enumerate(entries, start=1):
        if entry.score != before:
            rank, before = position, entry.score
        rows.append(row_of(entry, rank, is_best=position == 1))
    return rows


def rows_of(experiment: Experiment, trials: Iterable[Trial]) -> dict[UUID, LeaderboardRow]:
    """The lines that some trials have on the board; of all others only the scores are read. Two queries."""
    complete = [trial for trial in trials if trial.state == TrialState.COMPLETE.value]
    if not complete:
        return {}
    board = (
        experiment.trials.filter(state=TrialState.COMPLETE.value).order_by().values_list("score", "number")
    )
    # Lower is better here: ensembles before trials of the same score.
    places = [(-(score or 0.0), number) for score, number in board]
    places += [(-score, -1) for score in experiment.ensembles.values_list("score", flat=True)]
    places.sort()
    return {
        trial.id: row_of(
            trial,
            1 + bisect_left(places, (-(trial.score or 0.0),)),
            is_best=places[0] == (-(trial.score or 0.0), trial.number),
        )
        for trial in complete
    }


def _place_among_equals(entry: Trial | Ensemble) -> float:
    """Ensembles before trials, the newest first; trials by number."""
    return entry.number if isinstance(entry, Trial) else -entry.created_at.timestamp()


def row_of(entry: Trial | Ensemble, rank: int, *, is_best: bool) -> LeaderboardRow:
    """An entry as a line of the board."""
    model: TrainedModel | None = getattr(entry, "model", None)
    if isinstance(entry, Trial):
        who: dict[str, Any] = {
            "trial": str(entry.id),
            "ensemble": None,
            "name": trial_name(entry),
            "family": entry.family,
            "origin": entry.origin,
        }
    else:
        who = {
            "trial": None,
            "ensemble": str(entry.id),
            "name": entry.name,
            "family": "ensemble",
            "origin": "ensemble",
        }
    return LeaderboardRow(
        rank=rank,
        **who,
        hyperparameters=entry.hyperparameters if isinstance(entry, Trial) else {},
        score=entry.value if entry.value is not None else float("nan"),
        score_low=entry.value_low,
        score_high=entry.value_high,
        tied_with_best=is_best or entry.tied_with_best,
        fit_time=entry.fit_time,
        predict_time=entry.predict_time,
        size=entry.size,
        model=str(model.id) if model is not None and model.state == ModelState.READY else None,
    )


def best_first(trials: QuerySet[Trial]) -> QuerySet[Trial]:
    """Complete trials, best first; those whose models would hold training rows come after all others.

    Such a model is not handed out as an experiment's answer while there is any other.
    """
    holding = [key for key, learner in LEARNERS.items() if learner.keeps_rows]
    return (
        trials.filter(state=TrialState.COMPLETE.value)
        .annotate(holds_rows=Case(When(family__in=holding, then=1), default=0))
        .order_by("holds_rows", F("score").desc(nulls_last=True), "number")
    )


def best_row(experiment: Experiment) -> LeaderboardRow | None:
    """The row of the experiment's answer, as far as it is known."""
    return best_rows([experiment.id]).get(experiment.id)


def _best_trials(ids: Sequence[UUID]) -> QuerySet[Trial]:
    """The best complete trial of each experiment, as `best_first` has it.

    Each is the first that an index has: a search of thousands costs what one of ten does.
    """
    there = Trial.objects.filter(experiment=OuterRef("id"), state=TrialState.COMPLETE.value)
    first = there.filter(score__isnull=False).order_by("-score", "number").values("id")
    holding = [key for key, learner in LEARNERS.items() if learner.keeps_rows]
    best = Coalesce(Subquery(first.exclude(family__in=holding)[:1]), Subquery(first[:1]))
    return Trial.objects.filter(
        id__in=Experiment.objects.filter(id__in=ids).annotate(best=best).values("best")
    )


def best_rows(ids: Sequence[UUID]) -> dict[UUID, LeaderboardRow]:
    """The row of each experiment's answer, as far as it is known. Two queries, however many they are."""
    ahead = (
        Trial.objects.filter(
            experiment=OuterRef("experiment"), state=TrialState.COMPLETE.value, score__gt=OuterRef("score")
        )
        .order_by()
        .values("experiment")
        .annotate(count=Count("id"))
        .values("count")
    )
    place = Coalesce(Subquery(ahead), 0)
    trials = _best_trials(ids).annotate(ahead=place).select_related("model")
    answers: dict[UUID, LeaderboardRow] = {}
    scores: dict[UUID, float] = {}
    for trial in trials.defer("learning_curve", "learned"):
        answers[trial.experiment_id] = row_of(trial, 1 + trial.ahead, is_best=True)
        scores[trial.experiment_id] = trial.score or 0.0
    ensembles = Ensemble.objects.filter(experiment__in=ids).select_related("model")
    for ensemble in ensembles.annotate(ahead=place).order_by("score", "created_at"):
        if ensemble.score >= scores.get(ensemble.experiment_id, float("-inf")):
            answers[ensemble.experiment_id] = row_of(ensemble, 1 + ensemble.ahead, is_best=True)
    return answers


def bundle_filename(model: TrainedModel) -> str:
    """What a downloaded bundle is called: adult-ensemble-of-4.zip."""
    parts = (model.experiment.name.replace(".", " "), model.name)
    return "-".join(slugify(part) or "model" for part in parts) + ".zip"


def trial_counts(experiment: Experiment) -> dict[str, int]:
    """How many trials there are in all, and in each state that the API names."""
    found = dict(experiment.trials.order_by().values_list("state").annotate(count=Count("id")))
    named = {state: found.get(state, 0) for state in ("waiting", "running", "complete", "pruned", "failed")}
    return {"total": sum(found.values()), **named, "cancelled": found.get("cancelled", 0)}


def progress(experiment: Experiment, counts: dict[str, int] | None = None) -> float:
    """From 0 to 1: by time, or by trials where these come first."""
    if experiment.state in FINAL:
        return 1.0
    by_time = clock.elapsed(experiment) / experiment.time_budget
    by_trials = 0.0
    if experiment.max_trials:
        counts = counts or trial_counts(experiment)
        ended = counts["total"] - counts["waiting"] - counts["running"]
        by_trials = ended / experiment.max_trials
    ceiling = 0.99 if experiment.state == ExperimentState.STOPPING else 0.95
    return min(max(by_time, by_trials), ceiling)


@dataclass(frozen=True, slots=True)
class Course:
    """How a search went: its improvements, and how many trials there are in each state."""

    # Seconds on the search's clock, the best value so far, and what reached it.
    history: list[tuple[float, float, str]]
    counts: Counter[str]


def courses(ids: Sequence[UUID], ensembles: Sequence[Ensemble]) -> dict[UUID, Course]:
    """How each search went. One query, however many they are."""
    found = {id: Course([], Counter()) for id in ids}
    points: dict[UUID, list[tuple[float, float, float, float, str]]] = {id: [] for id in found}
    rows = Trial.objects.filter(experiment__in=found).order_by()
    fields = ("experiment_id", "state", "ended_after", "number", "score", "value", "family")
    for id, state, moment, number, score, value, family in rows.values_list(*fields):
        found[id].counts[state] += 1
        if state == TrialState.COMPLETE.value and score is not None and value is not None:
            points[id].append((moment or 0.0, number, score, value, family))
    for each in ensembles:
        points[each.experiment_id].append(
            (each.made_after or 0.0, AFTER_TRIALS, each.score, each.value, each.name)
        )
    for id, course in found.items():
        course.history.extend(improvements(points[id]))
    return found


def improvements(points: Iterable[tuple[float, float, float, float, str]]) -> list[tuple[float, float, str]]:
    """Each improvement of trials and ensembles: when, the value, and what people call it.

    A point has moment, number, score, value and family; an ensemble's has `AFTER_TRIALS` and its name.
    """
    found: list[tuple[float, float, str]] = []
    best = float("-inf")
    for moment, number, score, value, by in sorted(points):
        if score > best:
            best = score
            found.append((moment, value, by if number == AFTER_TRIALS else name_of(by, int(number))))
    return found


def metric_of(experiment: Experiment) -> Metric | None:
    """The metric, once `auto` has been resolved."""
    return METRICS.get(experiment.metric)


def metric_label(experiment: Experiment) -> str:
    """The metric's name for people."""
    metric = metric_of(experiment)
    return metric.label if metric else "chosen from the task type"
