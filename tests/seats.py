"""A seat that answers at once: what a job would have said is given by the test."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from automl.engine.isolation import Outcome

RESULTS: dict[str, dict[str, Any]] = {
    "profile": {
        "rows": 100,
        "duplicates": 0,
        "columns": [{"name": "age", "kind": "numeric", "missing": 0, "unique": 9, "dtype": "int64"}],
        "warnings": [],
        "dialect": {"format": "csv"},
        "suggested_target": "age",
        "suggested_task_type": "regression",
    },
    "prepare": {
        "profile": {
            "rows": 100,
            "numeric": 1,
            "task_type": "binary",
            "classes": 2,
            "cardinalities": [3],
            "categorical": [1],
            "missing_share": 0.0,
            "metric": "roc_auc",
        },
        "classes": ["high", "low"],
        "task_type": "binary",
        "metric": "roc_auc",
        "warnings": ["2 rows have no target and are left out."],
        "folds": 5,
        "repeats": 1,
    },
    "evaluate": {
        "score": 0.9,
        "value": 0.9,
        "score_low": 0.88,
        "score_high": 0.92,
        "fold_scores": [0.9, 0.91, 0.89, 0.9, 0.9],
        "fit_time": 0.5,
        "predict_time": 0.01,
        "size": 1000,
        "learned": {},
        "learning_curve": None,
        "diagnosis": None,
    },
    "diagnose": {"rows": 100},
    "compare": {"rows": 100},
    "package": {
        "score": 0.9,
        "metrics": {"roc_auc": {"value": 0.9, "low": 0.88, "high": 0.92}},
        "schema": {"columns": []},
        "files": [{"name": "predict.py", "size": 10, "sha256": "00"}],
        "sha256": "ab" * 32,
        "size": 1234,
        "graph_due": False,
    },
}


def outcome(status: str = "ok", result: dict[str, Any] | None = None, error: str | None = None) -> Outcome:
    """An outcome with the fields a test does not care about filled in."""
    return Outcome(
        status=status,  # type: ignore[arg-type]
        result=result,
        error=error,
        user_error=False,
        detail="",
        seconds=0.1,
        peak_bytes=1 << 20,
        signal=None,
    )


class FakeSeat:
    """Stands in for `automl.core.seats.run`: jobs end as the test says, and may act in the middle."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.answers: dict[str, Outcome | Callable[..., Outcome]] = {}

    def run(self, job: str, args: dict[str, Any], *, seconds=None, on_report=None, on_tick=None) -> Outcome:
        self.calls.append((job, args))
        answer = self.answers.get(job)
        if callable(answer):
            return answer(args=args, on_report=on_report, on_tick=on_tick)
        if answer is not None:
            return answer
        if job == "blend":
            return outcome(result=_blend(args))
        return outcome(result=RESULTS[job])


def _blend(args: dict[str, Any]) -> dict[str, Any]:
    ids = [trial["id"] for trial in args["trials"]]
    return {
        "weights": dict.fromkeys(ids[:2], 0.5),
        "powers": {},
        "score": 0.95,
        "value": 0.95,
        "score_low": 0.93,
        "score_high": 0.97,
        "size": 2000,
        "predict_time": 0.02,
        "tied": ids[:1],
    }
