"""Whether bundles travel: each family's on each table, verified and used where nothing else is.

    python -m benchmarks.bundles TABLES --out RESULTS.jsonl --environments FOLDER [--work FOLDER]
        [--tables NAME ...] [--families NAME ...] [--rows 5000] [--portfolio N] [--seconds S] [--again]
    python -m benchmarks.bundles --show RESULTS.jsonl

A sample of a table goes through the service's own jobs: it is read, prepared, a trial of each family is
fitted (its first configuration, or the Nth of its portfolio), the ensemble is blended, and each is packaged.
A bundle is unpacked and, by an interpreter that has nothing but its requirements, verified and asked for
predictions of rows that training saw and, where there are more, others. They are held against what the
trials' own models predict, as the service has them, and against what its job that predicts files says:
probabilities as they are, numbers as a share of the target's spread, or of themselves where they are larger.

A line is added to the results for each bundle. What has one is not measured again, so that --seconds may end
a run anywhere and the next one goes on; --work keeps fitted trials until then.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import automl
from automl.engine import jobs
from automl.engine.bundle import load_texts
from automl.engine.errors import UserError
from automl.engine.evaluation import as_packaged, read_members
from automl.engine.inference import Encoder, Model
from automl.engine.inference.verify import EPSILON
from automl.engine.learners import LEARNERS, families_for, stacks
from automl.engine.preparation import open_prepared
from automl.engine.reading import read_frame
from automl.engine.stacking import choose_bases, may_be_base
from benchmarks.bundles_shown import holds, shown

# Of each class so many rows stay in the sample, where it has them.
KEPT_OF_A_CLASS = 20
SEEN_ROWS, OTHER_ROWS = 300, 200
FIT_SECONDS, PROCESS_SECONDS = 20.0, 300
ENSEMBLE = "ensemble"
RUNTIMES = tuple(EPSILON)
TOLD = ("numpy", "pandas", "scikit-learn", "skops", "lightgbm", "xgboost-cpu", "catboost", "onnxruntime")
# Loads the model and predicts, as predict.py does; prints how long the first took, libraries and all.
PROBE = """
import sys, time
from pathlib import Path
sys.path.insert(0, ".")
began = time.perf_counter()
import predict
model = predict.load(runtime=sys.argv[3])
print(time.perf_counter() - began)
from bakeoff_model.output import predict_file
predict_file(model, Path(sys.argv[1]), [Path(sys.argv[2])], lambda rows, share: None)
"""
Line = dict[str, Any]


@dataclass(frozen=True)
class Work:
    """A table of the suite in a folder of its own: what the service would have stored of it."""

    entry: Mapping[str, Any]
    source: Path
    folder: Path
    rows: int
    portfolio: int

    @cached_property
    def sample(self) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Rows that are trained on, and others; cells as the file has them."""
        frame = pd.read_csv(self.source, dtype=str, keep_default_na=False)
        chance = np.random.default_rng(0)
        frame = frame.iloc[chance.permutation(len(frame))]
        if self.entry["task"] == "regression":
            place = np.arange(len(frame))
        else:
            of_its_class = frame.groupby(self.entry["target"]).cumcount().to_numpy()
            place = np.argsort(np.where(of_its_class < KEPT_OF_A_CLASS, 0, 1), kind="stable")
        trained = frame.iloc[np.sort(place[: self.rows])]
        others = frame.iloc[place[self.rows :][:OTHER_ROWS]]
        return trained, others

    @cached_property
    def meta(self) -> dict[str, Any]:
        """What preparation found; the folder `prepared` and `rows.csv` are there afterwards."""
        self.folder.mkdir(parents=True, exist_ok=True)
        trained, others = self.sample
        trained.to_csv(self.folder / "table.csv", index=False)
        pd.concat([trained.head(SEEN_ROWS), others]).to_csv(self.folder / "rows.csv", index=False)
        pd.concat([trained, others]).to_csv(self.folder / "whole.csv", index=False)
        found = self._profiled("table")
        self._profiled("whole")
        if (self.folder / "prepared").exists():
            return open_prepared(self.folder / "prepared").meta
        settings = {
            "table": str(self.folder / "table.arrow"),
            "columns": found["columns"],
            "dialect": found["dialect"],
            "target": self.entry["target"],
            "task_type": self.entry["task"],
            "metric": self.entry["metric"],
            "ignore_columns": [],
            "seed": 0,
            "out": str(self.folder / "prepared"),
        }
        return jobs.prepare(settings, go_on)

    def _profiled(self, name: str) -> dict[str, Any]:
        source, table = (self.folder / f"{name}.{ending}" for ending in ("csv", "arrow"))
        args = {"source": str(source), "filename": source.name, "table": str(table), "max_bytes": 1 << 30}
        return jobs.profile(args, go_on)

    @property
    def rows_asked(self) -> pd.DataFrame:
        """The rows of `rows.csv` with the types that training knows."""
        whole, seen = read_frame(self.folder / "whole.arrow"), len(self.sample[0])
        places = [*range(min(SEEN_ROWS, seen)), *range(seen, len(whole))]
        return whole.iloc[places].reset_index(drop=True)

    def trial(self, family: str) -> dict[str, Any]:
        """Fit a trial, unless it was; as jobs know it."""
        learner, out = LEARNERS[family], self.folder / "trials" / family
        profile = open_prepared(self.folder / "prepared").profile
        known = [learner.first(profile), *learner.portfolio(profile)]
        params = known[min(self.portfolio, len(known) - 1)]
        told = out.with_suffix(".json")
        if not told.exists():
            shutil.rmtree(out, ignore_errors=True)
            args = {
                "prepared": str(self.folder / "prepared"),
                "family": family,
                "params": params,
                "seed": 0,
                "metric": self.meta["metric"],
                "threads": os.cpu_count() or 1,
                "out": str(out),
                "deadline_seconds": FIT_SECONDS,
                "bases": self.bases() if stacks(family) else [],
            }
            result = jobs.evaluate(args, go_on)
            told.write_text(json.dumps({"score": result["score"], "size": result["size"]}), encoding="utf-8")
        known_of_it = json.loads(told.read_text(encoding="utf-8"))
        number = list(LEARNERS).index(family)
        return {"id": family, "number": number, "family": family, "params": params, "dir": str(out),
                "seconds": None, "weight": 1.0, **known_of_it}  # fmt: skip

    def bases(self) -> list[Any]:
        """What stacked trials learn from."""
        families = families_for(self.meta["task_type"])
        return [*choose_bases([self.trial(known) for known in families if may_be_base(known)])]

    def members(self, family: str) -> list[dict[str, Any]]:
        """The trial of a family; of an ensemble those that the service blends, or the three best."""
        if family != ENSEMBLE:
            return [self.trial(family)]
        trials = [self.trial(known) for known in families_for(self.meta["task_type"]) if can_travel(known)]
        trials.sort(key=lambda trial: -trial["score"])
        args = {"prepared": str(self.folder / "prepared"), "metric": self.meta["metric"], "seed": 0}
        found = jobs.blend({**args, "trials": trials}, go_on)
        weights = found["weights"] or {trial["id"]: 1 / 3 for trial in trials[:3]}
        return [
            {**trial, "weight": weights[trial["id"]], "power": found["powers"].get(trial["id"], 0.0)}
            for trial in trials
            if trial["id"] in weights
        ]

    def package(self, family: str, members: Sequence[Mapping[str, Any]], out: Path) -> None:
        """Write a bundle of members."""
        args = {
            "prepared": str(self.folder / "prepared"),
            "members": list(members),
            "metric": self.meta["metric"],
            "name": family,
            "experiment": {},
            "leaderboard": [],
            "test_table": None,
            "out": str(out),
        }
        jobs.package(args, go_on)

    def model(self, members: Sequence[Mapping[str, Any]]) -> Model:
        """The model as the service has it, of what it has stored of the trials."""
        opened = open_prepared(self.folder / "prepared")
        schema = json.loads((opened.folder / "schema.json").read_text(encoding="utf-8"))
        _, _, temperature = as_packaged(opened, members)
        encoder = Encoder(schema, load_texts(opened.folder / "texts.skops"))
        return Model(encoder, read_members(members), temperature)


