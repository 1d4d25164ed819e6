"""Search spaces: the dials of a learner, their ranges, and which of them are in use."""

from __future__ import annotations

import math
import reprlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NotRequired, TypedDict

from automl.engine.errors import UserError
from automl.engine.trial import Params, ParamValue

if TYPE_CHECKING:
    import numpy as np


class Condition(TypedDict):
    """A dial is in use only while the dial ``name`` has one of ``values``."""

    name: str
    values: Sequence[ParamValue]


class DimensionJSON(TypedDict):
    """One dial as the API lists it."""

    name: str
    type: str
    low: float | int | None
    high: float | int | None
    log: bool
    choices: list[ParamValue] | None
    default: ParamValue
    condition: Condition | None
    effect: NotRequired[str]


class InvalidValue(UserError):
    """A hyperparameter that its space does not allow.

    Attributes
    ----------
    field : str
        The hyperparameter that has to be put right.
    """

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


def same_value(left: ParamValue, right: ParamValue) -> bool:
    """Tell whether two values are the same choice: 5 and 5.0 are, 1 and True are not."""
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    return left == right


def _number(name: str, value: object, allowed: str) -> float:
    # Compared, because isfinite() fails for a whole number beyond the range of a float.
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not -math.inf < value < math.inf:
        raise InvalidValue(name, f"{name} is {reprlib.repr(value)}, which is not a number; give {allowed}.")
    return value


@dataclass(frozen=True, slots=True)
class Float:
    """A dial with a real value.

    Parameters
    ----------
    low, high : float
        Both ends belong to the range.
    default : float
    log : bool
        Equal factors, not equal distances, count the same.
    condition : Condition, optional
        When the dial is in use; always if left out.
    effect : str
        One sentence: what turning the dial up does, the danger included.
    """

    low: float
    high: float
    default: float
    log: bool = False
    condition: Condition | None = None
    effect: str = ""

    def __post_init__(self) -> None:
        if not self.low <= self.default <= self.high or (self.log and self.low <= 0):
            raise ValueError(f"not a range with its default inside: {self}")

    @property
    def allowed(self) -> str:
        """The range in words."""
        return f"a number from {self.low:g} to {self.high:g}"

    def at(self, position: float) -> ParamValue:
        """Give the value at a position from 0 (low) to 1 (high)."""
        if self.log:
            value = math.exp(math.log(self.low) + position * math.log(self.high / self.low))
        else:
            value = self.low + position * (self.high - self.low)
        # Twelve digits, so that the same position is the same value on every libm.
        return min(max(float(f"{value:.12g}"), self.low), self.high)

    def position(self, value: ParamValue) -> float:
        """Give the position of a value from 0 to 1; the inverse of `at`."""
        if self.low == self.high:
            return 0.0
        number = float(value)  # type: ignore[arg-type]
        if self.log:
            return math.log(number / self.low) / math.log(self.high / self.low)
        return (number - self.low) / (self.high - self.low)

    def check(self, name: str, value: object) -> ParamValue:
        """Return the value as the learner gets it, or raise `InvalidValue`."""
        number = _number(name, value, self.allowed)
        if not self.low <= number <= self.high:
            raise InvalidValue(name, f"{name} is {reprlib.repr(value)}; give {self.allowed}.")
        return float(number)

    def levels(self, resolution: int) -> list[ParamValue]:
        """Give at most ``resolution`` values, evenly spread, both ends included."""
        if resolution == 1 or self.low == self.high:
            return [self.default]
        return [self.at(step / (resolution - 1)) for step in range(resolution)]


