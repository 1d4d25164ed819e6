"""What chaos is about: three users' searches, and what an undisturbed one of the same seed has found."""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from tests.service import Service

USERS = ("alice", "bob", "carol")
# Quick to fit, and of every kind: with threads of their own, in C, in Python.
FAMILIES = (
    "dummy",
    "linear",
    "neighbors",
    "random_forest",
    "extra_trees",
    "hist_boosting",
    "lightgbm",
    "xgboost",
)
# More than any run takes: the trials decide when a search is over.
SECONDS = 3600
TASKS = ("binary", "multiclass", "regression")


@dataclass(frozen=True)
class Plan:
    """One search as it is asked for; equal plans must find equal leaderboards."""

    task: str
    families: tuple[str, ...]
    seed: int
    trials: int


@dataclass(frozen=True)
class Found:
    """What a search has come to: its trials by number, and the ensemble."""

    status: str
    trials: tuple[tuple[Any, ...], ...]
    ensembles: tuple[tuple[Any, ...], ...]


def make_plans(chance: random.Random, *, count: int, trials: int) -> list[Plan]:
    """Draw searches; each that is drawn has a second one of the same plan in the run."""
    plans = []
    for number in range(-(-count // 2)):
        families = tuple(sorted(chance.sample(FAMILIES[1:], 4)))
        plans.append(Plan(TASKS[number % len(TASKS)], families, chance.randrange(2**16), trials))
    return plans


def write_table(path: Path, task: str, *, rows: int = 240) -> Path:
    """A small table of that task, the same for everybody."""
    chance = random.Random(task)
    lines = ["age,income,city,score,target"]
    for row in range(rows):
        age, income = chance.randint(18, 80), chance.gauss(40, 12)
        city, score = chance.choice(["Paris", "Rome", "Oslo"]), chance.random()
        value = age / 10 + income / 20 + 2 * (city == "Oslo") + chance.gauss(0, 1)
        target = {"regression": f"{value:.3f}", "binary": "yes" if value > 7 else "no"}.get(
            task, "abc"[min(2, max(0, int(value - 5) // 2))]
        )
        lines.append(f"{age},{income:.2f},{city if row % 13 else ''},{score:.4f},{target}")
    path.write_text("\n".join(lines) + "\n")
    return path


class User:
    """One person with a token and the tables."""

    def __init__(self, service: Service, name: str, tables: dict[str, Path]) -> None:
        self.name = name
        self._service = service
        token = service.manage("token", name).strip()
        self.client = httpx.Client(
            base_url=f"{service.url}/api/v1/", timeout=60, headers={"Authorization": f"Bearer {token}"}
        )
        self.datasets = {task: self._upload(path) for task, path in tables.items()}

    def _upload(self, path: Path) -> str:
        with path.open("rb") as file:
            answer = self.client.post("datasets/", files={"file": (path.name, file, "text/csv")})
        assert answer.status_code == 201, answer.text
        found: str = answer.json()["id"]
        self._service.wait_for(
            lambda: self.client.get(f"datasets/{found}/").json()["status"] == "ready",
            within=60,
            what="a dataset to be ready",
        )
        return found

    def begin(self, plan: Plan) -> str:
        """Start a search; the key makes it safe to ask again when the web server dies over the answer."""
        answer = self.client.post(
            "experiments/",
            json={
                "dataset": self.datasets[plan.task],
                "target": "target",
                "task_type": plan.task,
                "families": list(plan.families),
                "seed": plan.seed,
                "max_trials": plan.trials,
                "time_budget": SECONDS,
            },
        )
        assert answer.status_code == 201, answer.text
        found: str = answer.json()["id"]
        return found


def found_by(experiment_id: str) -> Found:
    """Read what a search has come to from its rows."""
    from automl.experiments.models import Experiment, Trial

    experiment = Experiment.objects.get(id=experiment_id)
    trials = list(Trial.objects.filter(experiment=experiment).order_by("number"))
    numbers = {str(trial.id): trial.number for trial in trials}
    return Found(
        experiment.state,
        tuple(
            (t.number, t.family, tuple(sorted(t.hyperparameters.items())), t.origin, t.state, _round(t.score))
            for t in trials
        ),
        tuple(
            (
                tuple(
                    (number, _round(weight), _round(power))
                    for number, weight, power in sorted(
                        (numbers[id], weight, e.powers.get(id, 0.0)) for id, weight in e.weights.items()
                    )
                ),
                _round(e.score),
            )
            for e in experiment.ensembles.order_by("-score")
        ),
    )


def _round(number: float | None) -> float | None:
    return None if number is None else round(number, 9)
