"""What the pages of a long search cost the web server: a tenth of a second each, and one query a table.

    python -m benchmarks.pages [--trials 300 5000] [--only dials search]

Rows are made as the tests make them, in a database of their own; nothing is fitted. Two searches are of
that length: one goes on, one has ended. Times are the processor's, the median of five answers after the
first, which stands beside them; polls are those of a page where nothing has moved. Exits with 1 when
a page is over the limit or reads a table twice.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import sys
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import django

if TYPE_CHECKING:
    from django.test import Client

    from tests.e2e.pages import Shop

LIMIT_SECONDS = 0.1
REPEATS = 5
STAMP = re.compile(r'name="version" value="([^"]+)"')
# What pages ask for after they are there, of the search that goes on.
PARTS = {
    "experiment-sorted": ("experiment", "?sort=-fit&q=l"),
    "board-changed": ("experiment_board", ""),
    "progress-changed": ("experiment_progress", ""),
    "dials-running": ("dials", "?family=lightgbm"),
    "dials-preview": ("dials_preview", "?family=lightgbm&num_leaves=40"),
    "dials-mine": ("dials_mine", ""),
    "sweeps-running": ("sweeps", "?family=lightgbm"),
    "sweeps-count": ("sweeps_count", "?family=lightgbm&on=num_leaves&num_leaves.low=4&num_leaves.high=9"
                     "&num_leaves.steps=3&num_leaves.spacing=linear"),
    "search-running": ("search", ""),
    "search-changed": ("search_shown", ""),
    "insight-drawn": ("insight", "?family=lightgbm&drawn=1"),
    "insight-changed": ("insight_shown", "?family=lightgbm"),
    "worth": ("worth", ""),
    "compare-none": ("compare", ""),
}  # fmt: skip
# What is kept for a version of the search, when there is a new one.
KEPT = ("experiment_progress", "insight_shown", "worth")
POLLS = ("experiment_board", "experiment_progress", "search_shown", "dials_mine", "insight_shown")


def measure(trials: int, only: list[str]) -> dict[str, dict[str, Any]]:
    """What each page of a search with so many trials takes: seconds, at first and then, and its tables."""
    from django.test import Client

    from tests.factories import UserFactory
    from tests.shops import long_shop

    owner = UserFactory()
    shop = long_shop(owner, trials)
    client = Client()
    client.force_login(owner)
    return {
        name: _measured(client, name, address)
        for name, address in _addresses(shop)
        if not only or any(part in name for part in only)
    }


def _addresses(shop: Shop) -> Iterator[tuple[str, str]]:
    from django.urls import reverse

    from tests.e2e.pages import addresses

    yield from ((spot.name, address) for spot, address in addresses(shop) if spot.signed_in)
    for name, (view, query) in PARTS.items():
        yield name, reverse(f"pages:{view}", args=[shop.running.id]) + query
    for view in POLLS:
        yield f"{view}-polled", reverse(f"pages:{view}", args=[shop.running.id])
    for view in KEPT:
        yield f"{view}-anew", reverse(f"pages:{view}", args=[shop.running.id])
    (sweep,) = shop.running.sweeps.all()
    yield "sweep-response", reverse("pages:sweep_response", args=[shop.running.id, sweep.id])
    yield "trial-state", reverse("pages:trial_state", args=[shop.trial.id])


def _measured(client: Client, name: str, address: str) -> dict[str, Any]:
    from django.core.cache import cache
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    from tests.queries import read_twice

    if name.endswith("-polled"):
        shown = STAMP.findall(client.get(address).content.decode())
        address += f"?version={shown[0]}"
    taken = []
    with CaptureQueriesContext(connection) as captured:
        taken.append(_seconds(client, address))
    twice = read_twice(name, captured)
    for _ in range(REPEATS):
        if name.endswith("-anew"):
            cache.clear()
        taken.append(_seconds(client, address))
    return {"first": taken[0], "seconds": round(statistics.median(taken[1:]), 4), "twice": twice}


def _seconds(client: Client, address: str) -> float:
    began = time.process_time()
    answer = client.get(address)
    taken = time.process_time() - began
    if answer.status_code not in (200, 204, 286):
        raise SystemExit(f"{address} was answered by {answer.status_code}")
    return round(taken, 4)


def main(arguments: list[str] | None = None) -> int:
    """Measure, print a line of JSON for each length, and compare with the limit."""
    parser = argparse.ArgumentParser(description="What the pages of a long search cost.")
    parser.add_argument("--trials", type=int, nargs="+", default=[300, 5_000])
    parser.add_argument("--only", nargs="+", default=[], help="pages whose names have one of these words")
    asked = parser.parse_args(arguments)
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    django.setup()
    from django.test.utils import setup_databases, setup_test_environment, teardown_databases

    setup_test_environment()
    made = setup_databases(verbosity=0, interactive=False)
    try:
        found = {trials: measure(trials, asked.only) for trials in asked.trials}
    finally:
        teardown_databases(made, verbosity=0)
    failed = False
    for trials, pages in found.items():
        slowest = max(each["seconds"] for each in pages.values())
        twice = {name: each["twice"] for name, each in pages.items() if each["twice"]}
        failed |= slowest > LIMIT_SECONDS or bool(twice)
        print(
            json.dumps(
                {
                    "trials": trials,
                    "seconds": {name: each["seconds"] for name, each in pages.items()},
                    "first": {name: each["first"] for name, each in pages.items()},
                    "read_twice": twice,
                    "ratio": round(slowest / LIMIT_SECONDS, 3),
                }
            )
        )
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
