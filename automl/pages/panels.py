"""A family's dials as controls: what a form shows of each, and what was typed into it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from automl.engine.glossary import Guide, guide
from automl.engine.learners import get_learner
from automl.engine.space import Choice, Dimension, Int, Space, same_value
from automl.engine.trial import Params, ParamValue
from automl.experiments.forecasts import Outlook
from automl.experiments.rows import TrialRow
from automl.pages.templatetags.show import words

NAMES = {True: "yes", False: "no", None: "none"}


@dataclass(frozen=True, slots=True)
class Option:
    """A named position of a dial."""

    value: str
    label: str
    chosen: bool
    is_default: bool
    is_best: bool


@dataclass(frozen=True, slots=True)
class Dial:
    """A dial as the panel shows it; positions on its slider are in per cent."""

    name: str
    guide: Guide
    value: str
    default: str
    best: str
    low: str
    high: str
    log: bool
    whole: bool
    default_at: float
    best_at: float | None
    options: tuple[Option, ...]
    needs: str
    needs_values: str
    needs_words: str
    error: str

    @property
    def id(self) -> str:
        return f"dial-{self.name}"


@dataclass(frozen=True, slots=True)
class Family:
    """A family as the pages offer it, with its best trial so far."""

    key: str
    trials: int
    best: TrialRow | None
    value: float | None
    current: bool
    description: str


def families_of(outlook: Outlook, current: str = "") -> list[Family]:
    """The families that have something to turn."""
    found = []
    for key in outlook.families:
        if outlook.space(key).dimensions:
            best = outlook.best(key)
            found.append(
                Family(
                    key,
                    len(outlook.of(key)),
                    best,
                    outlook.value_of(best.score) if best else None,
                    key == current,
                    get_learner(key).description,
                )
            )
    return found


def panel_of(
    family: str,
    space: Space,
    values: Mapping[str, Any],
    *,
    best: Params | None = None,
    errors: Mapping[str, str] | None = None,
) -> list[Dial]:
    """The dials of a family with these values; what is not among them stands at its default."""
    errors = errors or {}
    best = best or {}
    return [
        _dial(family, name, dimension, values.get(name, dimension.default), best.get(name), errors.get(name))
        for name, dimension in space.dimensions.items()
    ]


def _dial(
    family: str, name: str, dimension: Dimension, value: Any, best: ParamValue, error: str | None
) -> Dial:
    told = guide(family, name, dimension)
    condition = dimension.condition
    needs_values = [encoded(each) for each in condition["values"]] if condition else []
    common: dict[str, Any] = {
        "name": name,
        "guide": told,
        "value": encoded(value),
        "default": encoded(dimension.default),
        "best": encoded(best) if best is not None else "",
        "needs": condition["name"] if condition else "",
        "needs_values": json.dumps(needs_values) if condition else "",
        "needs_words": f"In use only where {words(condition['name'])} is {' or '.join(needs_values)}."
        if condition
        else "",
        "error": error or "",
    }
    if isinstance(dimension, Choice):
        options = tuple(
            Option(
                encoded(choice),
                label_of(choice),
                encoded(choice) == encoded(value),
                same_value(choice, dimension.default),
                best is not None and same_value(choice, best),
            )
            for choice in dimension.choices
        )
        return Dial(
            **common, low="", high="", log=False, whole=False, default_at=0.0, best_at=None, options=options
        )
    inside = best is not None and dimension.low <= float(best) <= dimension.high
    return Dial(
        **common,
        low=encoded(dimension.low),
        high=encoded(dimension.high),
        log=dimension.log,
        whole=isinstance(dimension, Int),
        default_at=place(dimension, dimension.default),
        best_at=place(dimension, best) if inside else None,
        options=(),
    )


def place(dimension: Dimension, value: ParamValue) -> float:
    """Where a value stands on its dial's slider, in per cent: the ends are the ends."""
    low, high = dimension.position(dimension.low), dimension.position(dimension.high)  # type: ignore[union-attr]
    return round(100 * (dimension.position(value) - low) / ((high - low) or 1.0), 2)


def encoded(value: Any) -> str:
    """A value as a form sends it."""
    return value if isinstance(value, str) else json.dumps(value)


def label_of(value: ParamValue) -> str:
    """A value for people."""
    if value is None or isinstance(value, bool):
        return NAMES[value]
    return words(value) if isinstance(value, str) else f"{value:.6g}"


def read_dials(space: Space, form: Mapping[str, Any]) -> dict[str, Any]:
    """What a form says of the dials, not yet checked; a field that is blank keeps its default."""
    found: dict[str, Any] = {}
    for name, dimension in space.dimensions.items():
        text = str(form.get(name, "")).strip()
        if text:
            found[name] = decoded(dimension, text)
    return found


def decoded(dimension: Dimension, text: str) -> Any:
    """The value that a text stands for; what stands for none is left as it is, for the space to refuse."""
    if isinstance(dimension, Choice):
        return next((choice for choice in dimension.choices if encoded(choice) == text), text)
    try:
        number = float(text.replace(",", "."))
    except ValueError:
        return text
    return int(number) if number.is_integer() and isinstance(dimension, Int) else number
