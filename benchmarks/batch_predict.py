"""What a worker needs for a file of a million rows: memory, seconds, and how often it says how far it is.

    python -m benchmarks.batch_predict [--rows 1000000] [--families lightgbm]

Exits with 1 when the memory is over its limit, or no progress was told.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import pandas as pd

from automl.engine import AutoMLClassifier
from automl.engine.isolation import Limits, Seat
from tests.engine.tables import people

MOST_BYTES = 1 << 30
SECONDS = 170.0


def measure(rows: int, families: list[str]) -> dict[str, Any]:
    """Package a small model, and have a job predict a long table with it."""
    few, target = people(500)[["age", "city", "joined", "bought"]], "bought"
    with tempfile.TemporaryDirectory(prefix="bakeoff-bench-") as folder, Seat() as seat:
        place = Path(folder)
        search = AutoMLClassifier(time_budget=30, max_trials=len(families), families=families)
        bundle = search.fit(few.drop(columns=target), few[target]).save(place / "model.zip")
        with (place / "input.csv").open("w", encoding="utf-8", newline="") as file:
            few.drop(columns=target).head(0).to_csv(file, index=False)
            text = few.drop(columns=target).to_csv(index=False, header=False)
            for _ in range(rows // len(few)):
                file.write(text)
        (place / "out").mkdir()
        args = {"bundle": str(bundle), "source": str(place / "input.csv"), "out": str(place / "out")}
        reports: list[dict[str, Any]] = []
        outcome = seat.run(
            "automl.engine.jobs:predict",
            args,
            limits=Limits(seconds=SECONDS, memory_bytes=MOST_BYTES),
            on_report=lambda report: reports.append(report) or "go",
        )
        if outcome.result is None:
            raise SystemExit(f"{outcome.status}: {outcome.error}\n{outcome.detail}")
        size = len(pd.read_parquet(place / "out" / "predictions.parquet"))
    return {
        "rows": size,
        "seconds": round(outcome.seconds, 1),
        "rows_per_second": round(size / outcome.seconds),
        "peak_mb": round(outcome.peak_bytes / 2**20),
        "reports": len(reports),
    }


def main(arguments: list[str] | None = None) -> int:
    """Measure, print a line of JSON, and compare with the limit."""
    parser = argparse.ArgumentParser(description="What a file of many rows needs.")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--families", nargs="+", default=["lightgbm"])
    asked = parser.parse_args(arguments)
    found = measure(asked.rows, asked.families)
    ratio = round(found["peak_mb"] * 2**20 / MOST_BYTES, 3)
    print(json.dumps({**found, "ratio": ratio}))
    return int(ratio > 1 or not found["reports"])


if __name__ == "__main__":
    sys.exit(main())
