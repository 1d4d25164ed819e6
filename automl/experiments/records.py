"""Between rows and the engine's plain records."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

from automl.core import storage
from automl.engine.budget import Budget
from automl.engine.schema import DataProfile
from automl.engine.study import Search, Study
from automl.engine.trial import Origin, TrialRecord, TrialState
from automl.experiments.models import Ensemble, Experiment, Trial

RECORD_FIELDS = (
    "number",
    "family",
    "hyperparameters",
    "origin",
    "state",
    "score",
    "fold_scores",
    "seconds",
)


def record_of(trial: Trial) -> TrialRecord:
    """A trial as the search sees it."""
    return TrialRecord(
        number=trial.number,
        family=trial.family,
        params=trial.hyperparameters,
        origin=Origin(trial.origin),
        state=TrialState(trial.state),
        score=trial.score,
        fold_scores=tuple(trial.fold_scores),
        seconds=trial.seconds,
    )


def records_of(trials: Iterable[Trial]) -> list[TrialRecord]:
    """Trials as the search sees them, by number."""
    return sorted((record_of(trial) for trial in trials), key=lambda record: record.number)


def candidate_of(trial: Trial) -> dict[str, Any]:
    """A complete trial as jobs know it, see `automl.engine.jobs.Candidate`."""
    return {
        "id": str(trial.id),
        "number": trial.number,
        "family": trial.family,
        "params": trial.hyperparameters,
        "dir": str(storage.path_of(trial.folder)),
        "score": trial.score,
        "seconds": trial.predict_time,
        "size": trial.size,
    }


def honest_folder(ensemble: Ensemble) -> str | None:
    """Where the predictions lie that an ensemble is judged by; None of those from before they were kept."""
    folder = storage.path_of(ensemble.folder)
    return str(folder) if folder.is_dir() else None


def history_of(experiment: Experiment) -> list[TrialRecord]:
    """Every trial of the experiment, in one query."""
    return records_of(experiment.trials.only("experiment_id", *RECORD_FIELDS))


def profile_of(experiment: Experiment) -> DataProfile:
    """What learners may know of the experiment's table; the experiment must be prepared."""
    assert experiment.prepared is not None
    return DataProfile.from_json(experiment.prepared["profile"])


def budget_of(experiment: Experiment) -> Budget:
    """What the experiment may spend."""
    return Budget(seconds=experiment.time_budget, max_trials=experiment.max_trials)


def study_of(experiment: Experiment) -> Study:
    """The search of a prepared experiment; it holds no state, so it is made anew wherever it is needed."""
    assert experiment.prepared is not None
    return Study(
        profile_of(experiment),
        families=experiment.families,
        search="manual" if experiment.by_hand_only else cast(Search, experiment.search),
        seed=experiment.seed,
        budget=budget_of(experiment),
        folds=experiment.prepared["folds"] * experiment.prepared["repeats"],
        repeats=experiment.prepared["repeats"],
    )
