"""Results of diagnoses as the engine would give them: found by its own code, from made-up predictions."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from automl.engine.diagnostics.classification import classification
from automl.engine.diagnostics.regression import regression
from automl.engine.intervals import metrics_with_intervals

COLUMNS = ("age", "city", "joined", "hours", "balance")


@cache
def diagnosis(task: str = "binary", classes: int = 2, rows: int = 2000) -> dict[str, Any]:
    """A whole diagnosis; `task` is binary, multiclass or regression."""
    luck = np.random.default_rng(5)
    found: dict[str, Any] = {"rows": rows, "task_type": task, "classes": None}
    if task == "regression":
        y = np.exp(luck.normal(9, 1.2, rows))
        predicted = y * np.exp(luck.normal(0, 0.3, rows))
        found |= {
            "metric": "rmse",
            "metrics": metrics_with_intervals(["rmse", "mae", "r2", "mape"], y, predicted),
        }
        found["regression"] = regression(y, predicted, skew=3.0)
    else:
        labels = ["no", "yes"] if classes == 2 else [chr(65 + code) for code in range(classes)]
        y = luck.choice(classes, rows, p=[0.7, 0.3] if classes == 2 else None)
        p = luck.dirichlet(np.full(classes, 0.4), rows) + 1.6 * np.eye(classes)[y] * luck.random((rows, 1))
        p /= p.sum(axis=1, keepdims=True)
        names = ["log_loss", "accuracy", "brier", "f1_macro"]
        names = ["roc_auc", *names] if classes == 2 else names
        found |= {"metric": names[0], "metrics": metrics_with_intervals(names, y, p), "classes": labels}
        found["classification"] = classification(y, p, labels)
    found |= {"importance": _importance(), "dependence": _dependence(found["classes"]), "seconds": 8.2}
    found["worst"] = _worst(found["classes"])
    return found


def _importance() -> dict[str, Any]:
    rows = [
        {"column": name, "kind": "numeric", "loss": loss, "low": loss - 0.004, "high": loss + 0.004}
        for name, loss in zip(COLUMNS, (0.081, 0.043, 0.021, 0.009, 0.001), strict=True)
    ]
    return {"columns": rows, "rows": 2000, "repeats": 5, "left_out": 0}


def _dependence(classes: list[Any] | None) -> list[dict[str, Any]]:
    kinds = {
        "age": ("numeric", np.linspace(18, 78, 16).round().tolist()),
        "city": ("categorical", ["Paris", "Rome", "Oslo", "Żółw", None]),
        "joined": ("datetime", [f"2020-{month:02d}-01" for month in range(1, 13)]),
        "balance": ("numeric", np.geomspace(1, 90_000, 16).tolist()),
    }
    labels = [None] if classes is None else classes[1:2] if len(classes) == 2 else classes[:3]
    curves = []
    for number, (name, (kind, grid)) in enumerate(kinds.items()):
        steps = np.linspace(0, 3, len(grid)) + number
        lines = []
        for place, label in enumerate(labels):
            mean = 0.35 + 0.2 * np.sin(steps + place)
            examples = [(mean + shift).tolist() for shift in (-0.12, -0.05, 0.04, 0.1)]
            ends = {"low": (mean - 0.15).tolist(), "high": (mean + 0.15).tolist()}
            lines.append({"class": label, "mean": mean.tolist(), **ends, "examples": examples})
        share = [1 / len(grid)] * len(grid)
        curves.append({"column": name, "kind": kind, "grid": grid, "share": share, "lines": lines})
    return curves


def _worst(classes: list[Any] | None) -> dict[str, Any]:
    rows = []
    for number in range(50):
        cells = [20 + number, "Paris", "2020-03-01", 40.5, None]
        said = {"true": 51_000.0 + number, "predicted": 12_000.0}
        if classes is not None:
            said = {"true": classes[0], "predicted": classes[1], "chance": 0.02, "called_chance": 0.97}
        rows.append({"row": 17 * number + 3, "cells": cells, "loss": 39_000.0 - number, **said})
    return {"columns": list(COLUMNS), "rows": rows, "share": 0.21}


def comparison(*entries: tuple[str, str], task: str = "binary") -> dict[str, Any]:
    """A comparison of (id, name): the first is better than the second, all others are tied."""
    pairs = []
    for one in range(len(entries)):
        for other in range(one + 1, len(entries)):
            gain, spread = (0.012, 0.004) if (one, other) == (0, 1) else (0.001, 0.003)
            ends = {"low": gain - spread, "high": gain + spread, "tied": gain <= spread}
            ids = {"one": entries[one][0], "other": entries[other][0]}
            pairs.append({**ids, "gain": gain, **ends, "agreement": 0.93})
    said = (
        {"predicted": 12.5}
        if task == "regression"
        else {"predicted": "yes", "chance": 0.2, "called_chance": 0.8}
    )
    rows = [
        {
            "row": 7 * number + 1,
            "cells": [33, "Rome", None],
            "apart": 0.8,
            "true": 11.0 if task == "regression" else "no",
            "nearest": number % len(entries),
            "predictions": [said for _ in entries],
        }
        for number in range(15)
    ]
    return {
        "rows": 2000,
        "task_type": task,
        "metric": "rmse" if task == "regression" else "roc_auc",
        "entries": [
            {"id": id, "name": name, "value": 0.9, "low": 0.89, "high": 0.91} for id, name in entries
        ],
        "pairs": pairs,
        "disagreements": {"columns": ["age", "city", "joined"], "rows": rows},
    }
