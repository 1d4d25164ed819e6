"""Sweeps: every combination of some values of a learner's dials."""

from __future__ import annotations

import itertools
import math
import reprlib
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from automl.engine.samplers.base import signature
from automl.engine.space import Choice, Dimension, Int, Space
from automl.engine.trial import ParamValue

Spacing = Literal["linear", "log", "list"]


def grid_errors(grid: Mapping[str, Any], base: Mapping[str, Any], *, most: int) -> dict[str, str]:
    """Say what is wrong with the form of a grid, by field; whether its values fit, their space knows.

    Parameters
    ----------
    grid : mapping of str to list
        Dials to the values that they are to take.
    base : mapping
        The values of other dials.
    most : int
        Combinations that one sweep may have.
    """
    if not grid:
        return {"grid": "The grid is empty. Name at least one dial with the values to try."}
    for name, values in grid.items():
        if not isinstance(values, (list, tuple)):
            return {"grid": f"{name} is {reprlib.repr(values)}; give a list of values."}
        if not values:
            return {"grid": f"{name} has no values; give at least one."}
    if both := sorted(set(grid) & set(base)):
        return {"base": f"{', '.join(both)} is in the grid already; leave it out here."}
    count = math.prod(len(values) for values in grid.values())
    if count > most:
        sizes = " x ".join(str(len(values)) for values in grid.values())
        made_of = f" ({sizes})" if len(grid) > 1 else ""
        return {
            "grid": f"The sweep has {count:,} combinations{made_of}; the most is {most:,}. Take fewer values."
        }
    return {}


def combinations(
    space: Space, grid: Mapping[str, Sequence[Any]], base: Mapping[str, Any]
) -> list[dict[str, ParamValue]]:
    """Give the different configurations of a grid, the last dial turning fastest.

    Parameters
    ----------
    space : Space
    grid : mapping of str to list
    base : mapping
        Other dials; those in neither keep their defaults.

    Returns
    -------
    list of dict
        Where a dial is out of use its values make no difference, and the configuration is there once.

    Raises
    ------
    InvalidValue
        In the words of the space.
    """
    found: dict[str, dict[str, ParamValue]] = {}
    for values in itertools.product(*grid.values()):
        params = space.validate({**base, **dict(zip(grid, values, strict=True))})
        found.setdefault(signature("", params), params)
    return list(found.values())


def spread_values(
    dimension: Dimension, *, spacing: Spacing, low: float, high: float, steps: int
) -> list[ParamValue]:
    """Give so many values from low to high, evenly by distance or by factor, each once.

    Parameters
    ----------
    dimension : Float or Int
    spacing : {"linear", "log"}
    low, high : float
        Both ends are among the values.
    steps : int

    Raises
    ------
    ValueError
        The text says what can't be.
    """
    if isinstance(dimension, Choice):
        raise ValueError("A dial with named positions has no range; choose among them.")
    if steps < 1:
        raise ValueError("Give at least one step.")
    if spacing == "log" and min(low, high) <= 0:
        raise ValueError("Steps by factor need both ends above zero.")
    reach = high / low if spacing == "log" else high - low
    if not all(map(math.isfinite, (low, high, reach))):
        raise ValueError(f"Numbers can't hold a range from {low:g} to {high:g}; give {dimension.allowed}.")
    values: list[ParamValue] = []
    for place in range(steps):
        share = place / (steps - 1) if steps > 1 else 0.0
        value = low * reach**share if spacing == "log" else low + share * reach
        # What people would write: three digits tell neighbours apart, and the ends are kept as given.
        inner = 0 < place < steps - 1
        rounded: ParamValue
        if isinstance(dimension, Int):
            rounded = round(value)
        else:
            rounded = float(f"{value:.3g}") if inner else float(f"{value:.12g}")
        if rounded not in values:
            values.append(rounded)
    return values
