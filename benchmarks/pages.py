"""What the pages of a long search cost the web server: 300 and 5,000 trials, a tenth of a second each.

    python -m benchmarks.pages [--trials 300 5000]

Rows are made as the tests make them, in a database of their own; nothing is fitted. Times are the
processor's, the median of five answers after the first. Exits with 1 when a page is over the limit.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time

import django

LIMIT_SECONDS = 0.1
REPEATS = 5
# The pages of an experiment, with what is asked of them.
PAGES = {
    "experiment": "",
    "experiment_board": "?sort=-fit&q=l",
    "experiment_progress": "",
    "dials": "?family=lightgbm",
    "dials_preview": "?family=lightgbm&num_leaves=40",
    "sweeps": "?family=lightgbm",
    "search": "",
    "insight": "?family=lightgbm",
    "compare": "",
}


def measure(trials: int) -> dict[str, float]:
    """Seconds of each page of a search with so many trials."""
    from django.test import Client
    from django.urls import reverse

    from tests.factories import UserFactory
    from tests.searches import long_search

    owner = UserFactory()
    experiment = long_search(owner, trials)
    client = Client()
    client.force_login(owner)
    addresses = {
        name: reverse(f"pages:{name}", args=[experiment.id]) + asked for name, asked in PAGES.items()
    }
    addresses["trial"] = reverse("pages:trial", args=[experiment.trials.get(number=9).id])
    return {name: _seconds(client, address) for name, address in addresses.items()}


def _seconds(client: object, address: str) -> float:
    taken = []
    for _ in range(REPEATS + 1):
        began = time.process_time()
        answer = client.get(address)  # type: ignore[attr-defined]
        taken.append(time.process_time() - began)
        if answer.status_code != 200:
            raise SystemExit(f"{address} was answered by {answer.status_code}")
    return round(statistics.median(taken[1:]), 4)


def main(arguments: list[str] | None = None) -> int:
    """Measure, print a line of JSON for each length, and compare with the limit."""
    parser = argparse.ArgumentParser(description="What the pages of a long search cost.")
    parser.add_argument("--trials", type=int, nargs="+", default=[300, 5_000])
    asked = parser.parse_args(arguments)
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    django.setup()
    from django.test.utils import setup_databases, setup_test_environment, teardown_databases

    setup_test_environment()
    made = setup_databases(verbosity=0, interactive=False)
    try:
        found = {trials: measure(trials) for trials in asked.trials}
    finally:
        teardown_databases(made, verbosity=0)
    for trials, seconds in found.items():
        slowest = max(seconds.values())
        line = {"trials": trials, "seconds": seconds, "ratio": round(slowest / LIMIT_SECONDS, 3)}
        print(json.dumps(line))
    return int(any(max(seconds.values()) > LIMIT_SECONDS for seconds in found.values()))


if __name__ == "__main__":
    sys.exit(main())
