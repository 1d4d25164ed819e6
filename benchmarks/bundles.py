"""Whether bundles travel: each family's on each table, unpacked, verified, and asked for predictions.

    python -m benchmarks.bundles TABLES [--rows 2000] [--only NAME ...] [--families NAME ...]
        [--environments FOLDER] [--out FILE]

A trial of each family is fitted, its first configuration on the first rows of a table, and packaged. With
--environments an interpreter that has nothing but the bundle's requirements verifies it and predicts; one is
made in the folder for each set of requirements. Without, ours does, isolated. The table that is printed has
the largest difference from what the models predict here: of probabilities as it is, of numbers as a share of
the target's spread, or of themselves where they are larger.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from automl.engine.bundle import load_texts, package
from automl.engine.evaluation import as_packaged, evaluate, read_member
from automl.engine.inference import Encoder, Model
from automl.engine.inference.verify import EPSILON
from automl.engine.learners import LEARNERS
from automl.engine.preparation import Request, open_prepared, prepare, profile_columns

PREDICTED_ROWS = 300
RUNTIMES = tuple(EPSILON)


def environment(folder: Path | None, bundle: Path) -> str:
    """An interpreter for a bundle: one with its requirements only, or this one."""
    if folder is None:
        return sys.executable
    requirements = bundle / "requirements.txt"
    place = folder / hashlib.sha256(requirements.read_bytes()).hexdigest()[:12]
    python = place / "bin" / "python"
    if not (place / "ready").exists():
        subprocess.run([sys.executable, "-m", "venv", str(place)], check=True)
        install = [str(python), "-m", "pip", "install", "-qq", "--disable-pip-version-check"]
        subprocess.run([*install, "-r", str(requirements)], check=True)
        (place / "ready").touch()
    return str(python)


def prepared(
    entry: dict[str, Any], tables: Path, rows: int, work: Path
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Prepare the first rows of a table."""
    frame = pd.read_csv(tables / entry["file"], keep_default_na=False, na_values=[""], nrows=rows)
    frame = frame[frame[entry["target"]].notna()].reset_index(drop=True)
    request = Request(
        frame=frame, columns=profile_columns(frame), target=entry["target"], task_type=entry["task"]
    )
    return frame, prepare(request, work / "prepared")


def bundle_of(family: str, meta: dict[str, Any], work: Path) -> tuple[dict[str, Any], Path]:
    """Fit a trial of a family and unpack its bundle."""
    place = work / family
    profile = open_prepared(work / "prepared").profile
    params = LEARNERS[family].first(profile)
    args = {"prepared": str(work / "prepared"), "family": family, "params": params, "metric": meta["metric"]}
    evaluate({**args, "seed": 0, "threads": 2, "out": str(place / "trial")}, lambda event: "go")
    member = {"number": 0, "family": family, "params": params, "dir": str(place / "trial"), "weight": 1.0}
    package(
        {
            **args,
            "members": [member],
            "name": f"{family} #0",
            "experiment": {},
            "leaderboard": [],
            "test_table": None,
            "out": str(place / "bundle.zip"),
        }
    )
    zipfile.ZipFile(place / "bundle.zip").extractall(place / "bundle")
    return member, place / "bundle"


def model_of(member: dict[str, Any], work: Path) -> Model:
    """The model as the service has it, from what it has stored of the trial."""
    opened = open_prepared(work / "prepared")
    schema = json.loads((work / "prepared/schema.json").read_text())
    _, _, temperature = as_packaged(opened, [member])
    encoder = Encoder(schema, load_texts(work / "prepared/texts.skops"))
    return Model(encoder, [read_member(member["dir"])], temperature)


