"""The command line of a bundle: `python predict.py`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from .errors import InputError
from .files import load
from .tables import predictions_frame, read_table


def main(arguments: Sequence[str] | None = None, say: Callable[[str], Any] = sys.stderr.write) -> int:
    """Run the command line: read a table, write predictions in the same order."""
    parser = argparse.ArgumentParser(description="Predicts with the model in this folder.")
    parser.add_argument("input", type=Path, help="a CSV (also gzipped) or Parquet file")
    parser.add_argument("output", type=Path, help="the CSV file to write")
    parser.add_argument(
        "--level",
        type=float,
        metavar="SHARE",
        help="also write an interval, or a set of classes, that holds the truth in this share of rows: 0.9",
    )
    given = parser.parse_args(arguments)
    try:
        model = load()
        frame = read_table(given.input, model.encoder.schema)
        predictions_frame(model, frame, level=given.level).to_csv(given.output, index=False)
    except (InputError, OSError) as error:
        say(f"{error}\n")
        return 2
    return 0
