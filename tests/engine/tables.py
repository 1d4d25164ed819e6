"""Small tables for tests, always the same for the same seed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.ipc

from automl.engine.evaluation import evaluate
from automl.engine.inference.tables import Source
from automl.engine.preparation import Request, prepare, profile_columns


def people(rows: int = 240, seed: int = 0) -> pd.DataFrame:
    """Numbers, words, dates, text, missing cells; `bought` and `spent` follow from them."""
    chance = np.random.default_rng(seed)
    age = chance.integers(18, 80, rows).astype(float)
    city = chance.choice(["Paris", "Rome", "Oslo", "Żółw"], rows)
    joined = pd.Timestamp("2020-01-01") + pd.to_timedelta(chance.integers(0, 1000, rows), unit="D")
    words = chance.choice(["red fast car", "blue slow boat", "green old bike", "red old boat"], rows)
    signal = age / 20 + 1.5 * (city == "Oslo") + chance.normal(0, 0.6, rows)
    frame = pd.DataFrame(
        {
            "age": age,
            "city": city,
            "joined": joined.strftime("%Y-%m-%d"),
            "note": [f"{word} number {number}" for word, number in zip(words, range(rows), strict=True)],
            "plan": np.where(signal > 4, "gold", np.where(signal > 2.5, "silver", "bronze")),
            "bought": np.where(signal > 3.2, "yes", "no"),
            "spent": np.exp(signal),
        }
    )
    frame.loc[::17, "age"] = np.nan
    frame.loc[::23, "city"] = np.nan
    return frame


def stories(rows: int = 300, words: int = 600) -> pd.DataFrame:
    """Texts of so many different words, one of which decides; some are missing, as are some categories."""
    chance = np.random.default_rng(0)
    said = chance.choice([f"word{number}" for number in range(words)], (rows, 12))
    said[::3, 0] = "good"
    frame = pd.DataFrame(
        {
            "age": chance.integers(18, 80, rows),
            "story": [" ".join(each) for each in said],
            "city": chance.choice(["Paris", "Rome", "Oslo"], rows),
            "bought": np.where((np.arange(rows) % 3 == 0) ^ (chance.random(rows) < 0.1), "yes", "no"),
        }
    )
    frame.loc[::29, "story"] = np.nan
    frame.loc[::31, "city"] = np.nan
    return frame


def prepared(folder: Path, frame: pd.DataFrame, target: str, **settings: Any) -> dict[str, Any]:
    """Prepare a frame into `folder/prepared`; targets of the other tasks are ignored."""
    others = {"plan", "bought", "spent"} - {target}
    ignore = [*settings.pop("ignore_columns", []), *(others & set(frame.columns))]
    request = Request(
        frame=frame, columns=profile_columns(frame), target=target, ignore_columns=ignore, **settings
    )
    return prepare(request, folder / "prepared")


def go(_event: dict[str, Any]) -> str:
    """A parent that lets every trial go on."""
    return "go"


def stored(folder: Path, frame: pd.DataFrame) -> Path:
    """A frame as the stored table that profiling would have made of it."""
    table = pa.Table.from_pandas(frame, preserve_index=False)
    path = folder / "table.arrow"
    with pa.ipc.new_file(str(path), table.schema) as writer:
        writer.write_table(table)
    return path


def read_whole(path: Path, schema: dict[str, Any]) -> pd.DataFrame:
    """A table as a bundle reads it, all of its rows at once."""
    with Source(path, schema) as source:
        return pd.concat(list(source.chunks()), ignore_index=True)


def evaluated(
    folder: Path,
    family: str,
    number: int = 0,
    metric: str = "roc_auc",
    report: Any = go,
    bases: Any = (),
    **params: Any,
) -> dict[str, Any]:
    """A trial on what `prepared` has left in the folder, as a candidate of an ensemble."""
    out = folder / f"trial-{number}"
    args = {
        "prepared": str(folder / "prepared"),
        "family": family,
        "params": params,
        "seed": 1,
        "metric": metric,
        "threads": 1,
        "out": str(out),
        "bases": list(bases),
    }
    result = evaluate(args, report)
    return {
        **result,
        "seconds": result["predict_time"],
        "id": str(number),
        "number": number,
        "family": family,
        "params": params,
        "dir": str(out),
    }
