"""Fits another library and writes its predictions; run with an interpreter that has it, see accuracy.py."""

from __future__ import annotations

import importlib.metadata
import json
import sys
import tempfile
import time
from functools import partial
from typing import Any

import pandas as pd

PACKAGES = {"flaml": "flaml", "h2o": "h2o", "mljar": "mljar-supervised", "lightgbm-tuned": "lightgbm"}
METRICS = {"binary": "roc_auc", "multiclass": "log_loss", "regression": "rmse"}


def flaml(train: pd.DataFrame, test: pd.DataFrame, asked: dict[str, Any]) -> tuple[Any, Any]:
    """FLAML with its defaults on both cores."""
    from flaml import AutoML

    target = asked["target"]
    search = AutoML()
    search.fit(
        dataframe=train,
        label=target,
        task="regression" if asked["task"] == "regression" else "classification",
        metric=METRICS[asked["task"]],
        time_budget=asked["seconds"],
        n_jobs=2,
        seed=asked["seed"],
        verbose=0,
    )
    asked["fit_ended"] = time.monotonic()
    rows = test.drop(columns=target)
    if asked["task"] == "regression":
        return search.predict(rows), None
    return search.predict(rows), pd.DataFrame(search.predict_proba(rows), columns=search.classes_)


def autogluon(preset: str, train: pd.DataFrame, test: pd.DataFrame, asked: dict[str, Any]) -> tuple[Any, Any]:
    """AutoGluon; its bagging presets one fold after the other, as Ray on two cores eats the budget."""
    from autogluon.tabular import TabularPredictor

    target = asked["target"]
    bagging = {"fold_fitting_strategy": "sequential_local"} if preset == "best_quality" else None
    metric = "root_mean_squared_error" if asked["task"] == "regression" else METRICS[asked["task"]]
    with tempfile.TemporaryDirectory() as folder:
        predictor = TabularPredictor(
            label=target, problem_type=asked["task"], eval_metric=metric, path=folder, verbosity=0
        )
        settings = {"ag_args_ensemble": bagging, "dynamic_stacking": False} if bagging else {}
        predictor.fit(train, presets=preset, time_limit=asked["seconds"], num_cpus=2, num_gpus=0, **settings)
        asked["fit_ended"] = time.monotonic()
        rows = test.drop(columns=target)
        chances = predictor.predict_proba(rows) if asked["task"] != "regression" else None
        return predictor.predict(rows), chances


def h2o(train: pd.DataFrame, test: pd.DataFrame, asked: dict[str, Any]) -> tuple[Any, Any]:
    """H2O's AutoML with its defaults, the server's start not counted."""
    import h2o as server
    from h2o.automl import H2OAutoML

    server.no_progress()
    server.init(nthreads=2, strict_version_check=False, verbose=False, port=54_421)
    asked["fit_began"] = time.monotonic()
    target = asked["target"]
    frame = server.H2OFrame(train)
    if asked["task"] != "regression":
        frame[target] = frame[target].asfactor()
    levels = frame[target].levels()[0] if asked["task"] != "regression" else []
    metric = {"binary": "AUC", "multiclass": "logloss", "regression": "RMSE"}[asked["task"]]
    search = H2OAutoML(max_runtime_secs=int(asked["seconds"]), seed=asked["seed"], sort_metric=metric)
    search.train(y=target, training_frame=frame)
    asked["fit_ended"] = time.monotonic()
    rows = test.drop(columns=target)
    kinds = {name: kind for name, kind in frame.types.items() if name != target}
    found = search.leader.predict(server.H2OFrame(rows, column_types=kinds)).as_data_frame()
    server.cluster().shutdown()
    chances = None
    if asked["task"] != "regression":
        # A class that is a number comes back as p3 for 3.
        chances = found.drop(columns="predict").set_axis(levels, axis=1)
    return found["predict"], chances


def mljar(train: pd.DataFrame, test: pd.DataFrame, asked: dict[str, Any]) -> tuple[Any, Any]:
    """MLJAR in the mode that is meant for accuracy."""
    from supervised.automl import AutoML

    target = asked["target"]
    metric = {"binary": "auc", "multiclass": "logloss", "regression": "rmse"}[asked["task"]]
    task = {"binary": "binary_classification", "multiclass": "multiclass_classification"}
    with tempfile.TemporaryDirectory() as folder:
        search = AutoML(
            results_path=f"{folder}/mljar",
            mode="Compete",
            ml_task=task.get(asked["task"], "regression"),
            eval_metric=metric,
            total_time_limit=int(asked["seconds"]),
            n_jobs=2,
            random_state=asked["seed"] + 1,
            verbose=0,
        )
        search.fit(train.drop(columns=target), train[target])
        asked["fit_ended"] = time.monotonic()
        rows = test.drop(columns=target)
        if asked["task"] == "regression":
            return search.predict(rows), None
        found = search.predict_all(rows)
        chances = found.filter(like="prediction_")
        return found["label"], chances.rename(columns=lambda name: name.removeprefix("prediction_"))


