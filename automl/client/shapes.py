"""The JSON that the service answers with, as types."""

from __future__ import annotations

from typing import Any, NotRequired, TypedDict


class Column(TypedDict):
    name: str
    kind: str
    missing: int
    unique: int
    statistics: dict[str, Any]


class Dataset(TypedDict):
    id: str
    name: str
    filename: str
    status: str
    progress: float
    error: str
    rows: int | None
    bytes: int
    sha256: str
    duplicates: int
    warnings: list[str]
    columns: list[Column]
    suggested_target: str
    suggested_task_type: str
    created_at: str


class Preview(TypedDict):
    columns: list[str]
    rows: list[list[Any]]


class LeaderboardRow(TypedDict):
    rank: int | None
    trial: str | None
    ensemble: str | None
    name: str
    family: str
    origin: str
    hyperparameters: dict[str, Any]
    score: float | None
    score_low: float | None
    score_high: float | None
    tied_with_best: bool
    fit_time: float | None
    predict_time: float | None
    size: int | None
    model: str | None


class Insight(TypedDict):
    experiment: str
    family: str | None
    families: dict[str, int]
    importance: dict[str, Any]
    responses: list[dict[str, Any]]
    worth: dict[str, Any]


class Expectation(TypedDict):
    value: float | None
    low: float | None
    high: float | None
    seconds: float


class Trial(LeaderboardRow):
    id: str
    experiment: str
    number: int
    status: str
    attempts: int
    worker: str
    sweep: str | None
    prediction: Expectation | None
    fold_scores: list[float]
    learning_curve: dict[str, Any] | None
    diagnosis: str
    learned: dict[str, Any]
    error: str
    started_at: str | None
    finished_at: str | None


class Sweep(TypedDict):
    id: str
    experiment: str
    family: str
    grid: dict[str, list[Any]]
    base: dict[str, Any]
    combinations: int
    skipped: int
    trials: list[str]
    created_at: str


class Experiment(TypedDict):
    id: str
    name: str
    dataset: str
    target: str
    task_type: str
    metric: str
    search: str
    time_budget: float
    max_trials: int | None
    families: list[str] | None
    ignore_columns: list[str]
    test_dataset: str | None
    seed: int
    seats: int | None
    status: str
    phase: str
    elapsed: float
    progress: float
    trials: dict[str, int]
    best: LeaderboardRow | None
    model: str | None
    rows_learned: int | None
    warnings: list[str]
    error: str
    created_at: str
    started_at: str | None
    finished_at: str | None


class Model(TypedDict):
    id: str
    name: str
    experiment: str
    trial: str | None
    ensemble: str | None
    is_best: bool
    status: str
    error: str
    score: float | None
    metrics: dict[str, Any]
    schema: dict[str, Any]
    files: list[dict[str, Any]]
    sha256: str
    size: int | None
    graph_due: bool
    created_at: str


class Predictions(TypedDict):
    predictions: list[Any]
    classes: NotRequired[list[Any] | None]
    probabilities: NotRequired[list[list[float]] | None]
    intervals: NotRequired[list[list[float]] | None]
    sets: NotRequired[list[list[Any]] | None]


class FilePrediction(TypedDict):
    id: str
    model: str
    filename: str
    bytes: int
    level: float | None
    status: str
    error: str
    rows: int
    progress: float
    seconds: float
    rows_per_second: float | None
    files: dict[str, dict[str, Any]]
    links: dict[str, str | None]
    created_at: str
    finished_at: str | None


class Diagnosis(TypedDict):
    id: str
    experiment: str
    status: str
    error: str
    entries: list[str]
    seconds: float | None
    result: dict[str, Any] | None
    created_at: str