@dataclass(frozen=True, slots=True)
class Int:
    """A dial with a whole value; the parameters are those of `Float`."""

    low: int
    high: int
    default: int
    log: bool = False
    condition: Condition | None = None
    effect: str = ""

    def __post_init__(self) -> None:
        if not self.low <= self.default <= self.high or (self.log and self.low <= 0):
            raise ValueError(f"not a range with its default inside: {self}")

    @property
    def allowed(self) -> str:
        """The range in words."""
        return f"a whole number from {self.low} to {self.high}"

    def at(self, position: float) -> ParamValue:
        """Give the value at a position from 0 (low) to 1 (high)."""
        # Half a step is added at both ends, so that the ends are as likely as the middle.
        low, high = self.low - 0.499, self.high + 0.499
        value = low * (high / low) ** position if self.log else low + position * (high - low)
        return min(max(round(value), self.low), self.high)

    def position(self, value: ParamValue) -> float:
        """Give the position of a value from 0 to 1; the inverse of `at`."""
        low, high, number = self.low - 0.499, self.high + 0.499, float(value)  # type: ignore[arg-type]
        if self.log:
            return math.log(number / low) / math.log(high / low)
        return (number - low) / (high - low)

    def check(self, name: str, value: object) -> ParamValue:
        """Return the value as the learner gets it, or raise `InvalidValue`."""
        number = _number(name, value, self.allowed)
        if number != int(number) or not self.low <= number <= self.high:
            raise InvalidValue(name, f"{name} is {reprlib.repr(value)}; give {self.allowed}.")
        return int(number)

    def levels(self, resolution: int) -> list[ParamValue]:
        """Give at most ``resolution`` values, evenly spread, both ends included."""
        if resolution == 1:
            return [self.default]
        return sorted({self.at(step / (resolution - 1)) for step in range(resolution)})  # type: ignore[type-var]


@dataclass(frozen=True, slots=True)
class Choice:
    """A dial with a few named positions, in no order.

    What is `withdrawn` can still be fitted, as earlier trials were, and is offered no more.
    """

    choices: Sequence[ParamValue]
    default: ParamValue
    condition: Condition | None = None
    effect: str = ""
    withdrawn: Sequence[ParamValue] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "choices", tuple(self.choices))
        if not self.offers(self.default):
            raise ValueError(f"the default is none of the choices: {self}")

    def offers(self, value: object) -> bool:
        """Whether a value is one of the choices."""
        return any(same_value(value, choice) for choice in self.choices)  # type: ignore[arg-type]

    @property
    def allowed(self) -> str:
        """The choices in words."""
        return "one of " + ", ".join(repr(choice) for choice in self.choices)

    def at(self, position: float) -> ParamValue:
        """Give the choice at a position from 0 to 1."""
        return self.choices[min(int(position * len(self.choices)), len(self.choices) - 1)]

    def position(self, value: ParamValue) -> float:
        """Give the middle of the stretch of positions that `at` maps to a value that is offered."""
        index = next(i for i, choice in enumerate(self.choices) if same_value(choice, value))
        return (index + 0.5) / len(self.choices)

    def check(self, name: str, value: object) -> ParamValue:
        """Return the choice, or raise `InvalidValue`."""
        for choice in (*self.choices, *self.withdrawn):
            if same_value(choice, value):  # type: ignore[arg-type]
                return choice
        raise InvalidValue(name, f"{name} is {reprlib.repr(value)}; give {self.allowed}.")

    def levels(self, resolution: int) -> list[ParamValue]:
        """Give all choices: they have no order by which some could be left out."""
        return [self.default] if resolution == 1 else list(self.choices)


Dimension = Float | Int | Choice


