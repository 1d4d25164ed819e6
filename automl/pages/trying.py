"""A form made of a model's columns, what the model says about the row, and what each input does to it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import structlog

from automl.engine.errors import UserError
from automl.engine.inference.encoder import is_code
from automl.engine.learners import stacks
from automl.experiments import serving
from automl.experiments.models import TrainedModel, Trial
from automl.pages import charts
from automl.pages.templatetags.show import NOTHING, number, one_decimal, share, signed

log = structlog.get_logger(__name__)
# More inputs than this nobody fills in: the most important are asked for, the others stay typical.
MOST_INPUTS = 40
MOST_CHOICES = 100
MOST_CLASSES = 12
LONGEST_VALUE = 5_000
# Of the intervals and sets that are shown.
LEVEL = 0.9
# Smaller effects are none: of probabilities, what would be shown as 0; of numbers, what a graph rounds away.
LEAST_SHARE, ROUNDING = 0.0005, 1e-6
MINUS = "\N{MINUS SIGN}"
DAY, MOMENT = "%Y-%m-%d", "%Y-%m-%dT%H:%M"


@dataclass(frozen=True, slots=True)
class Input:
    """One column of the model as a field of the form."""

    key: str
    column: str
    kind: str  # number, choice, list, day, moment, text
    typical: Any  # as the model takes it; None is a missing cell
    shown: str  # the same as the form has it
    choices: tuple[str, ...] = ()
    hint: str = ""
    step: str = "any"
    low: float | None = None
    high: float | None = None
    format: str | None = None


@dataclass(frozen=True, slots=True)
class Filled:
    """An input and what was entered: as text, and as the model takes it."""

    input: Input
    text: str
    value: Any
    fault: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class Effect:
    """What an input does: the prediction less what it would be with the typical value instead."""

    name: str
    entered: str
    typical: str
    amount: float | None
    told: str
    bar: charts.SignedBar


def inputs_of(model: TrainedModel) -> list[Input]:
    """The columns as fields, the most important first as far as that is known."""
    columns = model.schema.get("columns") or []
    profiles = {column["name"]: column for column in model.experiment.dataset.columns}
    order = {name: place for place, name in enumerate(_by_importance(model))}
    found = [
        _input(f"c{place}", column, profiles.get(column["name"], {})) for place, column in enumerate(columns)
    ]
    found.sort(key=lambda each: order.get(each.column, math.inf))
    return found


def _by_importance(model: TrainedModel) -> list[str]:
    trial = model.trial
    if model.ensemble is not None and (weights := model.ensemble.weights):
        members = Trial.objects.filter(id__in=weights).only("family", "learned")
        # What stacked ones lean on most is no column.
        trial = max(
            members,
            key=lambda member: (not stacks(member.family), float(weights[str(member.id)])),
            default=None,
        )
    learned = (trial.learned or {}) if trial else {}
    # Parts of a date are features of their own, called "when: year".
    return list(dict.fromkeys(str(name).split(": ")[0] for name, *_ in learned.get("importance") or []))


def _input(key: str, column: Mapping[str, Any], profile: Mapping[str, Any]) -> Input:
    name, kind = column["name"], column["kind"]
    known = profile.get("statistics") or {}
    if kind == "numeric":
        return _number(key, name, known, whole=profile.get("dtype") == "int64")
    if kind == "datetime":
        return _date(key, column, known)
    typical = _commonest(known)
    levels = [str(level) for level in column.get("categories") or []]
    if levels and typical not in levels:
        typical = levels[0]
    if kind == "text":
        return Input(key, name, "text", typical, typical or "")
    # Of another level the model still knows the numbers and the letters in it.
    is_open = is_code(column)
    form = "choice" if len(levels) <= MOST_CHOICES and not is_open else "list"
    hint = "" if form == "choice" else f"one of {len(levels):,} levels{', or another' if is_open else ''}"
    return Input(key, name, form, typical, typical or "", tuple(levels[:MOST_CHOICES]), hint)


def _number(key: str, name: str, known: Mapping[str, Any], *, whole: bool) -> Input:
    low, high, median = (known.get(each) for each in ("min", "max", "median"))
    typical = median if median is not None else low
    if typical is not None and whole:
        typical = round(typical)
    hint = f"{number(low)} to {number(high)} in training" if low is not None and high is not None else ""
    shown = "" if typical is None else f"{typical:.10g}"
    step = "1" if whole else "any"
    return Input(key, name, "number", typical, shown, hint=hint, step=step, low=low, high=high)


def _date(key: str, column: Mapping[str, Any], known: Mapping[str, Any]) -> Input:
    form = MOMENT if "hour" in column.get("parts", ()) else DAY
    kind = "moment" if form == MOMENT else "day"
    try:
        low, high = (datetime.fromisoformat(str(known[each])) for each in ("min", "max"))
        middle = low + (high - low) / 2
    except (KeyError, ValueError, TypeError):
        return Input(key, column["name"], kind, None, "", format=column.get("format"))
    hint = f"{low:%Y-%m-%d} to {high:%Y-%m-%d} in training"
    typical = _as_trained(middle, column.get("format"))
    shown = middle.strftime(form)
    return Input(key, column["name"], kind, typical, shown, hint=hint, format=column.get("format"))


def _as_trained(moment: datetime, form: str | None) -> str:
    """A date as the training table wrote them."""
    return moment.isoformat() if form in (None, "ISO8601") else moment.strftime(form)


def _commonest(known: Mapping[str, Any]) -> str | None:
    top = known.get("top") or []
    return str(top[0][0]) if top else None


def fill(inputs: list[Input], posted: Mapping[str, str] | None) -> list[Filled]:
    """What was entered; the typical values where nothing was posted."""
    if posted is None:
        return [Filled(each, each.shown, each.typical) for each in inputs]
    return [_filled(each, posted.get(each.key, each.shown)[:LONGEST_VALUE]) for each in inputs]


def _filled(field: Input, text: str) -> Filled:
    if not text.strip():
        return Filled(field, "", None)
    if field.kind == "number":
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            return Filled(field, text, None, fault=f"{text[:40]!r} is not a number.")
        beyond = (field.low is not None and value < field.low) or (
            field.high is not None and value > field.high
        )
        note = f"Training saw {field.hint.removesuffix(' in training')} only." if beyond else ""
        return Filled(field, text, int(value) if value.is_integer() else value, note=note)
    if field.kind in ("day", "moment"):
        try:
            return Filled(field, text, _as_trained(datetime.fromisoformat(text), field.format))
        except ValueError:
            return Filled(field, text, None, fault=f"{text[:40]!r} is not a date such as 2024-05-31.")
    return Filled(field, text, text)


def predict(model: TrainedModel, filled: list[Filled], typical: Mapping[str, Any]) -> dict[str, Any]:
    """What the result shows: the prediction, its probabilities, and the effect of each input.

    One request to the model: the row as it was entered, the typical row, and the row once more for each
    input with the typical value in its place. Columns that no field asks for stay `typical`.
    """
    faults = [f"{each.input.column}: {each.fault}" for each in filled if each.fault]
    if faults:
        return {**nothing_yet(model, filled), "error": " ".join(faults)}
    row = {**typical, **{each.input.column: each.value for each in filled}}
    changed = [{**row, each.input.column: each.input.typical} for each in filled]
    try:
        found = serving.predict_rows(model, [row, typical, *changed], level=level_of(model))
    except UserError as error:
        return {**nothing_yet(model, filled), "error": str(error)}
    except RuntimeError as error:
        # Our fault, and one row's answer: the rest of the page is of use all the same.
        log.exception("row_not_predicted", model=str(model.id), exc_info=error)
        return {**nothing_yet(model, filled), "error": "The model could not answer. It has been logged."}
    labels, probabilities = found["predictions"], found.get("probabilities")
    if probabilities is None:
        values = [_finite(value) for value in labels]
        shown = _shown(model, filled, label=number(labels[0]), values=values)
        return {**shown, "sure": _interval(found)}
    classes = found["classes"]
    place = classes.index(labels[0])
    values = [_finite(each[place]) for each in probabilities]
    pairs = sorted(zip(classes, probabilities[0], strict=True), key=lambda pair: -pair[1])
    shares = pairs if len(classes) > 2 else list(zip(classes, probabilities[0], strict=True))
    shown = _shown(model, filled, label=str(labels[0]), values=values, shares=shares)
    return {**shown, "sure": _set(found)}


def level_of(model: TrainedModel) -> float | None:
    """The level of the intervals or sets that are shown; None where the model has none."""
    levels = serving.levels_of(model)
    return LEVEL if LEVEL in levels else max(levels, default=None)


def _interval(found: Mapping[str, Any]) -> str:
    if "intervals" not in found:
        return ""
    low, high = found["intervals"][0]
    return f"{number(low)} to {number(high)}"


def _set(found: Mapping[str, Any]) -> str:
    if "sets" not in found:
        return ""
    return ", ".join(map(str, found["sets"][0])) or "none of the classes: unlike the rows of either"


def nothing_yet(model: TrainedModel, filled: list[Filled]) -> dict[str, Any]:
    """The result before anything was predicted: as large as it will be, so that nothing moves then."""
    classes = model.schema.get("classes") or []
    shares = [(label, None) for label in classes]
    values: list[float | None] = [None] * (len(filled) + 2)
    return _shown(model, filled, label="", values=values, shares=shares)


def _shown(
    model: TrainedModel,
    filled: list[Filled],
    *,
    label: str,
    values: list[float | None],
    shares: Sequence[tuple[Any, float | None]] = (),
) -> dict[str, Any]:
    here, typical, *without = values
    in_points = bool(shares)
    amounts = [_effect(here, value, in_points=in_points) for value in without]
    largest = max((abs(amount) for amount in amounts if amount is not None), default=0.0)
    effects = [
        Effect(
            name=each.input.column,
            entered=each.text or "missing",
            typical=each.input.shown or "missing",
            amount=amount,
            told=_told(amount, in_points=in_points),
            bar=charts.signed_bar(amount or 0.0, most=largest),
        )
        for each, amount in zip(filled, amounts, strict=True)
    ]
    effects.sort(key=lambda effect: -abs(effect.amount or 0.0))
    shown = shares[:MOST_CLASSES]
    return {
        "label": label,
        "target": model.schema.get("target") or model.experiment.target,
        "of": f"the probability of {label or 'its class'}" if in_points else "the prediction",
        "level": level_of(model),
        "sure": "",
        "typical": NOTHING if typical is None else share(typical) if in_points else number(typical),
        "shares": [(str(name), charts.bar(part or 0.0), _part(part)) for name, part in shown],
        "classes_left_out": len(shares) - len(shown),
        "effects": effects,
        "notes": [f"{each.input.column}: {each.note}" for each in filled if each.note],
    }


def _part(part: float | None) -> str:
    return NOTHING if part is None else one_decimal(part)


def _effect(here: float | None, without: float | None, *, in_points: bool) -> float | None:
    """The difference; nothing of it where it would be shown as 0, or is but rounding."""
    if here is None or without is None:
        return None
    least = LEAST_SHARE if in_points else ROUNDING * max(abs(here), abs(without))
    return here - without if abs(here - without) > least else 0.0


def _told(amount: float | None, *, in_points: bool) -> str:
    if amount is None:
        return NOTHING
    if not amount:
        return "0"
    if not in_points:
        return signed(amount)
    points = f"{abs(100 * amount):.1f}".removesuffix(".0")
    return f"{'+' if amount > 0 else MINUS}{points}"


def _finite(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None
