"""Charts of a card, each with the same figures as a table."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from automl.engine.intervals import Z
from automl.engine.metrics import Metric
from automl.engine.model_card import charts
from automl.engine.model_card.document import Block, Chart, Code, Items, Paragraph, Table, Text
from automl.engine.model_card.evidence import Evidence
from automl.engine.model_card.words import number, share

MOST_BARS, MOST_MATRIX, MOST_MISTAKES = 12, 10, 5
TICKS = 5
# What came of fewer rows than these is chance: it is in the table, and not drawn.
LEAST_POINT_ROWS = 5


def importance(evidence: Evidence, metric: Metric) -> list[Block]:
    """Bars of what each column is worth."""
    found = evidence.importance
    columns = found.columns[:MOST_BARS]
    if not columns:
        return [Paragraph("How much each column is worth was not measured.")]
    # All with as many decimals as the first needs: what is less than that is nothing beside it.
    most = max(abs(columns[0].loss), 1e-12)
    digits = max(2 - math.floor(math.log10(most)), 0)

    def written(value: float) -> str:
        return f"{round(value, digits) + 0.0:,.{digits}f}"

    bars = [(each.column, each.loss, written(each.loss)) for each in columns]
    rows: list[list[Text]] = [
        [
            Code(each.column),
            written(each.loss),
            f"{written(each.loss - Z * each.error)} to {written(each.loss + Z * each.error)}",
        ]
        for each in columns
    ]
    hidden = len(found.columns) - len(columns)
    title = "What each column is worth"
    caption = (
        f"By how much {metric.label} gets worse when a column's cells are dealt out anew among "
        f"{found.rows:,} of the rows. Columns that say the same share their worth."
        + (f" {hidden:,} more are worth less." if hidden else "")
        + (f" {found.left_out:,} were not measured." if found.left_out else "")
    )
    table = Table(["Column", f"Loss of {metric.label}", "95 % interval"], rows, frozenset({1}))
    return [Chart(title, charts.bars(title, bars), caption, table)]


def rightness(evidence: Evidence) -> list[Block]:
    """What was predicted beside what was true."""
    if evidence.regression is not None:
        return _numbers(evidence.regression)
    blocks: list[Block] = []
    if evidence.confusion is not None:
        blocks += _confusion(evidence.confusion)
    if evidence.calibration is not None:
        blocks.append(_calibration(evidence.calibration))
    return blocks


def _confusion(found: Mapping[str, Any]) -> list[Block]:
    labels, by_class = found["classes"], found["by_class"]
    rows: list[list[Text]] = [
        [Code(str(each["class"])), f"{each['rows']:,}", _share(each["recall"]), _share(each["precision"])]
        for each in sorted(by_class, key=lambda each: -each["rows"])[: 2 * MOST_MATRIX]
    ]
    table = Table(["Class", "Rows", "Found", "Right when named"], rows, frozenset({1, 2, 3}))
    if len(labels) > MOST_MATRIX:
        mistakes: list[Text] = [
            (Code(str(each["true"])), " was called ", Code(str(each["called"])), f" {each['rows']:,} times")
            for each in found["mistakes"][:MOST_MISTAKES]
        ]
        told: list[Block] = [Paragraph("The most frequent mistakes:"), Items(mistakes)] if mistakes else []
        return [table, *told]
    title = "What was called what"
    caption = "Of the rows of each class (across), the share that was given each name (down)."
    return [Chart(title, charts.matrix(title, labels, found["counts"]), caption, table)]


def _share(value: float | None) -> str:
    return "" if value is None else share(value)


def _calibration(found: Mapping[str, Any]) -> Chart:
    of = "the second class" if found["of"] == "positive" else "the class that was named"
    points = [
        (each["predicted"], each["actual"], each["low"], each["high"])
        for each in found["bins"]
        if each["rows"] >= LEAST_POINT_ROWS
    ]
    rows: list[list[Text]] = [
        [
            _share(each["predicted"]),
            _share(each["actual"]),
            f"{share(each['low'])} to {share(each['high'])}",
            f"{each['rows']:,}",
        ]
        for each in found["bins"]
    ]
    title = "Whether probabilities can be believed"
    ticks = [(value, f"{value:.0%}") for value in np.linspace(0.0, 1.0, TICKS)]
    caption = (
        f"How often what was given a probability came true, for {of}. On the dashed line they are the same; "
        f"on average they are {share(found['error'])} apart."
    )
    return Chart(
        title,
        charts.against(title, points, axes=("probability given", "came true"), ticks=ticks),
        caption,
        Table(["Probability", "Came true", "95 % interval", "Rows"], rows, frozenset({0, 1, 3})),
    )


def _numbers(found: Mapping[str, Any]) -> list[Block]:
    groups = found["by_predicted"]
    points = [
        # What is left of a prediction is the truth: the residuals' quantiles turn round.
        (
            each["predicted"],
            each["actual"],
            each["predicted"] - each["high"],
            each["predicted"] - each["low"],
        )
        for each in groups
    ]
    rows: list[list[Text]] = [
        [f"{number(each['from'])} to {number(each['to'])}", number(each["actual"]),
         f"{number(point[2])} to {number(point[3])}", number(each["mean_absolute_error"]),
         f"{each['rows']:,}"]
        for each, point in zip(groups, points, strict=True)
    ]  # fmt: skip
    title = "Predicted and true"
    caption = (
        "Rows in ten groups from the lowest prediction to the highest: what was predicted, what was true on "
        "average, and between which values the truth was for 8 of 10 rows of the group."
    )
    header = ["Predicted", "True on average", "8 of 10 are in", "Mean error", "Rows"]
    return [
        Chart(
            title,
            charts.against(title, points, axes=("predicted", "true"), ticks=_ticks(points)),
            caption,
            Table(header, rows, frozenset({1, 3, 4})),
        )
    ]


def _ticks(points: Sequence[tuple[float, float, float, float]]) -> list[tuple[float, str]]:
    values = np.array(points, dtype=float)
    low, high = float(values.min()), float(values.max())
    if high <= low:
        low, high = low - 0.5, high + 0.5
    step = _round_step((high - low) / (TICKS - 1))
    first = np.floor(low / step) * step
    return [(float(value), number(float(value))) for value in np.arange(first, high + step, step)]


def _round_step(step: float) -> float:
    size = 10.0 ** np.floor(np.log10(step))
    return float(size * next(factor for factor in (1, 2, 2.5, 5, 10) if factor * size >= step * 0.999))
