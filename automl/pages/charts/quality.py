"""Figures of a diagnosis: what the engine found, as shapes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from automl.pages.charts.figure import Axis, Band, Bar, Dot, Figure, Stroke, axis, brief, figures

HUES = 6
# So many points of a line are read as a table.
TOLD = 20
# Between the values of these there is nothing, so no line.
STEPPED = ("categorical", "boolean")
Found = Mapping[str, Any]


def hue(place: int) -> str:
    """The colour of the nth of several lines."""
    return f"hue-{place % HUES + 1}"


def _rows(count: int) -> str:
    return f"{count:,} row{'' if count == 1 else 's'}"


def points(line: Sequence[Sequence[float]]) -> list[Sequence[float]]:
    """The points of a line for the table beside it: of many some, evenly, with both ends."""
    if len(line) <= TOLD:
        return list(line)
    return [line[round(place * (len(line) - 1) / (TOLD - 1))] for place in range(TOLD)]


def roc(curves: Found) -> list[Figure]:
    """True against false positive rate; the diagonal is chance. Of many classes only their mean is bold."""
    return _ranking(curves, "roc", ("False positive rate", "True positive rate"), [((0, 0), (1, 1))])


def precision_recall(curves: Found) -> list[Figure]:
    """Precision against recall; the flat line is what chance would give."""
    chance = [((0, each["share"]), (1, each["share"])) for each in curves["classes"][:1]]
    only_one = len(curves["classes"]) == 1
    return _ranking(curves, "precision_recall", ("Recall", "Precision"), chance if only_one else [])


def ranking_points(curves: Found) -> list[tuple[str, str, str, list[Sequence[float]]]]:
    """Both curves for tables: a title, what is across and what is up, the points. Of two classes only."""
    if len(curves["classes"]) != 1:
        return []
    (found,) = curves["classes"]
    return [
        ("ROC", "False positive rate", "True positive rate", points(found["roc"])),
        ("Precision and recall", "Recall", "Precision", points(found["precision_recall"])),
    ]


def _ranking(
    curves: Found, key: str, labels: tuple[str, str], chance: Sequence[Sequence[tuple[float, float]]]
) -> list[Figure]:
    several = len(curves["classes"]) > HUES
    lines = [Stroke("Chance", points, "chance") for points in chance]
    lines += [
        Stroke(str(each["class"]), each[key], "faint" if several else hue(place))
        for place, each in enumerate(curves["classes"])
    ]
    if several and key in curves.get("macro", {}):
        lines.append(Stroke("Mean", curves["macro"][key], "hue-1"))
    x, y = (Axis(label, 0.0, 1.0, percent=True) for label in labels)
    return figures(x, y, lines=lines)


def calibration(found: Found) -> list[Figure]:
    """What was said against what happened, with the interval of each group."""
    dots = [
        Dot(
            each["predicted"],
            each["actual"],
            each["low"],
            each["high"],
            f"Said {each['predicted']:.0%}, came true {each['actual']:.0%} of {_rows(each['rows'])}",
        )
        for each in found["bins"]
    ]
    through = [(dot.x, dot.y) for dot in dots]
    x = Axis("Probability that was given", 0.0, 1.0, percent=True)
    y = Axis("Share that came true", 0.0, 1.0, percent=True)
    ideal = Stroke("Perfect", [(0, 0), (1, 1)], "chance")
    return figures(x, y, lines=[ideal, Stroke("Model", through)], dots=dots)


def said(found: Found) -> list[Figure]:
    """How many rows were given which probability."""
    bars = [
        Bar(place / 10, (place + 1) / 10, each["rows"], _rows(each["rows"]))
        for each in found["bins"]
        for place in [min(int(each["predicted"] * 10), 9)]
    ]
    highest = max((bar.height for bar in bars), default=1)
    x = Axis("Probability that was given", 0.0, 1.0, percent=True)
    return figures(x, axis("Rows", [0.0, highest]), bars=bars, height=150)


def gain(lift: Found) -> list[Figure]:
    """The share of all positives among the rows ranked first."""
    points = [(0.0, 0.0), *zip(lift["depth"], lift["gain"], strict=True)]
    x = Axis("Rows, likeliest first", 0.0, 1.0, percent=True)
    y = Axis("Positives among them", 0.0, 1.0, percent=True)
    return figures(x, y, lines=[Stroke("Chance", [(0, 0), (1, 1)], "chance"), Stroke("Model", points)])


def costs(values: Sequence[float], cost: Sequence[float]) -> list[Figure]:
    """The expected cost by threshold, up to the dearest: the browser draws it again as costs change."""
    y = Axis("Cost per 1,000 rows", 0.0, max(*cost, 1e-9))
    line = Stroke("Cost", list(zip(values, cost, strict=True)), "hue-1 cost")
    return figures(Axis("Threshold", 0.0, 1.0), y, lines=[line])


def against_actual(found: Found) -> list[Figure]:
    """Predicted against actual; on the diagonal they are the same."""
    pairs = found["sample"]
    every = [value for pair in pairs for value in pair]
    x = axis("Actual", every, log=found["log"])
    y = Axis("Predicted", x.low, x.high, log=x.log)
    dots = [Dot(actual, predicted, kind="hue-1 small-dot") for actual, predicted in pairs]
    return figures(x, y, lines=[Stroke("Perfect", [(x.low, x.low), (x.high, x.high)], "chance")], dots=dots)


def residuals(found: Found) -> list[Figure]:
    """How far off predictions were, by what was predicted; the band holds four rows in five."""
    groups = found["by_predicted"]
    middle = [each["predicted"] for each in groups]
    x = axis("Predicted", middle, log=found["log"])
    low, high = [each["low"] for each in groups], [each["high"] for each in groups]
    y = axis("Predicted less actual", [*low, *high, 0.0])
    dots = [
        Dot(at, each["bias"], title=f"On average {_off(each['bias'])}, {_rows(each['rows'])}")
        for at, each in zip(middle, groups, strict=True)
    ]
    lines = [
        Stroke("None", [(x.low, 0.0), (x.high, 0.0)], "chance"),
        Stroke("Mean", [(dot.x, dot.y) for dot in dots]),
    ]
    return figures(x, y, lines=lines, bands=[Band(middle, low, high)], dots=dots)


def _off(bias: float) -> str:
    if not bias:
        return "right"
    return f"{brief(abs(bias))} too {'high' if bias > 0 else 'low'}"


def error_bars(histogram: Found) -> list[Figure]:
    """How often predictions were how far off."""
    edges, counts = histogram["edges"], histogram["counts"]
    bars = [
        Bar(start, end, count, f"{brief(start)} to {brief(end)}: {_rows(count)}")
        for start, end, count in zip(edges, edges[1:], counts, strict=False)
    ]
    x = Axis("Predicted less actual", edges[0], edges[-1])
    return figures(x, axis("Rows", [0.0, max(counts)]), bars=bars)


def error_counts(histogram: Found) -> list[tuple[float, float, int]]:
    """The same for a table: from, to, and how many rows."""
    edges, counts = histogram["edges"], histogram["counts"]
    return list(zip(edges, edges[1:], counts, strict=False))


def shows_rows(curve: Found) -> bool:
    """Whether single rows are drawn beside their mean."""
    return len(curve["lines"]) == 1 and curve["kind"] not in STEPPED


def dependence(curve: Found, label: str) -> list[Figure]:
    """How the prediction follows one column: its mean over rows, and where four rows in five lie."""
    named = curve["kind"] != "numeric"
    grid = [float(value) for value in (range(len(curve["grid"])) if named else curve["grid"])]
    several = len(curve["lines"]) > 1
    steps = curve["kind"] in STEPPED
    # Of several lines no band is drawn, which would leave them a strip at the foot.
    keys = ("mean",) if several and not steps else ("low", "high")
    every = [value for line in curve["lines"] for key in keys for value in line[key]]
    if shows_rows(curve):
        every += [value for line in curve["lines"] for each in line["examples"] for value in each]
    y = axis(label, every)
    if named:
        names = ["missing" if value is None else str(value) for value in curve["grid"]]
        x = Axis(curve["column"], 0, len(names) - 1, names=names)
    else:
        by_factors = len(grid) > 3 and grid[0] > 0 and grid[-1] - grid[-2] > 5 * (grid[1] - grid[0])
        whole = all(value == round(value) for value in grid)
        x = Axis(curve["column"], grid[0], grid[-1], log=by_factors, whole=whole)
    lines: list[Stroke] = []
    bands: list[Band] = []
    dots: list[Dot] = []
    for place, line in enumerate(curve["lines"]):
        mean = list(zip(grid, line["mean"], strict=True))
        name = str(line["class"] or "Prediction")
        if steps:
            beside = 0.16 * (place - (len(curve["lines"]) - 1) / 2)
            dots += [
                Dot(at + beside, value, low, high, brief(value), hue(place))
                for (at, value), low, high in zip(mean, line["low"], line["high"], strict=True)
            ]
            continue
        if not several:
            bands.append(Band(grid, line["low"], line["high"], hue(place)))
            examples = line["examples"]
            lines += [Stroke("A row", list(zip(grid, each, strict=True)), "faint") for each in examples]
        lines.append(Stroke(name, mean, hue(place)))
    return figures(x, y, lines=lines, bands=bands, dots=dots, height=230)


def overlaid(series: Sequence[tuple[str, Sequence[float], Sequence[float]]], x: str, y: str) -> list[Figure]:
    """Several lines over each other, each with a colour of its own."""
    xs = [value for _, xs, _ in series for value in xs]
    ys = [value for _, _, ys in series for value in ys]
    lines = [
        Stroke(name, list(zip(xs, ys, strict=True)), hue(place))
        for place, (name, xs, ys) in enumerate(series)
    ]
    return figures(Axis(x, 0.0, max(xs)), axis(y, ys), lines=lines)
