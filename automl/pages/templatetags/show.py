"""How figures are written for people."""

from __future__ import annotations

import math
from typing import Any

from django import template

from automl.engine.diagnosis import tag_of
from automl.engine.glossary import label_of
from automl.engine.learners import LEARNERS
from automl.engine.metrics import METRICS
from automl.engine.response import told

register = template.Library()
NOTHING = "\N{EN DASH}"
ORIGINS = {"manual": "by you"}


@register.filter
def score(value: Any) -> str:
    """Four digits that matter, also for a score of 0.00012 or 31415.9."""
    if not isinstance(value, int | float) or not math.isfinite(value):
        return NOTHING
    if value and abs(value) < 0.001:
        return f"{value:.7f}" if abs(value) >= 0.0001 else f"{value:.3e}"
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.4f}" if abs(value) < 10 else f"{value:.4g}"


def fixed(value: float | None, largest: float) -> str:
    """A number among others: with the decimals that the largest of them needs for three digits."""
    if value is None:
        return NOTHING
    decimals = min(max(2 - math.floor(math.log10(largest)), 0), 9) if largest > 0 else 0
    # What is rounded to nothing has no sign.
    return f"{round(value, decimals) + 0.0:,.{decimals}f}".replace("-", "\N{MINUS SIGN}")


@register.filter
def correlation(value: Any) -> str:
    """From -1 to 1, to three decimals: finer ones mean nothing."""
    return fixed(value, 0.1) if isinstance(value, int | float) and math.isfinite(value) else NOTHING


@register.filter
def seconds(value: Any) -> str:
    """A duration: 8 ms, 1.5 s, 2 min 05 s, 3 h 20 min. Whole numbers stay whole: 5 is 5 s, 5.0 is 5.0 s."""
    if not isinstance(value, int | float) or not math.isfinite(value):
        return NOTHING
    if not value or (isinstance(value, int) and value < 10):
        return f"{value:.0f} s"
    if value < 0.9995:
        return f"{value * 1000:.0f} ms" if value >= 0.001 else "< 1 ms"
    if value < 9.95:
        return f"{value:.1f} s"
    whole = round(value)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s" if whole % 60 else f"{whole // 60} min"
    minutes = round(whole / 60)
    return f"{minutes // 60} h {minutes % 60:02d} min" if minutes % 60 else f"{minutes // 60} h"


@register.filter
def size(value: Any) -> str:
    """A number of bytes; a kB is 1024 of them, as in the limits that services name."""
    if not isinstance(value, int | float):
        return NOTHING
    amount = float(value)
    for unit in ("B", "kB", "MB"):
        if amount < 1024:
            return f"{amount:.0f} {unit}" if unit == "B" or amount >= 100 else f"{amount:.1f} {unit}"
        amount /= 1024
    return f"{amount:.1f} GB"


@register.filter
def number(value: Any) -> str:
    """An amount, with separators for thousands; fractions to four digits."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return NOTHING if value is None else str(value)
    if isinstance(value, int):
        return f"{value:,}"
    if not math.isfinite(value):
        return NOTHING
    return (f"{value:,.0f}" if abs(value) >= 1_000 else f"{value:.4g}").replace("-", "\N{MINUS SIGN}", 1)


@register.filter
def amount(value: float) -> str:
    """A rate or another large number, to three digits: 41,300."""
    digits = len(str(int(abs(value)))) - 3
    return f"{round(value, -digits):,.0f}" if digits > 0 else f"{value:.3g}"


@register.filter
def cell(value: Any) -> str:
    """A value of a table's cell; what is missing is marked by the template."""
    return f"{value:.10g}" if isinstance(value, float) else str(value)


@register.filter
def learned(value: Any) -> str:
    """A learned parameter: a number, or the first of many."""
    if isinstance(value, list):
        shown = ", ".join(_entry(item) for item in value[:8])
        return f"{shown}, … ({len(value)} in all)" if len(value) > 8 else shown
    if isinstance(value, dict):
        return ", ".join(f"{name}: {learned(item)}" for name, item in value.items())
    return number(value)


def _entry(item: Any) -> str:
    """A pair is read as one thing."""
    if isinstance(item, list):
        return " ".join(learned(part) for part in item)
    return learned(item)


@register.filter
def dial_value(text: Any) -> str:
    """A dial's value as a form has it, short enough to read."""
    try:
        return f"{float(text):.4g}"
    except ValueError:
        return words(text)


@register.filter
def family(key: str) -> str:
    """A family's name for people."""
    return LEARNERS[key].label if key in LEARNERS else str(key).capitalize()


@register.filter
def origin(name: str) -> str:
    """Who asked for a trial, for people."""
    return ORIGINS.get(name, str(name))


@register.filter
def metric(name: str) -> str:
    """A metric's name for people; nothing while it is not chosen."""
    return METRICS[name].label if name in METRICS else NOTHING


@register.filter
def words(value: Any) -> str:
    """A key as words: `learning_rate` is read as learning rate."""
    return str(value).replace("_", " ")


@register.filter
def sentence(label: str) -> str:
    """A label that others wrote In Capitals, as we write ours."""
    first, *rest = str(label).split(" ")
    return " ".join([first, *(word.lower() if word.istitle() else word for word in rest)])


@register.filter
def percent(value: Any) -> int:
    """A share from 0 to 1 as whole per cent."""
    return round(float(value) * 100)


@register.filter
def share(value: float) -> str:
    """A share from 0 to 1 for people: what is little is not nothing, what is nearly all is not all."""
    if 0 < value < 0.005:
        return "< 1 %"
    if 0.995 <= value < 1:
        return "> 99 %"
    return f"{value:.0%}".replace("%", " %")


@register.filter
def one_decimal(value: float) -> str:
    """A share from 0 to 1 where a tenth of a per cent matters."""
    return f"{value:.1%}".replace("%", " %")


@register.filter
def dial(value: Any) -> str:
    """A hyperparameter's value, as briefly as it can be read."""
    return told(value)


@register.filter
def called(name: str, family: str) -> str:
    """A dial of a family by the name that people have for it."""
    return label_of(family, name)


@register.filter
def finding(diagnosis: str) -> str:
    """A diagnosis in the few words that a row has room for."""
    return tag_of(diagnosis)


@register.filter
def shape(value: Any) -> str:
    """Sizes of a table of numbers, as a product; of several tables one after the other."""
    if isinstance(value, list) and value and all(isinstance(each, list) for each in value):
        return ", ".join(shape(each) for each in value)
    if not isinstance(value, list):
        return learned(value)
    return " \N{MULTIPLICATION SIGN} ".join(f"{each:,}" for each in value)


@register.filter
def signed(value: Any) -> str:
    """A difference, with its sign."""
    if not isinstance(value, int | float) or not math.isfinite(value):
        return NOTHING
    sign, size = "+" if value > 0 else "\N{MINUS SIGN}" if value < 0 else "", abs(value)
    if 1e-7 < size < 0.001:
        # Two digits that matter, written out: nobody compares powers of ten with a glance.
        return f"{sign}{size:.{1 - math.floor(math.log10(size))}f}"
    return sign + score(size)


@register.filter
def magnitude(value: float) -> float:
    """A difference without its sign."""
    return abs(value)


@register.filter
def explanation(diagnosis: str) -> str:
    """What a diagnosis says after its finding."""
    return diagnosis.partition(". ")[2]
