"""What a search makes of its time: the share of it that seats fit models, the first row, the promise.

    python -m benchmarks.search [--table FILE --target COLUMN] [--seconds 60]

Starts the whole service as `make run` does, in a folder of its own. Exits with 1 when a figure is over
its limit.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.service import Service

ROOT = Path(__file__).resolve().parent.parent
LEAST_BUSY = 0.85
FIRST_ROW_SECONDS = 3.0
# Seconds on seats and inside `fit`, of all trials of one experiment; those of the fold that each was at which
# was cut off; and those from its first trial's start to its last one's end.
QUERY = """
import json
from django.db.models import F, Max, Q, Sum
from django.db.models.functions import Coalesce
from automl.core.models import Worker
from automl.experiments.models import Experiment
seats = Worker.objects.filter(queue="evaluate").aggregate(seats=Sum("seats"))["seats"]
experiment = Experiment.objects.get(id={id!r})
unfinished = Sum(F("seconds") - Coalesce(F("fit_time"), 0.0), filter=Q(state="cancelled"), default=0.0)
found = experiment.trials.aggregate(
    seat=Sum("seconds"), fit=Sum("fit_time"), unfinished=unfinished, end=Max("finished_at")
)
searched = (found["end"] - experiment.started_at).total_seconds()
told = {{name: found[name] for name in ("seat", "fit", "unfinished")}}
print(json.dumps({{"seats": seats, "searched": searched, **told}}))
"""


def measure(table: Path, target: str, seconds: float) -> dict[str, Any]:
    """Run one experiment on the real service and compare its times with their limits."""
    with tempfile.TemporaryDirectory(prefix="bakeoff-bench-") as home:
        service = Service(Path(home))
        try:
            service.start()
            service.sign_in("bench")
            return _measure(service, table, target, seconds)
        finally:
            service.stop()
            service.close()


def _measure(service: Service, table: Path, target: str, seconds: float) -> dict[str, Any]:
    dataset = service.upload(table)
    posted = time.monotonic()
    experiment = service.experiment(dataset, target, time_budget=seconds)
    path = f"experiments/{experiment['id']}/"
    service.wait_for(
        lambda: service.client.get(f"{path}leaderboard/").json()["results"], within=60, what="the first row"
    )
    first_row = time.monotonic() - posted
    done = service.settled(path, within=seconds * 2 + 60)
    if done["status"] != "complete":
        raise SystemExit(f"the experiment is {done['status']}: {done['error']}")
    spent = json.loads(service.manage("shell", "-v", "0", "-c", QUERY.format(id=experiment["id"])))
    available = spent["seats"] * spent["searched"]
    busy = spent["seat"] / available
    allowed = max(1.1 * seconds, seconds + 5)
    return {
        "table": table.name,
        "seats": spent["seats"],
        "trials": done["trials"]["complete"],
        "busy": round(busy, 3),
        "fitting": round(spent["fit"] / available, 3),
        "fitting_or_cut_off": round((spent["fit"] + spent["unfinished"]) / available, 3),
        "fitting_of_busy": round(spent["fit"] / spent["seat"], 3),
        "busy_ratio": round(LEAST_BUSY / busy, 3),
        "first_row_seconds": round(first_row, 2),
        "first_row_ratio": round(first_row / FIRST_ROW_SECONDS, 3),
        "elapsed_seconds": round(done["elapsed"], 2),
        "elapsed_ratio": round(done["elapsed"] / allowed, 3),
    }


def main(arguments: list[str] | None = None) -> int:
    """Measure, print one line of JSON, and compare with the limits."""
    parser = argparse.ArgumentParser(description="What a search makes of its time.")
    parser.add_argument("--table", type=Path, default=ROOT / "examples" / "wine_quality_white.csv")
    parser.add_argument("--target", default="quality")
    parser.add_argument("--seconds", type=float, default=60.0)
    asked = parser.parse_args(arguments)
    found = measure(asked.table, asked.target, asked.seconds)
    print(json.dumps(found))
    return int(any(found[name] > 1.0 for name in found if name.endswith("_ratio")))


if __name__ == "__main__":
    sys.exit(main())
