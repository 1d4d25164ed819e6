"""A small table for the searches of these tests, and what can be compared of two searches."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

from tests.service import Service

TRIALS = 6
SETTINGS: dict[str, Any] = {"time_budget": 240, "max_trials": TRIALS, "seed": 3}
# The same table and seed give the same board on every service and database: one search is enough.
_boards: list[list[tuple[Any, ...]]] = []


def write_people(folder: Path, rows: int = 400) -> Path:
    """A table in which `bought` follows from age and city."""
    chance = random.Random(0)
    lines = ["age,city,joined,bought"]
    for row in range(rows):
        age, city = chance.randint(18, 80), chance.choice(["Paris", "Rome", "Oslo"])
        bought = "yes" if age + 20 * (city == "Oslo") + chance.gauss(0, 8) > 55 else "no"
        lines.append(f"{age if row % 17 else '?'},{city},2024-0{1 + row % 9}-11,{bought}")
    path = folder / "people.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def trials_of(service: Service, experiment: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = service.client.get(
        f"experiments/{experiment}/trials/", params={"limit": 500}
    ).json()["results"]
    return found


def board_of(service: Service, experiment: str) -> list[tuple[Any, ...]]:
    """What must be the same whatever happened on the way: who is where, with which score."""
    rows = service.client.get(f"experiments/{experiment}/leaderboard/", params={"limit": 500}).json()
    rows = rows["results"] if isinstance(rows, dict) else rows
    return [(row["rank"], row["name"], row["score"], sorted(row["hyperparameters"].items())) for row in rows]


def wait_for_trials(service: Service, experiment: str, *, ended: int) -> None:
    """Wait until so many have ended and another is at work."""

    def reached() -> bool:
        counts = service.client.get(f"experiments/{experiment}/").json()["trials"]
        done = counts["complete"] + counts["pruned"] + counts["failed"]
        return bool(done >= ended and counts["running"])

    service.wait_for(reached, within=60, what=f"{ended} trials to end")


def undisturbed(service: Service, dataset: dict[str, Any]) -> list[tuple[Any, ...]]:
    """The board of a search that nothing happens to."""
    if not _boards:
        experiment = service.experiment(dataset, "bought", **SETTINGS)
        done = service.settled(f"experiments/{experiment['id']}/", within=120)
        assert done["status"] == "complete", done["error"]
        _boards.append(board_of(service, experiment["id"]))
    return _boards[0]
