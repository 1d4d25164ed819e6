"""The file that users keep: a ZIP that predicts without this service, and holds none of its data."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import sys
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

import automl
from automl.engine import inference
from automl.engine.conformal import checked, fit_conformal
from automl.engine.errors import UserError
from automl.engine.evaluation import are_decided, as_packaged, read_bases, read_fitting, read_members, size_of
from automl.engine.golden import golden
from automl.engine.honest import honest_predictions
from automl.engine.inference import Encoder, FittedModel, Member, Model, bases_of
from automl.engine.inference.safe import check_types
from automl.engine.inference.seal import CODE, SUMS
from automl.engine.inference.word_weights import parted
from automl.engine.intervals import metrics_with_intervals
from automl.engine.joining import join
from automl.engine.labels import label_factors
from automl.engine.leaderboard import leaderboard_csv
from automl.engine.learners import get_learner
from automl.engine.metrics import METRICS, metrics_for
from automl.engine.mlmodel import mlflow_files
from automl.engine.model_card.content import About, model_card
from automl.engine.model_card.evidence import gather
from automl.engine.model_card.html import to_html
from automl.engine.model_card.markdown import to_markdown
from automl.engine.model_file import skops_bytes
from automl.engine.preparation import Prepared, open_prepared
from automl.engine.reading import check_table, read_frame
from automl.engine.sealing import seal_of, sync_folder
from automl.engine.slimming import halve_weights, slim, slim_columns
from automl.engine.stacking import name_of
from automl.engine.training_code.script import scripts

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from automl.engine.onnx.offer import Offer

# What predict.py imports, and the library of each family; versions are those that trained.
BASE_REQUIREMENTS = ("numpy", "pandas", "scikit-learn", "skops")
FAMILY_REQUIREMENTS = {"lightgbm": "lightgbm", "xgboost": "xgboost-cpu", "catboost": "catboost"}
# What there is not for macOS, and what holds the same there.
ON_MACOS = {"xgboost-cpu": "xgboost"}
# Files of the bundle that are there as they are; they import CODE, so they are no module of ours.
BUNDLED = Path(__file__).with_name("bundled")
# A higher level takes three times as long and saves a twentieth: for what is small only.
COMPRESSION, SMALL_COMPRESSION, SMALL_BYTES = 4, 6, 2 << 20
# To write a graph of so much takes a second; for a search's end people wait some seconds more.
GRAPH_BYTES_A_SECOND = 5 << 20
WAITED_SECONDS, WAITED_SHARE = 3.5, 0.1
# Comparing the graph with its model is part of the search's time, and is worth this much of it.
COMPARING_SHARE, MOST_SECONDS = 0.01, 3.0
# The date in the ZIP is fixed, so that the same model gives the same file.
ZIP_DATE = (1980, 1, 1, 0, 0, 0)


def package(args: Mapping[str, Any]) -> dict[str, Any]:
    """Write a bundle; see `automl.engine.jobs.PackageArgs` and `PackageResult`.

    Raises
    ------
    UserError
        If a member can only predict by looking rows of the training data up.
    """
    for member in args["members"]:
        if get_learner(member["family"]).keeps_rows:
            raise UserError(
                f"{get_learner(member['family']).label} answers by looking training rows up, and a bundle "
                "holds none. Package another trial."
            )
    prepared = open_prepared(args["prepared"])
    schema = json.loads((prepared.folder / "schema.json").read_text(encoding="utf-8"))
    texts = load_texts(prepared.folder / "texts.skops")
    members = read_members(args["members"])
    for fitted in {id(fitted): fitted for member in _parts(members) for fitted in member.models}.values():
        slim(fitted.estimator)
        slim_columns(fitted.preprocess)
        if parted(fitted.preprocess)[1] is not None:
            halve_weights(fitted.estimator)
    places, oof, temperature = as_packaged(prepared, args["members"])
    y, folds = np.asarray(prepared.y)[places], np.asarray(prepared.folds[0])[places]
    if are_decided(args["members"]):
        schema["label_factors"] = label_factors(METRICS[args["metric"]], y, oof).tolist()
    model = Model(Encoder(schema, texts), members, temperature)
    oof, called = honest_predictions(prepared, args, y, oof)
    conformal = fit_conformal(prepared.profile.task_type, y, oof, folds)
    metrics = {**_metrics(prepared, args, model, y, (oof, called)), "uncertainty": checked(conformal)}
    told = {**metrics, "provenance": _provenance(args, prepared)}
    budget = args["experiment"].get("time_budget") if args.get("hurry") else None
    excess = _excess(size_of(args["members"]), budget)
    # Both take several times the room that they have as a file: first one, then the other.
    model_file = skops_bytes(_stored(model))
    check_types(model_file)  # what the list lacks would be refused where the bundle is used
    graph = _graph(prepared, model, _seconds_to_compare(budget), excess)
    requirements = _requirements({part["family"] for part in _told_parts(args["members"])}, graph)
    files = _files(args, prepared, model, told, graph=graph, requirements=requirements)
    files["model.skops"] = model_file
    files["conformal.json"] = _json(conformal)
    files |= _for_readers(prepared, args, model, told, judged=(y, oof, called), requirements=requirements)
    digests = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
    sums = "".join(f"{digest}  {name}\n" for name, digest in sorted(digests.items())).encode()
    files[SUMS], digests[SUMS] = sums, hashlib.sha256(sums).hexdigest()
    digest, size = _write_zip(Path(args["out"]), files)
    return {
        "score": metrics["validation"][args["metric"]]["value"],
        "metrics": metrics,
        "schema": schema,
        "files": [{"name": name, "size": len(data), "sha256": digests[name]} for name, data in files.items()],
        "sha256": digest,
        "size": size,
        "graph_due": excess is not None,
    }


def _metrics(
    prepared: Prepared, args: Mapping[str, Any], model: Model, y: Any, judged: tuple[Any, Any]
) -> dict[str, Any]:
    """Every metric that fits the task: on out-of-fold predictions, and on the test table if there is one.

    `judged` are those predictions, and what labels are decided by.
    """
    names = [metric.name for metric in metrics_for(prepared.profile.task_type)]
    found: dict[str, Any] = {
        "metric": args["metric"],
        "higher_is_better": METRICS[args["metric"]].higher_is_better,
        "validation": metrics_with_intervals(names, y, *judged),
    }
    # The board's figure for an ensemble was taken with weights chosen without the judged rows.
    if board := next((row for row in args["leaderboard"] if row["name"] == args["name"]), None):
        found["validation"][args["metric"]] = {
            "value": board["score"],
            "low": board["score_low"],
            "high": board["score_high"],
        }
    if args.get("test_table"):
        try:
            found["test"], left_out = _test_metrics(prepared, args, names, model)
        except (UserError, inference.InputError) as error:
            # The model is as good without: what a search has found is not lost for it.
            found["test_note"] = f"There are no scores on the test dataset. {error}"
        else:
            if left_out:
                found["test_note"] = left_out
    return found


def _test_metrics(
    prepared: Prepared, args: Mapping[str, Any], names: list[str], model: Model
) -> tuple[dict[str, Any], str]:
    """The metrics on the rows of a test table whose target is known, and which rows those are not."""
    check_table(Path(args["test_table"]))
    frame = read_frame(Path(args["test_table"]))
    target, labels = model.encoder.schema["target"], prepared.classes
    if labels is not None:
        codes = {str(label): code for code, label in enumerate(labels)}
        y = np.array(
            [codes.get(str(inference.level_of(value)), codes.get(str(value), -1)) for value in frame[target]]
        )
        # A missing cell is none, even where a class is called as nothing is.
        known = (y >= 0) & frame[target].notna().to_numpy()
        lacking = f"none of the classes (such as {labels[0]!r})"
    else:
        y = pd.to_numeric(frame[target], errors="coerce").to_numpy(dtype=float, na_value=np.nan)
        known, lacking = np.isfinite(y), "no number"
    left_out = _left_out(frame[target], known, lacking)
    if not known.any():
        raise UserError(left_out)
    rows = frame[known]
    predicted = model.predict_raw(rows)
    called = None if labels is None else model.weighed(predicted)
    return metrics_with_intervals(names, y[known], predicted, called), left_out


def _left_out(target: pd.Series, known: NDArray[Any], lacking: str) -> str:
    """Say how many rows of a test table have no truth to judge by; nothing where all have."""
    if known.all():
        return ""
    odd = target[~known].dropna()
    seen = f"it holds {str(odd.iloc[0])[:40]!r}" if len(odd) else "it is empty"
    count = int((~known).sum())
    return (
        f"{count:,} of the {len(known):,} rows of the test dataset are left out: their {target.name!r} is "
        f"{lacking}; {seen}."
    )


def _graph(prepared: Prepared, model: Model, seconds: float, excess: str | None) -> Offer:
    # Here, as ONNX Runtime starts a thread when it is imported, and a seat must have none when it forks.
    from automl.engine.onnx.offer import offer

    return offer(model, prepared.X, prepared.y, seconds=seconds, excess=excess)


def _files(
    args: Mapping[str, Any],
    prepared: Prepared,
    model: Model,
    told: Mapping[str, Any],
    *,
    graph: Offer,
    requirements: list[str],
) -> dict[str, bytes]:
    schema = model.encoder.schema
    golden_rows = golden(model, prepared.X, {"onnx": graph.model} if graph.model else None)
    return {
        **mlflow_files(
            schema,
            golden_rows,
            requirements=requirements,
            python=told["provenance"]["python"],
            made_at=told["provenance"]["packaged_at"],
        ),
        **graph.files,
        **_code(),
        "golden.json": json.dumps(golden_rows, ensure_ascii=False, allow_nan=False).encode(),
        "requirements-parquet.txt": f"pyarrow=={importlib.metadata.version('pyarrow')}\n".encode(),
        "requirements.txt": "".join(f"{line}\n" for line in requirements).encode(),
        "schema.json": _json(schema),
        "metrics.json": _json(told),
        "leaderboard.csv": leaderboard_csv(args["leaderboard"]).encode(),
    }


def _excess(size: int, budget: float | None) -> str | None:
    """Say that models are too large for a graph while the end of a search of so many seconds waits for it."""
    if budget is None or size <= GRAPH_BYTES_A_SECOND * max(WAITED_SECONDS, WAITED_SHARE * budget):
        return None
    return (
        f"its models take {size / 2**20:.0f} MB, and to write a graph of them would have kept the end of a "
        f"search of {budget:g} s waiting; where it could be written afterwards, the service has a new bundle"
    )


def _seconds_to_compare(budget: float | None) -> float:
    """Who waits ten seconds for a search does not wait three more for its package."""
    return MOST_SECONDS if budget is None else min(max(COMPARING_SHARE * budget, 0.3), MOST_SECONDS)


def _stored(model: Model) -> dict[str, Any]:
    """What `model.skops` holds: plain containers around the fitted pipelines, and their trees as columns.

    What members are based on follows them.
    """
    members = _parts(model.members)
    places = {member.key: place for place, member in enumerate(members)}
    once: dict[bytes, Any] = {}
    return {
        "members": [
            {
                "weight": member.weight,
                "temperature": member.temperature,
                "factor": member.factor,
                "power": member.power,
                "layout": member.models[0].layout,
                "models": [_stored_fold(fitted, once) for fitted in member.models],
                "bases": [places[base.key] for base in member.bases],
            }
            for member in members
        ],
        "texts": list(model.encoder.texts),
        "temperature": model.temperature,
    }


def _parts(members: Sequence[Member]) -> list[Member]:
    """The members, then what they are based on, with no weight where it is no member itself."""
    own = {member.key for member in members}
    others = [base for base in bases_of(members) if base.key not in own]
    return [*members, *(replace(base, weight=0.0, power=0.0) for base in others)]


def _told_parts(members: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The same as candidates, in the same order; of each the names of what it is `based_on`."""
    own = {member["number"] for member in members}
    bases = [read_bases(member) for member in members]
    told = [
        {**member, "based_on": [name_of(base) for base in found]}
        for member, found in zip(members, bases, strict=True)
    ]
    others = {base["number"]: base for found in bases for base in found if base["number"] not in own}
    return [*told, *others.values()]


