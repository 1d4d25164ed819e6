"""From a table to what trials fit on: an encoded matrix, the target, the folds.

Done once an experiment. Trials open the result by memory map, so all seats share one copy.
Nothing here looks at the target to encode a feature: what needs the target is fitted fold by fold.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from automl.engine.drawing import draw_rows, fill, rows_in_time
from automl.engine.errors import UserError
from automl.engine.inference import Encoder, clean_texts, level_of, parse_dates
from automl.engine.inference.words import with_lengths
from automl.engine.levels import level_counts, most_frequent, parts_told
from automl.engine.metrics import METRICS, default_metric
from automl.engine.profiling import folded
from automl.engine.reading import check_table, read_frame
from automl.engine.schema import MISSING_MARKS, ColumnKind, DataProfile
from automl.engine.sealing import check_folder, seal_folder, sync_folder
from automl.engine.splitting import fold_plan, make_folds
from automl.engine.target import check_classes, encode_target, rare_classes, rarest, resolve_task_type
from automl.engine.trial import TaskType

LEAST_ROWS = 10
# Of a text's words trees split by the first components; where words are many, sums of all say much more.
TEXT_COMPONENTS, MOST_COMPONENTS = 16, 256
# So many words for each of them, and so many cells at the most for all texts of a table together.
COMPONENT_WORDS, TEXT_CELLS = 16, 4_000_000
TEXT_WORDS = 5_000
# The words of a text that are told one by one; so many cells at the most for all texts of a table together.
LEAST_PLACES, MOST_PLACES, PLACES_CELLS = 8, 512, 16_000_000
# The longest of texts are cut, so that one of a thousand does not make all rows wide.
CUT_SHARE = 0.01
TEXT_ROWS = 50_000
# Where two texts differ by rounding only a tree must not split: what says the same is the same number.
TEXT_DECIMALS = 6
LEAST_SINGULAR = 1e-3
# So many rows tell whether rows come twice.
TWIN_ROWS = 50_000


@dataclass(frozen=True, kw_only=True)
class Request:
    """What to prepare.

    Attributes
    ----------
    frame : DataFrame
        The table, target included.
    columns : sequence of mapping
        Profiles of its columns as JSON, kinds as the user wants them.
    target : str
    task_type, metric : str
        May be "auto".
    time_budget : float or None
        Seconds that the search has.
    """

    frame: pd.DataFrame
    columns: Sequence[Mapping[str, Any]]
    target: str
    task_type: str = "auto"
    metric: str = "auto"
    ignore_columns: Sequence[str] = ()
    seed: int = 0
    dialect: Mapping[str, str] | None = None
    time_budget: float | None = None


@dataclass(frozen=True, slots=True)
class Prepared:
    """A prepared folder, opened: arrays are memory maps.

    `drawn` are the places of its rows among those of the table that have a target; None where it has all.
    """

    X: Any
    y: Any
    folds: Any
    profile: DataProfile
    meta: dict[str, Any]
    folder: Path
    drawn: Any = None

    @property
    def classes(self) -> list[Any] | None:
        found: list[Any] | None = self.meta["classes"]
        return found


def prepare_table(table: Path, out: Path, **settings: Any) -> dict[str, Any]:
    """Prepare a stored table, see `prepare`; raises Damaged if it is not as it was written."""
    check_table(table)
    return prepare(Request(frame=read_frame(table), **settings), out)


def prepare(request: Request, out: Path) -> dict[str, Any]:
    """Write X.npy, y.npy, folds.npy, meta.json and the encoder; in one step, all or nothing.

    Returns
    -------
    dict
        What `meta.json` holds.

    Raises
    ------
    UserError
        If there is nothing to learn, or nothing to learn from.
    """
    frame, warnings = _with_target(request)
    task_type = resolve_task_type(frame[request.target], request.target, request.task_type)
    y, classes = encode_target(frame[request.target], task_type, request.target)
    metric = _resolve_metric(request.metric, task_type)
    if classes is not None:
        check_classes(y, classes, request.target)
        warnings += rare_classes(y, classes)
    times = (_width(request), len(classes or ()), request.time_budget)
    count, drawn = rows_in_time(len(y), fill(len(y), *times)), None
    if count < len(y):
        drawn = draw_rows(y, task_type, count=count, seed=request.seed)
        warnings.append(_told_of(len(drawn), len(y), request.time_budget))
        frame, y = frame.iloc[drawn].reset_index(drop=True), y[drawn]
    schema, texts = _schema(request, frame)
    schema |= {"task_type": task_type.value, "target": request.target, "classes": classes, "metric": metric}
    X = Encoder(schema, texts).transform(frame)
    if X.shape[1] == 0:
        raise UserError(
            "No column is left to learn from: the others are constant, identifiers or ignored. "
            "Correct the kinds of columns, or ignore fewer."
        )
    vocabularies = [len(transformer[0].vocabulary_) for transformer in texts]
    rare = None if classes is None else rarest(y)
    folds, repeats = fold_plan(count, rare, request.time_budget, filled=fill(count, *times))
    meta = {
        "profile": asdict(_profile(X, y, schema, task_type, classes, metric, vocabularies)),
        "classes": classes,
        "task_type": task_type.value,
        "metric": metric,
        "warnings": warnings,
        "folds": folds,
        "repeats": repeats,
        "features": schema["features"],
        "seed": request.seed,
    }
    arrays = {
        "X": X,
        "y": y,
        "folds": make_folds(y, task_type, seed=request.seed, folds=folds, repeats=repeats),
    }
    if drawn is not None:
        meta["drawn"] = count
        arrays["drawn"] = drawn
    _write(out, arrays, meta, schema, texts)
    return meta


def open_prepared(folder: str | Path) -> Prepared:
    """Open a prepared folder; raises Damaged if it is not as it was written."""
    folder = Path(folder)
    check_folder(folder)
    meta = json.loads((folder / "meta.json").read_text(encoding="utf-8"))
    profile = DataProfile.from_json(meta["profile"])
    X, y, folds = (np.load(folder / f"{name}.npy", mmap_mode="r") for name in ("X", "y", "folds"))
    is_drawn = (folder / "drawn.npy").exists()
    drawn = np.load(folder / "drawn.npy", mmap_mode="r") if is_drawn else None
    return Prepared(X=X, y=y, folds=folds, profile=profile, meta=meta, folder=folder, drawn=drawn)


def _with_target(request: Request) -> tuple[pd.DataFrame, list[str]]:
    if request.target not in request.frame.columns:
        raise UserError(f"There is no column {request.target!r}.")
    known = request.frame[request.target].notna()
    missing = int((~known).sum())
    warnings = []
    frame = request.frame
    if missing:
        frame = frame[known].reset_index(drop=True)
        warnings.append(f"{missing:,} rows have no {request.target!r} and are left out.")
    if len(frame) < LEAST_ROWS:
        raise UserError(
            f"Only {len(frame)} rows have a value of {request.target!r}; at least {LEAST_ROWS} are needed."
        )
    return frame, warnings


def _width(request: Request) -> int:
    """How many columns are learned from, for the time they take."""
    skipped = {request.target, *request.ignore_columns}
    kinds = [ColumnKind(found["kind"]) for found in request.columns if found["name"] not in skipped]
    return sum(TEXT_COMPONENTS if kind is ColumnKind.TEXT else 1 for kind in kinds if kind.is_feature)


def _told_of(drawn: int, rows: int, seconds: float | None) -> str:
    return (
        f"{rows:,} rows are too many to learn from in {seconds:g} s: {drawn:,} of them were drawn evenly, "
        "and all trials learn from these, also if the search goes on. A new search with more time learns "
        "from more."
    )


def _resolve_metric(metric: str, task_type: TaskType) -> str:
    if metric == "auto":
        return default_metric(task_type).name
    if metric not in METRICS or task_type not in METRICS[metric].task_types:
        fitting = [name for name, known in METRICS.items() if task_type in known.task_types]
        raise UserError(f"{metric!r} can't judge {task_type}. Choose one of: {', '.join(fitting)}.")
    return metric


def _schema(request: Request, frame: pd.DataFrame) -> tuple[dict[str, Any], list[Any]]:
    skipped = {request.target, *request.ignore_columns}
    columns: list[dict[str, Any]] = []
    features: list[dict[str, Any]] = []
    texts: list[Any] = []
    used = [found for found in request.columns if found["name"] not in skipped]
    count = sum(ColumnKind(found["kind"]) is ColumnKind.TEXT for found in used)
    most = min(MOST_COMPONENTS, TEXT_CELLS // len(frame)) // max(count, 1)
    dialect = dict(request.dialect or {})
    for found in used:
        kind = ColumnKind(found["kind"])
        if not kind.is_feature:
            continue
        column: dict[str, Any] = {"name": found["name"], "kind": kind.value}
        values = frame[found["name"]]
        if kind in (ColumnKind.CATEGORICAL, ColumnKind.BOOLEAN):
            counts = level_counts(values)
            column |= {"categories": most_frequent(counts), "missing": int(values.isna().sum())}
            if not _is_flag(column):
                column["tells_unknown"] = True
            if kind is ColumnKind.CATEGORICAL:
                column |= parts_told(counts, "," if dialect.get("decimal") == "," else ".")
        elif kind is ColumnKind.DATETIME:
            column |= _date_parts(values, found.get("datetime_format"))
        elif kind is ColumnKind.TEXT:
            sample = values.sample(min(len(values), TEXT_ROWS), random_state=request.seed)
            told = [with_lengths(text) for text in clean_texts(sample)]
            transformer = _fit_text(told, request.seed, most)
            if transformer is None:
                continue
            places = _places(told, transformer, PLACES_CELLS // len(frame) // count)
            column |= {"text": len(texts), "decimals": TEXT_DECIMALS, "components": most, "places": places}
            texts.append(transformer)
        columns.append(column)
        features += _features(column, texts)
    schema = {
        "version": 1,
        "columns": columns,
        "features": features,
        "missing_values": list(MISSING_MARKS),
        "decimal": dialect.get("decimal", "."),
        "dialect": dialect,
    }
    return schema, texts


def _date_parts(values: pd.Series, date_format: str | None) -> dict[str, Any]:
    times = parse_dates(values, date_format).dropna()
    parts = ["days"]
    for name in ("year", "month", "day"):
        if getattr(times.dt, name).nunique() > 1:
            parts.append(name)
    parts.append("weekday")
    if bool(((times.dt.hour != 0) | (times.dt.minute != 0)).any()):
        parts.append("hour")
    return {"format": date_format, "parts": parts}


def _fit_text(texts: Sequence[str], seed: int, most: int) -> Any | None:
    """Words to components, if there is room for `most`; None where there are not enough words."""
    from sklearn.decomposition import TruncatedSVD
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.pipeline import make_pipeline

    words = TfidfVectorizer(min_df=max(2, len(texts) // 2000), max_features=TEXT_WORDS, sublinear_tf=True)
    try:
        weights = words.fit_transform(texts)
    except ValueError:  # no word occurs twice
        return None
    width = weights.shape[1]
    if width < 3:
        return None
    # They are NumPy's integers, each of which would be stored as an array.
    words.vocabulary_ = {word: int(place) for word, place in words.vocabulary_.items()}
    count = max(TEXT_COMPONENTS, min(most, width // COMPONENT_WORDS))
    components = TruncatedSVD(min(count, width - 1), random_state=seed).fit(weights)
    # What is left of texts that say little is rounding: another machine would have other numbers there.
    told = components.singular_values_ > LEAST_SINGULAR * components.singular_values_[0]
    components.n_components = max(int(told.sum()), 1)
    components.components_ = components.components_[: components.n_components]
    # The first are told on the scale of other numbers, the others as much smaller as they are.
    components.components_ /= _spread(components)
    return make_pipeline(words, components)


def _places(texts: Sequence[str], transformer: Any, room: int) -> int:
    """How many words of each text are told one by one; 0 where there are few, or no room."""
    if transformer[-1].n_components <= TEXT_COMPONENTS:
        return 0
    words_of = transformer[0].build_analyzer()
    lengths = [len(words_of(text)) for text in texts]
    found = min(int(np.quantile(lengths, 1 - CUT_SHARE, method="higher")), MOST_PLACES, room)
    return found if found >= LEAST_PLACES else 0


def _spread(components: Any) -> float:
    """How far the first components spread; 1 for texts that are all alike, where there is only rounding."""
    first = min(TEXT_COMPONENTS, components.n_components)
    found = float(np.sqrt(components.explained_variance_[:first].mean()))
    return found if found > LEAST_SINGULAR else 1.0


def _is_flag(column: Mapping[str, Any]) -> bool:
    """Whether the codes of a column are a number."""
    return column["kind"] == "boolean" and len(column["categories"]) <= 2


def _features(column: Mapping[str, Any], texts: Sequence[Any]) -> list[dict[str, Any]]:
    name, kind = column["name"], column["kind"]
    if kind == "datetime":
        return [{"name": f"{name}: {part}", "column": name, "kind": "number"} for part in column["parts"]]
    if kind == "text":
        count = texts[column["text"]][-1].n_components
        found = [
            {"name": f"{name}: words {number}", "column": name, "kind": "number", "component": number}
            for number in range(1, count + 1)
        ]
        figures = [
            {"name": f"{name}: {part}", "column": name, "kind": "number"} for part in ("length", "words")
        ]
        places = [
            {"name": f"{name}: place {number}", "column": name, "kind": "number", "place": number}
            for number in range(1, column["places"] + 1)
        ]
        return found + figures + places
    if kind == "numeric" or _is_flag(column):
        return [{"name": name, "column": name, "kind": "number"}]
    found = [{"name": name, "column": name, "kind": "category", "levels": len(column["categories"])}]
    found += [
        {"name": f"{name}: number {number}", "column": name, "kind": "number"}
        for number in range(1, column.get("numbers", 0) + 1)
    ]
    found += [
        {"name": f"{name}: {part}", "column": name, "kind": "category", "levels": len(labels)}
        for part, labels in column.get("labels", {}).items()
    ]
    return found


def _profile(
    X: np.ndarray[Any, Any],
    y: np.ndarray[Any, Any],
    schema: Mapping[str, Any],
    task_type: TaskType,
    classes: Sequence[Any] | None,
    metric: str,
    vocabularies: Sequence[int],
) -> DataProfile:
    categories = [(place, f) for place, f in enumerate(schema["features"]) if f["kind"] == "category"]
    positions = tuple(place for place, _ in categories)
    components = [(place, f["component"]) for place, f in enumerate(schema["features"]) if "component" in f]
    told = {place for place, feature in enumerate(schema["features"]) if "place" in feature}
    numeric = [place for place in range(X.shape[1]) if place not in told.union(positions)]
    return DataProfile(
        rows=len(X),
        numeric=len(numeric),
        task_type=task_type,
        classes=len(classes) if classes is not None else 0,
        cardinalities=tuple(max(feature["levels"], 1) for _, feature in categories),
        categorical=positions,
        missing_share=float(np.isnan(X[:, numeric]).mean()) if numeric else 0.0,
        metric=metric,
        skew=0.0 if task_type.is_classification else target_skew(y),
        log_offset=1.0 if metric == "rmsle" and y.min() >= 0.0 else 0.0,
        twins=twin_share(X[:TWIN_ROWS]),
        words=tuple(place for place, _ in components),
        minor=tuple(place for place, number in components if number > TEXT_COMPONENTS),
        texts=_texts(schema, vocabularies),
        filled=float((X[:, sorted(told)] >= 0).mean()) if told else 0.0,
        rarest=int(np.bincount(y, minlength=len(classes)).min()) if classes is not None else 0,
        is_positive=not task_type.is_classification and bool(y.min() > 0.0),
    )


def _texts(schema: Mapping[str, Any], vocabularies: Sequence[int]) -> tuple[tuple[int, int, int], ...]:
    """Where the words of each text are told one by one, see `DataProfile.texts`."""
    features = schema["features"]
    first = {each["column"]: place for place, each in enumerate(features) if each.get("place") == 1}
    return tuple(
        (first[column["name"]], column["places"], vocabularies[column["text"]])
        for column in schema["columns"]
        if column.get("places")
    )


def twin_share(X: np.ndarray[Any, Any]) -> float:
    """The share of rows that are like another one in every column."""
    digest = np.zeros(len(X), dtype=np.uint64)
    for column in X.T:
        # Minus zero is zero.
        digest = folded(digest, (column + np.float32(0)).view(np.uint32))
    _, counts = np.unique(digest, return_counts=True)
    return float(counts[counts > 1].sum() / len(X))


def target_skew(y: np.ndarray[Any, Any]) -> float:
    """The skewness of a target that is positive and less skewed as a logarithm; else 0."""
    from scipy.stats import skew

    if y.min() <= 0.0:
        return 0.0
    found = float(skew(y))
    return found if found > abs(float(skew(np.log(y)))) else 0.0


def _write(
    out: Path,
    arrays: Mapping[str, np.ndarray[Any, Any]],
    meta: Mapping[str, Any],
    schema: Mapping[str, Any],
    texts: Iterable[Any],
) -> None:
    from skops.io import dump

    draft = out.with_name(f".{out.name}.{os.getpid()}")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    try:
        for name, array in arrays.items():
            np.save(draft / f"{name}.npy", array)
        (draft / "meta.json").write_text(json.dumps(meta, ensure_ascii=False), encoding="utf-8")
        (draft / "schema.json").write_text(json.dumps(schema, ensure_ascii=False), encoding="utf-8")
        dump(list(texts), draft / "texts.skops")
        seal_folder(draft)
        shutil.rmtree(out, ignore_errors=True)
        draft.rename(out)
        sync_folder(out.parent)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise


def profile_columns(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Profile the columns of a frame in memory, as preparation needs them.

    Columns of several types, as `pandas.read_csv` gives of long files, are levels, as the encoder has them.
    """
    from automl.engine.profiling import profile_arrow, table_profile_to_json

    mixed = {
        str(name): values.map(level_of, na_action="ignore")
        for name, values in frame.items()
        if pd.api.types.infer_dtype(values) in ("mixed", "mixed-integer")
    }
    frame = frame.assign(**mixed)
    found = profile_arrow(pa.Table.from_pandas(frame, preserve_index=False))
    columns: list[dict[str, Any]] = table_profile_to_json(found)["columns"]
    return columns
