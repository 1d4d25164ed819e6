"""Learn in which order configurations are best tried: once for many tables, then greedily.

    python -m benchmarks.portfolio TABLES --work DIR [--only NAME ...] [--rows 8000] [--seed 101]

TABLES is a folder as `benchmarks.accuracy` takes it. Three quarters of each table, at most so many rows,
are used; its other splits are left for judging. Every default of every family, and a few random
configurations, are fitted on the same folds; their out-of-fold predictions stay in DIR, so that a second
call goes on where the first one ended. Then the order is printed: each step takes what lowers the loss
of the ensembles most, in the mean over tables, for a power of the time it takes.
"""

from __future__ import annotations

import argparse
import json
import queue
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from automl.engine.evaluation import read_predictions
from automl.engine.isolation import Limits, Seat
from automl.engine.learners import families_for, get_learner
from automl.engine.metrics import METRICS
from automl.engine.preparation import Request, open_prepared, prepare, profile_columns
from automl.engine.reading import convert_table, read_frame
from automl.engine.samplers.base import signature
from automl.engine.selection import loss_of
from automl.engine.stacking import may_be_base

SECONDS = 30.0
RANDOM = 4
# A configuration may take these shares of the ensemble that it joins.
SHARES = (0.5, 0.3, 0.2, 0.1)
# Loss per second ** 0.5: with the power 1 dear configurations would never come, with 0 they would be first.
POWER = 0.5
JUDGED_ROWS = 4_000


@dataclass
class Table:
    """A table's configurations: out-of-fold predictions, and seconds as a share of the usual ones."""

    name: str
    y: Any
    predictions: dict[str, Any]
    costs: dict[str, float]
    loss: Any
    current: float
    total: Any = None

    def gain(self, key: str) -> tuple[float, float]:
        """How much the loss falls, as a logarithm, and the share at which it falls most."""
        if key not in self.predictions:
            return 0.0, 0.0
        mixed = [(share, self._mixed(key, share)) for share in ((1.0,) if self.total is None else SHARES)]
        losses = [(self.loss(self.y, prediction), share) for share, prediction in mixed]
        least, share = min(losses)
        return (float(np.log(self.current / least)), share) if least < self.current else (0.0, 0.0)

    def take(self, key: str, share: float) -> None:
        """Let a configuration join the ensemble."""
        if share:
            self.total = self._mixed(key, share)
            self.current = self.loss(self.y, self.total)

    def _mixed(self, key: str, share: float) -> Any:
        before = 0.0 if self.total is None else (1 - share) * self.total
        return before + share * self.predictions[key]


def configurations(folder: Path, seed: int) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Every default of every family, and some random ones, with names that hold for all tables."""
    data = open_prepared(folder / "prepared").profile
    seen: set[str] = set()
    for family in families_for(data.task_type):
        learner = get_learner(family)
        space, generator = learner.space(data), np.random.default_rng(seed)
        named = {"first": space.validate(learner.first(data))}
        named |= {f"portfolio-{n}": space.validate(p) for n, p in enumerate(learner.portfolio(data))}
        named |= {f"random-{n}": space.sample(generator) for n in range(RANDOM if space.dimensions else 0)}
        for name, params in named.items():
            if may_be_base(family) and signature(family, params) not in seen:
                seen.add(signature(family, params))
                yield family, name, dict(params)


def make_folder(entry: Mapping[str, Any], tables: Path, work: Path, rows: int, seed: int) -> Path:
    """Prepare a table's training part, unless it is there."""
    folder: Path = work / entry["name"]
    if not (folder / "prepared").exists():
        folder.mkdir(parents=True, exist_ok=True)
        convert_table(tables / entry["file"], folder / "table.arrow", filename=entry["file"])
        frame = read_frame(folder / "table.arrow")
        frame = frame[frame[entry["target"]].notna()].sample(frac=0.75, random_state=seed)
        frame = frame.head(rows).reset_index(drop=True)
        columns = profile_columns(frame)
        request = Request(
            frame=frame, columns=columns, target=entry["target"], task_type=entry["task"], seed=seed
        )
        prepare(request, folder / "prepared")
    return folder


