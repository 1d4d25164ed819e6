"""Searches on a service that is being harmed, seen through its API."""

from __future__ import annotations

import json
import random
import time
from pathlib import Path
from typing import Any

import httpx
import psutil

from tests.chaos.monkey import processes_by_part
from tests.service import Service

FAMILIES = ["linear", "neighbors", "extra_trees", "hist_boosting", "lightgbm"]
TRIALS = 10


def write_table(path: Path, *, rows: int = 240) -> Path:
    """A small table in which `bought` follows from age and city."""
    chance = random.Random(0)
    lines = ["age,income,city,bought"]
    for row in range(rows):
        age, city = chance.randint(18, 80), chance.choice(["Paris", "Rome", "Oslo"])
        bought = "yes" if age + 20 * (city == "Oslo") + chance.gauss(0, 8) > 55 else "no"
        lines.append(f"{age if row % 17 else '?'},{chance.gauss(40, 9):.1f},{city},{bought}")
    path.write_text("\n".join(lines) + "\n")
    return path


class Search:
    """One search, followed through the API."""

    def __init__(self, service: Service, dataset: dict[str, Any], **settings: Any) -> None:
        wanted = {"families": FAMILIES, "max_trials": TRIALS, "time_budget": 600, **settings}
        self._service = service
        self.id = service.experiment(dataset, "bought", **wanted)["id"]
        self.path = f"experiments/{self.id}/"

    def get(self) -> dict[str, Any]:
        found: dict[str, Any] = self._read(self.path)
        return found

    def _read(self, path: str) -> Any:
        """Ask again while the web server is being started again: its socket stays, its answers don't."""
        end = time.monotonic() + 15
        while True:
            try:
                return self._service.client.get(path).json()
            except httpx.TransportError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.1)

    def trials(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self._read(f"{self.path}trials/?limit=500")["results"]
        return sorted(found, key=number_of)

    def wait_until_running(self, count: int = 1, *, ended: int = 0) -> None:
        """Until so many trials are on a seat at once, and so many have ended."""

        def reached() -> bool:
            trials = self.get()["trials"]
            return trials["running"] >= count and trials["complete"] + trials["pruned"] >= ended

        self._service.wait_for(reached, within=30, what=f"{count} trials to run")

    def ended(self, *, within: float = 60) -> dict[str, Any]:
        def final() -> dict[str, Any] | None:
            found = self.get()
            return found if found["status"] in ("complete", "failed", "cancelled") else None

        found: dict[str, Any] = self._service.wait_for(final, within=within, what=f"{self.path} to end")
        return found

    def board(self) -> list[tuple[Any, ...]]:
        """What the search has found, without what differs from run to run: times, identifiers."""
        rows = self._read(f"{self.path}leaderboard/?limit=500")["results"]
        trials = [
            (number_of(t), t["family"], json.dumps(t["hyperparameters"], sort_keys=True), t["status"])
            for t in self.trials()
        ]
        return [*trials, *((row["rank"], row["family"], round(row["score"], 9)) for row in rows)]

    def losses(self) -> int:
        """Attempts that ended with their process."""
        return sum(max(trial["attempts"] - 1, 0) for trial in self.trials())


def number_of(trial: dict[str, Any]) -> int:
    return int(trial["name"].split("#")[1])


def misbehave(service: Service, **orders: str) -> None:
    """Have the fits of trials misbehave: by `n3="crash"`, or `n3_1="crash"` for the first attempt only."""
    found = {name[1:].replace("_", "-"): job for name, job in orders.items()}
    (service.home / "misbehave.json").write_text(json.dumps(found))


def part(service: Service, name: str, *, within: float = 10) -> list[psutil.Process]:
    """The processes of one part of the service; waits until there is one."""
    found: list[psutil.Process] = service.wait_for(
        lambda: processes_by_part(service).get(name), within=within, what=f"a {name}"
    )
    return found


def kill(service: Service, name: str) -> None:
    """Kill one process of a part; a fit that has just ended by itself is no victim."""
    while True:
        try:
            part(service, name)[-1].kill()
            return
        except psutil.NoSuchProcess:
            continue
