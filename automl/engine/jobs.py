"""The jobs that run in a process of their own: JSON in, JSON out.

Each is called as ``job(args, report)``. The arguments and results are documented as TypedDicts;
what they import is imported when they run, so that callers may read this module cheaply.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NotRequired, TypedDict

Report = Callable[[dict[str, Any]], str]


class ProfileArgs(TypedDict):
    """An upload to read: paths, the name it came with, and the most bytes it may have unpacked."""

    source: str
    filename: str
    table: str
    max_bytes: int


class PrepareArgs(TypedDict):
    """A table to prepare into the folder `out`; `columns` are profiles as JSON."""

    table: str
    columns: list[dict[str, Any]]
    dialect: dict[str, str]
    target: str
    task_type: str
    metric: str
    ignore_columns: list[str]
    seed: int
    time_budget: NotRequired[float | None]
    out: str


class PrepareResult(TypedDict):
    """What is known after preparation; `profile` is a DataProfile."""

    profile: dict[str, Any]
    classes: list[Any] | None
    task_type: str
    metric: str
    warnings: list[str]
    folds: int
    repeats: int
    features: list[dict[str, Any]]
    seed: int
    drawn: NotRequired[int]  # about so many rows of a large table, see `automl.engine.drawing.draw_rows`


class Base(TypedDict):
    """A complete trial that a stacked one learns from; its folder `dir` lies beside that one's."""

    number: int
    family: str
    params: dict[str, Any]
    dir: str
    seconds: float | None
    size: int | None


class EvaluateArgs(TypedDict):
    """A configuration to fit on all folds; models and predictions go into the new folder `out`.

    Of a family that stacks it learns from `bases` too, see `automl.engine.stacking`.
    """

    prepared: str
    family: str
    params: dict[str, Any]
    seed: int
    metric: str
    threads: int
    out: str
    deadline_seconds: NotRequired[float | None]
    bases: NotRequired[list[Base]]


class EvaluateResult(TypedDict):
    """Scores of a trial; `value`, `score_low` and `score_high` are in the metric's own unit."""

    score: float
    value: float
    score_low: float
    score_high: float
    fold_scores: list[float]
    fit_time: float
    predict_time: float
    size: int
    learned: dict[str, Any]
    learning_curve: dict[str, Any] | None
    diagnosis: str | None


class Candidate(TypedDict):
    """A complete trial and the folder of its predictions and models."""

    id: str
    number: int
    family: str
    params: dict[str, Any]
    dir: str
    score: float
    seconds: float | None
    size: int | None
    weight: NotRequired[float]
    power: NotRequired[float]  # see `automl.engine.inference.combine`


class BlendArgs(TypedDict):
    """Trials to blend, best first, and others that may only be tied; `out` keeps what it is judged by.

    After a short search, by its budget if that is in seconds, members and tests are few; after a long one
    members may be larger. Packaging is to get by with as much memory as blending.
    """

    prepared: str
    metric: str
    seed: int
    trials: list[Candidate]
    memory_bytes: NotRequired[int]
    time_budget: NotRequired[float | None]
    others: NotRequired[list[dict[str, Any]]]  # best first, of each its id and dir
    out: NotRequired[str]


class BlendResult(TypedDict):
    """Weights by trial id, none where the best trial is better than any ensemble; and the ties.

    `score` decides the rank and is at least that of the best trial; `value` and its interval are
    honest: of weights chosen without the rows they are judged by. `powers` are of the members that the mean
    of probabilities is multiplied by, see `automl.engine.inference.combine`.
    """

    weights: dict[str, float]
    powers: dict[str, float]
    score: float
    value: float
    score_low: float
    score_high: float
    size: NotRequired[int]  # bytes of the members' models, what they are based on among them
    predict_time: NotRequired[float]  # of all those, for a thousand rows, in seconds
    gain: NotRequired[float]  # over the best trial, which too was chosen without the rows it is judged by
    tied: list[str]
    untested: NotRequired[int]  # trials, the last of all, that there was no time to hold against the best
    damaged: NotRequired[dict[str, str]]  # by trial id: its predictions are not as they were written


class PackageArgs(TypedDict):
    """Weighted members to package into the ZIP `out`.

    `honest` is the folder of the predictions that an ensemble is judged by, see `BlendArgs`.
    """

    prepared: str
    members: list[Candidate]
    metric: str
    name: str
    experiment: dict[str, Any]
    leaderboard: list[dict[str, Any]]
    test_table: str | None
    out: str
    honest: NotRequired[str | None]
    hurry: NotRequired[bool]  # the end of a search waits for it


