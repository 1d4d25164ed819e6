"""AutoML as scikit-learn estimators: give a table, get the best model that a time budget allows."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils import assert_all_finite, check_consistent_length, check_random_state, column_or_1d
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from automl.engine import bundle
from automl.engine.budget import Budget
from automl.engine.errors import UserError
from automl.engine.evaluation import are_decided, as_packaged, read_members
from automl.engine.inference import Encoder, Model
from automl.engine.labels import label_factors
from automl.engine.local import ENSEMBLE, LocalSearch, SearchSettings
from automl.engine.metrics import METRICS
from automl.engine.preparation import LEAST_ROWS, Request, open_prepared, prepare, profile_columns

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Array = NDArray[Any]

BOARD_COLUMNS = (
    "rank",
    "name",
    "family",
    "origin",
    "score",
    "score_low",
    "score_high",
    "tied_with_best",
    "fit_time",
    "predict_time",
    "size",
    "hyperparameters",
)


class _AutoML(BaseEstimator):  # type: ignore[misc]
    """What the two estimators share."""

    def __init__(  # noqa: PLR0913 - scikit-learn's way: every setting is a parameter
        self,
        *,
        time_budget: float | None = 60.0,
        max_trials: int | None = None,
        metric: str = "auto",
        families: Sequence[str] | None = None,
        search: str = "auto",
        seats: int | None = None,
        ensemble: bool = True,
        random_state: Any = 0,
        verbose: bool = False,
    ) -> None:
        self.time_budget = time_budget
        self.max_trials = max_trials
        self.metric = metric
        self.families = families
        self.search = search
        self.seats = seats
        self.ensemble = ensemble
        self.random_state = random_state
        self.verbose = verbose

    def _search(self, frame: pd.DataFrame, columns: list[dict[str, Any]], y: Any, task_type: str) -> None:
        """Find the model and everything that is told about it."""
        self._work = tempfile.TemporaryDirectory(prefix="bakeoff-")
        found = LocalSearch(self._settings(), Path(self._work.name))
        target = _unused_name("target", frame.columns)
        request = Request(
            frame=frame.assign(**{target: y}),
            columns=columns,
            target=target,
            task_type=task_type,
            metric=self.metric,
            seed=found.settings.seed,
            time_budget=found.settings.budget.seconds_alone,
        )
        found.run(lambda folder: prepare(request, folder))
        board = found.board()
        self.metric_ = found.meta["metric"]
        self.warnings_ = list(found.meta["warnings"])
        self.leaderboard_ = pd.DataFrame(board, columns=list(BOARD_COLUMNS))
        self.trials_ = _trial_frame(found)
        name = ENSEMBLE if found.ensemble else found.trials[next(iter(found.weights))].name
        self.best_ = next(row for row in board if row["name"] == name)
        self.model_ = _load_model(found)
        self._package = {
            "prepared": str(found.prepared),
            "members": found.members(),
            "honest": str(found.honest) if found.ensemble else None,
            "metric": self.metric_,
            "name": name,
            "experiment": {"rows": len(frame), "seed": found.settings.seed},
            "leaderboard": board,
            "test_table": None,
        }

    def _settings(self) -> SearchSettings:
        if self.time_budget is None and self.max_trials is None:
            raise UserError("time_budget and max_trials are both None: the search would never end; give one.")
        if self.time_budget is not None and self.time_budget <= 0:
            raise UserError(f"time_budget is {self.time_budget!r}; give seconds, more than 0.")
        if self.max_trials is not None and self.max_trials < 1:
            raise UserError(f"max_trials is {self.max_trials!r}; give at least 1.")
        if self.search not in ("auto", "random", "grid"):
            raise UserError(f"search is {self.search!r}; give 'auto', 'random' or 'grid'.")
        seed = self.random_state
        if not isinstance(seed, (int, np.integer)):
            seed = check_random_state(seed).randint(2**31)
        return SearchSettings(
            budget=Budget(self.time_budget, self.max_trials),
            families=self.families,
            search=self.search,  # type: ignore[arg-type]
            seats=self.seats,
            ensemble=self.ensemble,
            seed=int(seed),
            say=_say if self.verbose else lambda line: None,
        )

    def _checked(self, X: Any, *, reset: bool) -> pd.DataFrame:
        """Give X as a frame whose columns are those of `fit`."""
        if isinstance(X, pd.DataFrame):
            validate_data(self, X, reset=reset, skip_check_array=True)
            return X.set_axis(_unique_names(X.columns), axis=1).reset_index(drop=True)
        values = validate_data(
            self, X, reset=reset, dtype=None, ensure_all_finite="allow-nan", ensure_min_samples=1
        )
        names = [f"x{position}" for position in range(values.shape[1])]
        return pd.DataFrame(values, columns=names).infer_objects()

    def _checked_pair(self, X: Any, y: Any) -> tuple[pd.DataFrame, Array]:
        if y is None:
            raise ValueError(
                f"This {type(self).__name__} estimator requires y to be passed, but the target y is None."
            )
        frame = self._checked(X, reset=True)
        target = column_or_1d(y, warn=True)
        check_consistent_length(frame, target)
        assert_all_finite(target, input_name="y")
        if len(frame) < LEAST_ROWS:
            raise UserError(f"Found {len(frame)} sample(s); at least {LEAST_ROWS} are needed.")
        return frame, target

    def save(self, path: str | Path) -> Path:
        """Write the model as a bundle: a ZIP that predicts in any Python, without this library.

        Parameters
        ----------
        path : str or Path
            The file to write; one that is there is replaced.

        Returns
        -------
        Path
        """
        check_is_fitted(self)
        if not hasattr(self, "_work"):
            raise UserError("An unpickled estimator can predict, not save; save where it was fitted.")
        out = Path(path).expanduser().resolve()
        bundle.package({**self._package, "out": str(out)})
        return out

    def __getstate__(self) -> dict[str, Any]:
        """Leave the work folder behind: a pickled model holds what predict needs."""
        state = dict(super().__getstate__())
        for name in ("_work", "_package"):
            state.pop(name, None)
        return state

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "model_")

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.string = True
        tags.input_tags.categorical = True
        return tags


class AutoMLClassifier(ClassifierMixin, _AutoML):  # type: ignore[misc]
    """Searches for the best classifier of a table.

    Strong defaults of every family are tried first, then a Bayesian search refines the best ones; the
    last trials learn from what the best predict, and what is good is blended. Each fit runs in a process
    of its own.

    Parameters
    ----------
    time_budget : float or None, default=60
        Seconds for everything. None: no limit; then `max_trials` is needed.
    max_trials : int or None
        With it, and time enough, the same seed gives the same trials.
    metric : str, default="auto"
        "auto" is "roc_auc" for two classes and "log_loss" for more; see `automl.engine.metrics`.
    families : sequence of str or None
        Families to try, such as ``["linear", "lightgbm"]``; None: all.
    search : {"auto", "random", "grid"}, default="auto"
    seats : int or None
        Fits at the same time; None: one for each processor.
    ensemble : bool, default=True
    random_state : int, RandomState or None, default=0
    verbose : bool, default=False
        Write a line to stderr for every trial.

    Attributes
    ----------
    classes_ : array
    leaderboard_ : DataFrame
        Complete trials and the ensemble, best first; scores in the metric's own unit.
    trials_ : DataFrame
        Every trial, pruned and failed ones too.
    best_ : dict
        The leaderboard's row of the model that predicts.
    model_ : Model
    metric_ : str
    warnings_ : list of str
        What was found in the table that should be known.

    Examples
    --------
    >>> from automl.engine import AutoMLClassifier
    >>> import pandas as pd
    >>> frame = pd.DataFrame({"size": [1.0, 2.0, 8.0, 9.0] * 10, "colour": ["red", "blue"] * 20})
    >>> y = ["small", "small", "large", "large"] * 10
    >>> found = AutoMLClassifier(max_trials=2, families=["linear", "random_forest"]).fit(frame, y)
    >>> found.predict(frame.head(3)).tolist()
    ['small', 'small', 'large']
    """

    def fit(self, X: pd.DataFrame | ArrayLike, y: ArrayLike) -> Self:
        """Search for a model of `y` given `X`.

        Parameters
        ----------
        X : DataFrame or array
            Columns of numbers, words, dates, texts; missing cells are fine.
        y : array-like
        """
        frame, target = self._checked_pair(X, y)
        check_classification_targets(target)
        self.classes_, codes = np.unique(target, return_inverse=True)
        if len(self.classes_) < 2:
            raise UserError(f"y has only one class, {self.classes_[0]!r}; there is nothing to tell apart.")
        task_type = "binary" if len(self.classes_) == 2 else "multiclass"
        self._search(frame, _columns(X, frame), target, task_type)
        # The model has its labels in an order of its own; rows of `y.npy` are rows of y.
        order = np.empty(len(self.classes_), dtype=int)
        prepared = open_prepared(self._package["prepared"])
        order[codes if prepared.drawn is None else codes[prepared.drawn]] = prepared.y
        self._order = order
        return self

    def predict_proba(self, X: pd.DataFrame | ArrayLike) -> Array:
        """Give the probability of each class, in the order of `classes_`."""
        check_is_fitted(self)
        found: Array = self.model_.predict_proba(self._checked(X, reset=False))
        return found[:, self._order]

    def predict(self, X: pd.DataFrame | ArrayLike) -> Array:
        """Give the class of each row: the likeliest, or where `metric` decides labels what is best by it."""
        check_is_fitted(self)
        found = self.model_.weighed(self.model_.predict_proba(self._checked(X, reset=False)))
        return np.asarray(self.classes_[found[:, self._order].argmax(axis=1)])


class AutoMLRegressor(RegressorMixin, _AutoML):  # type: ignore[misc]
    """Searches for the best regression model of a table.

    The parameters and attributes are those of `AutoMLClassifier`, without `classes_`; the metric
    "auto" is "rmse".

    Examples
    --------
    >>> from automl.engine import AutoMLRegressor
    >>> import numpy as np
    >>> X = np.arange(40.0).reshape(-1, 1)
    >>> found = AutoMLRegressor(max_trials=1, families=["linear"]).fit(X, 2 * X[:, 0])
    >>> found.predict([[10.0]]).round().tolist()
    [20.0]
    """

    def fit(self, X: pd.DataFrame | ArrayLike, y: ArrayLike) -> Self:
        """Search for a model of `y` given `X`; see `AutoMLClassifier.fit`."""
        frame, target = self._checked_pair(X, y)
        try:
            numbers = target.astype(np.float64)
        except (TypeError, ValueError):
            raise UserError(
                f"Regression needs numbers; y holds {target[0]!r}. Use AutoMLClassifier."
            ) from None
        self._search(frame, _columns(X, frame), numbers, "regression")
        return self

    def predict(self, X: pd.DataFrame | ArrayLike) -> Array:
        """Give the predicted number of each row."""
        check_is_fitted(self)
        return np.asarray(self.model_.predict(self._checked(X, reset=False)))


def _columns(X: Any, frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Profile the columns; those of an array of numbers are numbers, however few their values."""
    if not isinstance(X, pd.DataFrame) and all(map(pd.api.types.is_numeric_dtype, frame.dtypes)):
        return [{"name": name, "kind": "numeric"} for name in frame.columns]
    return profile_columns(frame)


