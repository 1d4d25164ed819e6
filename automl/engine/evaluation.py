"""One configuration on all folds: out-of-fold predictions, scores, and the fold models."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NotRequired, TypedDict

import numpy as np

from automl.engine.calibration import CALIBRATED, fit_temperature, member_temperature, number_factor
from automl.engine.diagnosis import diagnose
from automl.engine.errors import Damaged, Pruned
from automl.engine.importance import name_columns
from automl.engine.inference import FittedModel, Member, as_frame, combine, finish_probabilities, temper
from automl.engine.intervals import interval
from automl.engine.labels import factors_of_others, is_decided, label_factors, part_of
from automl.engine.learners import Learner, get_learner, stacks
from automl.engine.learners.boosting import is_late
from automl.engine.metrics import METRICS
from automl.engine.preparation import Prepared, open_prepared
from automl.engine.sealing import check_folder, seal_folder, sync_folder
from automl.engine.stacking import check_bases, name_of, stacked

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]

Report = Callable[[dict[str, Any]], str]
# The last fold may not take all that is left: predicting and writing take time too.
DEADLINE_SHARE = 0.9
FITTING = "fitting.json"
# So much of the range of training's numbers a trend may go on beyond them.
BEYOND_SHARE = 0.5
# In what fits are long; a forest has trees only, boosted trees have rounds of them.
LENGTHS = ("rounds", "epochs", "trees")


class Base(TypedDict):
    """A trial whose predictions another one has learned from; `folder` lies beside that one's."""

    number: int
    family: str
    params: dict[str, Any]
    size: int
    seconds: float
    folder: str


class Fitting(TypedDict):
    """What a trial's score depends on beside its hyperparameters, and the score.

    `value` is in the metric's own unit; `lengths` are the rounds, epochs or trees that each fold's model
    kept, and `is_late` says whether time ended any fit; `training` is the learner's, and 1 where it is not
    told; `factor` is that of its numbers, which trials of before don't tell; `is_held` says whether they were
    held near those of training, which they were not before; `bases` are what a stacked trial
    has learned from, in the order of its columns; `label_factors` are what its labels were decided by, see
    `automl.engine.labels.factors_of_others`.
    """

    seed: int
    threads: int
    metric: str
    value: float
    temperature: float
    lengths: list[int | None]
    is_late: bool
    training: NotRequired[int]
    factor: NotRequired[float]
    is_held: NotRequired[bool]
    bases: NotRequired[list[Base]]
    label_factors: NotRequired[list[list[float]]]


@dataclass
class _Folds:
    """What the folds of a trial leave behind."""

    total: Array  # sums of out-of-fold predictions over the repeats
    times: Array  # how often each row was predicted
    scores: list[float] = field(default_factory=list)
    models: list[FittedModel] = field(default_factory=list)
    curve: Any = None
    learned: dict[str, Any] = field(default_factory=dict)
    fit_time: float = 0.0
    predict_time: float = 0.0
    predicted: int = 0
    # For each fold what was kept of its rounds, trees or epochs; and whether time ended any of them.
    lengths: list[int | None] = field(default_factory=list)
    is_late: bool = False

    def mean(self) -> Array:
        """The mean prediction of each validated row; NaN for the rows that only train."""
        with np.errstate(invalid="ignore"):
            mean = self.total / (self.times[:, None] if self.total.ndim == 2 else self.times)
        return np.asarray(mean)


