"""The command line of a bundle: `python predict.py`."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from .errors import Damaged, InputError, WrongVersion
from .files import RUNTIMES, load
from .model import Model
from .output import predict_file
from .progress import Progress
from .verify import DIFFERS, WRONG_VERSION, report, verify_bundle

FINE, DIFFERENT, BAD_INPUT, OTHER_VERSION, DAMAGED, INTERRUPTED = 0, 1, 2, 3, 4, 130
EPILOG = """\
examples:
  python predict.py rows.csv predictions.csv
  python predict.py rows.csv.gz predictions.csv.gz    gzipped in, gzipped out
  python predict.py rows.parquet out.parquet          needs requirements-parquet.txt
  cat rows.csv | python predict.py - - > out.csv      standard input and output
  python predict.py --verify                          does the model predict what it did when it was made?

The output has a column `prediction`, and for classification a column `probability_CLASS` for each class; its
rows are in the order of the input's. With --level there are also `prediction_low` and `prediction_high`, or
`prediction_set`, whose classes are joined by " | ". It appears when all rows are predicted. Of the input any
columns may be there beside those that the model needs, in any order; schema.json lists them.

exit codes:
  0    predicted; or verified: identical, or within epsilon
  1    --verify: the model predicts something else, with the versions that it wants
  2    the table or the command can't be used; the message says why
  3    wrong version: a library is missing, or of another version and does not give the same predictions
  4    the bundle is damaged or was tampered with; nothing of it was loaded
  130  interrupted"""


def main(arguments: Sequence[str] | None = None, folder: Path | None = None) -> int:
    """Run the command line; the exit code."""
    parser = _parser()
    given = parser.parse_args(arguments)
    place = folder or Path(__file__).resolve().parents[1]
    if not given.verify and (given.input is None or given.output is None):
        parser.error("give a table and where its predictions go, or --verify")
    try:
        if given.verify:
            return _verify(place, is_strict=given.strict)
        model = load(place, runtime=given.runtime)
        _predict(model, given)
    except KeyboardInterrupt:
        sys.stderr.write("\nInterrupted; nothing was written.\n")
        return INTERRUPTED
    except BrokenPipeError:
        # What reads the output has had enough; the interpreter must not try to flush it again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FINE
    except (InputError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return exit_code(error)
    return FINE


def _predict(model: Model, given: argparse.Namespace) -> None:
    progress = Progress(sys.stderr, given.progress)
    try:
        rows = predict_file(model, given.input, [given.output], progress.tell, level=given.level)
    except BaseException:
        progress.leave()
        raise
    progress.tell(rows, 1.0, is_last=True)


def _verify(folder: Path, *, is_strict: bool) -> int:
    finding = verify_bundle(folder)
    report(finding, sys.stdout.write)
    if finding.verdict == DIFFERS:
        return DIFFERENT
    if finding.verdict == WRONG_VERSION or (is_strict and finding.mismatches):
        return OTHER_VERSION
    return FINE


def exit_code(error: Exception) -> int:
    """The exit code for what went wrong."""
    if isinstance(error, Damaged):
        return DAMAGED
    return OTHER_VERSION if isinstance(error, WrongVersion) else BAD_INPUT


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="predict.py",
        description="Predicts with the model in this folder, tables of any size.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("input", type=Path, nargs="?", help="a CSV (also gzipped) or Parquet file, or -")
    parser.add_argument("output", type=Path, nargs="?", help="a .csv, .csv.gz or .parquet file, or -")
    parser.add_argument("--verify", action="store_true", help="check files, versions and golden predictions")
    parser.add_argument(
        "--strict", action="store_true", help="with --verify: versions must be as pinned, else exit code 3"
    )
    parser.add_argument(
        "--progress",
        action=argparse.BooleanOptionalAction,
        help="say how far it is; by default on a terminal only",
    )
    parser.add_argument(
        "--level",
        type=float,
        metavar="SHARE",
        help="also write an interval, or a set of classes, that holds the truth in this share of rows: 0.9",
    )
    parser.add_argument("--runtime", choices=RUNTIMES, default="auto", help="what predicts; auto is best")
    return parser