class Space:
    """The dials of one learner, in order; a condition may name only a dial before it.

    Parameters
    ----------
    dimensions : mapping of str to Float, Int or Choice

    Examples
    --------
    >>> space = Space({"depth": Int(1, 8, 4), "rate": Float(0.01, 1.0, 0.1, log=True)})
    >>> space.validate({"depth": 5.0})
    {'depth': 5, 'rate': 0.1}
    """

    def __init__(self, dimensions: Mapping[str, Dimension]) -> None:
        seen: set[str] = set()
        for name, dimension in dimensions.items():
            if dimension.condition is not None and dimension.condition["name"] not in seen:
                raise ValueError(f"the condition of {name} names no dial before it")
            seen.add(name)
        self.dimensions: dict[str, Dimension] = dict(dimensions)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Space) and self.to_json() == other.to_json()

    def __hash__(self) -> int:
        return hash(tuple(self.dimensions))

    def __repr__(self) -> str:
        return f"Space({', '.join(self.dimensions)})"

    def is_active(self, name: str, params: Params) -> bool:
        """Tell whether a dial is in use, given the values of the dials before it."""
        condition = self.dimensions[name].condition
        if condition is None:
            return True
        if condition["name"] not in params:
            return False
        return any(same_value(params[condition["name"]], value) for value in condition["values"])

    def default(self) -> dict[str, ParamValue]:
        """Give the defaults of the dials in use."""
        return self.validate({})

    def validate(self, params: Mapping[str, Any]) -> dict[str, ParamValue]:
        """Check values, fill in defaults and drop the dials that are not in use.

        Parameters
        ----------
        params : mapping
            Values by name; a whole number may come as 5.0.

        Returns
        -------
        dict
            In the order of the dimensions.

        Raises
        ------
        InvalidValue
            The text names the field, the value seen and what is allowed.
        """
        for name in params:
            if name not in self.dimensions:
                known = ", ".join(self.dimensions) or "none"
                raise InvalidValue(name, f"{name} is not a hyperparameter here; the known ones are: {known}.")
        values: dict[str, ParamValue] = {}
        for name, dimension in self.dimensions.items():
            # A dial that is out of use is still checked: a typing error should not pass unseen.
            value = dimension.check(name, params[name]) if name in params else dimension.default
            if self.is_active(name, values):
                values[name] = value
        return values

    def clip(self, params: Params) -> dict[str, ParamValue]:
        """Make a configuration made for another table fit: into the range, unknown dials dropped."""
        inside: dict[str, ParamValue] = {}
        for name, dimension in self.dimensions.items():
            if name not in params:
                continue
            value = params[name]
            if isinstance(dimension, Choice):
                inside[name] = value if dimension.offers(value) else dimension.default
            elif isinstance(value, (int, float)):
                inside[name] = min(max(value, dimension.low), dimension.high)
        return self.validate(inside)

    def at(self, positions: Mapping[str, float]) -> dict[str, ParamValue]:
        """Give the configuration at positions from 0 to 1, one for each dial."""
        return self.validate({name: dim.at(positions[name]) for name, dim in self.dimensions.items()})

    def sample(self, rng: np.random.Generator) -> dict[str, ParamValue]:
        """Draw a configuration, evenly on each dial's own scale."""
        return self.at({name: float(rng.random()) for name in self.dimensions})

    def grid_size(self, resolution: int) -> int:
        """Count the positions of the grid, those that `grid_point` skips included."""
        return math.prod(len(dim.levels(resolution)) for dim in self.dimensions.values())

    def grid_point(self, index: int, resolution: int) -> dict[str, ParamValue] | None:
        """Give one position of the grid, or None where it repeats another.

        A dial that is not in use makes positions equal; only the one at its first level counts.
        """
        values: dict[str, ParamValue] = {}
        for name, dimension in self.dimensions.items():
            levels = dimension.levels(resolution)
            index, level = divmod(index, len(levels))
            if self.is_active(name, values):
                values[name] = levels[level]
            elif level:
                return None
        return values

    def grid(self, resolution: int) -> Iterator[dict[str, ParamValue]]:
        """Walk over every combination of ``resolution`` values for each dial, none twice."""
        for index in range(self.grid_size(resolution)):
            point = self.grid_point(index, resolution)
            if point is not None:
                yield point

    def to_json(self) -> list[DimensionJSON]:
        """Give the list that ``GET families/`` shows."""
        rows: list[DimensionJSON] = []
        for name, dim in self.dimensions.items():
            choice = isinstance(dim, Choice)
            condition = dim.condition
            rows.append(
                {
                    "name": name,
                    "type": type(dim).__name__.lower(),
                    "low": None if isinstance(dim, Choice) else dim.low,
                    "high": None if isinstance(dim, Choice) else dim.high,
                    "log": False if isinstance(dim, Choice) else dim.log,
                    "choices": list(dim.choices) if choice else None,  # type: ignore[union-attr]
                    "default": dim.default,
                    "condition": {"name": condition["name"], "values": list(condition["values"])}
                    if condition
                    else None,
                    "effect": dim.effect,
                }
            )
        return rows

    @classmethod
    def from_json(cls, rows: Sequence[Mapping[str, Any]]) -> Space:
        """Rebuild a space from what `to_json` gave."""
        dimensions: dict[str, Dimension] = {}
        for row in rows:
            common = {"condition": row.get("condition"), "effect": row.get("effect", "")}
            if row["type"] == "choice":
                dimensions[row["name"]] = Choice(row["choices"], row["default"], **common)
                continue
            kind = Float if row["type"] == "float" else Int
            dimensions[row["name"]] = kind(
                row["low"], row["high"], row["default"], log=bool(row.get("log")), **common
            )
        return cls(dimensions)
