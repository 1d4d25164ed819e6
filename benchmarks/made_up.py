"""Writes tables of shapes that public ones seldom have: wide, large, of many or of rare classes.

    python -m benchmarks.made_up FOLDER
    python -m benchmarks.accuracy FOLDER --seconds 60 --seeds 0 --peer autogluon-best=PYTHON

They are made by chance, always the same.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd


def genes(chance: np.random.Generator) -> tuple[pd.DataFrame, str, str]:
    """Few rows of thousands of numbers, which go up and down in groups."""
    rows, columns = 240, 4_500
    groups = chance.normal(size=(rows, 150))
    member = chance.integers(0, 150, columns)
    X = groups[:, member] * chance.uniform(0.3, 0.9, columns) + chance.normal(size=(rows, columns))
    signal = groups[:, :8] @ chance.normal(size=8) * 1.2 + 0.8 * groups[:, 9] * groups[:, 10]
    frame = pd.DataFrame(X.round(4), columns=[f"gene_{place}" for place in range(columns)])
    return (
        frame.assign(outcome=np.where(signal + chance.normal(size=rows) > 0, "case", "control")),
        "outcome",
        "binary",
    )


def wide_numbers(chance: np.random.Generator) -> tuple[pd.DataFrame, str, str]:
    """Hundreds of numbers, most of which are 0 in every third column."""
    rows, columns = 6_000, 800
    X = chance.normal(size=(rows, columns))
    X[:, ::3] = np.where(chance.random((rows, -(-columns // 3))) < 0.9, 0.0, np.exp(X[:, ::3]))
    y = X[:, :20] @ chance.normal(size=20) + 2 * np.sin(X[:, 21]) * X[:, 22] + 3 * np.maximum(X[:, 25], 0.0)
    frame = pd.DataFrame(X.round(4), columns=[f"v{place}" for place in range(columns)])
    return frame.assign(amount=(y + 2 * chance.normal(size=rows)).round(4)), "amount", "regression"


def products(chance: np.random.Generator) -> tuple[pd.DataFrame, str, str]:
    """A hundred classes of uneven size."""
    rows, classes = 12_000, 100
    centres = 1.3 * chance.normal(size=(classes, 12))
    shares = np.arange(1, classes + 1) ** -0.7
    code = chance.choice(classes, rows, p=shares / shares.sum())
    frame = pd.DataFrame((centres[code] + chance.normal(size=(rows, 12))).round(4)).add_prefix("m")
    frame["shop"] = [f"s{shop}" for shop in (3 * code + chance.integers(0, 40, rows)) % 300]
    return frame.assign(product=[f"p{each:03}" for each in code]), "product", "multiclass"


def fraud(chance: np.random.Generator) -> tuple[pd.DataFrame, str, str]:
    """Many rows, one in a hundred of which is what is looked for."""
    rows = 150_000
    X = chance.normal(size=(rows, 26)) * np.exp(0.3 * chance.normal(size=26))
    time, amount = np.cumsum(chance.exponential(1, rows)), chance.lognormal(3, 1.3, rows)
    logit = 0.9 * X[:, 0] - 0.8 * X[:, 1] + 0.6 * X[:, 2] * X[:, 3] + 0.5 * np.abs(X[:, 4])
    logit += 0.3 * np.log(amount) + 0.5 * (np.sin(time / 5_000) > 0.5) - 7.6
    frame = pd.DataFrame(X.round(5)).add_prefix("c").assign(time=time.round(), amount=amount.round(2))
    return frame.assign(fraud=(chance.random(rows) < 1 / (1 + np.exp(-logit))).astype(int)), "fraud", "binary"


def taxi(chance: np.random.Generator) -> tuple[pd.DataFrame, str, str]:
    """Many rows of places, times and zones; a skewed number is looked for."""
    rows = 400_000
    places = chance.normal(size=(4, rows))
    far = np.hypot(places[0] - places[2], places[1] - places[3])
    when = pd.Timestamp("2023-01-01") + pd.to_timedelta(chance.integers(0, 365 * 24 * 60, rows), unit="m")
    zone, vendor = chance.integers(0, 260, rows), chance.choice(["A", "B", "C"], rows)
    slow = 0.25 * chance.normal(size=260)[zone] + 0.1 * (vendor == "B")
    speed = 1 + 0.5 * np.cos((when.hour.to_numpy() - 3) / 12 * np.pi)
    minutes = np.exp(1.2 + 0.9 * np.log1p(far) - np.log(speed) + slow + chance.normal(0, 0.35, rows))
    names = ("pickup_lat", "pickup_lon", "drop_lat", "drop_lon")
    frame = pd.DataFrame(dict(zip(names, places.round(5), strict=True))).assign(
        pickup=when.astype(str),
        zone=[f"zone {each}" for each in zone],
        vendor=vendor,
        passengers=chance.integers(1, 6, rows),
    )
    return frame.assign(minutes=minutes.round(2)), "minutes", "regression"


def cover(chance: np.random.Generator) -> tuple[pd.DataFrame, str, str]:
    """Many rows, seven classes, and kinds of soil as columns of 0 and 1."""
    rows = 250_000
    height, slope, aspect = (
        chance.normal(2_800, 300, rows),
        chance.gamma(3, 4, rows),
        chance.uniform(0, 360, rows),
    )
    water, road, fire = (chance.exponential(mean, rows) for mean in (250, 2_000, 1_800))
    soil, wild = chance.integers(0, 40, rows), chance.integers(0, 4, rows)
    distance = (height[:, None] - np.linspace(2_100, 3_400, 7) + 0.1 * water[:, None]) / 180
    likes = -(distance**2) / 2 + chance.normal(size=(40, 7))[soil] + 0.7 * chance.normal(size=(4, 7))[wild]
    likes += 0.5 * np.cos(np.radians(aspect))[:, None] * np.array([1, -1, 0.5, 0, 0.7, -0.4, 0.2])
    likes += np.array([0.5, 1, 0.4, -0.8, -0.3, 0, 0.2]) + 0.6 * chance.gumbel(size=(rows, 7))
    named = {
        "elevation": height,
        "aspect": aspect,
        "slope": slope,
        "hydrology": water,
        "road": road,
        "fire": fire,
    }
    frame = pd.DataFrame(named).round()
    flags = {f"wild_{each}": wild == each for each in range(4)} | {
        f"soil_{each}": soil == each for each in range(40)
    }
    frame = pd.concat([frame, pd.DataFrame(flags).astype(int)], axis=1)
    return frame.assign(cover=likes.argmax(axis=1) + 1), "cover", "multiclass"


TABLES = (genes, wide_numbers, products, fraud, taxi, cover)


def main(arguments: list[str] | None = None) -> int:
    """Write the tables and their index."""
    parser = argparse.ArgumentParser(description="Tables of shapes that public ones seldom have.")
    parser.add_argument("folder", type=Path)
    folder: Path = parser.parse_args(arguments).folder
    folder.mkdir(parents=True, exist_ok=True)
    index = []
    for make in TABLES:
        frame, target, task = make(np.random.default_rng(7))
        name = f"{make.__name__}.csv"
        frame.to_csv(folder / name, index=False)
        index.append({"name": make.__name__, "file": name, "target": target, "task": task})
    (folder / "index.json").write_text(json.dumps(index, indent=2), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
