"""Searches of many trials, made up: rows with scores that follow from their dials, and nothing fitted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from automl.engine.learners import get_learner
from automl.engine.metrics import METRICS
from automl.engine.space import Space
from automl.engine.trial import Params
from automl.experiments.models import Experiment, Trial
from automl.experiments.records import profile_of
from tests.factories import ExperimentFactory

FAMILIES = ("lightgbm", "xgboost", "catboost", "random_forest", "neural_network", "linear")


class Scale(NamedTuple):
    """What guessing and a good trial score on a table, and by how much each fold is easier than the mean.

    Higher is better.
    """

    guessing: float = 0.5
    good: float = 0.9
    folds: tuple[float, ...] = (0.0,) * 5


USUAL = Scale()
SAID = ("Converged. It stayed about there.", "Still improving at the end. Give it more rounds.", "")


def long_search(
    owner, trials: int, *, state: str = "running", families: Sequence[str] = FAMILIES
) -> Experiment:
    """A search whose scores follow from the learning rate, less from the size, and that a high rate ruins."""
    experiment = ExperimentFactory(owner=owner, state=state, time_budget=86_400.0)
    Trial.objects.create(
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
    fill(experiment, trials, families=families)
    return experiment


def fill(
    experiment: Experiment, trials: int, *, families: Sequence[str] = FAMILIES, scale: Scale = USUAL
) -> None:
    """Add trials to an experiment until it has so many; the first of them are the defaults of families."""
    first = experiment.trials.count()
    rng = np.random.default_rng(0)
    spaces = {key: get_learner(key).space(profile_of(experiment)) for key in families}
    metric = METRICS[experiment.metric]
    gap = scale.good - scale.guessing
    rows = []
    for number in range(first, trials):
        is_default = first < 2 and number <= len(families)
        family = families[number % len(families)]
        params = spaces[family].default() if is_default else spaces[family].sample(rng)
        rate = float(params.get("learning_rate", 0.05))
        score = scale.good - gap * (0.15 * abs(np.log10(rate / 0.05)) + rng.normal(0, 0.005))
        score -= gap * 0.02 * _off_middle(spaces[family], params)
        score -= gap * 0.5 if rate > 0.25 else 0.0
        pruned = number > 40 and number % 3 == 0
        done = scale.folds[: 1 + number % 4] if pruned else scale.folds
        folds = [score + easier + gap * rng.normal(0, 0.0075) for easier in done]
        ends = sorted(metric.score_of(score + gap * by) for by in (-0.02, 0.02))
        rows.append(
            Trial(
                experiment=experiment,
                number=number,
                family=family,
                origin="default" if is_default else "search",
                hyperparameters=params,
                state="pruned" if pruned else "complete",
                score=None if pruned else score,
                value=None if pruned else metric.score_of(score),
                value_low=None if pruned else ends[0],
                value_high=None if pruned else ends[1],
                fold_scores=folds,
                fit_time=None if pruned else 0.5 + number % 7,
                predict_time=None if pruned else 0.01,
                size=None if pruned else 20_000 * (1 + number % 9),
                diagnosis="" if pruned else SAID[number % len(SAID)],
                seconds=1.0,
                ended_after=number / 2,
            )
        )
    Trial.objects.bulk_create(rows, batch_size=1_000)


def _off_middle(space: Space, params: Params) -> float:
    """How far what says how large a model is lies from the middle of its range."""
    sizes = ("num_leaves", "max_depth", "depth", "hidden_units", "strength")
    name = next((name for name in sizes if name in params), None)
    return abs(space.dimensions[name].position(params[name]) - 0.5) if name else 0.0
