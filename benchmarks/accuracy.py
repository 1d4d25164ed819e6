"""How good the answer is for a given wait, beside other libraries on the same split.

    python -m benchmarks.accuracy TABLES [--seconds 60] [--seeds 0 1 2] [--only NAME ...]
        [--peer flaml=/path/to/its/python ...] [--no-ours] [--out FILE]

TABLES is a folder with index.json, a list of {"name", "file", "target", "task"}, and the CSV files.
A quarter of each table is held out. We are measured as users meet us: the real service, the REST API,
the downloaded bundle in a process of its own. A peer runs benchmarks/peer.py with an interpreter that
has it. Of ours it is also told in what share of held-out rows the truth lay in its interval or set of 90 %.
Each run adds a line of JSON to the file; what is there is not measured again, and the table printed at the
end is of all that is there for these seconds and seeds. Memory is the most
that all processes of a contender held at one time, pages they share counted once (PSS) and in each (RSS).
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import subprocess
import sys
import tempfile
import threading
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import psutil
from sklearn.metrics import log_loss, roc_auc_score, root_mean_squared_error

from automl.client import Client
from tests.service import Service

PEER = Path(__file__).with_name("peer.py")
OURS = "bakeoff"
SAMPLE_SECONDS = 0.5
LEVEL = 0.9
# A service that used less of one core for a second is idle; it is not waited for longer than this.
IDLE_SHARE, IDLE_SECONDS = 0.2, 60.0


class MemoryPeak:
    """Watches a process and all that it started; `rss` and `pss` are the highest sums, in MB."""

    def __init__(self, pid: int) -> None:
        self.rss = self.pss = 0.0
        self._root = psutil.Process(pid)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> MemoryPeak:
        self._thread.start()
        return self

    def __exit__(self, *details: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(SAMPLE_SECONDS):
            rss = pss = 0
            with contextlib.suppress(psutil.Error):
                for process in (self._root, *self._root.children(recursive=True)):
                    with contextlib.suppress(psutil.Error):
                        used = process.memory_full_info()
                        rss, pss = rss + used.rss, pss + used.pss
            self.rss, self.pss = max(self.rss, rss / 2**20), max(self.pss, pss / 2**20)


def split(table: Path, target: str, task: str, seed: int, folder: Path) -> tuple[Path, Path]:
    """Write train.csv and test.csv, every cell as it was written; a class of one row goes to train."""
    frame = pd.read_csv(table, dtype=str, keep_default_na=False)
    frame = frame[frame[target].str.strip() != ""].reset_index(drop=True)
    generator = np.random.default_rng(seed)
    groups = [frame.index] if task == "regression" else frame.groupby(target).groups.values()
    held: list[int] = []
    for group in groups:
        rows = generator.permutation(np.asarray(group))
        count = min(max(round(len(rows) / 4), 1), len(rows) - 1)
        held += list(rows[:count])
    test = frame.index.isin(held)
    paths = folder / "train.csv", folder / "test.csv"
    for path, part in zip(paths, (frame[~test], frame[test]), strict=True):
        part.sample(frac=1, random_state=seed).to_csv(path, index=False)
    return paths


def score(predictions: Path, test: Path, target: str, task: str) -> float:
    """Score a table of predictions: area under the curve, log loss, or root mean squared error."""
    truth = pd.read_csv(test, dtype=str, keep_default_na=False)[target].str.strip()
    found = pd.read_csv(predictions)
    if task == "regression":
        return float(root_mean_squared_error(truth.astype(float), found["prediction"]))
    chances = found.filter(like="probability_")
    labels = [name.removeprefix("probability_") for name in chances.columns]
    values = chances.to_numpy(dtype=float)
    if task == "binary":
        positive = sorted(labels)[-1]
        return float(roc_auc_score(truth == positive, values[:, labels.index(positive)]))
    order = np.argsort(labels)
    clipped = np.clip(values[:, order], 1e-15, None)
    return float(log_loss(truth, clipped / clipped.sum(axis=1, keepdims=True), labels=sorted(labels)))


def constant_score(train: Path, test: Path, target: str, task: str) -> float:
    """Score what knows the target's distribution alone: shares of the classes, or the mean."""
    known, truth = (
        pd.read_csv(path, dtype=str, keep_default_na=False)[target].str.strip() for path in (train, test)
    )
    if task == "regression":
        return float(
            root_mean_squared_error(truth.astype(float), np.full(len(truth), known.astype(float).mean()))
        )
    if task == "binary":
        return 0.5
    shares = known.value_counts(normalize=True).sort_index()
    return float(log_loss(truth, np.tile(shares, (len(truth), 1)), labels=list(shares.index)))


