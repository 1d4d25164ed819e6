"""Two users at once: the seats go to them in turn, however much each has asked for."""

from __future__ import annotations

import copy
from pathlib import Path

import httpx
import pytest

from tests.faults.searches import Search, write_table
from tests.service import Service

pytestmark = pytest.mark.slow


def test_two_users_with_a_hundred_trials_each_are_served_in_turn(
    healthy: Service, dataset: dict, tmp_path: Path
):
    others = copy.copy(healthy)
    others.client = httpx.Client(base_url=f"{healthy.url}/api/v1/", timeout=30)
    others.sign_in("bob")
    table = others.upload(write_table(tmp_path / "bobs.csv", rows=120))
    wanted = {"families": ["linear"], "search": "random", "max_trials": 100}

    searches = [Search(healthy, dataset, **wanted), Search(others, table, **wanted)]

    for search in searches:
        assert search.ended(within=120)["status"] == "complete"
    starts = sorted((t["started_at"], place) for place, s in enumerate(searches) for t in s.trials())
    assert len(starts) == 200
    begun = next(number for number, (_, place) in enumerate(starts) if place == 1)
    assert begun < 30, "the second waited for the first"
    order = [place for _, place in starts[begun:]]
    both = order[: min(len(order) - order[::-1].index(place) for place in (0, 1)) - 10]
    for begin in range(0, len(both) - 20, 10):
        assert 6 <= sum(both[begin : begin + 20]) <= 14, f"not in turn: {order}"
    others.client.close()