def lightgbm_tuned(train: pd.DataFrame, test: pd.DataFrame, asked: dict[str, Any]) -> tuple[Any, Any]:
    """One LightGBM, tuned as a careful user would: TPE over its usual dials, on five folds, for the time."""
    import lightgbm
    import numpy as np
    import optuna
    from sklearn.model_selection import KFold, StratifiedKFold

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    target, task = asked["target"], asked["task"]
    labels, y = (
        np.unique(train[target], return_inverse=True) if task != "regression" else (None, train[target])
    )
    # It changes names with blanks in them, and then does not know them.
    names = [f"c{place}" for place in range(train.shape[1] - 1)]
    rows = [table.drop(columns=target).set_axis(names, axis=1) for table in (train, test)]
    words = rows[0].select_dtypes(exclude="number").columns
    kinds = {word: pd.CategoricalDtype(sorted(rows[0][word].dropna().unique())) for word in words}
    known, new = (table.astype(kinds) for table in rows)
    metric = {"binary": "auc", "multiclass": "multi_logloss", "regression": "rmse"}[task]
    fixed = {"objective": task, "metric": metric, "num_threads": 2, "verbosity": -1, "seed": asked["seed"]}
    if task == "multiclass":
        fixed["num_class"] = len(labels)
    splitter = (KFold if task == "regression" else StratifiedKFold)(
        5, shuffle=True, random_state=asked["seed"]
    )
    folds = list(splitter.split(known, y))
    data = lightgbm.Dataset(known, np.asarray(y), free_raw_data=False)

    def loss(trial: optuna.Trial) -> float:
        dials = {
            "learning_rate": trial.suggest_float("learning_rate", 0.01, 0.3, log=True),
            "num_leaves": trial.suggest_int("num_leaves", 4, 256, log=True),
            "min_data_in_leaf": trial.suggest_int("min_data_in_leaf", 2, 100, log=True),
            "feature_fraction": trial.suggest_float("feature_fraction", 0.4, 1.0),
            "bagging_fraction": trial.suggest_float("bagging_fraction", 0.5, 1.0),
            "bagging_freq": 1,
            "lambda_l2": trial.suggest_float("lambda_l2", 1e-3, 100, log=True),
        }
        found = lightgbm.cv(
            {**fixed, **dials},
            data,
            num_boost_round=2_000,
            folds=folds,
            callbacks=[lightgbm.early_stopping(50, verbose=False)],
        )
        curve = found[f"valid {metric}-mean"]
        trial.set_user_attr("settings", dials)
        trial.set_user_attr("rounds", len(curve))
        return -curve[-1] if metric == "auc" else curve[-1]

    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=asked["seed"]))
    usual = {"learning_rate": 0.1, "num_leaves": 31, "min_data_in_leaf": 20}
    study.enqueue_trial({**usual, "feature_fraction": 1.0, "bagging_fraction": 1.0, "lambda_l2": 1e-3})
    study.optimize(loss, timeout=0.9 * asked["seconds"])
    best = study.best_trial.user_attrs
    # Of all rows a quarter more than a fold has.
    model = lightgbm.train({**fixed, **best["settings"]}, data, num_boost_round=round(1.1 * best["rounds"]))
    asked["fit_ended"] = time.monotonic()
    found = np.asarray(model.predict(new))
    if labels is None:
        return found, None
    chances = np.column_stack([1 - found, found]) if task == "binary" else found
    return labels[chances.argmax(axis=1)], pd.DataFrame(chances, columns=labels)


PEERS = {
    "lightgbm-tuned": lightgbm_tuned,
    "flaml": flaml,
    "autogluon-medium": partial(autogluon, "medium_quality"),
    "autogluon-best": partial(autogluon, "best_quality"),
    "h2o": h2o,
    "mljar": mljar,
}


def main() -> None:
    """Fit, predict, write, and print the seconds as JSON."""
    name, asked = sys.argv[1], json.loads(sys.argv[2])
    train, test = pd.read_csv(asked["train"]), pd.read_csv(asked["test"])
    began = time.monotonic()
    # A peer says when its fit ended, where that is not when it has predicted.
    predicted, chances = PEERS[name](train, test, asked)
    seconds = asked.get("fit_ended", time.monotonic()) - asked.get("fit_began", began)
    table = pd.DataFrame({"prediction": predicted})
    if chances is not None:
        for label in chances.columns:
            table[f"probability_{label}"] = chances[label].to_numpy()
    table.to_csv(asked["out"], index=False)
    package = PACKAGES.get(name, "autogluon.tabular")
    print(json.dumps({"fit_seconds": seconds, "version": importlib.metadata.version(package)}))


if __name__ == "__main__":
    main()
