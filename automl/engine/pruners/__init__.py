"""Rules that stop a weak trial early."""

from automl.engine.pruners.base import Pruner
from automl.engine.pruners.halving import HalvingPruner, Mark
from automl.engine.pruners.median import MedianPruner
from automl.engine.pruners.none import NoPruner

__all__ = ["HalvingPruner", "Mark", "MedianPruner", "NoPruner", "Pruner"]