def coverage(predictions: Path, test: Path, target: str) -> float | None:
    """Tell the share of rows whose truth lies in the interval or set; None where the model has none."""
    truth = pd.read_csv(test, dtype=str, keep_default_na=False)[target].str.strip()
    found = pd.read_csv(predictions, dtype={"prediction_set": str}, keep_default_na=False)
    if "prediction_low" in found:
        numbers = truth.astype(float)
        held = (found["prediction_low"] <= numbers) & (numbers <= found["prediction_high"])
    elif "prediction_set" in found:
        sets = found["prediction_set"].str.split(" | ", regex=False)
        held = pd.Series([label in chosen for label, chosen in zip(truth, sets, strict=True)])
    else:
        return None
    return round(float(held.mean()), 4)


@contextlib.contextmanager
def our_service() -> Iterator[tuple[Service, Client]]:
    """Run the service in a home of its own."""
    with tempfile.TemporaryDirectory(prefix="bakeoff-accuracy-") as home:
        service = Service(Path(home))
        try:
            service.start()
            with Client(service.url, service.sign_in("bench")) as client:
                yield service, client
        finally:
            service.stop()
            service.close()


def wait_until_idle(pid: int) -> None:
    """Let a service finish what it does for the search before, such as a graph of its model."""
    ends = time.monotonic() + IDLE_SECONDS
    before = -math.inf
    while time.monotonic() < ends:
        root = psutil.Process(pid)
        now = sum(map(_cpu_seconds, [root, *root.children(recursive=True)]))
        if now - before < IDLE_SHARE:
            return
        before = now
        time.sleep(1.0)


def _cpu_seconds(process: psutil.Process) -> float:
    with contextlib.suppress(psutil.Error):
        times = process.cpu_times()
        return times.user + times.system + times.children_user + times.children_system
    return 0.0


