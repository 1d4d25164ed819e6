"""The formula of every metric as source: what stands in `score(y, p)` of a script."""

from __future__ import annotations

_COUNTS = [
    "counts = np.bincount(y * len(CLASSES) + p.argmax(axis=1), minlength=len(CLASSES) ** 2)",
    "counts = counts.reshape(len(CLASSES), len(CLASSES)).astype(float)  # true ones in rows",
    "right, members, called = counts.diagonal(), counts.sum(axis=1), counts.sum(axis=0)",
]

# Metric: the lines of the function, and what scikit-learn's metrics module has of it.
FORMULAS: dict[str, tuple[list[str], str]] = {
    "roc_auc": (["return roc_auc_score(y, p[:, 1])"], "roc_auc_score"),
    "average_precision": (["return average_precision_score(y, p[:, 1])"], "average_precision_score"),
    "log_loss": (["return -np.log(p[np.arange(len(y)), y]).mean()"], ""),
    "brier": (["return ((p - np.eye(len(CLASSES))[y]) ** 2).sum(axis=1).mean()"], ""),
    "accuracy": (["return (p.argmax(axis=1) == y).mean()"], ""),
    "balanced_accuracy": (
        [*_COUNTS[:2], "right, members = counts.diagonal(), counts.sum(axis=1)",
         "return (right[members > 0] / members[members > 0]).mean()"],
        "",
    ),
    "precision": ([*_COUNTS[:2], "return counts[1, 1] / max(counts[:, 1].sum(), 1)"], ""),
    "recall": ([*_COUNTS[:2], "return counts[1, 1] / max(counts[1].sum(), 1)"], ""),
    "f1": ([*_COUNTS, "return 2 * right[1] / max(members[1] + called[1], 1)"], ""),
    "f1_macro": (
        [*_COUNTS, "there = members + called > 0",
         "return (2 * right[there] / (members + called)[there]).mean()"],
        "",
    ),
    "mcc": (
        [*_COUNTS, "total = counts.sum()",
         "spread = (total**2 - called @ called) * (total**2 - members @ members)",
         "return (right.sum() * total - members @ called) / spread**0.5 if spread > 0 else 0.0"],
        "",
    ),
    "rmse": (["return np.sqrt(((p - y) ** 2).mean())"], ""),
    "mae": (["return np.abs(p - y).mean()"], ""),
    "median_absolute_error": (["return np.median(np.abs(p - y))"], ""),
    "r2": (["return 1 - ((y - p) ** 2).sum() / ((y - y.mean()) ** 2).sum()"], ""),
    "mape": (["return (np.abs(p - y) / np.maximum(np.abs(y), 1e-9)).mean()"], ""),
    "rmsle": (
        ["return np.sqrt(((np.log1p(p.clip(0)) - np.log1p(y.clip(0))) ** 2).mean())"],
        "",
    ),
}  # fmt: skip
