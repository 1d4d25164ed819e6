"""Diagnostics of probabilities: confusion, ROC, precision and recall, calibration, thresholds, lift."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from automl.engine.diagnostics.figures import short, shorts, thinned
from automl.engine.intervals import Z
from automl.engine.metrics import confusion

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]

# Beyond these a curve or a matrix would not be read: the rest is put together, or left out and counted.
MOST_CURVES, MOST_SHOWN_CLASSES = 30, 40
CURVE_POINTS, POINTS_OF_MANY = 120, 40
BINS = 10
THRESHOLDS = 101
DEPTHS = 20
OTHERS = "(other classes)"
MOST_MISTAKES = 20


def classification(y: Array, p: Array, classes: Sequence[Any], called: Array | None = None) -> dict[str, Any]:
    """Everything about probabilities, as JSON.

    Parameters
    ----------
    y : array of int, shape (rows,)
        Class codes.
    p : array of shape (rows, classes)
        Out-of-fold probabilities.
    classes : sequence
        Labels by code; of two, the second is the positive one.
    called : array of shape (rows, classes), optional
        What labels are decided by, if it is not the probabilities.
    """
    found: dict[str, Any] = {
        "confusion": confusion_matrix(y, p if called is None else called, classes),
        "curves": curves(y, p, classes),
        "calibration": calibration(y, p),
    }
    if len(classes) == 2:
        found["positive"] = classes[1]
        found["thresholds"] = thresholds(y, p[:, 1])
        found["lift"] = lift(y, p[:, 1])
    return found


def confusion_matrix(y: Array, p: Array, classes: Sequence[Any]) -> dict[str, Any]:
    """How often each class was called which, what is taken for what most often, and each class's figures."""
    counts = confusion(y, p)
    right, members, called = counts.diagonal(), counts.sum(axis=1), counts.sum(axis=0)
    by_class = [
        {
            "class": label,
            "rows": int(members[code]),
            "precision": short(right[code] / called[code]) if called[code] else None,
            "recall": short(right[code] / members[code]) if members[code] else None,
            "f1": short(2 * right[code] / max(members[code] + called[code], 1)),
        }
        for code, label in enumerate(classes)
    ]
    shown, labels = counts, list(classes)
    if len(labels) > MOST_SHOWN_CLASSES:
        kept = np.sort(np.argsort(-members, kind="stable")[:MOST_SHOWN_CLASSES])
        shown, labels = _pooled(counts, kept), [*(classes[code] for code in kept), OTHERS]
    wrong = counts - np.diag(right)
    worst = np.argsort(-wrong, axis=None, kind="stable")[:MOST_MISTAKES]
    return {
        "classes": labels,
        "counts": shown.tolist(),
        "by_class": by_class,
        "accuracy": short(right.sum() / max(counts.sum(), 1)),
        "mistakes": [
            {
                "true": classes[i],
                "called": classes[j],
                "rows": int(wrong[i, j]),
                "share": short(wrong[i, j] / members[i]),
            }
            for i, j in zip(*np.unravel_index(worst, wrong.shape), strict=True)
            if wrong[i, j]
        ],
    }


def _pooled(counts: Array, kept: Array) -> Array:
    """The matrix of some classes, with all others as one."""
    place = np.full(len(counts), len(kept))
    place[kept] = np.arange(len(kept))
    pooled = np.zeros((len(kept) + 1, len(kept) + 1), dtype=counts.dtype)
    np.add.at(pooled, (place[:, None], place[None, :]), counts)
    return pooled


def ranking(is_positive: Array, p: Array) -> tuple[Array, Array, Array]:
    """Falling thresholds, and how many positives and negatives are at or above each."""
    order = np.argsort(-p, kind="stable")
    sorted_p, hits = p[order], np.asarray(is_positive)[order]
    last = np.append(np.flatnonzero(np.diff(sorted_p)), len(p) - 1)
    positives = np.cumsum(hits)[last]
    return sorted_p[last], positives, last + 1 - positives


def roc(is_positive: Array, p: Array) -> tuple[Array, Array, float]:
    """False positive rate, true positive rate, and the area under them."""
    _, tp, fp = ranking(is_positive, p)
    tpr = np.concatenate([[0.0], tp / max(tp[-1], 1)])
    fpr = np.concatenate([[0.0], fp / max(fp[-1], 1)])
    return fpr, tpr, float(np.trapezoid(tpr, fpr))


def precision_recall(is_positive: Array, p: Array) -> tuple[Array, Array, float]:
    """Recall, precision, and the average precision: precision weighted by what each step adds to recall."""
    _, tp, fp = ranking(is_positive, p)
    recall, precision = tp / max(tp[-1], 1), tp / (tp + fp)
    average = float(np.sum(np.diff(recall, prepend=0.0) * precision))
    return recall, precision, average


