"""How each family is fitted, as source: what its `Learner.fit` does, without the clock."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from automl.engine.learners import Learner
from automl.engine.learners.boosting import patience, stopping_metric
from automl.engine.learners.network import LAST_RATE, PATIENCE
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
    # The penalty of Ridge, and C, are for the sum over rows; the dial is for one.
    total = f'DIALS["strength"] * {data.rows}'
    return Recipe(expressions={"C": f"1 / ({total})"} if data.classes else {"alpha": total})


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
        moved = 'list(range(len(at["numeric"]), len(at["numeric"]) + len(at["few"])))'
        whole = 'at["categories"]'
        codes = f"categorical_feature={moved if high else whole},"
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
    """Epoch by epoch, in steps that shrink along half a cosine; the best epoch's weights are kept."""
    # With a number for a seed every epoch would shuffle the rows in the same way.
    model.random_state = np.random.RandomState(model.random_state)
    best = since = 0
    kept = None
    for epoch in range(model.max_iter):
        if epoch:
            share = {last} + {rest} * 0.5 * (1 + math.cos(math.pi * epoch / model.max_iter))
            model._optimizer.learning_rate_init = share * model.learning_rate_init
        model.partial_fit(X, y{classes})
        loss = {loss}
        if kept is None or loss < best:
            best, since = loss, 0
            kept = [each.copy() for each in model.coefs_], [each.copy() for each in model.intercepts_]
        else:
            since += 1
        if since >= {patience}:
            break
    model.coefs_, model.intercepts_ = kept
'''
TRAIN_LATE = '''
def train(model, X, y, rounds):
    """Epoch by epoch, in steps that shrink along half a cosine."""
    # With a number for a seed every epoch would shuffle the rows in the same way.
    model.random_state = np.random.RandomState(model.random_state)
    for epoch in range(rounds):
        if epoch:
            share = {last} + {rest} * 0.5 * (1 + math.cos(math.pi * epoch / model.max_iter))
            model._optimizer.learning_rate_init = share * model.learning_rate_init
        model.partial_fit(X, y{classes})
'''
RESCALED = (
    "# The last layer is linear: it takes the target's scale back in.",
    "model.coefs_[-1] *= scale",
    "model.intercepts_[-1] *= scale",
    "model.intercepts_[-1] += centre",
)
FORGETS = (
    "# What only training needs is not kept.",
    "del model._optimizer",
    "model.random_state = model._random_state = seed",
)


def _network(data: DataProfile, params: Mapping[str, Any], late: bool) -> Recipe:
    watched = stopping_metric(data)
    losses = {
        "roc_auc": "-roc_auc_score(y_valid, model.predict_proba(X_valid)[:, 1])",
        "log_loss": "log_loss(y_valid, model.predict_proba(X_valid), labels=range(len(CLASSES)))",
    }
    loss = losses.get(watched, "np.sqrt(np.mean((model.predict(X_valid) - y_valid) ** 2))")
    classes = ", classes=range(len(CLASSES))" if data.classes else ""
    train = (TRAIN_LATE if late else TRAIN).format(
        last=LAST_RATE, rest=1 - LAST_RATE, loss=loss, patience=PATIENCE, classes=classes
    )
    scaled = not data.classes
    name = {"roc_auc": "roc_auc_score", "log_loss": "log_loss"}.get(watched)
    return Recipe(
        lines=(*_network_lines(scaled, late=False), *FORGETS),
        late=(*_network_lines(scaled, late=True), *FORGETS),
        validates=True,
        dials={"learning_rate": "learning_rate_init", "epochs": "max_iter"},
        expressions={"hidden_layer_sizes": '(DIALS["width"],) * DIALS["layers"]'},
        imports={"sklearn.metrics": (name,)} if name and not late else {},
        functions=(train,),
    )


def _network_lines(scaled: bool, *, late: bool) -> tuple[str, ...]:
    cast = (
        ("X = np.asarray(X, np.float32)",)
        if late
        else ("X, X_valid = np.asarray(X, np.float32), np.asarray(X_valid, np.float32)",)
    )
    if not scaled:
        return (*cast, "train(model, X, y, rounds)" if late else "train(model, X, y, X_valid, y_valid)")
    last = "rounds" if late else "X_valid, (y_valid - centre) / scale"
    scale = "centre, scale = y.mean(), y.std() or 1.0"
    return (*cast, scale, f"train(model, X, (y - centre) / scale, {last})", *RESCALED)


RECIPES = {
    "linear": _linear,
    "random_forest": _forest,
    "extra_trees": _forest,
    "hist_boosting": _hist,
    "lightgbm": _lightgbm,
    "xgboost": _xgboost,
    "catboost": _catboost,
    "neural_network": _network,
}