def fit_all(folders: Sequence[Path], seats: int, seed: int) -> None:
    """Fit what has not been fitted yet."""
    jobs: queue.Queue[tuple[Path, str, str, dict[str, Any]]] = queue.Queue()
    for folder in folders:
        for family, name, params in configurations(folder, seed):
            if not (folder / f"{family}.{name}.json").exists():
                jobs.put((folder, family, name, params))
    print(f"{jobs.qsize()} configurations to fit", file=sys.stderr)

    def work() -> None:
        with Seat(threads=1) as seat:
            while not jobs.empty():
                _fit(seat, *jobs.get())

    threads = [threading.Thread(target=work) for _ in range(seats)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _fit(seat: Seat, folder: Path, family: str, name: str, params: dict[str, Any]) -> None:
    began = time.monotonic()
    out = folder / f"{family}.{name}"
    args = {
        "prepared": str(folder / "prepared"),
        "family": family,
        "params": params,
        "seed": 0,
        "metric": open_prepared(folder / "prepared").profile.metric,
        "threads": 1,
        "out": str(out),
        "deadline_seconds": SECONDS,
    }
    outcome = seat.run("automl.engine.jobs:evaluate", args, limits=Limits(3 * SECONDS, 6 << 30))
    found = {"seconds": time.monotonic() - began, "value": (outcome.result or {}).get("value")}
    if outcome.result:
        (out / "models.pkl").unlink()
    (folder / f"{out.name}.json").write_text(json.dumps({**found, "params": params, "error": outcome.error}))


def read_table(folder: Path) -> Table:
    """Read what was fitted; costs are relative to the median of the table."""
    prepared = open_prepared(folder / "prepared")
    y = np.asarray(prepared.y)
    step = -(-len(y) // JUDGED_ROWS)
    lines = {path.stem: json.loads(path.read_text()) for path in folder.glob("*.json")}
    lines = {key: line for key, line in lines.items() if line["value"] is not None}
    usual = float(np.median([line["seconds"] for line in lines.values()]))
    predictions = {key: read_predictions(folder / key)[::step].astype(np.float32) for key in lines}
    quick = loss_of(METRICS[prepared.profile.metric])

    def loss(truth: np.ndarray, prediction: np.ndarray) -> float:
        return float(quick.of(truth, quick.view(prediction[None], truth))[0])

    classes = prepared.profile.classes
    constant = np.bincount(y, minlength=classes) / len(y) if classes else np.float64(y.mean())
    unknowing = np.broadcast_to(constant, (len(y[::step]), *constant.shape))
    costs = {key: line["seconds"] / usual for key, line in lines.items()}
    return Table(folder.name, y[::step], predictions, costs, loss, loss(y[::step], unknowing))


def learn(tables: Sequence[Table], steps: int) -> Iterator[tuple[str, float, float]]:
    """Give configurations in the order learned, each with its relative cost and mean gain."""
    waiting = set().union(*(table.predictions for table in tables))
    for _ in range(min(steps, len(waiting))):
        rated = []
        for key in sorted(waiting):
            gains = [table.gain(key) for table in tables]
            costs = [table.costs[key] for table in tables if key in table.costs]
            cost = float(np.exp(np.mean(np.log(costs))))
            gain = float(np.mean([min(gain, 2.0) for gain, _ in gains]))
            rated.append((gain / cost**POWER, key, cost, gain, [share for _, share in gains]))
        _, key, cost, gain, shares = max(rated)
        for table, share in zip(tables, shares, strict=True):
            table.take(key, share)
        waiting.discard(key)
        yield key, cost, gain


def main(arguments: list[str] | None = None) -> int:
    """Fit what is missing and print the order."""
    parser = argparse.ArgumentParser(description="Learn the order of the portfolio.")
    parser.add_argument("tables", type=Path)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--only", nargs="+")
    parser.add_argument("--rows", type=int, default=8_000)
    parser.add_argument("--seats", type=int, default=2)
    parser.add_argument("--seed", type=int, default=101)
    parser.add_argument("--steps", type=int, default=30)
    asked = parser.parse_args(arguments)
    entries = json.loads((asked.tables / "index.json").read_text())
    chosen = [entry for entry in entries if not asked.only or entry["name"] in asked.only]
    folders = [make_folder(entry, asked.tables, asked.work, asked.rows, asked.seed) for entry in chosen]
    fit_all(folders, asked.seats, asked.seed)
    for key, cost, gain in learn([read_table(folder) for folder in folders], asked.steps):
        print(f"{key:32} cost {cost:6.2f}  gain {gain:.4f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