def curves(y: Array, p: Array, classes: Sequence[Any]) -> dict[str, Any]:
    """ROC and precision-recall: of the positive class, or of each class against the rest with their mean."""
    rows = np.bincount(y, minlength=len(classes))
    codes = [1] if len(classes) == 2 else [code for code in range(len(classes)) if 0 < rows[code] < len(y)]
    areas: dict[int, tuple[float, float]] = {}
    drawn: list[dict[str, Any]] = []
    frequent = set(sorted(codes, key=lambda code: (-rows[code], code))[:MOST_CURVES])
    points = CURVE_POINTS if len(codes) == 1 else POINTS_OF_MANY
    grid = np.linspace(0.0, 1.0, 81) ** 2
    mean_tpr = np.zeros_like(grid)
    for code in codes:
        fpr, tpr, area = roc(y == code, p[:, code])
        recall, precision, average = precision_recall(y == code, p[:, code])
        areas[code] = (area, average)
        mean_tpr += np.interp(grid, fpr, tpr) / len(codes)
        if code in frequent:
            drawn.append(
                {
                    "class": classes[code],
                    "rows": int(rows[code]),
                    "share": short(rows[code] / len(y)),
                    "auc": short(area),
                    "average_precision": short(average),
                    "roc": thinned(fpr, tpr, points),
                    "precision_recall": thinned(recall, precision, points),
                }
            )
    found: dict[str, Any] = {"classes": drawn, "left_out": len(codes) - len(drawn)}
    if len(codes) > 1:
        mean_tpr[0] = 0.0
        found["macro"] = {
            "auc": short(np.mean([area for area, _ in areas.values()])),
            "average_precision": short(np.mean([average for _, average in areas.values()])),
            "roc": thinned(grid, mean_tpr, len(grid)),
        }
    return found


def calibration(y: Array, p: Array) -> dict[str, Any]:
    """How often what was given a probability came true.

    Of two classes it is the positive one's probability; of more, that of the class that was called.
    """
    if p.shape[1] == 2:
        chance, came_true = p[:, 1], np.asarray(y) == 1
    else:
        chance, came_true = p.max(axis=1), p.argmax(axis=1) == y
    place = np.searchsorted(np.linspace(0.0, 1.0, BINS + 1)[1:-1], chance)
    bins, error = [], 0.0
    for number in range(BINS):
        inside = place == number
        count = int(inside.sum())
        if not count:
            continue
        said, happened = float(chance[inside].mean()), float(came_true[inside].mean())
        low, high = wilson(happened, count)
        error += abs(said - happened) * count / len(y)
        bins.append(
            {
                "predicted": short(said),
                "actual": short(happened),
                "low": short(low),
                "high": short(high),
                "rows": count,
            }
        )
    return {"of": "positive" if p.shape[1] == 2 else "called", "bins": bins, "error": short(error)}


def wilson(share: float, count: int) -> tuple[float, float]:
    """The 95 % interval of a share (Wilson 1927), which stays between 0 and 1."""
    spread = Z * np.sqrt(share * (1 - share) / count + Z**2 / (4 * count**2))
    middle, scale = share + Z**2 / (2 * count), 1 + Z**2 / count
    return float(max(0.0, (middle - spread) / scale)), float(min(1.0, (middle + spread) / scale))


def thresholds(y: Array, chance: Array) -> dict[str, Any]:
    """What calling a row positive from each of some 200 thresholds on would have brought."""
    spread = np.quantile(chance, np.linspace(0.0, 1.0, THRESHOLDS)).round(4)
    values = np.unique(np.concatenate([np.linspace(0.0, 1.0, THRESHOLDS).round(4), spread]))
    positive = np.sort(chance[np.asarray(y) == 1])
    negative = np.sort(chance[np.asarray(y) == 0])
    return {
        "positives": len(positive),
        "negatives": len(negative),
        "values": values.tolist(),
        "true_positives": (len(positive) - np.searchsorted(positive, values, side="left")).tolist(),
        "false_positives": (len(negative) - np.searchsorted(negative, values, side="left")).tolist(),
    }


def lift(y: Array, chance: Array) -> dict[str, Any]:
    """The share of all positives among the rows ranked first, and how many times chance that is."""
    _, tp, fp = ranking(np.asarray(y) == 1, chance)
    depth = np.linspace(0.0, 1.0, DEPTHS + 1)[1:]
    reached = np.interp(depth * len(y), np.append(0, tp + fp), np.append(0, tp)) / max(tp[-1], 1)
    return {"depth": shorts(depth), "gain": shorts(reached), "lift": shorts(reached / depth)}
