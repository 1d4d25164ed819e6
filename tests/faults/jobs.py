"""The engine's jobs, of which a fit misbehaves where `misbehave.json` in the service's home says so.

It maps a trial's number, or number and attempt as in "3-1", to the name of a job in `isolated_jobs`.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from automl.engine import jobs
from automl.engine.jobs import blend, package, prepare, profile
from tests.engine import isolated_jobs

__all__ = ["blend", "evaluate", "package", "prepare", "profile"]


def evaluate(args: Any, report: Any) -> dict[str, Any]:
    number, attempt = Path(args["out"]).name.split("-")
    orders = Path(os.environ["AUTOML_HOME"]) / "misbehave.json"
    if orders.exists():
        found = json.loads(orders.read_text())
        wanted = found.get(f"{int(number)}-{attempt}") or found.get(str(int(number)))
        if wanted:
            getattr(isolated_jobs, wanted)({"seconds": 600}, report)
    return jobs.evaluate(args, report)
