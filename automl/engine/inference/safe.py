"""Loads `model.skops` so that no code of the file can run.

A skops file says which classes to make and which functions to call. skops asks for the names that are
trusted; but a whole library is no answer to that, since `numpy.testing` and others hold functions that run
any text. So what may stand in a file is listed here, by how it is made: nothing else is looked up.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .errors import Damaged, WrongVersion
from .trees import check_trees

# Older ones say less of what they call.
FIRST_PROTOCOL = 2
_TREES = "sklearn.tree._classes."
_HIST = "sklearn.ensemble._hist_gradient_boosting."

# Estimators: made empty, then given their attributes.
OBJECTS = {
    "text": {
        "sklearn.decomposition._truncated_svd.TruncatedSVD",
        "sklearn.feature_extraction.text.TfidfTransformer",
        "sklearn.feature_extraction.text.TfidfVectorizer",
    },
    "preprocessing": {
        "scipy.interpolate._bsplines.BSpline",
        "sklearn.compose._column_transformer.ColumnTransformer",
        "sklearn.compose._target.TransformedTargetRegressor",
        "sklearn.impute._base.MissingIndicator",
        "sklearn.impute._base.SimpleImputer",
        "sklearn.model_selection._split.KFold",
        "sklearn.pipeline.Pipeline",
        "sklearn.preprocessing._data.MinMaxScaler",
        "sklearn.preprocessing._data.QuantileTransformer",
        "sklearn.preprocessing._data.StandardScaler",
        "sklearn.preprocessing._encoders.OneHotEncoder",
        "sklearn.preprocessing._encoders.OrdinalEncoder",
        "sklearn.preprocessing._function_transformer.FunctionTransformer",
        "sklearn.preprocessing._label.LabelBinarizer",
        "sklearn.preprocessing._label.LabelEncoder",
        "sklearn.preprocessing._polynomial.SplineTransformer",
        "sklearn.preprocessing._target_encoder.TargetEncoder",
    },
    "dummy": {"sklearn.dummy.DummyClassifier", "sklearn.dummy.DummyRegressor"},
    "linear": {
        "sklearn.linear_model._coordinate_descent.ElasticNet",
        "sklearn.linear_model._logistic.LogisticRegression",
        "sklearn.linear_model._ridge.Ridge",
    },
    "kernel": {"sklearn.kernel_approximation.RBFSampler"},
    "forest": {
        "sklearn.ensemble._forest.ExtraTreesClassifier",
        "sklearn.ensemble._forest.ExtraTreesRegressor",
        "sklearn.ensemble._forest.RandomForestClassifier",
        "sklearn.ensemble._forest.RandomForestRegressor",
        *(
            f"{_TREES}{kind}Tree{task}"
            for kind in ("Decision", "Extra")
            for task in ("Classifier", "Regressor")
        ),
    },
    "hist_boosting": {
        f"{_HIST}binning._BinMapper",
        f"{_HIST}gradient_boosting.HistGradientBoostingClassifier",
        f"{_HIST}gradient_boosting.HistGradientBoostingRegressor",
        f"{_HIST}predictor.TreePredictor",
        *(
            f"sklearn._loss.link.{name}"
            for name in ("IdentityLink", "Interval", "LogitLink", "MultinomialLogit")
        ),
        *(
            f"sklearn._loss.loss.{name}"
            for name in ("AbsoluteError", "HalfBinomialLoss", "HalfMultinomialLoss", "HalfSquaredError")
        ),
    },
    "lightgbm": {
        "lightgbm.basic.Booster",
        "lightgbm.sklearn.LGBMClassifier",
        "lightgbm.sklearn.LGBMRegressor",
    },
    "xgboost": {"xgboost.core.Booster", "xgboost.sklearn.XGBClassifier", "xgboost.sklearn.XGBRegressor"},
    "catboost": {"catboost.core.CatBoostClassifier", "catboost.core.CatBoostRegressor"},
    "neural_network": {
        "sklearn.neural_network._multilayer_perceptron.MLPClassifier",
        "sklearn.neural_network._multilayer_perceptron.MLPRegressor",
    },
}
_NUMBERS = {
    f"numpy.{name}"
    for name in ("bool", "int8", "int32", "int64", "uint8", "uint32", "uint64", "float32", "float64", "str_")
}
# How a thing is made -> what may be made so.
ALLOWED: dict[str, set[str]] = {
    "ObjectNode": set().union(*OBJECTS.values()),
    "DictNode": {"builtins.dict", "collections.OrderedDict"},
    "DefaultDictNode": {"collections.defaultdict"},
    "ListNode": {"builtins.list"},
    "TupleNode": {"builtins.tuple"},
    "SetNode": {"builtins.set"},
    "SliceNode": {"builtins.slice"},
    "JsonNode": {"builtins.str"},
    "BytesNode": {"builtins.bytes"},
    "BytearrayNode": {"builtins.bytearray"},
    "NdArrayNode": {"numpy.ndarray", *_NUMBERS},
    "DTypeNode": {"numpy.dtype"},
    "TypeNode": {
        *(
            f"builtins.{name}"
            for name in ("str", "int", "float", "bool", "list", "dict", "tuple", "NoneType")
        ),
        "collections.OrderedDict",
        *_NUMBERS,
    },
    "TreeNode": {"sklearn.tree._tree.Tree"},
    "LossNode": {
        f"sklearn._loss._loss.{name}"
        for name in ("CyAbsoluteError", "CyHalfBinomialLoss", "CyHalfMultinomialLoss", "CyHalfSquaredError")
    },
    "RandomGeneratorNode": {"numpy.random._generator.Generator"},
    # A B-spline holds the function that makes its arrays.
    "FunctionNode": {"scipy._lib.array_api_compat.numpy._aliases.asarray"},
}


def load_skops(path: Path) -> Any:
    """Load a skops file of which every part is on the list.

    Raises
    ------
    Damaged
        If it is none, or something else stands in it; nothing has been made of it then.
    WrongVersion
        If a library that it needs is not there, or can't make anything of it.
    """
    data = path.read_bytes()
    names = sorted({name for _, name in check_types(data, path.name)})
    from skops.io import loads

    try:
        found = loads(data, trusted=names)
    except (ImportError, AttributeError, TypeError, ValueError, KeyError) as error:
        if "allow_pickle" in str(error):
            raise Damaged(f"{path.name} holds a pickle inside of an array. It is not opened.") from error
        raise WrongVersion(
            f"The installed libraries can't load {path.name}: {error}. Run: pip install -r requirements.txt"
        ) from error
    check_trees(found)
    return found


def check_types(data: bytes, name: str = "model.skops") -> set[tuple[str, str]]:
    """Read what a skops file would make, without making it.

    Parameters
    ----------
    data : bytes
    name : str
        For the message.

    Returns
    -------
    set of (how, what)

    Raises
    ------
    Damaged
        Naming what does not belong in a model.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            tree = json.loads(archive.read("schema.json"))
        parts = set(_parts(tree))
        protocol = tree["protocol"]
    except (zipfile.BadZipFile, ValueError, KeyError, TypeError, RecursionError) as error:
        raise Damaged(
            f"{name} is no skops file: {error}. It is not loaded; download the bundle again."
        ) from error
    strange = sorted(f"{what} ({how})" for how, what in parts if what not in ALLOWED.get(how, ()))
    if strange:
        raise Damaged(
            f"{name} holds types that do not belong in a model: {', '.join(strange[:10])}. It is not loaded; "
            "download the bundle again, from a service that you trust."
        )
    if not isinstance(protocol, int) or protocol < FIRST_PROTOCOL:
        raise Damaged(f"{name} is of the skops protocol {protocol!r}; {FIRST_PROTOCOL} or later is needed.")
    return parts


def _parts(value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        if "__loader__" in value:
            yield str(value["__loader__"]), f"{value['__module__']}.{value['__class__']}"
        for inner in value.values():
            yield from _parts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _parts(inner)