def evaluate(args: Mapping[str, Any], report: Report) -> dict[str, Any]:
    """Fit a configuration fold by fold; the score is that of the pooled out-of-fold predictions.

    Parameters
    ----------
    args : mapping
        See `automl.engine.jobs.EvaluateArgs`.
    report : callable
        Told of every fold; answers "stop" to end the trial.

    Raises
    ------
    Pruned
        If `report` says stop before the last fold.
    """
    prepared = open_prepared(args["prepared"])
    metric = METRICS[args["metric"]]
    learner = get_learner(args["family"])
    bases = args.get("bases", [])
    if learner.stacks:
        check_bases(learner.key, bases)
        prepared = stacked(prepared, bases)
    params = learner.space(prepared.profile).validate(args["params"])
    seconds = args.get("deadline_seconds")
    deadline = time.monotonic() + seconds if seconds else None
    folds = _run_folds(prepared, learner, params, args, deadline, report)
    validated = folds.times > 0
    truth, predicted = prepared.y[validated], folds.mean()
    temperature = factor = 1.0
    if prepared.profile.classes:
        temperature = member_temperature(truth, predicted[validated])
        predicted[validated] = temper(finish_probabilities(predicted[validated]), temperature)
    else:
        is_log = params.get("target") == "log"
        factor = number_factor(metric.name, truth, predicted[validated], is_log=is_log)
        predicted *= factor
    judged, factors = predicted[validated], None
    if is_decided(metric, learner.key):
        factors = factors_of_others(metric, truth, judged)
        judged = judged * factors[part_of(truth)]
    value, low, high = interval(metric, truth, judged)
    fitting: Fitting = {
        "seed": args["seed"],
        "threads": args.get("threads", 1),
        "metric": metric.name,
        "value": value,
        "temperature": temperature,
        "lengths": folds.lengths,
        "is_late": folds.is_late,
        "training": learner.training,
        "factor": factor,
        "is_held": folds.models[0].bounds is not None,
        "bases": [_told(base) for base in bases],
    }
    if factors is not None:
        fitting["label_factors"] = factors.tolist()
    size = _write(Path(args["out"]), predicted, folds.models, (temperature, factor), fitting)
    return {
        "score": metric.score_of(value),
        "value": value,
        "score_low": low,
        "score_high": high,
        "fold_scores": folds.scores,
        "fit_time": folds.fit_time,
        "predict_time": 1000.0 * folds.predict_time / max(folds.predicted, 1) * len(folds.models)
        + sum(base["seconds"] or 0.0 for base in bases),
        "size": size + sum(base["size"] or 0 for base in bases),
        "learned": folds.learned | ({"based_on": [name_of(base) for base in bases]} if bases else {}),
        "learning_curve": folds.curve,
        "diagnosis": diagnose(folds.curve, params),
    }


def _told(base: Mapping[str, Any]) -> Base:
    """What is kept of a base; its folder lies beside that of the trial, wherever both are moved."""
    return {
        "number": base["number"],
        "family": base["family"],
        "params": dict(base["params"]),
        "size": base["size"] or 0,
        "seconds": base["seconds"] or 0.0,
        "folder": Path(base["dir"]).name,
    }


def _run_folds(
    prepared: Prepared,
    learner: Learner,
    params: Any,
    args: Mapping[str, Any],
    deadline: float | None,
    report: Report,
) -> _Folds:
    metric = METRICS[args["metric"]]
    classes, rows = prepared.profile.classes, len(prepared.y)
    state = _Folds(np.zeros((rows, classes) if classes else rows), np.zeros(rows, dtype=np.int16))
    X = np.asarray(prepared.X)
    y = np.asarray(prepared.y)
    plan = [(repeat, fold) for repeat in prepared.folds for fold in range(prepared.meta["folds"])]
    for number, (assignment, fold) in enumerate(plan):
        began = time.monotonic()
        test = np.flatnonzero(assignment == fold)
        train = np.flatnonzero(assignment != fold)
        if not len(test):
            continue
        fold_deadline = None
        if deadline is not None:
            fold_deadline = began + DEADLINE_SHARE * (deadline - began) / (len(plan) - number)
        predicted = _fit_fold(
            state,
            learner,
            params,
            (X, y, train, test),
            prepared,
            {**args, "models": len(plan)},
            seed=args["seed"] + number,
            deadline=fold_deadline,
        )
        state.total[test] += predicted
        state.times[test] += 1
        judged = predicted
        if is_decided(metric, learner.key):
            # Found on these very rows, for every trial alike: a trial may not be stopped for want of them.
            judged = predicted * label_factors(metric, y[test], predicted)
        value = _fold_value(metric, y[test], judged, is_log=params.get("target") == "log")
        state.scores.append(metric.score_of(value))
        answer = report(
            {
                "event": "fold",
                "fold": number,
                "folds": len(plan),
                "score": state.scores[-1],
                "value": value,
                "seconds": time.monotonic() - began,
                "fit_time": state.fit_time,
            }
        )
        if answer == "stop" and number + 1 < len(plan):
            raise Pruned("stopped after its first folds")
    return state


