"""How good a model is and what it must not be used for, in plain words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from automl.engine.metrics import METRICS
from automl.engine.model_card.document import Code, Strong, Text
from automl.engine.model_card.evidence import Evidence

FEW_ROWS = 1_000
# A class that is found less often than this is one to be warned of.
SELDOM_FOUND = 0.5
# A column that holds this share of all importance may give the answer away.
DOMINANT = 0.6
POOR_CALIBRATION = 0.08
MOST_WARNED = 3
LONGEST = 40

LEVELS = (
    (0.10, "hardly better than guessing"),
    (0.35, "somewhat better than guessing"),
    (0.70, "clearly better than guessing"),
    (1.01, "far better than guessing"),
)


def shortened(text: str, most: int = LONGEST) -> str:
    """A text that is cut where it is too long."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


def number(value: float | None) -> str:
    """A figure as people read it: no more digits than matter."""
    if value is None:
        return "not known"
    size = abs(value)
    if size >= 1_000:
        return f"{value:,.0f}"
    return f"{value:.4g}" if size >= 1e-4 or size == 0 else f"{value:.2e}"


def share(value: float) -> str:
    """A share as a percentage; never rounded to all or nothing."""
    percent = 100 * value
    digits = 1 if 99 < percent < 100 or 0 < percent < 1 else 0
    return f"{percent:.{digits}f}\u00a0%"


def gained(metric: str, value: float, constant: float | None) -> float | None:
    """Which part of the way from guessing to perfect a model goes; None where there is no such way."""
    if constant is None:
        return None
    known = METRICS[metric]
    perfect = 1.0 if known.higher_is_better else 0.0
    if abs(perfect - constant) < 1e-12:
        return None
    if metric == "rmse":
        # Its square is what adds up: this is the share of the variance that is explained.
        return max(1.0 - (value / constant) ** 2, 0.0)
    return max((value - constant) / (perfect - constant), 0.0)


def verdict(metric: str, value: float, constant: float | None) -> str:
    part = gained(metric, value, constant)
    if part is None:
        return ""
    return next(words for most, words in LEVELS if part < most)


def how_good(
    metric: str, found: Mapping[str, float], evidence: Evidence, schema: Mapping[str, Any]
) -> list[Text]:
    """Sentences on how good it is, beside what guessing would come to."""
    sentences: list[Text] = []
    value, low, high = found["value"], found["low"], found["high"]
    target = Code(str(schema["target"]))
    if evidence.accuracy is not None and evidence.commonest is not None:
        sentences.append(
            (
                "It names the right class of ",
                target,
                " for ",
                Strong(share(evidence.accuracy)),
                " of rows that it had not seen; always naming the commonest class would be right for "
                f"{share(evidence.commonest)}.",
            )
        )
    sentences += _called(metric, schema)
    if metric == "roc_auc":
        sentences.append(
            f"Shown one row of each class, it gives the higher probability to the right one "
            f"{share(value)} of the time ({share(low)} to {share(high)}); a coin would half of the time."
        )
    elif evidence.regression is not None:
        sentences += _numbers(evidence, target)
    known = METRICS[metric]
    direction = "higher is better" if known.higher_is_better else "lower is better"
    against = (
        ""
        if evidence.constant is None
        else f" The same guess for every row comes to {number(evidence.constant)}."
    )
    sentences.append(
        (
            f"By {known.label}, by which it was chosen ({direction}), it comes to ",
            Strong(number(value)),
            f"; with another sample of such rows that could be between {number(low)} and {number(high)}, "
            f"19 times of 20.{against}",
        )
    )
    if words := verdict(metric, value, evidence.constant):
        sentences.append(("Taken together it is ", Strong(words), "."))
    return sentences


def _called(metric: str, schema: Mapping[str, Any]) -> list[Text]:
    """What a row is called, where that is not the likeliest class."""
    factors, best = schema.get("label_factors"), METRICS[metric].label
    if not factors:
        return []
    if len(factors) > 2:
        factors_are = "The class that it names is the one whose probability, times a factor, is largest: "
        return [(factors_are, Code("label_factors"), f" of schema.json, by which {best} is best.")]
    called = Code(shortened(str(schema["classes"][1])))
    from_on = Strong(share(factors[0] / sum(factors)))
    return [("It calls a row ", called, " from a probability of ", from_on, f" on, where {best} is best.")]


def _numbers(evidence: Evidence, target: Code) -> list[Text]:
    assert evidence.regression is not None
    error = number(evidence.regression["median_error"])
    return [
        (
            "Half of its predictions of ",
            target,
            " are within ",
            Strong(error),
            " of the truth, in the target's own unit, on rows that it had not seen.",
        )
    ]


def limits(metric: str, found: Mapping[str, float], evidence: Evidence) -> list[Text]:
    """What it must not be used for, and what to be careful of; what this very model shows comes first."""
    told: list[Text] = []
    known = METRICS[metric]
    worse = found["low"] if known.higher_is_better else found["high"]
    part = gained(metric, worse, evidence.constant)
    if part is not None and part <= 0.0:
        told.append(
            (Strong("It may be no better than guessing:"), " its interval reaches what guessing comes to. "
             "Do not rely on it.")
        )  # fmt: skip
    if evidence.rows < FEW_ROWS:
        told.append(
            f"It learned from few rows ({evidence.rows:,}): its figures are rough, and it has hardly seen "
            "rare cases."
        )
    told += _weak_classes(evidence)
    told += _dominant(evidence)
    if evidence.calibration and evidence.calibration["error"] > POOR_CALIBRATION:
        off = share(evidence.calibration["error"])
        told.append(f"Its probabilities are off by {off} on average: use them to rank rows, not as chances.")
    told += [
        "It is for rows like those that it learned from. Where the source, the way of measuring or the time "
        "is another it can be wrong, and the figures here do not show it: go on comparing its predictions "
        "with what happened.",
        "It finds what goes along with the target, not what causes it: changing a column in the world need "
        "not change the outcome as the model says.",
        "It must not decide about people alone. Whether it treats groups alike was not examined here.",
    ]
    return told


def _weak_classes(evidence: Evidence) -> list[Text]:
    if evidence.confusion is None:
        return []
    weak = [
        found
        for found in evidence.confusion["by_class"]
        if found["rows"] and found["recall"] is not None and found["recall"] < SELDOM_FOUND
    ]
    weak.sort(key=lambda found: -found["rows"])
    told: list[Text] = [
        (
            "Class ",
            Code(str(found["class"])),
            f" is found in only {share(found['recall'])} of its {found['rows']:,} rows.",
        )
        for found in weak[:MOST_WARNED]
    ]
    if len(weak) > MOST_WARNED:
        told.append(f"{len(weak) - MOST_WARNED:,} more classes are found in less than half of their rows.")
    return told


def _dominant(evidence: Evidence) -> Sequence[Text]:
    columns = evidence.importance.columns
    total = sum(max(found.loss, 0.0) for found in columns)
    if len(columns) < 3 or total <= 0 or columns[0].loss < DOMINANT * total:
        return []
    return [
        (
            "It leans on ",
            Code(columns[0].column),
            f" for {share(columns[0].loss / total)} of what it knows. Make sure that this is known at the "
            "time of predicting, and is not the answer in another form.",
        )
    ]
