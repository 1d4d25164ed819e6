"""Learning curves: training and validation by round or epoch."""

from __future__ import annotations

from typing import Any

from automl.engine.metrics import METRICS
from automl.pages.charts.plane import WIDTHS, Chart, Series, draw


def curve_series(curve: dict[str, Any] | None) -> list[Series]:
    """The lines of a learning curve; some libraries tell nothing of training.

    Training that is judged by something else than validation has no place on the same axis.
    """
    if not curve or not curve.get("x"):
        return []
    alike = curve.get("train_metric") in (None, curve.get("metric"))
    return [
        Series(name, curve["x"], curve[key], kind)
        for name, key, kind in (("Training", "train", "second"), ("Validation", "valid", "main"))
        if curve.get(key) and len(curve[key]) == len(curve["x"]) and (alike or key == "valid")
    ]


def curve_label(curve: dict[str, Any]) -> str:
    """What a learning curve shows: often a loss that is no metric of ours, or one of another unit."""
    name = str(curve.get("metric") or "score")
    label = METRICS[name].label if name in METRICS else name.replace("_", " ").capitalize()
    return f"{label} of logarithms" if curve.get("of_logarithms") else label


def learning_curve(curve: dict[str, Any] | None) -> list[Chart]:
    """Training and validation score by round or epoch."""
    series = curve_series(curve)
    if not curve or not series:
        return []
    unit = str(curve.get("unit") or "rounds").capitalize()
    label = curve_label(curve)
    # The point that was kept.
    kept = [(x, y) for x, y in zip(series[-1].x, series[-1].y, strict=True) if x == curve.get("best")]
    return [draw(size, series, dots=kept, x_label=unit, y_label=label) for size in WIDTHS]