def _fit_fold(  # noqa: PLR0913 - a fold is what all of these meet in
    state: _Folds,
    learner: Learner,
    params: Any,
    data: tuple[Array, Array, Array, Array],
    prepared: Prepared,
    args: Mapping[str, Any],
    *,
    seed: int,
    deadline: float | None,
) -> Array:
    X, y, train, test = data
    profile = prepared.profile
    is_log = params.get("target") == "log"
    offset = profile.log_offset if is_log else 0.0
    y_train, y_test = (np.log(part + offset) if is_log else part for part in (y[train], y[test]))
    params = {name: value for name, value in params.items() if name != "target"}
    began = time.perf_counter()
    preprocess = learner.preprocess(profile, params)
    estimator = learner.build(profile, params, seed=seed, threads=args.get("threads", 1))
    model = FittedModel(preprocess, estimator, learner.layout)
    if is_log:
        model = replace(model, log_bounds=_log_bounds(y_train, offset), log_offset=offset)
    elif learner.goes_beyond and not profile.classes:
        model = replace(model, bounds=_bounds(y_train))
    X_train: Any = as_frame(X[train], profile.categorical) if learner.layout == "frame" else X[train]
    if preprocess is not None:
        X_train = preprocess.fit_transform(X_train, y_train)
    # Fits are stopped by the rows that are predicted: they are prepared once for both.
    preparing = time.perf_counter()
    X_test = model.prepared(X[test], categorical=profile.categorical)
    preparing = time.perf_counter() - preparing
    fit = learner.fit(estimator, X_train, y_train, X_test, y_test, data=profile, deadline=deadline)
    state.fit_time += time.perf_counter() - began
    state.lengths.append(next((fit.learned[unit] for unit in LENGTHS if unit in fit.learned), None))
    state.is_late = state.is_late or is_late(deadline)
    model = replace(model, estimator=fit.estimator)
    began = time.perf_counter()
    predicted = model.predict_prepared(X_test, classes=profile.classes)
    state.predict_time += preparing + time.perf_counter() - began
    state.predicted += len(test)
    if not np.isfinite(predicted).all():
        raise ValueError(
            f"{learner.label} predicted numbers that are not finite: "
            "with these hyperparameters its training diverged."
        )
    if not state.models:
        learner.describe(fit, X_train, y_train, data=profile)
        state.learned = name_columns(fit.learned, preprocess, prepared.meta["features"])
        state.curve = fit.learning_curve
        if state.curve and is_log:
            state.curve["of_logarithms"] = True
    learner.thin(fit.estimator, models=args["models"])
    state.models.append(model)
    return finish_probabilities(predicted) if profile.classes else predicted


def _log_bounds(y: Array, offset: float) -> tuple[float, float]:
    """Between what logarithms may be: those of training, and a unit around them."""
    # With an offset nothing is less than the logarithm of it.
    least = np.log(offset) if offset else -np.inf
    return max(float(y.min()) - 1.0, float(least)), float(y.max()) + 1.0


def _bounds(y: Array) -> tuple[float, float]:
    """Between what numbers may be: those of training, and half of their range around them."""
    room = BEYOND_SHARE * (float(y.max()) - float(y.min()))
    return float(y.min()) - room, float(y.max()) + room


def _fold_value(metric: Any, y: Array, predicted: Array, *, is_log: bool) -> float:
    """A fold's value; without one of two classes there is no area under the curve: that counts as chance."""
    if metric.name == "roc_auc" and len(np.unique(y)) < 2:
        return 0.5
    if metric.name in CALIBRATED:
        # As the pooled predictions will be: a trial may not be stopped for what one number mends.
        predicted = temper(predicted, member_temperature(y, predicted))
    if metric.needs == "numbers":
        predicted = predicted * number_factor(metric.name, y, predicted, is_log=is_log)
    return float(metric.value(y, predicted))


def _write(
    out: Path, oof: Array, models: list[FittedModel], scales: tuple[float, float], fitting: Fitting
) -> int:
    """Store predictions and models; the models' size in bytes."""
    parts = [
        (each.preprocess, each.estimator, each.layout, each.log_bounds, each.log_offset, each.bounds)
        for each in models
    ]
    with _whole(out) as draft:
        np.save(draft / "oof.npy", _kept(oof))
        (draft / FITTING).write_text(json.dumps(fitting), encoding="utf-8")
        with (draft / "models.pkl").open("wb") as file:
            pickle.dump((parts, scales), file, protocol=pickle.HIGHEST_PROTOCOL)
            size = file.tell()
    return size


def _kept(oof: Array) -> Array:
    """Probabilities with 32 bits; numbers as they are: of a moment in seconds 32 bits tell two minutes."""
    return oof.astype(np.float32) if oof.ndim == 2 else oof


def write_predictions(out: Path, oof: Array, label_factors: Array | None = None) -> None:
    """Store out-of-fold predictions for `read_predictions`, and what their labels were decided by."""
    with _whole(out) as draft:
        np.save(draft / "oof.npy", _kept(oof))
        if label_factors is not None:
            told = json.dumps({"label_factors": label_factors.tolist()})
            (draft / FITTING).write_text(told, encoding="utf-8")