def go_on(report: dict[str, Any]) -> str:
    """Answer what a job reports."""
    return "go"


def can_travel(family: str) -> bool:
    """Whether a family is packaged at all."""
    return not LEARNERS[family].keeps_rows


def environment(folder: Path, bundle: Path) -> str:
    """An interpreter that has a bundle's requirements and nothing else; one for each set of them."""
    requirements = bundle / "requirements.txt"
    place = folder.resolve() / hashlib.sha256(requirements.read_bytes()).hexdigest()[:12]
    python = place / "bin" / "python"
    if not (place / "ready").exists():
        uv = str(Path(sys.executable).with_name("uv"))
        subprocess.run([uv, "venv", "-q", "--clear", "--python", sys.executable, str(place)], check=True)
        install = [uv, "pip", "install", "-q", "--system-certs", "--python", str(python)]
        subprocess.run([*install, "-r", str(requirements)], check=True)
        (place / "ready").touch()
    return str(python)


def run(python: str, bundle: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run something in an unpacked bundle."""
    return subprocess.run(
        [python, "-I", *arguments],
        cwd=bundle, check=False, capture_output=True, text=True, timeout=PROCESS_SECONDS,
    )  # fmt: skip


def measure(work: Work, family: str, environments: Path) -> Line:
    """Make a bundle, and say how it fares."""
    assert work.meta
    members = work.members(family)
    place = Path(tempfile.mkdtemp(prefix="bundle-", dir=work.folder))
    try:
        began = time.perf_counter()
        try:
            work.package(family, members, place / "bundle.zip")
        except UserError as error:
            return {"made": False, "reason": str(error)}
        found: Line = {"made": True, "seconds": round(time.perf_counter() - began, 2)}
        found["bytes"] = (place / "bundle.zip").stat().st_size
        found["members"] = [member["family"] for member in members]
        zipfile.ZipFile(place / "bundle.zip").extractall(place / "bundle")
        return found | check(work, work.model(members), place, environment(environments, place / "bundle"))
    finally:
        shutil.rmtree(place)


def check(work: Work, model: Model, place: Path, python: str) -> Line:
    """Verify an unpacked bundle, and compare what it predicts with its model and with the service's job."""
    bundle, source = place / "bundle", work.folder / "rows.csv"
    expected = model.predict_raw(work.rows_asked)
    unit: Any = 1.0
    if model.task_type == "regression":
        unit = np.maximum(np.abs(expected), float(np.std(open_prepared(work.folder / "prepared").y)))
    verified = run(python, bundle, "predict.py", "--verify")
    verdict = verified.stdout.partition("\n")[0].removeprefix("Verdict: ").rstrip(".")
    offered = json.loads((bundle / "onnx.json").read_text(encoding="utf-8"))
    found: Line = {"verdict": verdict or verified.stderr.strip()[-300:], "rows": len(expected)}
    found["reason"] = offered["reason"]
    predicted = {}
    for runtime in RUNTIMES if offered["offered"] else RUNTIMES[:1]:
        out = place / f"{runtime}.csv"
        done = run(python, bundle, "-c", PROBE, str(source), str(out), runtime)
        if done.returncode:
            return found | {"error": f"{runtime}: {done.stderr.strip()[-300:]}"}
        found[f"load_{runtime}"] = round(float(done.stdout), 3)
        predicted[runtime] = numbers(out)
        found[runtime] = difference(predicted[runtime], expected, unit)
    args = {"bundle": str(place / "bundle.zip"), "source": str(source), "out": str(place)}
    jobs.predict(args, go_on)
    found["service"] = difference(predicted[runtime], numbers(place / "predictions.csv"), unit)
    return found


def numbers(predictions: Path) -> np.ndarray[Any, Any]:
    """Probabilities, or the numbers, of a file of predictions."""
    frame = pd.read_csv(predictions)
    return frame["prediction"].to_numpy() if frame.shape[1] == 1 else frame.iloc[:, 1:].to_numpy()


def difference(found: np.ndarray[Any, Any], expected: np.ndarray[Any, Any], unit: Any) -> float:
    """The largest; what is not a number is as far off as can be."""
    if found.shape != expected.shape:
        raise ValueError(f"There are {found.shape} predictions, and {expected.shape} were expected.")
    return float(np.nan_to_num(np.abs(found - expected) / unit, nan=np.inf).max())


def versions() -> dict[str, str]:
    """What the figures are of."""
    python = ".".join(map(str, sys.version_info[:3]))
    return {"bakeoff": automl.__version__, "python": python, **{name: version(name) for name in TOLD}}


def asked_for(asked: argparse.Namespace) -> Iterator[tuple[Mapping[str, Any], str]]:
    """Tables and families, the ensemble last."""
    for entry in json.loads((asked.suite / "index.json").read_text(encoding="utf-8")):
        for family in [*families_for(entry["task"]), ENSEMBLE]:
            if entry["name"] in (asked.tables or [entry["name"]]) and family in (asked.families or [family]):
                yield entry, family


def main(arguments: list[str] | None = None) -> int:
    """Measure what has no line yet, print the table, and give 1 when a bundle does not hold."""
    parser = argparse.ArgumentParser(description="Bundles of every family on every table.")
    parser.add_argument("suite", type=Path, nargs="?", help="a folder of tables with their index.json")
    parser.add_argument("--out", type=Path, help="results, a JSON object a line")
    parser.add_argument("--environments", type=Path, help="where interpreters are made")
    parser.add_argument("--work", type=Path, help="keeps tables and trials for a later run")
    parser.add_argument("--tables", nargs="+")
    parser.add_argument("--families", nargs="+")
    parser.add_argument("--rows", type=int, default=5_000)
    parser.add_argument("--portfolio", type=int, default=0, help="0: the first configuration of a family")
    parser.add_argument("--seconds", type=float, default=np.inf, help="no bundle is begun after so many")
    parser.add_argument("--again", action="store_true", help="also what has a line")
    parser.add_argument("--show", type=Path, help="only print the table of results")
    asked = parser.parse_args(arguments)
    if asked.show:
        print(shown(read_lines(asked.show)))
        return int(not all(map(holds, read_lines(asked.show))))
    if not (asked.suite and asked.out and asked.environments):
        parser.error("give the tables, --out and --environments, or --show")
    with tempfile.TemporaryDirectory(prefix="bakeoff-bundles-") as place:
        measure_all(asked, asked.work or Path(place))
    print(shown(read_lines(asked.out)))
    return int(not all(map(holds, read_lines(asked.out))))


def measure_all(asked: argparse.Namespace, place: Path) -> None:
    """Add a line for each bundle that is asked for."""
    began, told = time.monotonic(), versions()
    known = {(line["table"], line["family"], line["portfolio"]) for line in read_lines(asked.out)}
    opened: dict[str, Work] = {}
    for entry, family in asked_for(asked):
        name = entry["name"]
        if not asked.again and (name, family, asked.portfolio) in known:
            continue
        if time.monotonic() - began > asked.seconds:
            print("There is more to measure: run it again.", file=sys.stderr)
            return
        folder = place / f"{name}-{asked.rows}-{asked.portfolio}"
        work = opened.setdefault(
            name, Work(entry, asked.suite / entry["file"], folder, asked.rows, asked.portfolio)
        )
        line: Line = {"table": name, "task": entry["task"], "family": family, "portfolio": asked.portfolio}
        try:
            line |= measure(work, family, asked.environments)
        except Exception as error:
            line |= {"made": False, "error": f"{type(error).__name__}: {error}"[:300]}
        line |= {"trained_on": len(work.sample[0]), "at": time.strftime("%Y-%m-%d"), "versions": told}
        print(json.dumps({k: v for k, v in line.items() if k != "versions"}), file=sys.stderr, flush=True)
        with asked.out.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")


def read_lines(path: Path) -> list[Line]:
    """Results, of each bundle the last."""
    if not path.exists():
        return []
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return list({(line["table"], line["family"], line["portfolio"]): line for line in lines}.values())


if __name__ == "__main__":
    sys.exit(main())