def _stored_fold(fitted: FittedModel, once: dict[bytes, Any]) -> dict[str, Any]:
    estimator, trees = join(fitted.estimator)
    preprocess, words = parted(fitted.preprocess)
    if words is not None:
        # Members have counted the words of the same rows.
        words["idf"] = [once.setdefault(found.tobytes(), found) for found in words["idf"]]
    return {
        "preprocess": preprocess,
        "words": words,
        "estimator": estimator,
        "log_bounds": fitted.log_bounds,
        "log_offset": fitted.log_offset,
        "bounds": fitted.bounds,
        "trees": trees,
    }


def _code() -> dict[str, bytes]:
    """What predicts in the bundle: `predict.py`, and a copy of `automl.engine.inference` beside it."""
    found = {path.name: path for path in sorted(BUNDLED.iterdir()) if path.is_file()}
    found |= {f"{CODE}/{path.name}": path for path in sorted(Path(inference.__file__).parent.glob("*.py"))}
    code = {name: path.read_bytes() for name, path in found.items()}
    python = "PYTHON={}.{}".format(*sys.version_info)
    return code | {"Dockerfile": code["Dockerfile"].replace(b"PYTHON=3.11", python.encode())}


def _for_readers(
    prepared: Prepared,
    args: Mapping[str, Any],
    model: Model,
    told: Mapping[str, Any],
    *,
    judged: tuple[Any, Any, Any],
    requirements: list[str],
) -> dict[str, bytes]:
    """What people read: scripts that fit the members again, and the card."""
    schema, members = model.encoder.schema, _told_parts(args["members"])
    fittings = [read_fitting(member["dir"]) for member in members]
    training = scripts(members, fittings, prepared, schema, args["experiment"])
    card = model_card(
        About(
            name=args["name"],
            schema=schema,
            metrics=told,
            members=members,
            provenance=told["provenance"],
            requirements=requirements,
            leaderboard=args["leaderboard"],
            folds=(prepared.meta["folds"], prepared.meta["repeats"]),
            evidence=gather(prepared, model, args["metric"], *judged),
            scripts=list(training),
        )
    )
    return {
        **{name: text.encode() for name, text in training.items()},
        "model_card.md": to_markdown(card).encode(),
        "model_card.html": to_html(card).encode(),
    }


