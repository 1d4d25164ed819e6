"""A table of a million rows: how soon it is profiled, and what a search makes of it.

    python -m benchmarks.large [--rows 1000000] [--seconds 300] [--repeats 3] [--only reading|search]

The table is generated: 30 columns of numbers, whole numbers, categories of few and of many levels, dates,
true and false, some cells missing. Reading and profiling is compared with `pandas.read_csv` alone, each in a
process of its own, medians of several runs. The search's bundle is compared on rows held out with one
default LightGBM on a tenth of the rows. Exits with 1 when a figure is over its limit.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.metrics import roc_auc_score

from benchmarks.accuracy import our_service, ours, score

MOST_TIMES_PANDAS = 1.5
MOST_MEGABYTES = 8_000.0
TARGET = "bought"
HELD_ROWS = 100_000
PANDAS = "import sys, time; import pandas as pd; t = time.perf_counter(); pd.read_csv(sys.argv[1]); "
OURS = (
    "import sys, time; from pathlib import Path; from automl.engine.profiling import profile_table; "
    "from automl.engine.reading import convert_table; t = time.perf_counter(); "
    "out = Path(sys.argv[1]).with_suffix('.arrow'); "
    "convert_table(Path(sys.argv[1]), out, filename='table.csv'); profile_table(out); "
)
SAY = "print(time.perf_counter() - t)"


def make(rows: int, seed: int = 0) -> pd.DataFrame:
    """Generate the table; the target depends on numbers, categories, an interaction and a date."""
    generator = np.random.default_rng(seed)
    frame: dict[str, Any] = {}
    for number in range(10):
        frame[f"amount_{number}"] = np.round(generator.lognormal(3, 1, rows), 2)
    for number in range(6):
        frame[f"measure_{number}"] = np.round(generator.normal(size=rows), 5)
    for number, high in enumerate((5, 60, 1_000, 100_000)):
        frame[f"count_{number}"] = generator.integers(0, high, rows)
    effects = {}
    for number, levels in enumerate((3, 8, 40, 300, 3_000)):
        codes = np.minimum(generator.geometric(5 / (levels + 5), rows), levels) - 1
        effects[number] = generator.normal(size=levels)[codes]
        frame[f"kind_{number}"] = np.array([f"kind {number}-{code}" for code in range(levels)])[codes]
    days = generator.integers(0, 2_000, rows)
    frame["ordered"] = (np.datetime64("2020-01-01") + days).astype(str)
    frame["delivered"] = (np.datetime64("2020-01-03") + days + generator.integers(0, 9, rows)).astype(str)
    frame["member"] = generator.random(rows) < 0.3
    frame["note"] = np.array(["none", "gift", "fragile", "call before", "leave at the door"])[
        generator.integers(0, 5, rows)
    ]
    logit = (
        0.8 * np.log(frame["amount_0"])
        - 0.6 * np.log(frame["amount_1"])
        + 0.5 * frame["measure_0"] * frame["measure_1"]
        + 0.4 * np.sin(3 * frame["measure_2"])
        + 0.5 * effects[1]
        + 0.5 * effects[3]
        + 0.4 * effects[4]
        + 0.3 * np.sin(days / 58)
        + 0.4 * frame["member"] * (frame["measure_3"] > 0)
        - 0.6
    )
    table = pd.DataFrame(frame)
    for name in ("amount_2", "measure_4", "count_2", "kind_2"):
        table[name] = table[name].mask(generator.random(rows) < 0.05)
    table[TARGET] = np.where(generator.random(rows) < 1 / (1 + np.exp(-logit)), "yes", "no")
    return table


def reading(path: Path, repeats: int) -> dict[str, Any]:
    """Compare our reading and profiling with pandas' reading, in turns."""
    seconds: dict[str, list[float]] = {PANDAS: [], OURS: []}
    for _ in range(repeats):
        for code, found in seconds.items():
            done = subprocess.run(
                [sys.executable, "-c", code + SAY, str(path)], check=True, capture_output=True, text=True
            )
            found.append(float(done.stdout))
    pandas, own = (statistics.median(found) for found in seconds.values())
    return {
        "pandas_seconds": round(pandas, 2),
        "profile_seconds": round(own, 2),
        "reading_ratio": round(own / pandas / MOST_TIMES_PANDAS, 3),
    }


def search(train: Path, test: Path, folder: Path, seconds: float) -> dict[str, Any]:
    """Search through the API, and compare the bundle with one default LightGBM on a tenth of the rows."""
    with our_service() as us:
        asked = {
            "train": train,
            "test": test,
            "target": TARGET,
            "task": "binary",
            "seconds": seconds,
            "seed": 0,
        }
        found = ours(*us, asked, folder)
    own = score(folder / "out.csv", test, TARGET, "binary")
    plain = default_lightgbm(train, test)
    return {
        **found,
        "score": own,
        "lightgbm_score": plain,
        "error_ratio": round((1 - own) / (1 - plain), 4),
        "memory_ratio": round(found["rss"] / MOST_MEGABYTES, 3),
        "elapsed_ratio": round(found["fit_seconds"] / max(1.1 * seconds, seconds + 5), 3),
    }


def default_lightgbm(train: Path, test: Path) -> float:
    """Fit LightGBM as it comes on a tenth of the rows; area under the curve on the test rows."""
    from lightgbm import LGBMClassifier

    frames = [pd.read_csv(path) for path in (train, test)]
    frames[0] = frames[0].sample(frac=0.1, random_state=0)
    words = [name for name in frames[0].columns if frames[0][name].dtype == "str" and name != TARGET]
    kinds = {name: pd.CategoricalDtype(sorted(frames[0][name].dropna().unique())) for name in words}
    known, new = (frame.astype(kinds) for frame in frames)
    model = LGBMClassifier(verbosity=-1).fit(known.drop(columns=TARGET), known[TARGET] == "yes")
    return float(roc_auc_score(new[TARGET] == "yes", model.predict_proba(new.drop(columns=TARGET))[:, 1]))


def main(arguments: list[str] | None = None) -> int:
    """Measure, print one line of JSON for each part, and compare with the limits."""
    parser = argparse.ArgumentParser(description="A table of a million rows.")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--seconds", type=float, default=300.0)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--only", choices=("reading", "search"))
    asked = parser.parse_args(arguments)
    found: dict[str, Any] = {"rows": asked.rows}
    with tempfile.TemporaryDirectory(prefix="bakeoff-large-") as name:
        folder = Path(name)
        table = make(asked.rows + HELD_ROWS)
        table.head(asked.rows).to_csv(folder / "train.csv", index=False)
        table.tail(HELD_ROWS).to_csv(folder / "test.csv", index=False)
        del table
        if asked.only != "search":
            found |= reading(folder / "train.csv", asked.repeats)
        if asked.only != "reading":
            found |= search(folder / "train.csv", folder / "test.csv", folder, asked.seconds)
    print(json.dumps(found))
    return int(any(value > 1.0 for name, value in found.items() if name.endswith("_ratio")))


if __name__ == "__main__":
    sys.exit(main())