@contextmanager
def _whole(out: Path) -> Iterator[Path]:
    """Give a folder to write in that takes its place, sealed, when all is written: all or nothing."""
    draft = out.with_name(f".{out.name}.{os.getpid()}")
    try:
        draft.mkdir(parents=True, exist_ok=True)
        yield draft
        seal_folder(draft)
        # A row that was taken back, by a backup or a loss of power, may have had a folder of that name.
        shutil.rmtree(out, ignore_errors=True)
        draft.rename(out)
        sync_folder(out.parent)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise


def read_members(candidates: Sequence[Mapping[str, Any]]) -> list[Member]:
    """The fold models of trials, with what they are to the whole and what they are based on.

    Parameters
    ----------
    candidates : sequence of mapping
        See `automl.engine.jobs.Candidate`.
    """
    trials: dict[Path, Member] = {}

    def trial_in(folder: Path) -> Member:
        if folder not in trials:
            trials[folder] = read_member(folder)
        return trials[folder]

    return [
        replace(
            trial_in(Path(candidate["dir"])),
            weight=float(candidate["weight"]),
            power=float(candidate.get("power", 0.0)),
            bases=[trial_in(Path(base["dir"])) for base in read_bases(candidate)],
        )
        for candidate in candidates
    ]


def read_member(folder: str | Path) -> Member:
    """The fold models of a trial, alone; only what this service's own workers wrote is ever read so.

    Raises
    ------
    Damaged
        If they are not as they were written.
    """
    check_folder(Path(folder), ["models.pkl"])
    with (Path(folder) / "models.pkl").open("rb") as file:
        parts, scales = pickle.load(file)  # noqa: S301 - written by `evaluate` into the private folder
    return Member(1.0, [FittedModel(*part) for part in parts], *scales)


def read_bases(candidate: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What a trial is based on, each as a candidate of no weight; nothing for most."""
    if not stacks(candidate["family"]):
        return []
    fitting = read_fitting(candidate["dir"])
    found = fitting.get("bases", []) if fitting is not None else []
    if not found:
        raise Damaged(f"What {name_of(candidate)} is based on is no longer known.")
    beside = Path(candidate["dir"]).parent
    return [
        {
            "number": base["number"],
            "family": base["family"],
            "params": base["params"],
            "size": base["size"],
            "seconds": base["seconds"],
            "dir": str(beside / base["folder"]),
            "weight": 0.0,
        }
        for base in found
    ]


def size_of(members: Sequence[Mapping[str, Any]]) -> int:
    """Bytes of the models of all members; what several are based on counts once."""
    return int(_sum_of(members, "size"))


def seconds_of(members: Sequence[Mapping[str, Any]]) -> float:
    """What members take to predict a thousand rows together, in seconds; shared bases count once."""
    return _sum_of(members, "seconds")


def _sum_of(members: Sequence[Mapping[str, Any]], what: str) -> float:
    bases: dict[int, float] = {}
    own: dict[int, float] = {}
    for member in members:
        found = {base["number"]: float(base[what]) for base in read_bases(member)}
        # That of a stacked trial has those of its bases in it.
        own[member["number"]] = float(member.get(what) or 0) - sum(found.values())
        bases |= found
    return sum((bases | own).values())


def read_fitting(folder: str | Path) -> Fitting | None:
    """How a trial was fitted; None if that was not written down yet when it was."""
    if not (Path(folder) / FITTING).exists():
        return None
    check_folder(Path(folder), [FITTING])
    found: Fitting = json.loads((Path(folder) / FITTING).read_text(encoding="utf-8"))
    return found


def are_decided(members: Iterable[Mapping[str, Any]]) -> bool:
    """Whether what is stored was judged by labels that its metric decides; trials of before were not."""
    fittings = (read_fitting(member["dir"]) for member in members)
    return any(fitting is not None and "label_factors" in fitting for fitting in fittings)


def read_predictions(folder: str | Path) -> Array:
    """The out-of-fold predictions of a trial; raises Damaged if they are not as they were written."""
    check_folder(Path(folder), ["oof.npy"])
    return np.asarray(np.load(Path(folder) / "oof.npy"), dtype=np.float64)


def as_packaged(prepared: Prepared, members: Sequence[Mapping[str, Any]]) -> tuple[Array, Array, float]:
    """Which rows folds judge, their predictions as the packaged model makes them, and its temperature."""
    total = combine(
        (read_predictions(member["dir"]) for member in members),
        [member["weight"] for member in members],
        [member.get("power", 0.0) for member in members],
    )
    places = np.flatnonzero(np.isfinite(total).reshape(len(total), -1).all(axis=1))
    predicted = total[places]
    if not prepared.profile.classes:
        return places, predicted, 1.0
    temperature = fit_temperature(np.asarray(prepared.y)[places], predicted)
    return places, temper(finish_probabilities(predicted), temperature), temperature
