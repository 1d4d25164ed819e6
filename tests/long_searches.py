"""Searches of thousands of trials, as rows: what pages cost shows there."""

from __future__ import annotations

import numpy as np

from automl.accounts.models import User
from automl.engine.learners import get_learner
from automl.experiments.models import Diagnosis, Experiment, Sweep, Trial
from automl.experiments.records import profile_of
from automl.experiments.selectors import trial_name
from automl.experiments.services.diagnoses import request_comparison, request_diagnosis
from tests.diagnoses import comparison, diagnosis
from tests.e2e.pages import Shop
from tests.factories import EnsembleFactory, ExperimentFactory, TrainedModelFactory, TrialFactory

SAID = ("Converged. It stayed about there.", "Still improving at the end. Give it more rounds.", "")
FAMILIES = ("lightgbm", "xgboost", "catboost", "random_forest", "neural_network", "linear")


def long_search(owner, trials: int, *, state: str = "running", families=FAMILIES) -> Experiment:
    """A search whose scores follow from the learning rate, and that a high one ruins."""
    experiment = ExperimentFactory(owner=owner, state=state, time_budget=86_400.0)
    rng = np.random.default_rng(0)
    spaces = {key: get_learner(key).space(profile_of(experiment)) for key in families}
    rows = [
        Trial(
            experiment=experiment,
            number=0,
            family="dummy",
            origin="default",
            state="complete",
            score=0.5,
            value=0.5,
            fold_scores=[0.5] * 5,
            seconds=0.1,
            ended_after=0.1,
        )
    ]
    for number in range(1, trials):
        family = families[number % len(families)]
        params = spaces[family].default() if number <= len(families) else spaces[family].sample(rng)
        rate = float(params.get("learning_rate", 0.05))
        score = 0.9 - 0.02 * abs(np.log10(rate / 0.05)) + rng.normal(0, 0.002) - (0.2 if rate > 0.25 else 0.0)
        pruned = number > 40 and number % 3 == 0
        folds = [score + rng.normal(0, 0.003) for _ in range(1 + number % 4 if pruned else 5)]
        rows.append(
            Trial(
                experiment=experiment,
                number=number,
                family=family,
                origin="default" if number <= len(families) else "search",
                hyperparameters=params,
                state="pruned" if pruned else "complete",
                score=None if pruned else score,
                value=None if pruned else score,
                value_low=None if pruned else score - 0.01,
                value_high=None if pruned else score + 0.01,
                fold_scores=folds,
                fit_time=0.8,
                predict_time=0.01,
                size=40_000,
                diagnosis="" if pruned else SAID[number % len(SAID)],
                seconds=1.0,
                ended_after=number / 2,
            )
        )
    Trial.objects.bulk_create(rows)
    return experiment


def long_shop(owner: User, trials: int) -> Shop:
    """A long search that goes on and one that has ended, with a bit of everything that pages show."""
    running, ended = (long_search(owner, trials, state=state) for state in ("running", "complete"))
    for experiment in (running, ended):
        _add_everything(experiment, trials)
    for state in ("running", "waiting"):
        TrialFactory(experiment=running, state=state, origin="search")
    trial = ended.trials.filter(state="complete").order_by("-number")[3]
    model = TrainedModelFactory(trial=trial, is_best=True)
    TrainedModelFactory(experiment=ended, trial=None, ensemble=ended.ensembles.get())
    _diagnose(trial)
    User.objects.filter(id=owner.id).update(is_staff=True)
    return Shop(owner, running, ended, trial, model)


def _add_everything(experiment: Experiment, number: int) -> None:
    grid = {"learning_rate": [0.01, 0.1], "num_leaves": [8, 64]}
    sweep = Sweep.objects.create(experiment=experiment, family="lightgbm", grid=grid, size=4)
    space = get_learner("lightgbm").space(profile_of(experiment))
    points = [(rate, leaves) for rate in grid["learning_rate"] for leaves in grid["num_leaves"]]
    for place, (rate, leaves) in enumerate(points):
        params = space.clip({"learning_rate": rate, "num_leaves": leaves})
        TrialFactory(
            experiment=experiment, number=number + place, origin="sweep", sweep=sweep, hyperparameters=params
        )
    told = {"value": 0.9, "low": 0.88, "high": 0.92, "seconds": 1.0}
    params = space.clip({"learning_rate": 0.07})
    TrialFactory(
        experiment=experiment,
        number=number + len(points),
        origin="manual",
        prediction=told,
        hyperparameters=params,
    )
    TrialFactory(experiment=experiment, number=number + 5, state="failed")
    EnsembleFactory(experiment=experiment)


def _diagnose(trial: Trial) -> None:
    """Have the diagnosis of a trial, and the comparison that a page shows, there already."""
    found = request_diagnosis(trial)
    Diagnosis.objects.filter(id=found.id).update(state="ready", result=diagnosis())
    two = list(trial.experiment.trials.filter(state="complete").order_by("number")[:2])
    pair = request_comparison(trial.experiment, two)
    result = comparison(*((str(each.id), trial_name(each)) for each in two))
    Diagnosis.objects.filter(id=pair.id).update(state="ready", result=result)
