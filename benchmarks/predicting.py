"""How fast a packaged model predicts, loads, and how large it is.

    python -m benchmarks.predicting TABLES [--table adult] [--rows N] [--seconds 60]
        [--peer NAME=PYTHON ...] [--out FILE]

TABLES is a folder as benchmarks/accuracy.py takes it. On a table we search with LightGBM alone, one trial,
and with everything for the given seconds; both are saved, unpacked and loaded as users do it. One row is
predicted as a dictionary in this process; 10,000 rows as a frame, against the pipelines of the same bundle
and against the library's own predict: the estimators', on all cores, on the matrix that is ready. What the
boosters alone take beneath it, on as many, is told too. A peer fits with its medium preset in an
interpreter that has it, see benchmarks/predicting_peer.py, and predicts the same rows. The last lines are
shares of what is allowed: 1 is at the limit.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable
from copy import copy
from pathlib import Path
from statistics import median
from typing import Any

import pandas as pd

from automl.engine import AutoMLClassifier, AutoMLRegressor
from automl.engine.inference import load
from benchmarks.accuracy import split

PEER = Path(__file__).with_name("predicting_peer.py")
SINGLE_ROWS, BATCH_ROWS, BATCH_TIMES = 300, 10_000, 15
LOAD = """
import json, sys, time
began = time.perf_counter()
from predict import load
imported = time.perf_counter()
model = load(runtime=sys.argv[1])
print(json.dumps({"import_seconds": imported - began, "load_seconds": time.perf_counter() - imported}))
"""


def seconds_of(call: Callable[[], Any], times: int) -> float:
    """The median time of a call, the first one not counted."""
    call()
    found = []
    for _ in range(times):
        began = time.perf_counter()
        call()
        found.append(time.perf_counter() - began)
    return median(found)


def side_by_side(calls: dict[str, Callable[[], Any]], times: int) -> dict[str, float]:
    """The median time of each call, taken in turn: what slows the machine for a while slows all of them."""
    found: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(times + 1):
        for name, call in calls.items():
            began = time.perf_counter()
            call()
            found[name].append(time.perf_counter() - began)
    return {name: median(seconds[1:]) for name, seconds in found.items()}


def saved(entry: dict[str, Any], train: Path, folder: Path, asked: argparse.Namespace) -> dict[str, Path]:
    """Search twice, and unpack both bundles."""
    frame = pd.read_csv(train, keep_default_na=False, na_values=[""])
    if asked.rows:
        frame = frame.head(asked.rows)
    kind = AutoMLRegressor if entry["task"] == "regression" else AutoMLClassifier
    X, y = frame.drop(columns=entry["target"]), frame[entry["target"]]
    settings: dict[str, dict[str, Any]] = {
        "lightgbm": {"time_budget": None, "max_trials": 1, "families": ["lightgbm"], "ensemble": False},
        "ensemble": {"time_budget": asked.seconds},
    }
    found = {}
    for name, given in settings.items():
        bundle = kind(**given).fit(X, y).save(folder / f"{name}.zip")
        zipfile.ZipFile(bundle).extractall(folder / name)
        found[name] = bundle
    return found


def measure(name: str, bundle: Path, frame: pd.DataFrame) -> dict[str, Any]:
    """Time one bundle."""
    folder = bundle.with_suffix("")
    quick, pipelines = load(folder, runtime="auto"), load(folder, runtime="skops")
    rows = frame.astype(object).where(frame.notna(), None).to_dict("records")[:SINGLE_ROWS]
    batch = frame.sample(BATCH_ROWS, replace=True, random_state=0).reset_index(drop=True)
    taken = iter(rows * 2)
    figures = {
        "runtime": getattr(quick, "runtime", "skops"),
        "members": len(pipelines.members),
        "megabytes": bundle.stat().st_size / 2**20,
        "one_row_ms": 1000 * seconds_of(lambda: quick.predict_rows([next(taken)]), SINGLE_ROWS - 1),
        "one_row_pipeline_ms": 1000 * seconds_of(lambda: pipelines.predict_rows(rows[:1]), 20),
    }
    calls: dict[str, Callable[[], Any]] = {
        "batch_seconds": lambda: quick.predict_raw(batch),
        "batch_pipeline_seconds": lambda: pipelines.predict_raw(batch),
    }
    if name == "lightgbm":
        X = pipelines.encoder.transform(batch)
        models = [fold.estimator for fold in pipelines.members[0].models]
        inputs = [
            fold.preprocess.transform(X) if fold.preprocess else X for fold in pipelines.members[0].models
        ]
        cores = os.cpu_count()
        # Copies: in the bundle they keep to one thread.
        pairs = [(copy(m).set_params(n_jobs=-1), part) for m, part in zip(models, inputs, strict=True)]
        calls["batch_library_seconds"] = lambda: [
            getattr(m, "predict_proba", m.predict)(part) for m, part in pairs
        ]
        calls["batch_booster_seconds"] = lambda: [
            m.booster_.predict(part, num_threads=cores) for m, part in pairs
        ]
    figures |= side_by_side(calls, BATCH_TIMES)
    command = [sys.executable, "-c", LOAD, "auto"]
    loaded = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True)
    return {**figures, **json.loads(loaded.stdout)}


def peer(python: str, name: str, entry: dict[str, Any], paths: tuple[Path, Path]) -> dict[str, Any]:
    """Have a peer fit and predict with its own interpreter."""
    asked = {**entry, "train": str(paths[0]), "test": str(paths[1]), "rows": BATCH_ROWS}
    command = [python, str(PEER), name, json.dumps(asked)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def main(arguments: list[str] | None = None) -> int:
    """Measure, print a table, and give 1 when a figure is over its limit."""
    parser = argparse.ArgumentParser(description="Speed, size and load time of packaged models.")
    parser.add_argument("tables", type=Path)
    parser.add_argument("--table", default="adult")
    parser.add_argument("--rows", type=int, help="train on the first so many rows")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--peer", action="append", default=[], metavar="NAME=PYTHON")
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args(arguments)
    entries = json.loads((asked.tables / "index.json").read_text())
    entry = next(entry for entry in entries if entry["name"] == asked.table)
    with tempfile.TemporaryDirectory(prefix="bakeoff-predicting-") as name:
        folder = Path(name)
        paths = split(asked.tables / entry["file"], entry["target"], entry["task"], 0, folder)
        frame = pd.read_csv(paths[1], keep_default_na=False, na_values=[""]).drop(columns=entry["target"])
        bundles = saved(entry, paths[0], folder, asked)
        found = {name: measure(name, bundle, frame) for name, bundle in bundles.items()}
        for given in asked.peer:
            who, python = given.split("=", 1)
            found[who] = peer(python, who, entry, paths)
    print(table_of(found))
    if asked.out:
        asked.out.write_text(json.dumps(found, indent=2))
    return int(any(worst > 1 for worst in ratios(found).values()))


def ratios(found: dict[str, dict[str, Any]]) -> dict[str, float]:
    """Figures as shares of their limits: 1 is at it."""
    single, whole = found["lightgbm"], found["ensemble"]
    return {
        "one row, single model (0.3 ms)": single["one_row_ms"] / 0.3,
        "one row, ensemble (1 ms)": whole["one_row_ms"] / 1.0,
        "10,000 rows, single model (the library's own)": single["batch_seconds"]
        / single["batch_library_seconds"],
        "10,000 rows, ensemble (its pipelines)": whole["batch_seconds"] / whole["batch_pipeline_seconds"],
        "load, ensemble (1 s)": whole["load_seconds"] / 1.0,
        "bundle, ensemble (10 MB)": whole["megabytes"] / 10.0,
        **{
            f"one row, ensemble (a fiftieth of {who})": 50 * whole["one_row_ms"] / figures["one_row_ms"]
            for who, figures in found.items()
            if who not in ("lightgbm", "ensemble")
        },
    }


def table_of(found: dict[str, dict[str, Any]]) -> str:
    """All figures in Markdown."""
    names = list(dict.fromkeys(name for figures in found.values() for name in figures))
    lines = ["| | " + " | ".join(found) + " |", "| --- " * (len(found) + 1) + "|"]
    for name in names:
        cells = [figures.get(name, "") for figures in found.values()]
        shown = [f"{cell:.4g}" if isinstance(cell, float) else str(cell) for cell in cells]
        lines.append(f"| {name} | " + " | ".join(shown) + " |")
    lines += ["", *(f"{value:8.2f}  {name}" for name, value in ratios(found).items())]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
