"""Ways to choose the next configuration."""

from automl.engine.samplers.base import Sampler, signature
from automl.engine.samplers.grid import GridSampler
from automl.engine.samplers.portfolio import PortfolioSampler, default_entries
from automl.engine.samplers.random import RandomSampler
from automl.engine.samplers.tpe import TPESampler

__all__ = [
    "GridSampler",
    "PortfolioSampler",
    "RandomSampler",
    "Sampler",
    "TPESampler",
    "default_entries",
    "signature",
]
