"""The levels of a category: which have codes, and what is told of them beside those."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd

from automl.engine.inference import level_of
from automl.engine.inference.codes import LABELS, LAKHS, numbers_in
from automl.engine.inference.encoder import told_apart

MOST_LEVELS = 5_000
# More than a code is told of columns that have so many.
LEAST_LEVELS = 8
# Of the numbers in levels the first are told: the share of rows that have each, and how many values it has.
NUMBERS_TOLD = ((0.5, 8), (0.1, 2), (0.1, 2))
# First letters are told where they are so much fewer than levels, and there are numbers or in so many levels
# several words; last ones where in so many rows they are others than the first.
LABELS_SHARE, WORDS_SHARE, LAST_SHARE = 0.5, 0.5, 0.25


# Digits in groups, and how those up to 99,999 look in India, which are as anywhere.
GROUPS, FIRST_GROUPS = re.compile("[0-9]+(?:,[0-9]+)+"), re.compile("[1-9][0-9]?,[0-9]{3}")


def level_counts(values: pd.Series) -> dict[str, int]:
    """Count how often each level occurs."""
    levels: dict[str, int] = {}
    for value, count in told_apart(values).value_counts().items():
        level = level_of(value)
        if level is not None:
            levels[level] = levels.get(level, 0) + int(count)
    return levels


def most_frequent(levels: Mapping[str, int]) -> list[str]:
    """Order levels by how often they occur, then by name; very rare ones of a very long list are left out."""
    return sorted(levels, key=lambda level: (-levels[level], level))[:MOST_LEVELS]


def is_number(level: str) -> bool:
    """Whether a level is a number and nothing else."""
    try:
        float(level)
    except ValueError:
        return False
    return True


def parts_told(levels: Mapping[str, int], decimal: str) -> dict[str, Any]:
    """Say what is told of the levels of a category beside their codes.

    Parameters
    ----------
    levels : mapping of str to int
        How often each occurs.
    decimal : str
        As numbers of the table are written, "." or ",".

    Returns
    -------
    dict
        `numbers`, how many of those in a level; `lakhs`, whether 1,20,000 is one; and `labels`, by name the
        first and the last letters that there are, by how often they occur; without what is not told. Levels
        that are numbers and nothing else are codes on purpose: nothing is told of them.
    """
    if len(levels) < LEAST_LEVELS or all(map(is_number, most_frequent(levels))):
        return {}
    found: dict[str, Any] = {}
    lakhs = decimal == "." and are_in_lakhs(levels)
    if count := _numbers_told(levels, decimal, lakhs=lakhs):
        found |= {"numbers": count, "lakhs": lakhs}
    if count or sum(" " in level for level in levels) >= WORDS_SHARE * len(levels):
        found["labels"] = _labels_told(levels)
    return {name: told for name, told in found.items() if told}


def are_in_lakhs(levels: Iterable[str]) -> bool:
    """Whether large numbers are grouped as in India, 1,20,000, and none as elsewhere."""
    groups = [found for level in levels for found in GROUPS.findall(level)]
    large = [found for found in groups if not FIRST_GROUPS.fullmatch(found)]
    return bool(large) and all(map(LAKHS.fullmatch, large))


def _numbers_told(levels: Mapping[str, int], decimal: str, *, lakhs: bool) -> int:
    numbers = {level: numbers_in(level, decimal, lakhs=lakhs) for level in levels}
    for place, (share, distinct) in enumerate(NUMBERS_TOLD):
        there = {level: found[place] for level, found in numbers.items() if len(found) > place}
        rows = sum(levels[level] for level in there)
        if rows < share * sum(levels.values()) or len(set(there.values())) < distinct:
            return place
    return len(NUMBERS_TOLD)


def _labels_told(levels: Mapping[str, int]) -> dict[str, list[str]]:
    told = {part: {level: label(level) for level in levels} for part, label in LABELS.items()}
    first, last = told["first letters"], told["last letters"]
    others = sum(times for level, times in levels.items() if first[level] != last[level])
    if others < LAST_SHARE * sum(levels.values()):
        del told["last letters"]
    found: dict[str, list[str]] = {}
    for part, labels in told.items():
        counts: dict[str, int] = {}
        for level, label in labels.items():
            counts[label] = counts.get(label, 0) + levels[level]
        # One says nothing, and nearly as many as there are levels say no more than those.
        if 1 < len(counts) < LABELS_SHARE * len(levels):
            found[part] = most_frequent(counts)
    return found
