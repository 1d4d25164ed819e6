"""A table of a million rows through `predict.py` of a bundle: how fast, and in how much memory.

    python -m benchmarks.batch [--rows 1000000] [--formats csv csv.gz parquet] [--family lightgbm]

The table is that of benchmarks.large: 30 columns of every kind. The bundle is made of one family on 5,000
rows; each file is predicted in a process of its own. Exits with 1 when one took more than a gigabyte.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
import zipfile
from pathlib import Path
from typing import Any

from automl.engine import AutoMLClassifier
from benchmarks.large import TARGET, make

MOST_MEGABYTES = 1_000.0
TRAINING_ROWS = 5_000
BLOCK = 100_000


def bundle(folder: Path, family: str) -> Path:
    """Train one model and unpack its bundle."""
    frame = make(TRAINING_ROWS)
    search = AutoMLClassifier(time_budget=60, max_trials=1, families=[family], ensemble=False)
    search.fit(frame.drop(columns=TARGET), frame[TARGET])
    search.save(folder / "model.zip")
    with zipfile.ZipFile(folder / "model.zip") as archive:
        archive.extractall(folder / "model")
    return folder / "model"


def write(path: Path, rows: int) -> None:
    """Write the table block by block; what this process takes is not what is measured."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    blocks = (make(min(BLOCK, rows - start), seed=1 + start) for start in range(0, rows, BLOCK))
    if path.suffix == ".parquet":
        writer = None
        for block in blocks:
            table = pa.Table.from_pandas(block, preserve_index=False)
            writer = writer or pq.ParquetWriter(path, table.schema)
            writer.write_table(table)
        if writer is not None:
            writer.close()
        return
    for place, block in enumerate(blocks):
        block.to_csv(path, index=False, header=not place, mode="a", compression="infer")


def predict(model: Path, table: Path) -> dict[str, Any]:
    """Run predict.py; its time and the most memory it had."""
    out = table.with_name("out.csv")
    command = [sys.executable, "-I", str(model / "predict.py"), str(table), str(out), "--progress"]
    started = time.perf_counter()
    process = os.posix_spawn(sys.executable, command, dict(os.environ))
    _, status, used = os.wait4(process, 0)
    seconds = time.perf_counter() - started
    if status:
        raise SystemExit(f"predict.py ended with {os.waitstatus_to_exitcode(status)}")
    with out.open("rb") as lines:
        rows = sum(1 for _ in lines) - 1
    return {
        "format": table.name.partition(".")[2],
        "rows": rows,
        "megabytes": round(table.stat().st_size / 2**20),
        "seconds": round(seconds, 1),
        "rows_per_second": round(rows / seconds),
        "peak_megabytes": round(used.ru_maxrss / 1024),
    }


def main(arguments: list[str] | None = None) -> int:
    """Measure, print a line of JSON for each format, and give 1 when one took too much memory."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--formats", nargs="+", default=["csv", "csv.gz", "parquet"])
    parser.add_argument("--family", default="lightgbm")
    given = parser.parse_args(arguments)
    worst = 0.0
    with tempfile.TemporaryDirectory() as name:
        model = bundle(Path(name), given.family)
        for kind in given.formats:
            table = Path(name) / f"table.{kind}"
            write(table, given.rows)
            found = predict(model, table)
            table.unlink()
            print(json.dumps({**found, "family": given.family}), flush=True)
            worst = max(worst, found["peak_megabytes"])
    return int(worst > MOST_MEGABYTES)


if __name__ == "__main__":
    sys.exit(main())
