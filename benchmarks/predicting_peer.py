"""Fits another library and times its predictions; run with an interpreter that has it, see predicting.py."""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Callable
from statistics import median
from typing import Any

import pandas as pd

FIT_SECONDS, ROWS = 60, 30
Predict = Callable[[pd.DataFrame], Any]


def autogluon(train: pd.DataFrame, asked: dict[str, Any], folder: str) -> Predict:
    """AutoGluon's medium preset, its models kept in memory."""
    from autogluon.tabular import TabularPredictor

    predictor = TabularPredictor(
        label=asked["target"], problem_type=asked["task"], path=f"{folder}/model", verbosity=0
    )
    predictor.fit(train, presets="medium_quality", time_limit=FIT_SECONDS, num_cpus=2, num_gpus=0)
    predictor.persist()
    return predictor.predict if asked["task"] == "regression" else predictor.predict_proba  # type: ignore[no-any-return]


def flaml(train: pd.DataFrame, asked: dict[str, Any], folder: str) -> Predict:
    """FLAML with its defaults."""
    from flaml import AutoML

    search = AutoML()
    task = "regression" if asked["task"] == "regression" else "classification"
    search.fit(
        dataframe=train, label=asked["target"], task=task, time_budget=FIT_SECONDS, n_jobs=2, verbose=0
    )
    return search.predict if task == "regression" else search.predict_proba  # type: ignore[no-any-return]


PEERS = {"autogluon-medium": autogluon, "flaml": flaml}


def seconds_of(predict: Predict, frames: list[pd.DataFrame]) -> float:
    """The median time of predicting frames, the first one not counted."""
    found = []
    for frame in frames:
        began = time.perf_counter()
        predict(frame)
        found.append(time.perf_counter() - began)
    return median(found[1:])


def main() -> None:
    """Fit, predict single rows and many, and print the figures as JSON."""
    name, asked = sys.argv[1], json.loads(sys.argv[2])
    train = pd.read_csv(asked["train"], keep_default_na=False, na_values=[""])
    test = pd.read_csv(asked["test"], keep_default_na=False, na_values=[""]).drop(columns=asked["target"])
    batch = test.sample(asked["rows"], replace=True, random_state=0).reset_index(drop=True)
    with tempfile.TemporaryDirectory() as folder:
        predict = PEERS[name](train, asked, folder)
        one = seconds_of(predict, [test.iloc[[row]] for row in range(ROWS)])
        figures = {"one_row_ms": 1000 * one, "batch_seconds": seconds_of(predict, [batch] * 3)}
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
