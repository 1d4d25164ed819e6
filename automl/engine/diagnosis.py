"""A learning curve in words: what happened while a model was trained, and what would help."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from automl.engine.metrics import METRICS
from automl.engine.trial import Params

# Under so many points a curve has no shape.
LEAST_POINTS = 4
# What the last fifth brought, as a part of all that was gained: an even climb would bring 0.2.
STILL_IMPROVING, AS_FAST_AS_EVER = 0.015, 0.1
# How far the curve falls back from its best, as a part of all that was gained.
OVERFITTED = 0.12
# A best point before this part of the curve, after which all is worse, was luck rather than learning.
AT_ONCE = 0.08
# The dials that say how long and in what steps a family trains.
LENGTHS = ("n_estimators", "iterations", "max_iter", "epochs")
# What makes a family's models more cautious, by the dials that it may have.
CAUTION = {
    "num_leaves": "fewer leaves",
    "max_leaf_nodes": "fewer leaves",
    "max_depth": "less depth",
    "depth": "less depth",
    "min_child_samples": "larger leaves",
    "min_samples_leaf": "larger leaves",
    "reg_lambda": "a higher reg lambda",
    "l2_leaf_reg": "a higher l2 leaf reg",
    "dropout": "a higher dropout",
}


@dataclass(frozen=True, slots=True)
class _Curve:
    """A curve as losses: lower is better whatever the metric."""

    x: Sequence[int]
    valid: Sequence[float]
    train: Sequence[float]
    best: int  # index of the point that was kept
    unit: str

    @property
    def gained(self) -> float:
        """From the first point to the best."""
        return self.valid[0] - self.valid[self.best]

    @property
    def lost(self) -> float:
        """From the best point to the last."""
        return self.valid[-1] - self.valid[self.best]

    @property
    def noise(self) -> float:
        """How much a point usually jumps."""
        jumps = sorted(
            abs(a - 2 * b + c) for a, b, c in zip(self.valid, self.valid[1:], self.valid[2:], strict=False)
        )
        return jumps[len(jumps) // 2] if jumps else 0.0

    def at(self, share: float) -> float:
        """The loss after a share of all rounds."""
        wanted = share * self.x[-1]
        return self.valid[max((i for i, x in enumerate(self.x) if x <= wanted), default=0)]


def diagnose(curve: Mapping[str, Any] | None, params: Params) -> str | None:
    """Say in words how the training of one fold went.

    Parameters
    ----------
    curve : LearningCurve or None
    params : mapping
        The hyperparameters it was trained with.

    Returns
    -------
    str or None
        First the finding in a few words, which `tag_of` gives alone, then the figures and the advice.
        None where there is no curve, or too short a one.

    Examples
    --------
    >>> losses = [1.0, 0.5, 0.3, 0.25, 0.26, 0.3, 0.4, 0.5]
    >>> curve = {"unit": "rounds", "x": [1, 2, 3, 4, 5, 6, 7, 8], "train": [], "valid": losses,
    ...          "best": 4, "metric": "log_loss"}
    >>> tag_of(diagnose(curve, {"learning_rate": 0.3}))
    'Overfits from round 4'
    """
    found = _read(curve)
    if found is None:
        return None
    if isinstance(found, str):
        return found
    rate = params.get("learning_rate")
    rate = float(rate) if isinstance(rate, int | float) and not isinstance(rate, bool) else None
    limit = next((params[name] for name in LENGTHS if isinstance(params.get(name), int)), None)
    return (
        _diverged(found, rate)
        or _overfitted(found, rate, params)
        or _unfinished(found, rate, limit)
        or _converged(found)
    )


def tag_of(diagnosis: str) -> str:
    """Give the finding alone, for a place with no room for the rest."""
    return diagnosis.partition(". ")[0].rstrip(".")


def _read(curve: Mapping[str, Any] | None) -> _Curve | str | None:
    if not curve or not curve.get("x") or len(curve["valid"]) != len(curve["x"]):
        return None
    metric = METRICS.get(str(curve.get("metric")))
    sign = -1.0 if metric is not None and metric.higher_is_better else 1.0
    valid = [sign * float(value) for value in curve["valid"]]
    if not all(math.isfinite(value) for value in valid):
        return "Diverged. Its validation became no number at all; lower the learning rate."
    if len(valid) < LEAST_POINTS:
        return None
    x = list(curve["x"])
    kept = curve.get("best") or x[-1]
    best = min(range(len(x)), key=lambda i: (abs(x[i] - kept), i))
    # Where it is not said, training is judged by its loss, whatever validation is judged by.
    by = METRICS.get(str(curve.get("train_metric")))
    sign = -1.0 if by is not None and by.higher_is_better else 1.0
    train = [sign * float(value) for value in curve.get("train") or []]
    return _Curve(x, valid, train, best, str(curve.get("unit") or "rounds"))


def _diverged(curve: _Curve, rate: float | None) -> str | None:
    """Training itself gets worse, or nothing after the first steps is as good as they were."""
    at_once = curve.x[curve.best] <= max(2, AT_ONCE * curve.x[-1])
    worse = curve.valid[-1] - curve.valid[0] > max(4 * curve.noise, 0.02 * abs(curve.valid[0]))
    fast = rate is None or rate > 0.1 or curve.unit == "epochs"
    steps = f"the learning rate of {rate:.3g} is too high" if rate is not None else "its steps are too large"
    if at_once and worse and fast:
        return (
            f"Diverged. Validation was best after {_unit(curve, curve.x[curve.best])} and ends worse than it "
            f"began: {steps}."
        )
    if _climbs(curve):
        lowest = curve.x[min(range(len(curve.x)), key=lambda i: curve.train[i])]
        return f"Diverged. Its training loss rises from {_one(curve)} {lowest}: {steps}."
    if at_once and curve.gained <= 2 * curve.noise and curve.lost > 2 * curve.noise:
        return (
            f"Learns nothing. Nothing after {_unit(curve, curve.x[curve.best])} was better: "
            "these columns tell little, or its steps are too large."
        )
    return None


def _climbs(curve: _Curve) -> bool:
    """Whether the training loss ends far above its lowest point."""
    if len(curve.train) != len(curve.x) or not all(map(math.isfinite, curve.train)):
        return False
    least = min(curve.train)
    return curve.train[-1] - least > 0.5 * abs(curve.train[0] - least) + 1e-12


def _overfitted(curve: _Curve, rate: float | None, params: Params) -> str | None:
    at = curve.x[curve.best]
    if curve.best >= len(curve.x) - 1 or curve.lost <= max(OVERFITTED * curve.gained, 3 * curve.noise):
        return None
    part = curve.lost / curve.gained if curve.gained > 0 else 1.0
    help_ = list(dict.fromkeys(words for name, words in CAUTION.items() if name in params))[:2]
    if rate is not None:
        help_.append("a lower learning rate")
    advice = f" {_one_of(help_).capitalize()} would let it learn longer." if help_ else ""
    lost = f"{part:.0%} of what".replace("%", " %") if part < 1 else "all that"
    return (
        f"Overfits from {_one(curve)} {at}. After it validation loses {lost} was gained; "
        f"{_one(curve)} {at} was kept.{advice}"
    )


def _one_of(words: Sequence[str]) -> str:
    """A, b or c."""
    return f"{', '.join(words[:-1])} or {words[-1]}" if len(words) > 1 else words[0]


def _unfinished(curve: _Curve, rate: float | None, limit: Any) -> str | None:
    """The best is at the end: what did the last fifth bring?"""
    # A few points of patience are no end of the climb.
    if curve.x[curve.best] < 0.97 * curve.x[-1] or curve.gained <= 0:
        return None
    late = (curve.at(0.8) - curve.valid[curve.best]) / curve.gained
    if late < STILL_IMPROVING or curve.at(0.8) - curve.valid[curve.best] <= curve.noise:
        return None
    brought = f"{late:.0%}".replace("%", " %")
    rounds = _unit(curve, curve.x[-1])
    short = isinstance(limit, int) and curve.x[-1] < 0.95 * limit
    ended = f"Time ran out after {rounds} of {limit}" if short else f"It stopped at its limit of {rounds}"
    if late >= AS_FAST_AS_EVER and rate is not None:
        return (
            f"Crawls. The last fifth still brought {brought} of all it gained: the learning rate of "
            f"{rate:.3g} is too low for {rounds}. Raise it, or allow more {curve.unit}."
        )
    more = "more time" if short else f"more {curve.unit}"
    return (
        f"Still improving at the end. {ended}; the last fifth brought {brought} of all it gained. "
        f"Give it {more}."
    )


def _converged(curve: _Curve) -> str:
    at = curve.x[curve.best]
    if at >= 0.97 * curve.x[-1]:
        return f"Converged. The last fifth of its {curve.unit} brought next to nothing."
    return f"Converged. Validation was best at {_one(curve)} {at} of {curve.x[-1]} and stayed about there."


def _one(curve: _Curve) -> str:
    return curve.unit.removesuffix("s")


def _unit(curve: _Curve, count: int) -> str:
    return f"{count} {curve.unit}" if count != 1 else f"1 {_one(curve)}"