def _provenance(args: Mapping[str, Any], prepared: Prepared) -> dict[str, Any]:
    return {
        "bakeoff": automl.__version__,
        "python": ".".join(map(str, sys.version_info[:3])),
        "packaged_at": datetime.now(UTC).isoformat(timespec="seconds"),
        **args["experiment"],
        **({} if prepared.drawn is None else {"rows_learned": len(prepared.y)}),
    }


def _requirements(families: set[str], graph: Offer) -> list[str]:
    packages = [
        *BASE_REQUIREMENTS,
        *sorted(FAMILY_REQUIREMENTS[f] for f in families if f in FAMILY_REQUIREMENTS),
        *(["onnxruntime"] if graph.model is not None else []),
    ]
    return [line for package in packages for line in _pins(package, importlib.metadata.version(package))]


def _pins(package: str, version: str) -> list[str]:
    if package not in ON_MACOS:
        return [f"{package}=={version}"]
    return [
        f'{package}=={version}; sys_platform != "darwin"',
        f'{ON_MACOS[package]}=={version}; sys_platform == "darwin"',
    ]


def load_texts(path: Path) -> list[Any]:
    """The transformers of a prepared table's text columns."""
    found: list[Any] = inference.load_skops(path)
    return found


def _write_zip(out: Path, files: Mapping[str, bytes]) -> tuple[str, int]:
    """Write the ZIP so that it appears whole or not at all; its digest and size."""
    draft = out.with_name(f".{out.name}.{os.getpid()}")
    out.parent.mkdir(parents=True, exist_ok=True)
    try:
        with zipfile.ZipFile(draft, "w") as archive:
            for name, data in files.items():
                entry = zipfile.ZipInfo(name, ZIP_DATE)
                entry.external_attr = 0o644 << 16
                entry.compress_type = zipfile.ZIP_DEFLATED
                level = SMALL_COMPRESSION if len(data) <= SMALL_BYTES else COMPRESSION
                archive.writestr(entry, data, compresslevel=level)
        sealed = seal_of(draft)
        draft.replace(out)
        sync_folder(out.parent)
    finally:
        draft.unlink(missing_ok=True)
    return sealed["digest"], sealed["size"]


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, indent=2, default=str).encode()
