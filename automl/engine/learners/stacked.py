"""Learners of a second layer, see `automl.engine.stacking`."""

from __future__ import annotations

from typing import Any

from automl.engine.learners.base import STRONG_SKEW, Cost, Learner
from automl.engine.learners.boosting_lightgbm import LightGBM
from automl.engine.learners.forest import ExtraTrees
from automl.engine.learners.network import NeuralNetwork
from automl.engine.schema import DataProfile
from automl.engine.trial import Params

# Predictions tell most within a few rounds; so much of the usual ones.
ROUNDS_SHARE = 0.25


class Stacked(Learner):
    """What the learners of a second layer share."""

    stacks = True

    def first(self, data: DataProfile) -> Params:
        return self.portfolio(data)[0]


class StackedNetwork(Stacked, NeuralNetwork):
    """A network on the columns and on predictions."""

    key = "stacked_network"
    label = "Stacked network"
    description = (
        "A neural network on the columns and on what the best model of each other family predicts: it learns "
        "where which of them is right. It comes late in a search, when there is something to learn from."
    )

    def portfolio(self, data: DataProfile) -> list[Params]:
        # Predictions say it clearly, so that a sharp network may lean on them; who knows those of many models
        # learns their luck too, so that a damped one comes first.
        # Numbers of a strong skew are told as ranks: on their own scale a few of them say everything.
        numeric = "quantile" if data.skew >= STRONG_SKEW else "standard"
        sharp: dict[str, Any] = {"numeric": numeric, "label_smoothing": 0.0, "epochs": 20}
        damped = {**sharp, "learning_rate": 0.02, "dropout": 0.3, "alpha": 0.4, "width": 128, "epochs": 15}
        chosen = [damped, sharp]
        if not data.classes:
            chosen = [{key: each[key] for key in each if key != "label_smoothing"} for each in chosen]
        return [self.space(data).validate(params) for params in chosen]


class StackedTrees(Stacked, ExtraTrees):
    """Random trees on the columns and on predictions."""

    key = "stacked_trees"
    label = "Stacked extra trees"
    description = (
        "Extremely random trees on the columns and on what the best model of each other family predicts: "
        "calmer than a stacked network, and different enough from it to help an ensemble."
    )

    def portfolio(self, data: DataProfile) -> list[Params]:
        return [self.space(data).default()]


class StackedLightGBM(Stacked, LightGBM):
    """Boosted random trees on the columns and on predictions."""

    key = "stacked_lightgbm"
    label = "Stacked LightGBM"
    description = (
        "LightGBM with thresholds drawn at random, on the columns and on what the best model of each other "
        "family predicts: it mends what they all get wrong in some corner of the table."
    )

    def portfolio(self, data: DataProfile) -> list[Params]:
        return [self.space(data).validate({"extra_trees": True})]

    def cost(self, data: DataProfile, params: Params) -> Cost:
        found = super().cost(data, params)
        return Cost(ROUNDS_SHARE * found.seconds, found.bytes)
