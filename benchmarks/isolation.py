"""What a process of its own costs a trial: the time of a job that does nothing.

    python -m benchmarks.isolation [--jobs 200] [--threads 1]

Exits with 1 when the median is over the limit.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time

from automl.engine.isolation import Limits, Seat

LIMIT_MS = 20.0
JOB = "automl.engine.isolation.seat:echo"


def measure(jobs: int, threads: int) -> dict[str, float]:
    """Time jobs that do nothing, one after the other, on a seat with every library imported."""
    with Seat(threads=threads) as seat:
        began = time.perf_counter()
        seat.run(JOB, {})
        warm = time.perf_counter() - began
        times = []
        for number in range(jobs):
            began = time.perf_counter()
            outcome = seat.run(JOB, {"number": number}, limits=Limits(seconds=10, memory_bytes=1 << 30))
            times.append(1000 * (time.perf_counter() - began))
            if outcome.result != {"number": number}:
                raise SystemExit(f"the job gave {outcome}")
    return {
        "warm_seconds": round(warm, 2),
        "median_ms": round(statistics.median(times), 2),
        "p95_ms": round(statistics.quantiles(times, n=20)[-1], 2),
        "limit_ms": LIMIT_MS,
        "ratio": round(statistics.median(times) / LIMIT_MS, 3),
    }


def main(arguments: list[str] | None = None) -> int:
    """Measure, print one line of JSON, and compare with the limit."""
    parser = argparse.ArgumentParser(description="What a process of its own costs a trial.")
    parser.add_argument("--jobs", type=int, default=200)
    parser.add_argument("--threads", type=int, default=1)
    asked = parser.parse_args(arguments)
    found = measure(asked.jobs, asked.threads)
    print(json.dumps(found))
    return 0 if found["ratio"] <= 1.0 else 1


if __name__ == "__main__":
    sys.exit(main())
