"""From the columns of a table to the encoded matrix, as `inference.Encoder` makes it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from automl.engine.inference import Encoder
from automl.engine.inference.encoder import LARGEST, code_of_unknown, is_code
from automl.engine.inference.onnx_model import BLANK
from automl.engine.onnx.graph import DOUBLE, FLOAT, INT64, ML, STRING, Graph, Port, Unsupported
from automl.engine.onnx.texts import add_text

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]

ROWS = "rows"
DAY_MICROSECONDS = 86_400_000_000
# Days from 0000-03-01, with which the years of a calendar are reckoned, to 1970-01-01.
EPOCH = 719_468


# Names of the graph's outputs, which no input may have.
TAKEN = ("probabilities", "label", "prediction", "")


def describe_inputs(schema: Mapping[str, Any]) -> list[dict[str, str]]:
    """What the graph's inputs are, one for each column: number, category, code, days or words.

    An input is named as its column, unless that is the name of an output.
    """
    return [
        {"column": name, "type": _type_of(column), "name": input_name(name)}
        for column in schema["columns"]
        for name in [column["name"]]
    ]


def _type_of(column: Mapping[str, Any]) -> str:
    kinds = {"numeric": "number", "datetime": "days", "text": "words"}
    return kinds.get(column["kind"], "code" if is_code(column) else "category")


def input_name(column: str) -> str:
    """The name of a column's input."""
    return f"column {column}" if column in TAKEN else column


def input_ports(schema: Mapping[str, Any]) -> list[Port]:
    """The graph's inputs; a text is a row of words, of which there are as many as in the longest."""
    ports = []
    for found, column in zip(describe_inputs(schema), schema["columns"], strict=True):
        kind = DOUBLE if found["type"] in ("number", "days") else STRING
        width: int | str = f"words of {found['column']}" if found["type"] == "words" else 1
        if found["type"] == "code":
            width = 1 + len(column.get("labels", ())) + column.get("numbers", 0)
        ports.append(Port(found["name"], kind, (ROWS, width)))
    return ports


def add_columns(graph: Graph, encoder: Encoder) -> str:
    """Add the encoding of all columns; the matrix is float32 of shape (rows, features)."""
    columns = encoder.schema["columns"]
    plain = [column["name"] for column in columns if column["kind"] == "numeric"]
    blocks = [_numbers(graph, plain)] if plain else []
    places = {name: [place] for place, name in enumerate(plain)}
    width = len(plain)
    for column in columns:
        if column["kind"] == "numeric":
            continue
        if column["kind"] == "datetime":
            block, count = _date(graph, column), len(column["parts"])
        elif column["kind"] == "text":
            if "decimals" not in column:
                raise Unsupported(
                    f"the words of {column['name']!r} were prepared by an earlier release, whose numbers no "
                    "graph gives to the last digit; start the experiment again"
                )
            texts = encoder.texts[column["text"]]
            block, count = add_text(graph, input_name(column["name"]), texts, column)
        elif is_code(column):
            block, count = _code(graph, column, encoder)
        else:
            block, count = _category(graph, input_name(column["name"]), column, encoder), 1
        blocks.append(block)
        places[column["name"]] = list(range(width, width + count))
        width += count
    wanted = [place for column in columns for place in places[column["name"]]]
    joined = graph.concat(blocks)
    return joined if wanted == list(range(width)) else graph.take(joined, wanted)


def _numbers(graph: Graph, names: Sequence[str]) -> str:
    """Numbers as 32 bits; what is not finite is missing."""
    value = graph.concat([input_name(name) for name in names])
    endless = graph.add("IsInf", value)
    found = graph.add("Where", endless, graph.constant(np.nan, np.float64), value)
    limits = (graph.constant(side * float(LARGEST), np.float64) for side in (-1.0, 1.0))
    return graph.cast(graph.add("Clip", found, *limits), FLOAT)


def _category(graph: Graph, levels: str, column: Mapping[str, Any], encoder: Encoder) -> str:
    lookup = encoder.lookup(column["name"])
    word = encoder.word_of_missing(dict(column))
    known = lookup if word is None else {**lookup, "": lookup[word]}
    return _look_up(graph, levels, known, code_of_unknown(column, column["categories"]), encoder)


def _look_up(graph: Graph, levels: str, lookup: Mapping[str, int], unknown: float, encoder: Encoder) -> str:
    marks = [] if np.isnan(unknown) else [*encoder.schema["missing_values"], "", BLANK]
    codes = dict.fromkeys(marks, float("nan")) | {level: float(code) for level, code in lookup.items()}
    return graph.add(
        "LabelEncoder",
        levels,
        domain=ML,
        keys_strings=list(codes),
        values_floats=list(codes.values()),
        default_float=unknown,
    )