class PackageResult(TypedDict):
    """What the bundle holds."""

    score: float
    metrics: dict[str, Any]
    schema: dict[str, Any]
    files: list[dict[str, Any]]
    sha256: str
    size: int
    graph_due: bool  # for want of time it was not tried to write its graph


class PredictArgs(TypedDict):
    """A file of rows to predict with a bundle; the results go into the folder `out`.

    With a level the results tell intervals or sets that hold the truth in this share of rows.
    """

    bundle: str
    source: str
    out: str
    level: NotRequired[float | None]


class PredictResult(TypedDict):
    """How many rows were predicted in how many seconds; by format, `size` and `sha256` of the results."""

    rows: int
    seconds: float
    files: dict[str, dict[str, Any]]


class DiagnoseArgs(TypedDict):
    """A trial, or an ensemble's members and shares, to be diagnosed; `seconds` are for predicting again."""

    prepared: str
    table: str
    members: list[Candidate]
    metric: str
    seconds: float
    honest: NotRequired[str | None]  # as of `PackageArgs`


class DiagnoseResult(TypedDict):
    """What a model gets right and wrong on out-of-fold predictions; each part as its module says.

    `classification` or `regression`, as the task is. `flattered` says that weights were chosen on the same
    rows as they are judged by.
    """

    rows: int
    task_type: str
    metric: str
    classes: list[Any] | None
    metrics: dict[str, Any]
    classification: NotRequired[dict[str, Any]]
    regression: NotRequired[dict[str, Any]]
    importance: dict[str, Any]
    dependence: list[dict[str, Any]]
    worst: dict[str, Any]
    flattered: bool
    seconds: float


class Compared(TypedDict):
    """Something to compare: a trial or an ensemble, and the prepared table it was judged on."""

    id: str
    name: str
    prepared: str
    members: list[Candidate]
    flattered: NotRequired[bool]  # its weights were chosen on the very rows that it is compared on


class CompareArgs(TypedDict):
    """At least two of the same table and target; the first is what the others are held against."""

    table: str
    metric: str
    entries: list[Compared]


class CompareResult(TypedDict):
    """Scores on the rows that all have predicted, paired differences, and where they disagree.

    Pairs are tied where their difference could be luck at 95 %, for all pairs together (Holm 1979).
    """

    rows: int
    task_type: str
    metric: str
    entries: list[dict[str, Any]]
    pairs: list[dict[str, Any]]
    disagreements: dict[str, Any]


def profile(args: ProfileArgs, report: Report) -> dict[str, Any]:
    """Read an upload into a table and profile its columns."""
    from automl.engine.profiling import profile_table, table_profile_to_json
    from automl.engine.reading import ReadLimits, convert_table

    def on_progress(share: float) -> None:
        report({"progress": round(share, 3)})

    found = convert_table(
        Path(args["source"]),
        Path(args["table"]),
        filename=args["filename"],
        limits=ReadLimits(max_bytes=args["max_bytes"]),
        on_progress=on_progress,
    )
    return table_profile_to_json(
        profile_table(Path(args["table"]), dialect=found.dialect, warnings=found.warnings)
    )


def prepare(args: PrepareArgs, report: Report) -> dict[str, Any]:
    """Encode a table and cut the folds."""
    from automl.engine.preparation import prepare_table

    settings: dict[str, Any] = {k: v for k, v in args.items() if k not in ("table", "out")}
    return prepare_table(Path(args["table"]), Path(args["out"]), **settings)


def evaluate(args: EvaluateArgs, report: Report) -> dict[str, Any]:
    """Fit a configuration fold by fold."""
    from automl.engine.evaluation import evaluate as evaluate_folds

    return evaluate_folds(args, report)


def blend(args: BlendArgs, report: Report) -> dict[str, Any]:
    """Find the ensemble, its honest score, and which trials are tied with the best of all."""
    from automl.engine.blending import blend_trials

    return blend_trials(args)


def package(args: PackageArgs, report: Report) -> dict[str, Any]:
    """Write the bundle."""
    from automl.engine.bundle import package as write_bundle

    return write_bundle(args)


def predict(args: PredictArgs, report: Report) -> dict[str, Any]:
    """Predict the rows of a file, in chunks."""
    from automl.engine.batches import predict_batch

    return predict_batch(args, report)


def diagnose(args: DiagnoseArgs, report: Report) -> dict[str, Any]:
    """Say what a model gets right and wrong on rows that it did not see."""
    from automl.engine.diagnostics.overall import diagnose as diagnose_model

    return diagnose_model(args, report)


def compare(args: CompareArgs, report: Report) -> dict[str, Any]:
    """Hold trials and ensembles against each other, row by row."""
    from automl.engine.comparing import compare_models

    return compare_models(args)
