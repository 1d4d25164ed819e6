"""Fits another library and writes its predictions; run with an interpreter that has it, see accuracy.py."""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import pandas as pd

METRICS = {"binary": "roc_auc", "multiclass": "log_loss", "regression": "rmse"}


def flaml(train: pd.DataFrame, test: pd.DataFrame, asked: dict[str, Any]) -> tuple[Any, Any]:
    """FLAML with its defaults on both cores."""
    from flaml import AutoML

    target = asked["target"]
    search = AutoML()
    search.fit(
        dataframe=train,
        label=target,
        task="regression" if asked["task"] == "regression" else "classification",
        metric=METRICS[asked["task"]],
        time_budget=asked["seconds"],
        n_jobs=2,
        seed=asked["seed"],
        verbose=0,
    )
    rows = test.drop(columns=target)
    if asked["task"] == "regression":
        return search.predict(rows), None
    return search.predict(rows), pd.DataFrame(search.predict_proba(rows), columns=search.classes_)


PEERS = {"flaml": flaml}


def main() -> None:
    """Fit, predict, write, and print the seconds as JSON."""
    name, asked = sys.argv[1], json.loads(sys.argv[2])
    train, test = pd.read_csv(asked["train"]), pd.read_csv(asked["test"])
    began = time.monotonic()
    predicted, chances = PEERS[name](train, test, asked)
    seconds = time.monotonic() - began
    table = pd.DataFrame({"prediction": predicted})
    if chances is not None:
        for label in chances.columns:
            table[f"probability_{label}"] = chances[label].to_numpy()
    table.to_csv(asked["out"], index=False)
    print(json.dumps({"fit_seconds": seconds}))


if __name__ == "__main__":
    main()
