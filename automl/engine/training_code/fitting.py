"""How each family is fitted, as source: what its `Learner.fit` does, without the clock."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from automl.engine.learners import Learner, perceptron
from automl.engine.learners.boosting import patience, stopping_metric
from automl.engine.learners.network import PATIENCE, keeps_last
from automl.engine.learners.preprocessing import dense_width
from automl.engine.schema import DataProfile


@dataclass(frozen=True, slots=True)
class Recipe:
    """What follows the line that makes `model`.

    Attributes
    ----------
    lines : tuple of str
        They fit `model` on X and y; with `validates` they may stop by X_valid and y_valid.
    late : tuple of str
        The same where time ended a fit of the trial, for as long as `rounds` says.
    length : str
        The estimator's parameter for how long it is fitted; empty where fits have no length.
    stopping : tuple of str
        Parameters that go with stopping early.
    dials : mapping
        The parameter that a dial stands for, where its name is another.
    expressions, comments : mapping
        Source of a parameter's value, and a remark on it.
    functions : tuple of str
        Functions that the lines call.
    """

    lines: tuple[str, ...] = ("model.fit(X, y)",)
    late: tuple[str, ...] = ("model.fit(X, y)",)
    validates: bool = False
    length: str = ""
    stopping: tuple[str, ...] = ()
    dials: Mapping[str, str] = field(default_factory=dict)
    expressions: Mapping[str, str] = field(default_factory=dict)
    comments: Mapping[str, str] = field(default_factory=dict)
    imports: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    functions: tuple[str, ...] = ()


WAITING = "rounds without a gain, after which it stops"


def recipe_of(learner: Learner, data: DataProfile, params: Mapping[str, Any], *, late: bool) -> Recipe | None:
    """Tell how a learner is fitted; None for one that fits in a way of its own that is not written here."""
    if learner.key in RECIPES:
        return RECIPES[learner.key](data, params, late)
    fits_plainly = type(learner).fit is Learner.fit
    return Recipe() if fits_plainly else None


def _linear(data: DataProfile, params: Mapping[str, Any], late: bool) -> Recipe:
    if params["penalty"] == "elasticnet" and not data.classes:
        return Recipe(dials={"strength": "alpha"})
    return Recipe(expressions=_penalty(data))


def _penalty(data: DataProfile) -> dict[str, str]:
    """The penalty of Ridge, and C, are for the sum over rows; the dial is for one."""
    total = f'DIALS["strength"] * {data.rows}'
    return {"C": f"1 / ({total})"} if data.classes else {"alpha": total}


def _kernel(data: DataProfile, params: Mapping[str, Any], late: bool) -> Recipe:
    width = dense_width(data, str(params["numeric"]))
    gamma = f'0.5 / (DIALS["length_scale"] ** 2 * {width})'
    return Recipe(
        lines=("model.fit(np.asarray(X, float), y)",), expressions={"gamma": gamma, **_penalty(data)}
    )


def _forest(data: DataProfile, params: Mapping[str, Any], late: bool) -> Recipe:
    return Recipe(length="n_estimators", comments={"max_leaf_nodes": "so that it fits into memory"})


def _hist(data: DataProfile, params: Mapping[str, Any], late: bool) -> Recipe:
    return Recipe(
        lines=(
            "model.fit(X, y, X_val=X_valid, y_val=y_valid)",
            "# It keeps the rounds after the best one, which have overfitted.",
            "best = int((-model.validation_score_[1:]).argmin()) + 1",
            "del model._predictors[best:]",
        ),
        validates=True,
        length="max_iter",
        stopping=("early_stopping", "n_iter_no_change"),
        expressions={"early_stopping": "False"} if late else {},
        comments={"n_iter_no_change": WAITING},
    )


def _lightgbm(data: DataProfile, params: Mapping[str, Any], late: bool) -> Recipe:
    from automl.engine.learners.boosting_lightgbm import CODE_LEVELS
    from automl.engine.learners.preprocessing import category_positions, split_categories

    _, high = split_categories(data, CODE_LEVELS)
    codes = ""
    if category_positions(data, CODE_LEVELS):
        numbers, few = "kept" if data.minor else "numeric", "few" if high else "categories"
        moved = f'list(range(len(at["{numbers}"]), len(at["{numbers}"]) + len(at["{few}"])))'
        whole = 'at["categories"]'
        codes = f"categorical_feature={moved if high or data.minor else whole},"
    waiting = patience(float(params["learning_rate"]))
    stop = f"callbacks=[early_stopping({waiting}, verbose=False)],"
    inside = ["X,", "y,", "eval_X=X_valid,", "eval_y=y_valid,", *([codes] if codes else []), stop]
    late_codes = f", {codes.rstrip(',')}" if codes else ""
    return Recipe(
        lines=("model.fit(", *(f"    {line}" for line in inside), ")"),
        late=(f"model.fit(X, y{late_codes})",),
        validates=True,
        length="n_estimators",
        imports={} if late else {"lightgbm": ("early_stopping",)},
    )


def _xgboost(data: DataProfile, params: Mapping[str, Any], late: bool) -> Recipe:
    pick = "max" if stopping_metric(data) == "roc_auc" else "min"
    return Recipe(
        lines=(
            "model.fit(X, y, eval_set=[(X_valid, y_valid)], verbose=False)",
            '(curve,) = model.evals_result()["validation_0"].values()',
            f"model._Booster = model.get_booster()[: curve.index({pick}(curve)) + 1]  # up to the best round",
        ),
        validates=True,
        length="n_estimators",
        stopping=("early_stopping_rounds",),
        comments={"early_stopping_rounds": WAITING},
    )


def _catboost(data: DataProfile, params: Mapping[str, Any], late: bool) -> Recipe:
    return Recipe(
        lines=("model.fit(X, y, eval_set=(X_valid, y_valid))",),
        validates=True,
        length="iterations",
        stopping=("od_type", "od_wait", "use_best_model"),
        comments={"od_wait": WAITING},
    )


TRAIN = '''
def train(model, X, y, X_valid, y_valid):
    """Epoch by epoch; the best epoch's weights are kept."""
    dropout, smoothing = {extra}
    network = shaped(model, X, y, {classes}, dropout=dropout, smoothing=smoothing)
    best, since, kept = None, 0, None
    for _ in training(network, model, X, y):
        model.coefs_, model.intercepts_ = network.layers()
        loss = {loss}
        if best is None or loss < best:
            best, since, kept = loss, 0, (model.coefs_, model.intercepts_)
        else:
            since += 1
        if since >= {patience}:
            break
    model.coefs_, model.intercepts_ = kept
