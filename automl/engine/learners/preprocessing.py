"""Transformers of the encoded matrix, made of scikit-learn's own classes only.

Every function gives an unfitted transformer: it is fitted on the training part of a fold, so that
nothing of the validation part leaks into it. Their output columns are in a fixed order, numbers
first, so that a learner can tell where the categories are.
"""

from __future__ import annotations

from typing import Any

from automl.engine.schema import DataProfile
from automl.engine.space import Choice
from automl.engine.trial import TaskType

# A category with more levels than this would make one-hot columns that a few rows each can't pay for.
ONE_HOT_LEVELS = 30
# Target encoding makes a column for each class; with many classes codes are kept as numbers instead. What
# adds up its inputs can't use those: it gets at most so many columns of a category, rare levels one together.
TARGET_CLASSES, MOST_COLUMNS = 40, 100
# Under so many rows ranks are spread as a normal distribution.
NORMAL_ROWS = 2_000
NUMERIC_STEPS = ("standard", "quantile", "splines")
# Beyond so many numbers a model of splines has tens of thousands of curves: docs/decisions/040.
MOST_BENT = 600


def may_bend(data: DataProfile) -> bool:
    """Whether splines are offered: each fold has curves for each number, which are to be packaged in time."""
    return data.numeric - len(data.words) <= MOST_BENT


def numeric_dial(data: DataProfile, default: str = "standard") -> Choice:
    """Give the dial that says how numbers are prepared for models that add up their inputs."""
    is_offered = may_bend(data)
    return Choice(
        [step for step in NUMERIC_STEPS if is_offered or step != "splines"],
        default if is_offered else "standard",
        effect="How numbers are prepared: standard scales them, quantile spreads them by rank so that "
        "outliers lose their pull, splines lets each number act in bends (stronger, slower, can overfit; on "
        f"up to {MOST_BENT} numbers).",
        withdrawn=() if is_offered else ("splines",),
    )


def split_categories(data: DataProfile, limit: int) -> tuple[list[int], list[int]]:
    """Part the categorical columns: positions with at most ``limit`` levels, and the others."""
    pairs = list(zip(data.categorical, data.cardinalities, strict=True))
    return [c for c, levels in pairs if levels <= limit], [c for c, levels in pairs if levels > limit]


def numeric_columns(data: DataProfile) -> list[int]:
    """Give the positions of the columns that are numbers."""
    taken = {*data.categorical, *data.places}
    return [column for column in range(data.columns + len(data.places)) if column not in taken]


def plain_numbers(data: DataProfile) -> list[int]:
    """Give the positions of the numbers that are no components of texts."""
    words = set(data.words)
    return [column for column in numeric_columns(data) if column not in words]


def tree_numbers(data: DataProfile) -> list[int]:
    """Give the positions of the numbers that trees may split by."""
    minor = set(data.minor)
    return [column for column in numeric_columns(data) if column not in minor]


def target_encoder(data: DataProfile) -> Any:
    """Make an encoder that puts the target's mean in place of a level, cross-fitted inside the fold."""
    from sklearn.model_selection import KFold
    from sklearn.preprocessing import OrdinalEncoder, TargetEncoder

    if data.classes > TARGET_CLASSES:
        return OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1, encoded_missing_value=-1)
    kinds = {TaskType.BINARY: "binary", TaskType.MULTICLASS: "multiclass", TaskType.REGRESSION: "continuous"}
    # Not stratified: a class with fewer members than folds would be a warning on every trial.
    return TargetEncoder(target_type=kinds[data.task_type], cv=KFold(5, shuffle=True, random_state=0))


def encoded_width(data: DataProfile, high: int) -> int:
    """Count the columns that `target_encoder` makes of ``high`` columns."""
    per_column = (
        data.classes if data.task_type is TaskType.MULTICLASS and data.classes <= TARGET_CLASSES else 1
    )
    return high * per_column


def tree_matrix(data: DataProfile, limit: int) -> tuple[Any | None, list[int]]:
    """Prepare X for trees: levels of large categories become the target's mean, the rest stays.

    Parameters
    ----------
    data : DataProfile
    limit : int
        Categories with more levels than this are encoded.

    Returns
    -------
    transformer : ColumnTransformer or None
        None where X can be taken as it is.
    categorical : list of int
        Positions, after the transformer, of the columns that still hold codes.
    """
    low, high = split_categories(data, limit)
    if not (high or data.minor):
        return None, low
    from sklearn.compose import ColumnTransformer

    numeric = tree_numbers(data)
    steps: list[tuple[str, Any, list[int]]] = [("keep", "passthrough", numeric + low)]
    if high:
        steps.append(("target", target_encoder(data), high))
    return ColumnTransformer(steps), list(range(len(numeric), len(numeric) + len(low)))


def tree_width(data: DataProfile, limit: int) -> int:
    """Count the columns that `tree_matrix` leaves."""
    high = sum(levels > limit for levels in data.cardinalities)
    return data.columns - len(data.minor) - high + encoded_width(data, high)


def category_positions(data: DataProfile, limit: int) -> list[int]:
    """Give the second part of `tree_matrix` without importing scikit-learn."""
    low, high = split_categories(data, limit)
    if not (high or data.minor):
        return low
    start = len(tree_numbers(data))
    return list(range(start, start + len(low)))