def ours(service: Service, client: Client, asked: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Upload, search, download, predict."""
    dataset = client.datasets.wait(client.datasets.upload(asked["train"])["id"])
    assert service.process is not None
    wait_until_idle(service.process.pid)
    began = time.monotonic()
    with MemoryPeak(service.process.pid) as memory:
        experiment = client.experiments.create(
            dataset["id"],
            asked["target"],
            task_type=asked["task"],
            time_budget=asked["seconds"],
            seed=asked["seed"],
        )
        done = client.experiments.wait(experiment["id"])
        elapsed = time.monotonic() - began
    if done["status"] != "complete":
        raise RuntimeError(f"the experiment is {done['status']}: {done['error']}")
    client.models.download(done["model"], folder / "model.zip")
    zipfile.ZipFile(folder / "model.zip").extractall(folder / "model")
    command = [sys.executable, "-I", "predict.py", str(asked["test"]), str(folder / "out.csv")]
    levels = json.loads((folder / "model" / "conformal.json").read_text())["levels"]
    if LEVEL in [entry["level"] for entry in levels]:
        command += ["--level", str(LEVEL)]
    subprocess.run(command, cwd=folder / "model", check=True)
    return {
        "coverage": coverage(folder / "out.csv", asked["test"], asked["target"]),
        "fit_seconds": elapsed,
        "cv": done["best"]["score"],
        "trials": done["trials"]["complete"],
        "model": done["best"]["name"],
        "megabytes": round((folder / "model.zip").stat().st_size / 2**20, 2),
        "rss": round(memory.rss),
        "pss": round(memory.pss),
    }


def peer(python: str, name: str, asked: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Run a peer with its own interpreter."""
    paths = {"train": str(asked["train"]), "test": str(asked["test"]), "out": str(folder / "out.csv")}
    with (
        subprocess.Popen(
            [python, str(PEER), name, json.dumps({**asked, **paths})],
            cwd=folder,  # some leave files where they are started
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process,
        MemoryPeak(process.pid) as memory,
    ):
        try:
            output, errors = process.communicate(timeout=asked["seconds"] * 3 + 120)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
    if process.returncode:
        raise RuntimeError(errors[-500:])
    found: dict[str, Any] = json.loads(output.splitlines()[-1])
    return {**found, "rss": round(memory.rss), "pss": round(memory.pss)}


def table_of(lines: list[dict[str, Any]], constants: dict[str, float]) -> str:
    """The medians over seeds as a table in Markdown, the best in bold, with mean ranks and normalised scores.

    A score is normalised between 0, that of what knows nothing, and 1, that of the best contender.
    """
    frame = pd.DataFrame([line for line in lines if "score" in line])
    medians = frame.pivot_table(index="table", columns="who", values="score", aggfunc="median", sort=False)
    sign = frame.groupby("table")["task"].first().map(lambda task: -1.0 if task == "binary" else 1.0)
    losses = medians.mul(sign, axis=0)
    ranks, best = losses.rank(axis=1), losses.min(axis=1)
    least = pd.Series(constants) * sign
    normalised = losses.rsub(least, axis=0).div(least - best, axis=0)
    rows = ["| table | " + " | ".join(medians.columns) + " |", "| --- " * (len(medians.columns) + 1) + "|"]
    for name, values in medians.iterrows():
        shown = [f"**{v:.5g}**" if ranks.loc[name, who] == 1 else f"{v:.5g}" for who, v in values.items()]
        rows.append(f"| {name} | " + " | ".join(shown) + " |")
    rows.append("| mean rank | " + " | ".join(f"{ranks[who].mean():.2f}" for who in medians.columns) + " |")
    means = " | ".join(f"{normalised[who].mean():.4f}" for who in medians.columns)
    rows.append(f"| mean normalised score | {means} |")
    return "\n".join(rows)


def constants_of(entries: list[dict[str, Any]], tables: Path, seed: int) -> dict[str, float]:
    """What a constant scores on each table."""
    found = {}
    for entry in entries:
        with tempfile.TemporaryDirectory() as name:
            paths = split(tables / entry["file"], entry["target"], entry["task"], seed, Path(name))
            found[entry["name"]] = constant_score(*paths, entry["target"], entry["task"])
    return found


def main(arguments: list[str] | None = None) -> int:
    """Measure what is missing in the file, and print the table of what is there."""
    parser = argparse.ArgumentParser(description="Accuracy in a given time, beside other libraries.")
    parser.add_argument("tables", type=Path)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--only", nargs="+")
    parser.add_argument("--peer", action="append", default=[], metavar="NAME=PYTHON")
    parser.add_argument("--ours", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--out", type=Path, default=Path("var/accuracy.jsonl"))
    asked = parser.parse_args(arguments)
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    peers = dict(entry.split("=", 1) for entry in asked.peer)
    known = [json.loads(line) for line in asked.out.read_text().splitlines()] if asked.out.exists() else []
    entries = json.loads((asked.tables / "index.json").read_text())
    chosen = [entry for entry in entries if not asked.only or entry["name"] in asked.only]
    with contextlib.ExitStack() as stack:
        us = stack.enter_context(our_service()) if asked.ours else None
        for entry in chosen:
            for seed in asked.seeds:
                known += _measure(entry, seed, asked, peers, known, us)
    now = [line for line in known if line["seconds"] == asked.seconds and line["seed"] in asked.seeds]
    there = [entry for entry in entries if any(line["table"] == entry["name"] for line in now)]
    print(table_of(now, constants_of(there, asked.tables, asked.seeds[0])))
    return 0


def _measure(
    entry: dict[str, Any],
    seed: int,
    asked: argparse.Namespace,
    peers: dict[str, str],
    known: list[dict[str, Any]],
    us: tuple[Service, Client] | None,
) -> list[dict[str, Any]]:
    found = []
    for who in ((OURS,) if us else ()) + tuple(peers):
        head = {
            "table": entry["name"],
            "task": entry["task"],
            "who": who,
            "seconds": asked.seconds,
            "seed": seed,
        }
        if any(head.items() <= line.items() for line in known):
            continue
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            train, test = split(asked.tables / entry["file"], entry["target"], entry["task"], seed, folder)
            request = {**entry, "train": train, "test": test, "seconds": asked.seconds, "seed": seed}
            try:
                if us and who == OURS:
                    figures = ours(*us, request, folder)
                else:
                    figures = peer(peers[who], who, request, folder)
                figures["score"] = score(folder / "out.csv", test, entry["target"], entry["task"])
            except (RuntimeError, subprocess.SubprocessError, OSError, ValueError) as error:
                figures = {"error": str(error)[-500:]}
        line = {**head, **figures}
        print(json.dumps(line), flush=True)
        with asked.out.open("a") as file:
            file.write(json.dumps(line) + "\n")
        found.append(line)
    return found


if __name__ == "__main__":
    sys.exit(main())