'''
TRAIN_LATE = '''
def train(model, X, y, rounds):
    """Epoch by epoch."""
    dropout, smoothing = {extra}
    network = shaped(model, X, y, {classes}, dropout=dropout, smoothing=smoothing)
    for epoch, _ in enumerate(training(network, model, X, y), start=1):
        if epoch == rounds:
            break
    model.coefs_, model.intercepts_ = network.layers()
'''
RESCALED = (
    "# The last layer is linear: it takes the target's scale back in.",
    "model.coefs_[-1] *= scale",
    "model.intercepts_[-1] *= scale",
    "model.intercepts_[-1] += centre",
)


def _network(data: DataProfile, params: Mapping[str, Any], late: bool) -> Recipe:
    watched = stopping_metric(data)
    losses = {
        "roc_auc": "-roc_auc_score(y_valid, model.predict_proba(X_valid)[:, 1])",
        "log_loss": "calibrated_loss(y_valid.astype(int), model.predict_proba(X_valid))",
    }
    loss = losses.get(watched, "np.sqrt(np.mean((model.predict(X_valid) - y_valid) ** 2))")
    smoothing = 'DIALS["label_smoothing"]' if data.classes else "0"
    goes_on = keeps_last(data)
    train = (TRAIN_LATE if late or goes_on else TRAIN).format(
        classes="len(CLASSES)" if data.classes else 0,
        extra=f'DIALS["dropout"], {smoothing}',
        loss=loss,
        patience=PATIENCE,
    )
    scaled = not data.classes
    source = inspect.getsource(perceptron)
    return Recipe(
        lines=_network_lines(scaled, until="model.max_iter" if goes_on else ""),
        late=_network_lines(scaled, until="rounds"),
        validates=not goes_on,
        dials={"learning_rate": "learning_rate_init", "epochs": "max_iter"},
        expressions={"hidden_layer_sizes": '(DIALS["width"],) * DIALS["layers"]'},
        imports={
            "collections.abc": ("Iterator", "Sequence"),
            "typing": ("Any",),
            **({"sklearn.metrics": ("roc_auc_score",)} if "roc_auc_score" in train else {}),
        },
        functions=(source[source.index("LEAST_PROBABILITY =") :], train),
    )


def _network_lines(scaled: bool, *, until: str) -> tuple[str, ...]:
    """The lines that train up to an epoch, or without one up to the best."""
    cast = (
        ("X = np.asarray(X, np.float32)",)
        if until
        else ("X, X_valid = np.asarray(X, np.float32), np.asarray(X_valid, np.float32)",)
    )
    if not scaled:
        return (*cast, f"train(model, X, y, {until or 'X_valid, y_valid'})")
    last = until or "X_valid, (y_valid - centre) / scale"
    scale = "centre, scale = y.mean(), y.std() or 1.0"
    return (*cast, scale, f"train(model, X, (y - centre) / scale, {last})", *RESCALED)


RECIPES = {
    "linear": _linear,
    "kernel": _kernel,
    "random_forest": _forest,
    "extra_trees": _forest,
    "hist_boosting": _hist,
    "lightgbm": _lightgbm,
    "xgboost": _xgboost,
    "catboost": _catboost,
    "neural_network": _network,
    "stacked_network": _network,
    "stacked_trees": _forest,
    "stacked_lightgbm": _lightgbm,
}
