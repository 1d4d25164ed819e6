"""Logistic regression, ridge and elastic net."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import Any

from automl.engine.learners.base import Cost, Fit, Learner
from automl.engine.learners.boosting import class_trees
from automl.engine.learners.preprocessing import (
    ONE_HOT_LEVELS,
    dense_matrix,
    dense_seconds,
    dense_width,
    may_bend,
    numeric_dial,
    sparse_cells,
    sparse_matrix,
)
from automl.engine.schema import DataProfile
from automl.engine.space import Choice, Float, Space
from automl.engine.trial import Params, TaskType

# Newton's method solves a system as wide as columns x classes; past this it loses to L-BFGS.
NEWTON_WIDTH = 600
FEW_ROWS, MANY_ROWS = 2_000, 50_000
CATEGORIES = Choice(
    ("target", "one_hot"),
    "target",
    effect="How categories of many levels are prepared: target puts the target's mean in place of a level; "
    "one_hot gives every level a weight of its own, which tells more where there are rows enough for each.",
)
TEXTS = Choice(
    ("pairs", "words", "components"),
    "pairs",
    effect="What of texts has a weight: words is each word, pairs also each two that are neighbours, which "
    "tells more and needs more rows, components a few hundred sums of words.",
    # To set weights of so many words to zero takes minutes.
    condition={"name": "penalty", "values": ["l2"]},
)
# Each word and pair of all texts has a weight for each class: where that were too many, more pairs share
# one, and at last there are none.
MOST_WEIGHTS, MOST_BUCKETS, LEAST_BUCKETS = 400_000, 1 << 15, 1 << 12
# A word takes half as long as a cell of other columns, and a pair as well.
WORD_SHARE = 0.5
# L-BFGS goes over all of them in each of its steps, and remembers ten.
WEIGHT_SECONDS, WEIGHT_BYTES = 1e-6, 250


class Linear(Learner):
    """Adds up the columns with one weight each."""

    key = "linear"
    label = "Linear model"
    description = (
        "Logistic regression, or ridge and elastic net for numbers: one weight for each column. "
        "Fast, easy to read, hard to overfit; it finds no interactions by itself."
    )
    goes_beyond = True

    def dials(self, data: DataProfile) -> Space:
        many = max(data.cardinalities, default=0) > ONE_HOT_LEVELS
        has_words = bool(data.texts and _buckets(data))
        return Space(
            {
                **({"categories": CATEGORIES} if many else {}),
                "penalty": Choice(
                    ("l2", "elasticnet"),
                    "l2",
                    effect="How weights are kept small: l2 shrinks all of them, elasticnet also sets useless "
                    "ones to zero and takes longer.",
                ),
                **({"texts": TEXTS} if has_words else {}),
                "strength": Float(
                    1e-5,
                    10.0,
                    _usual_strength(data, has_words=has_words),
                    log=True,
                    effect="How strongly weights are pulled to zero, per row: higher gives a simpler model, "
                    "too high ignores the data, too low overfits wide tables.",
                ),
                "l1_ratio": Float(
                    0.05,
                    1.0,
                    0.5,
                    condition={"name": "penalty", "values": ["elasticnet"]},
                    effect="The share of the penalty that sets weights to zero: higher drops more columns.",
                ),
                "numeric": numeric_dial(data),
            }
        )

    def portfolio(self, data: DataProfile) -> list[Params]:
        space = self.space(data)
        strong = 1e-3 if data.rows > FEW_ROWS else 3e-2
        configurations: list[dict[str, Any]] = [{"strength": strong}]
        if may_bend(data):
            configurations[0]["numeric"] = "splines"
        has_words = "texts" in space.dimensions
        if has_words:
            configurations[:0] = [{"texts": "words"}, {"texts": "components", "strength": strong}]
        if "categories" in space.dimensions:
            weak = 1e-5 if data.rows > FEW_ROWS else 1e-3
            configurations.insert(
                0,
                {
                    "categories": "one_hot",
                    "strength": _usual_strength(data, has_words=True) if has_words else weak,
                },
            )
        if data.rows * dense_width(data, "standard") <= 5_000_000:
            configurations.append(
                {"numeric": "quantile", "penalty": "elasticnet", "strength": strong, "l1_ratio": 0.8}
            )
        configurations.append({"numeric": "quantile", "strength": 1e-5})
        return [space.validate(params) for params in configurations]

    def cost(self, data: DataProfile, params: Params) -> Cost:
        how, elastic = str(params["numeric"]), params["penalty"] == "elasticnet"
        if _tells_words(params):
            data = replace(data, numeric=data.numeric - len(data.words), words=())
        if _is_sparse(params):
            cells = sparse_cells(data, how) + _word_cells(data, params)
            steps = 2e-6 if data.classes and elastic else 6e-7 if data.classes or elastic else 2e-7
            weights = _word_weights(data, params)
            seconds = 0.02 + dense_seconds(data, how) + cells * class_trees(data) * steps
            return Cost(seconds + weights * WEIGHT_SECONDS, cells * 40 + weights * WEIGHT_BYTES)
        width = dense_width(data, how)
        outputs = class_trees(data)
        cells = data.rows * width
        if not data.classes:
            solving = cells * (2e-8 if elastic else 2e-9)
        elif elastic:
            # A weak penalty never converges and takes all the iterations.
            solving = cells * outputs * (3e-7 if float(params["strength"] or 1) < 1e-2 else 3e-8)
        elif width * outputs <= NEWTON_WIDTH:
            # A Newton step makes the whole Hessian: rows x (columns x classes) squared.
            solving = cells * outputs * (2.6e-8 + 7e-11 * width * outputs)
        else:
            solving = cells * outputs * 1.2e-8
        return Cost(0.01 + dense_seconds(data, how) + solving, cells * 24)

    def preprocess(self, data: DataProfile, params: Params) -> Any | None:
        make = sparse_matrix if params.get("categories") == "one_hot" else dense_matrix
        if not _tells_words(params):
            return make(data, str(params["numeric"]))
        from automl.engine.inference.word_weights import WithWords

        columns = make(data, str(params["numeric"]), components=False)
        return WithWords(columns, data.texts, _buckets(data) if params["texts"] == "pairs" else 0)

    def build(self, data: DataProfile, params: Params, *, seed: int, threads: int) -> Any:
        from sklearn.linear_model import ElasticNet, LogisticRegression, Ridge

        strength = float(params["strength"])  # type: ignore[arg-type]
        elastic = params["penalty"] == "elasticnet"
        if data.task_type is TaskType.REGRESSION:
            if elastic:
                return target_scaled(
                    ElasticNet(alpha=strength, l1_ratio=params["l1_ratio"], max_iter=500, tol=1e-3)
                )
            return Ridge(alpha=strength * data.rows)
        # Its C is for the sum over rows; ours is per row, so that a value means the same on every table.
        inverse = 1.0 / (strength * data.rows)
        if elastic:
            return LogisticRegression(
                C=inverse,
                l1_ratio=params["l1_ratio"],
                solver="saga",
                max_iter=60,
                tol=2e-3,
                random_state=seed,
            )
        outputs = 1 if data.classes == 2 else data.classes
        newton = (
            not _is_sparse(params) and dense_width(data, str(params["numeric"])) * outputs <= NEWTON_WIDTH
        )
        return LogisticRegression(
            C=inverse, solver="newton-cholesky" if newton else "lbfgs", max_iter=25 if newton else 150
        )

    def fit(
        self,
        estimator: Any,
        X: Any,
        y: Any,
        X_valid: Any,
        y_valid: Any,
        *,
        data: DataProfile,
        deadline: float | None,
    ) -> Fit:
        # The last iterations move the score in the fifth digit.
        fit_briefly(estimator, X, y)
        return Fit(estimator)

    def describe(self, fit: Fit, X: Any, y: Any, *, data: DataProfile) -> None:
        fit.learned = self.learned(fit.estimator, X if data.words else None)

    def learned(self, estimator: Any, X: Any | None = None) -> dict[str, Any]:
        """What training found; inputs that are not on one scale are weighed by their spread in X."""
        estimator = getattr(estimator, "regressor_", estimator)
        weights = abs(estimator.coef_)
        total = weights.sum(axis=0) if weights.ndim == 2 else weights
        if X is not None:
            from sklearn.preprocessing import StandardScaler

            total = total * StandardScaler(with_mean=False).fit(X).scale_
        # Many words of a text that weigh little weigh much together.
        order = total.argsort()[::-1][: 200 if X is None else None]
        return {
            "coefficients": list(estimator.coef_.shape),
            "nonzero": int((weights > 1e-12).sum()),
            "largest": [
                [place, float(f"{weight:.5g}")]
                for place, weight in zip(order.tolist(), total[order].tolist(), strict=True)
            ],
        }


def fit_briefly(estimator: Any, X: Any, y: Any) -> None:
    """Fit in place, without a warning where the limit on iterations comes first: it is meant."""
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        estimator.fit(X, y)


def _usual_strength(data: DataProfile, *, has_words: bool) -> float:
    if not has_words:
        return 1e-4 if data.rows > FEW_ROWS else 1e-2
    return 3e-3 if data.rows <= FEW_ROWS else 3e-4 if data.rows <= MANY_ROWS else 1e-4


def _is_sparse(params: Params) -> bool:
    return params.get("categories") == "one_hot" or _tells_words(params)


def _tells_words(params: Params) -> bool:
    return params.get("texts") in ("words", "pairs")


def _buckets(data: DataProfile) -> int:
    """How many weights the pairs of a text share for each class, a power of two; 0 for too many."""
    found = MOST_BUCKETS
    while found >= LEAST_BUCKETS and _width(data, found) * class_trees(data) > MOST_WEIGHTS:
        found //= 2
    return found if found >= LEAST_BUCKETS else 0


def _width(data: DataProfile, buckets: int) -> int:
    """How many inputs words and pairs are."""
    return sum(words + buckets for _, _, words in data.texts)


def _word_weights(data: DataProfile, params: Params) -> int:
    """How many weights words and pairs have together."""
    if not _tells_words(params):
        return 0
    return _width(data, _buckets(data) if params["texts"] == "pairs" else 0) * class_trees(data)


def _word_cells(data: DataProfile, params: Params) -> int:
    """Estimate how many cells words and pairs fill."""
    blocks = {"pairs": 2, "words": 1}.get(str(params.get("texts")), 0)
    return int(blocks * WORD_SHARE * data.filled * data.rows * len(data.places))


def target_scaled(regressor: Any) -> Any:
    """Wrap a regressor whose penalty depends on the target's scale."""
    from sklearn.compose import TransformedTargetRegressor
    from sklearn.preprocessing import StandardScaler

    return TransformedTargetRegressor(regressor=regressor, transformer=StandardScaler())