def check(python: str, bundle: Path, frame: pd.DataFrame, model: Model) -> dict[str, Any]:
    """Verify a bundle in an interpreter, and compare its predictions."""
    rows = frame.head(PREDICTED_ROWS)
    rows.to_csv(bundle.parent / "rows.csv", index=False)
    expected = model.predict_raw(rows).reshape(len(rows), -1)
    unit: Any = 1.0
    if model.task_type == "regression":
        unit = np.maximum(np.abs(expected), np.std(frame[model.encoder.schema["target"]].astype(float)))
    verified = run(python, bundle, "--verify")
    found: dict[str, Any] = {"verdict": verified.stdout.partition("\n")[0].removeprefix("Verdict: ")}
    described = json.loads((bundle / "onnx.json").read_text())
    found["reason"] = described["reason"]
    for runtime in RUNTIMES if described["offered"] else RUNTIMES[:1]:
        done = run(python, bundle, "../rows.csv", "../out.csv", "--runtime", runtime)
        if done.returncode:
            found[runtime] = done.stderr.strip()[-200:]
            continue
        values = pd.read_csv(bundle.parent / "out.csv")
        columns = ["prediction"] if model.task_type == "regression" else list(values.columns[1:])
        found[runtime] = float((np.abs(values[columns].to_numpy() - expected) / unit).max())
    return found


def run(python: str, bundle: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a bundle's predict.py."""
    command = [python, "-I", "predict.py", *arguments]
    return subprocess.run(command, cwd=bundle, check=False, capture_output=True, text=True, timeout=300)


def main(arguments: list[str] | None = None) -> int:
    """Check all, print the table, and give 1 when a bundle does not say what its model says."""
    parser = argparse.ArgumentParser(description="Bundles of every family on every table.")
    parser.add_argument("tables", type=Path)
    parser.add_argument("--rows", type=int, default=2_000)
    parser.add_argument("--only", nargs="+")
    parser.add_argument("--families", nargs="+", default=[k for k, v in LEARNERS.items() if not v.keeps_rows])
    parser.add_argument("--environments", type=Path)
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args(arguments)
    entries = json.loads((asked.tables / "index.json").read_text())
    lines: list[dict[str, Any]] = []
    for entry in entries:
        if asked.only and entry["name"] not in asked.only:
            continue
        with tempfile.TemporaryDirectory(prefix="bakeoff-bundles-") as name:
            work = Path(name)
            frame, meta = prepared(entry, asked.tables, asked.rows, work)
            for family in asked.families:
                head = {"table": entry["name"], "task": meta["task_type"], "family": family}
                try:
                    member, bundle = bundle_of(family, meta, work)
                    python = environment(asked.environments, bundle)
                    lines.append({**head, **check(python, bundle, frame, model_of(member, work))})
                except Exception as error:
                    lines.append({**head, "verdict": f"{type(error).__name__}: {error}"[:200]})
                print(json.dumps(lines[-1]), file=sys.stderr, flush=True)
                if asked.out:
                    asked.out.write_text(json.dumps(lines, indent=1))
    print(table_of(lines))
    return int(not all(holds(line) for line in lines))


def holds(line: dict[str, Any]) -> bool:
    """Whether a bundle verified, and said what its model says."""
    close = all(isinstance(line[r], float) and line[r] <= EPSILON[r] for r in RUNTIMES if r in line)
    return close and line["verdict"].startswith(("identical", "within"))


def table_of(lines: list[dict[str, Any]]) -> str:
    """A row a family, a table each."""
    rows = ["| table | task | family | verdict | skops | ONNX |", "| --- | --- | --- | --- | --- | --- |"]
    for line in lines:
        shown = [f"{line[r]:.1e}" if isinstance(line.get(r), float) else line.get(r) for r in RUNTIMES]
        shown[1] = shown[1] or f"not offered: {line.get('reason')}"
        cells = [*(line[name] for name in ("table", "task", "family", "verdict")), *shown]
        rows.append("| " + " | ".join(map(str, cells)) + " |")
    return "\n".join(rows)


if __name__ == "__main__":
    sys.exit(main())