def _code(graph: Graph, column: Mapping[str, Any], encoder: Encoder) -> tuple[str, int]:
    """A level, the numbers in it, and what else it is told by; and how many columns that is.

    Its input has the level, its labels, and the numbers as text: no graph finds them.
    """
    cells, numbers, labels = input_name(column["name"]), column.get("numbers", 0), column.get("labels", {})
    blocks = [_category(graph, graph.take(cells, [0]), column, encoder)]
    if numbers:
        last = graph.take(cells, range(1 + len(labels), 1 + len(labels) + numbers))
        blocks.append(graph.cast(graph.cast(last, DOUBLE), FLOAT))
    for place, lookup in enumerate(encoder.label_lookups(column["name"]), start=1):
        unknown = code_of_unknown(column, lookup)
        blocks.append(_look_up(graph, graph.take(cells, [place]), lookup, unknown, encoder))
    return graph.concat(blocks), 1 + numbers + len(labels)


def _date(graph: Graph, column: Mapping[str, Any]) -> str:
    """The parts of a date, from days since 1970; a missing one has none."""
    days = input_name(column["name"])
    missing = graph.add("IsNaN", days)
    known = graph.add("Where", missing, graph.constant(0.0, np.float64), days)
    # A day as a fraction is exact to less than a microsecond, in which times are told.
    ticks = graph.add("Round", graph.add("Mul", known, graph.constant(float(DAY_MICROSECONDS), np.float64)))
    whole = _Whole(graph)
    moment = graph.cast(ticks, INT64)
    date = whole.floor(moment, DAY_MICROSECONDS)
    parts = {"days": days, **_calendar(graph, whole, date)}
    second = whole.rest(moment, date, DAY_MICROSECONDS)
    hour = whole.floor(second, DAY_MICROSECONDS // 24)
    minute = whole.floor(whole.rest(second, hour, DAY_MICROSECONDS // 24), 60_000_000)
    share = graph.add("Div", graph.cast(minute, DOUBLE), graph.constant(60.0, np.float64))
    parts["hour"] = graph.add("Add", graph.cast(hour, DOUBLE), share)
    chosen = [
        parts[name] if name in ("days", "hour") else graph.cast(parts[name], DOUBLE)
        for name in column["parts"]
    ]
    found = graph.cast(graph.concat(chosen), FLOAT)
    return graph.add("Where", missing, graph.constant(np.nan, np.float32), found)


class _Whole:
    """Arithmetic of whole numbers in a graph."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph

    def number(self, value: int) -> str:
        return self._graph.constant(value, np.int64)

    def add(self, first: str, second: str | int) -> str:
        other = self.number(second) if isinstance(second, int) else second
        return self._graph.add("Add", first, other)

    def times(self, first: str, factor: int) -> str:
        return self._graph.add("Mul", first, self.number(factor))

    def floor(self, value: str, divisor: int) -> str:
        """Divide, and round down: the graph's own division rounds towards zero."""
        rest = self._graph.add("Mod", value, self.number(divisor))
        return self._graph.add("Div", self._graph.add("Sub", value, rest), self.number(divisor))

    def rest(self, value: str, times: str, divisor: int) -> str:
        return self._graph.add("Sub", value, self.times(times, divisor))


def _calendar(graph: Graph, whole: _Whole, date: str) -> dict[str, str]:
    """Year, month, day and weekday of a number of days since 1970.

    Years are reckoned from March on, in eras of 400 years, so that the odd day comes last.
    """
    shifted = whole.add(date, EPOCH)
    era = whole.floor(shifted, 146_097)
    in_era = whole.rest(shifted, era, 146_097)
    leaps = whole.add(
        whole.floor(in_era, 36_524),
        graph.add("Neg", whole.add(whole.floor(in_era, 1_460), whole.floor(in_era, 146_096))),
    )
    year = whole.floor(whole.add(in_era, leaps), 365)
    before = whole.add(whole.times(year, 365), graph.add("Sub", whole.floor(year, 4), whole.floor(year, 100)))
    in_year = graph.add("Sub", in_era, before)
    third = whole.floor(whole.add(whole.times(in_year, 5), 2), 153)
    ended = whole.floor(whole.add(whole.times(third, 153), 2), 5)
    day = whole.add(graph.add("Sub", in_year, ended), 1)
    is_late = graph.add("GreaterOrEqual", third, whole.number(10))
    month = whole.add(third, graph.add("Where", is_late, whole.number(-9), whole.number(3)))
    calendar_year = whole.add(whole.add(year, whole.times(era, 400)), graph.cast(is_late, INT64))
    weekday = graph.add("Mod", whole.add(date, 3), whole.number(7))
    return {"year": calendar_year, "month": month, "day": day, "weekday": weekday}
