"""Long searches with a bit of everything that pages show: what they cost shows there."""

from __future__ import annotations

from automl.accounts.models import User
from automl.engine.learners import get_learner
from automl.experiments.models import Diagnosis, Experiment, Sweep, Trial
from automl.experiments.records import profile_of
from automl.experiments.selectors import trial_name
from automl.experiments.services.diagnoses import request_comparison, request_diagnosis
from tests.diagnoses import comparison, diagnosis
from tests.e2e.pages import Shop
from tests.factories import EnsembleFactory, TrainedModelFactory, TrialFactory
from tests.searches import long_search


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
