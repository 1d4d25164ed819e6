"""What rows cost over HTTP: one at a time, and a hundred at a time, from a service that has one core.

    python -m benchmarks.http_predict [--seconds 20] [--core 0] [--table CSV --target COLUMN]

Starts a service of its own on a free port, searches on the example table or another, packages the best and
the fastest model, and asks them for predictions. Exits with 1 when a figure is over its limit.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pandas as pd

from tests.service import Service

TABLE = Path(__file__).resolve().parent.parent / "examples" / "wine_quality_white.csv"
TARGET = "quality"
MOST_MS, LEAST_ROWS = 8.0, 1_000.0
WARM_UP, SINGLE, BATCHES, BATCH = 30, 300, 30, 100


def rows_of(table: Path, target: str, count: int) -> list[dict[str, Any]]:
    """The first rows of a table as JSON has them, without the target."""
    frame = pd.read_csv(table, sep=None, engine="python", nrows=count).drop(columns=target)
    found: list[dict[str, Any]] = json.loads(frame.to_json(orient="records"))
    return found


def measure(service: Service, model: str, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Milliseconds of one row, and rows a second in batches."""
    address = f"models/{model}/predict/"

    def ask(chosen: list[dict[str, Any]]) -> float:
        began = time.perf_counter()
        answer = service.client.post(address, json={"rows": chosen})
        taken = time.perf_counter() - began
        if answer.status_code != 200:
            raise SystemExit(f"{address} was answered by {answer.status_code}: {answer.text}")
        return taken

    for number in range(WARM_UP):
        ask([rows[number % len(rows)]])
    single = sorted(1000 * ask([rows[number % len(rows)]]) for number in range(SINGLE))
    hundreds = [ask(rows[:BATCH]) for _ in range(BATCHES)]
    return {
        "model": service.client.get(f"models/{model}/").json()["name"],
        "p50_ms": round(statistics.median(single), 2),
        "p95_ms": round(single[int(0.95 * len(single))], 2),
        "rows_per_second": round(BATCH * BATCHES / sum(hundreds)),
    }


def is_written(service: Service, model: str) -> bool:
    """Whether a model is ready, with its graph if it has one."""
    known = service.client.get(f"models/{model}/").json()
    if known["status"] == "failed":
        raise SystemExit(f"the model has failed: {known['error']}")
    return known["status"] == "ready" and not known["graph_due"]


def models_of(service: Service, table: Path, target: str, seconds: float) -> list[str]:
    """A search, and the best and the fastest model of it."""
    dataset = service.upload(table)
    experiment = service.experiment(dataset, target, time_budget=seconds)
    service.settled(f"experiments/{experiment['id']}/", within=seconds * 2 + 120)
    found = []
    for choice in ({"choose": "best"}, {"choose": "fastest", "within": 0.1}):
        answer = service.client.post(f"experiments/{experiment['id']}/models/", json=choice)
        found.append(answer.json()["id"])
        service.wait_for(lambda: is_written(service, found[-1]), within=240, what="its graph")
    return list(dict.fromkeys(found))


def main(arguments: list[str] | None = None) -> int:
    """Measure, print a line of JSON for each model, and compare with the limits."""
    parser = argparse.ArgumentParser(description="What rows cost over HTTP.")
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--table", type=Path, default=TABLE)
    parser.add_argument("--target", default=TARGET)
    parser.add_argument("--core", default="0", help="the one that the service gets")
    asked = parser.parse_args(arguments)
    over = False
    with tempfile.TemporaryDirectory(prefix="bakeoff-bench-") as home:
        service = Service(Path(home), AUTOML_API_RATE="1000000/min")
        service.prefix = ["taskset", "-c", asked.core]
        try:
            service.start()
            service.sign_in()
            rows = rows_of(asked.table, asked.target, BATCH)
            for model in models_of(service, asked.table, asked.target, asked.seconds):
                found = measure(service, model, rows)
                ratio = max(found["p50_ms"] / MOST_MS, LEAST_ROWS / found["rows_per_second"])
                over = over or ratio > 1
                print(json.dumps({**found, "ratio": round(ratio, 3)}))
        finally:
            service.close()
    return int(over)


if __name__ == "__main__":
    sys.exit(main())
