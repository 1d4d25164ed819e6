"""A bundle proves itself: its files, the installed versions, and what it predicts for golden rows."""

from __future__ import annotations

import importlib.metadata
import json
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from .errors import Damaged, InputError
from .files import load
from .seal import check_files

IDENTICAL, WITHIN, DIFFERS, WRONG_VERSION = "identical", "within epsilon", "differs", "wrong version"
# Of probabilities; of numbers, the share of their size where that is over 1.
EPSILON = {"skops": 1e-6, "onnx": 1e-5}
MARKER = re.compile(r'sys_platform (==|!=) "(\w+)"')
# Distributions that hold the same library.
SAME = {"xgboost": "xgboost-cpu", "xgboost-cpu": "xgboost"}


@dataclass(frozen=True)
class Mismatch:
    """A package that is not of the version that the bundle pins; `found` is None where it is missing."""

    package: str
    wanted: str
    found: str | None

    def __str__(self) -> str:
        return f"{self.package} is {self.found or 'not installed'}, and {self.wanted} is wanted"


@dataclass(frozen=True)
class Finding:
    """What was found out about a bundle.

    Attributes
    ----------
    verdict : str
    lines : tuple of str
        Sentences for the person who asked.
    mismatches : tuple of Mismatch
        Also where the verdict is a good one: the versions are no promise, the predictions are.
    """

    verdict: str
    lines: tuple[str, ...]
    mismatches: tuple[Mismatch, ...] = ()


def verify_bundle(folder: Path) -> Finding:
    """Hold a bundle against what it was when it was packaged.

    Raises
    ------
    Damaged
        If a file is not the one that was packaged.
    """
    check_files(folder)
    mismatches = tuple(version_mismatches(folder / "requirements.txt"))
    lines = ["Every file is the one that was packaged."]
    lines += [f"Another version: {mismatch}." for mismatch in mismatches] or ["All versions are as pinned."]
    try:
        golden = json.loads((folder / "golden.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise Damaged("The bundle has no golden.json to verify it by: an earlier release made it.") from None
    frame = golden_frame(golden)
    verdicts = []
    for runtime, stored in golden["predicted"].items():
        try:
            found = outcome(load(folder, runtime=runtime), frame)
        except Damaged:
            raise
        except InputError as error:  # what it was predicted by then is not to be had here
            return Finding(WRONG_VERSION, (*lines, str(error)), mismatches)
        verdict, sentence = compare(np.asarray(stored), found, EPSILON[runtime])
        verdicts.append(verdict)
        lines.append(f"Predicted by {runtime}: {sentence}")
    worst = max(verdicts, key=[IDENTICAL, WITHIN, DIFFERS].index)
    if worst == DIFFERS and mismatches:
        return Finding(WRONG_VERSION, (*lines, "Run: pip install -r requirements.txt"), mismatches)
    return Finding(worst, tuple(lines), mismatches)


def golden_frame(golden: Mapping[str, Any]) -> pd.DataFrame:
    """The golden rows as a table of text, which is how a CSV is read."""
    cells = list(zip(*golden["rows"], strict=True)) or [()] * len(golden["columns"])
    return pd.DataFrame(
        {
            name: pd.Series(list(column), dtype=object)
            for name, column in zip(golden["columns"], cells, strict=True)
        },
        index=range(len(golden["rows"])),
    )


def outcome(model: Any, frame: pd.DataFrame) -> np.ndarray[Any, Any]:
    """What a model predicts in full: probabilities, or numbers."""
    return np.asarray(model.predict_raw(frame), dtype=np.float64)


def compare(wanted: np.ndarray[Any, Any], found: np.ndarray[Any, Any], epsilon: float) -> tuple[str, str]:
    """Judge predictions of golden rows: the verdict, and a sentence."""
    if wanted.shape != found.shape:
        return DIFFERS, f"differs: it gives {found.shape} numbers, and it was {wanted.shape}."
    rows = f"{len(wanted)} golden rows"
    if np.array_equal(wanted, found):
        return IDENTICAL, f"identical, bit by bit, on {rows}."
    gaps = np.abs(wanted - found) / np.maximum(np.abs(wanted), 1.0)
    # A prediction that is not a number is as far off as can be.
    gaps = np.where(np.isfinite(gaps), gaps, np.inf).reshape(len(wanted), -1).max(axis=1)
    largest, row = float(gaps.max()), int(gaps.argmax())
    if largest <= epsilon:
        return (
            WITHIN,
            f"within epsilon on {rows}: the largest difference is {largest:.2g}, allowed {epsilon:g}.",
        )
    return DIFFERS, f"differs on {rows}: by {largest:.2g} in row {row}, and {epsilon:g} is allowed."


def version_mismatches(requirements: Path) -> list[Mismatch]:
    """Packages that are not of the version that a file of pinned requirements names."""
    found = []
    for line in requirements.read_text(encoding="utf-8").splitlines():
        if (pin := pinned(line)) is None:
            continue
        package, wanted = pin
        version = _version(package) or _version(SAME.get(package, package))
        if version != wanted:
            found.append(Mismatch(package, wanted, version))
    return found


def pinned(line: str) -> tuple[str, str] | None:
    """The package and the version that a line of requirements pins; None where it pins none here."""
    pin, _, marker = line.partition(";")
    package, _, version = pin.strip().partition("==")
    where = MARKER.fullmatch(marker.strip())
    if not version or (where and (sys.platform == where[2]) != (where[1] == "==")):
        return None
    return package, version


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def report(finding: Finding, say: Callable[[str], Any]) -> None:
    """Tell a finding: the verdict first."""
    sentences: Sequence[str] = [f"Verdict: {finding.verdict}.", *finding.lines]
    for sentence in sentences:
        say(f"{sentence}\n")