def _numeric_steps(how: str, rows: int) -> list[Any]:
    from sklearn.impute import SimpleImputer
    from sklearn.preprocessing import MinMaxScaler, QuantileTransformer, SplineTransformer, StandardScaler

    impute = SimpleImputer(strategy="median", keep_empty_features=True)
    if how == "quantile":
        quantiles = max(10, min(rows // 30, 500))
        # As a normal distribution all rows that share the least or the most are far out; few rows stay so.
        shape = "normal" if rows < NORMAL_ROWS else "uniform"
        spread = QuantileTransformer(
            n_quantiles=quantiles, output_distribution=shape, subsample=20_000, random_state=0
        )
        return [impute, spread, StandardScaler()]
    if how == "splines":
        knots = 4 if rows < 1_000 else 6
        bends = SplineTransformer(n_knots=knots, degree=2, knots="quantile", include_bias=False)
        return [impute, StandardScaler(), bends, StandardScaler()]
    if how == "bounded":
        return [impute, MinMaxScaler(clip=True), StandardScaler()]
    return [impute, StandardScaler()]


def dense_matrix(data: DataProfile, how: str, *, components: bool = True) -> Any:
    """Prepare X for models that add up their inputs: no missing cell, alike scales, levels as columns.

    Parameters
    ----------
    data : DataProfile
    how : {"standard", "bounded", "quantile", "splines"}
        How numbers are prepared, see `numeric_dial`; bounded is standard, but numbers beyond those of
        training are held at the nearest of them.
    components : bool
        With components of texts.
    """
    return _added_up(data, how, one_hot_levels=_dense_levels(data), components=components)


def sparse_matrix(data: DataProfile, how: str, *, components: bool = True) -> Any:
    """Prepare X as `dense_matrix` does, but with a column for each level however many there are; sparse."""
    levels = max(data.cardinalities, default=0)
    is_sparse = levels > ONE_HOT_LEVELS
    return _added_up(data, how, one_hot_levels=levels, components=components, is_sparse=is_sparse)


def _dense_levels(data: DataProfile) -> int:
    """Up to how many levels a category of `dense_matrix` has columns for them."""
    return max(data.cardinalities, default=0) if data.classes > TARGET_CLASSES else ONE_HOT_LEVELS


def sparse_cells(data: DataProfile, how: str) -> int:
    """Estimate how many cells of `sparse_matrix` are not zero."""
    return data.rows * (_numbers_width(data, how) + len(data.cardinalities))


def _numbers_width(data: DataProfile, how: str) -> int:
    bends = (5 if data.rows < 1_000 else 7) if how == "splines" else 1
    return (data.numeric - len(data.words)) * bends + len(data.words)


def _added_up(
    data: DataProfile, how: str, *, one_hot_levels: int, components: bool, is_sparse: bool = False
) -> Any:
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import MissingIndicator
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    low, high = split_categories(data, one_hot_levels)
    numeric = plain_numbers(data)
    steps: list[tuple[str, Any, list[int]]] = []
    if numeric:
        steps.append(("numeric", make_pipeline(*_numeric_steps(how, data.rows)), numeric))
    if numeric and data.missing_share > 0:
        # error_on_new: a column may have its first missing cell in the validation part.
        steps.append(("missing", MissingIndicator(features="missing-only", error_on_new=False), numeric))
    if data.words and components:
        # Each on a scale of its own, those that say little would count as much as those that say most.
        steps.append(("words", StandardScaler(with_std=False), list(data.words)))
    if low:
        most = None if is_sparse or one_hot_levels <= ONE_HOT_LEVELS else MOST_COLUMNS
        one_hot = OneHotEncoder(
            handle_unknown="infrequent_if_exist",
            min_frequency=3,
            max_categories=most,
            sparse_output=is_sparse,
            dtype="float32",
        )
        steps.append(("one_hot", one_hot, low))
    if high:
        steps.append(("target", make_pipeline(target_encoder(data), StandardScaler()), high))
    return ColumnTransformer(steps, sparse_threshold=1.0 if is_sparse else 0.0)


def dense_width(data: DataProfile, how: str) -> int:
    """Estimate how many columns `dense_matrix` makes."""
    low = [min(levels, MOST_COLUMNS) for levels in data.cardinalities if levels <= _dense_levels(data)]
    missing = data.numeric - len(data.words) if data.missing_share > 0 else 0
    high = len(data.cardinalities) - len(low)
    return max(_numbers_width(data, how) + missing + sum(low) + encoded_width(data, high), 1)


def dense_seconds(data: DataProfile, how: str) -> float:
    """Estimate what `dense_matrix` takes."""
    high = sum(levels > _dense_levels(data) for levels in data.cardinalities)
    cells = data.rows * dense_width(data, how)
    plain = data.numeric - len(data.words)
    ranking = data.rows * plain * 1.9e-7 if how in ("quantile", "splines") else 0.0
    return ranking + cells * 3e-8 + data.rows * encoded_width(data, high) * 1.6e-7


def encoding_seconds(data: DataProfile, limit: int) -> float:
    """Estimate what `tree_matrix` takes, and the binning of its columns."""
    high = sum(levels > limit for levels in data.cardinalities)
    kept = data.columns - len(data.minor)
    return data.rows * (kept * 1.2e-7 + encoded_width(data, high) * 1.2e-7)
