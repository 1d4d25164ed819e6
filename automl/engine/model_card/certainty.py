"""How sure single predictions are: what a card says of intervals of numbers and sets of classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from automl.engine.conformal import LEVELS, least_rows
from automl.engine.diagnostics.classification import wilson
from automl.engine.model_card.document import Block, Code, Items, Listing, Paragraph, Strong, Table, Text
from automl.engine.model_card.words import number, share

# The level that is told in words.
USUAL = 0.9
# What was checked on fewer rows than these says little of the rows to come.
FEW_CHECKED = 300
WIDTHS = ("Median width", "Half of it", "A tenth under", "A tenth over")
SIZES = ("Classes in a set", "Just one", "None")

Level = Mapping[str, Any]


def how_sure(uncertainty: Mapping[str, Any], classes: Sequence[Any], rows: int) -> list[Block]:
    """Say in words how far a prediction can be believed.

    Parameters
    ----------
    uncertainty : mapping
        See `automl.engine.conformal.checked`.
    classes : sequence
        None of a number.
    rows : int
        That were judged.
    """
    kind, levels = uncertainty["kind"], uncertainty["levels"]
    if not levels:
        return [Paragraph(_why_none(kind, rows))]
    by_level = {found["level"]: found for found in levels if "coverage" in found}
    if not by_level:
        return [Paragraph(_unchecked(kind, levels))]
    found = by_level.get(USUAL) or by_level[max(by_level)]
    told = _of_intervals(found) if kind == "intervals" else _of_sets(found, len(classes))
    return [Items([*told, *_doubts(found)])]


def _why_none(kind: str, rows: int) -> str:
    what = "between which bounds a number lies" if kind == "intervals" else "which other classes a row may be"
    return (
        f"It does not say {what}: {rows:,} rows are too few to tell. The lowest level, "
        f"{share(LEVELS[0])}, takes {least_rows(kind, LEVELS[0]):,}. Take its predictions without more."
    )


def _unchecked(kind: str, levels: Sequence[Level]) -> str:
    offered = " and ".join(share(found["level"]) for found in levels)
    return (
        f"It gives {kind} that should hold the truth in {offered} of rows, but there were too few rows to "
        "check that on any that did not set them."
    )


def _of_intervals(found: Level) -> list[Text]:
    half = number(found["median_width"] / 2)
    return [
        (
            f"Asked to be {share(found['level'])} sure, it gives an interval for each number. It held the "
            "truth of ",
            Strong(share(found["coverage"])),
            f" of {found['rows']:,} rows that it had not seen.",
        ),
        (
            "Half of these intervals reach no further than about ",
            Strong(half),
            f" to either side, in the target's own unit. Where it errs little they are narrow, where it errs "
            f"much they are wide: a tenth are narrower than {number(found['narrow_width'])} from end to end, "
            f"and a tenth wider than {number(found['wide_width'])}.",
        ),
    ]


def _of_sets(found: Level, classes: int) -> list[Text]:
    told: list[Text] = [
        (
            f"Asked to be {share(found['level'])} sure, it names every class that a row may well be. The "
            "right one was among them for ",
            Strong(share(found["coverage"])),
            f" of {found['rows']:,} rows that it had not seen.",
        ),
        (
            "On average it names ",
            Strong(f"{found['mean_size']:.2f}"),
            f" of {classes:,} classes, and just one for {share(found['single'])} of rows.",
        ),
    ]
    if found["empty"] > 0:
        told.append(
            f"For {share(found['empty'])} of rows it names none: they are unlike those of any class, and "
            "somebody should have a look."
        )
    return told


def _doubts(found: Level) -> list[Text]:
    """What to say where few rows were checked, or another share was held than the one asked for."""
    low, high = wilson(found["coverage"], found["rows"])
    told: list[Text] = []
    if found["rows"] < FEW_CHECKED:
        told.append(
            f"That was checked on few rows ({found['rows']:,}): of many it may hold {share(low)} to "
            f"{share(high)}."
        )
    if high < found["level"]:
        told.append((Strong("It is less sure than it says:"), f" do not count on {share(found['level'])}."))
    return told


def levels_of(uncertainty: Mapping[str, Any], rows: int) -> list[Block]:
    """Give every level that was calibrated, what was found of it, and how to ask for it."""
    kind, levels = uncertainty["kind"], uncertainty["levels"]
    blocks: list[Block] = []
    if levels:
        heading, written = (WIDTHS, _width_cells) if kind == "intervals" else (SIZES, _size_cells)
        header = ["Asked for", "Held the truth", "95 % interval", *heading, "Rows"]
        table = [[share(found["level"]), *_held(found), *written(found), _rows(found)] for found in levels]
        blocks = [
            Table(header, table, frozenset(range(len(header))) - {2}),
            Paragraph(_how_found(kind)),
            *_asking(kind, levels),
        ]
    offered = {found["level"] for found in levels}
    missing = [level for level in LEVELS if level not in offered]
    if missing:
        needed = ", ".join(f"{share(level)} takes {least_rows(kind, level):,}" for level in missing)
        blocks.append(
            Paragraph(f"Levels that are missing take more rows than the {rows:,} judged: {needed}.")
        )
    return blocks


def _held(found: Level) -> list[Text]:
    if "coverage" not in found:
        return ["not checked", ""]
    low, high = wilson(found["coverage"], found["rows"])
    return [f"{found['coverage']:.1%}", f"{low:.1%} to {high:.1%}"]


def _width_cells(found: Level) -> list[Text]:
    if "median_width" not in found:
        return [""] * len(WIDTHS)
    width = found["median_width"]
    return [number(each) for each in (width, width / 2, found["narrow_width"], found["wide_width"])]


def _size_cells(found: Level) -> list[Text]:
    if "mean_size" not in found:
        return [""] * len(SIZES)
    return [f"{found['mean_size']:.2f}", f"{found['single']:.1%}", f"{found['empty']:.1%}"]


def _rows(found: Level) -> str:
    return f"{found['rows']:,}" if "rows" in found else ""


def _how_found(kind: str) -> Text:
    told = {
        "intervals": "Bounds are quantiles of the out-of-fold errors, among predictions of about the same "
        "size; they need not lie evenly around a prediction. ",
        "sets": "A class is in the set where its probability is at least a quantile of those that right "
        "classes had out of fold. ",
    }
    return (
        told[kind] + "Each fold was judged by bounds that the others set; the interval is what chance may "
        "have done to the share that was held (Wilson). The bounds themselves are in ",
        Code("conformal.json"),
        ".",
    )


def _asking(kind: str, levels: Sequence[Level]) -> list[Block]:
    level = next((found["level"] for found in levels if found["level"] == USUAL), levels[-1]["level"])
    columns: tuple[str | Code, ...] = (Code("prediction_set"),)
    method = "predict_set"
    if kind == "intervals":
        columns, method = (Code("prediction_low"), " and ", Code("prediction_high")), "predict_interval"
    return [
        Listing(f"python predict.py --level {level:g} input.csv output.csv"),
        Paragraph(("adds ", *columns, "; from Python ", Code(f"model.{method}(frame, {level:g})"), ".")),
    ]