def _unique_names(columns: Any) -> list[str]:
    names: list[str] = []
    for column in columns:
        names.append(_unused_name(str(column), names))
    return names


def _unused_name(name: str, taken: Any) -> str:
    while name in taken:
        name += "_"
    return name


def _load_model(found: LocalSearch) -> Model:
    """Put the members' fold models together."""
    schema = json.loads((found.prepared / "schema.json").read_text(encoding="utf-8"))
    texts = bundle.load_texts(found.prepared / "texts.skops")
    members, prepared = found.members(), open_prepared(found.prepared)
    places, predicted, temperature = as_packaged(prepared, members)
    metric = METRICS[found.meta["metric"]]
    if are_decided(members):
        schema["label_factors"] = label_factors(metric, np.asarray(prepared.y)[places], predicted).tolist()
    return Model(Encoder(schema, texts), read_members(members), temperature)


def _trial_frame(found: LocalSearch) -> pd.DataFrame:
    rows = [
        {
            "number": trial.number,
            "name": trial.name,
            "family": trial.family,
            "origin": trial.origin.value,
            "state": trial.state.value,
            "score": trial.result.get("value"),
            "fold_scores": list(trial.fold_scores),
            "seconds": trial.seconds,
            "error": trial.error,
            "hyperparameters": dict(trial.params),
        }
        for trial in found.trials
    ]
    return pd.DataFrame(rows)


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")
