"""TabICL is a family where its package and weights are, and nothing elsewhere."""

import json
import os
import pickle
import subprocess
import sys
import zipfile
from dataclasses import replace
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path

import numpy as np
import pytest

from automl.engine import AutoMLClassifier
from automl.engine.budget import Budget
from automl.engine.errors import UserError
from automl.engine.learners import LEARNERS
from automl.engine.learners.tabicl import CLASSIFIER, REGRESSOR, TabICL, find_weights
from automl.engine.reasons import why_nothing
from automl.engine.study import Study
from automl.engine.testing import fit_fold, make_table, outputs
from automl.engine.trial import Origin, TaskType, TrialRecord, TrialState

ASKED = ["linear", "tabicl"]
DATA = make_table(TaskType.BINARY).data

# Stands in for the package, which brings PyTorch along: the same settings, the nearest rows for a network.
PACKAGE = """
from pathlib import Path

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor


class Network:
    pass


class Reader(BaseEstimator):
    def __init__(self, n_estimators=8, norm_methods=None, batch_size=8, model_path=None,
                 allow_auto_download=True, device=None, random_state=42, n_jobs=None):
        self.n_estimators, self.norm_methods, self.batch_size = n_estimators, norm_methods, batch_size
        self.model_path, self.allow_auto_download, self.device = model_path, allow_auto_download, device
        self.random_state, self.n_jobs = random_state, n_jobs

    def fit(self, X, y):
        if self.allow_auto_download or not Path(self.model_path).is_file():
            raise ValueError("a trial may not download weights")
        self.n_samples_in_, self.n_features_in_ = X.shape
        self.rows_ = self.kind(min(9, len(X))).fit(np.nan_to_num(X), y)
        self.model_ = Network()
        return self


class TabICLClassifier(ClassifierMixin, Reader):
    kind = KNeighborsClassifier

    def predict_proba(self, X):
        return self.rows_.predict_proba(np.nan_to_num(X))

    @property
    def classes_(self):
        return self.rows_.classes_


class TabICLRegressor(RegressorMixin, Reader):
    kind = KNeighborsRegressor

    def predict(self, X):
        return self.rows_.predict(np.nan_to_num(X))
"""
SEARCH = """
import json, sys
import numpy as np
from automl.engine import AutoMLClassifier

chance = np.random.default_rng(0)
X = chance.normal(size=(200, 3))
search = AutoMLClassifier(time_budget=None, max_trials=6, families=["dummy", "linear", "tabicl"], seats=1)
# Of which a line learns nothing, and neighbours much.
search.fit(X, (X[:, 0] * X[:, 1] > 0).astype(int))
search.save(sys.argv[1])
print(json.dumps([list(search.leaderboard_["family"]), search.best_["family"]]))
"""
FAMILIES = """
import json, sys
from automl.engine.learners import families_for
from automl.engine.trial import TaskType
print(json.dumps([[task for task in TaskType if "tabicl" in families_for(task)],
                  sorted({"tabicl", "torch"} & {*sys.modules})]))
"""


@pytest.fixture
def package(tmp_path):
    """A folder in which the package is."""
    folder = tmp_path / "site"
    folder.mkdir()
    (folder / "tabicl.py").write_text(PACKAGE)
    return folder


@pytest.fixture
def weights(tmp_path):
    """A folder in which both files of weights are."""
    folder = tmp_path / "weights"
    folder.mkdir()
    for name in (CLASSIFIER, REGRESSOR):
        (folder / name).touch()
    return folder


def run(code, *arguments, package=None, weights=None):
    environment = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
    environment |= {"AUTOML_TABICL": str(weights or "/nowhere"), "PYTHONPATH": str(package or "")}
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        check=False,
        capture_output=True,
        text=True,
        env=environment,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_it_is_offered_where_package_and_weights_are(package, weights):
    found, imported = json.loads(run(FAMILIES, package=package, weights=weights))
    assert found == ["binary", "multiclass", "regression"]
    assert imported == []


def test_it_is_offered_for_what_there_are_weights_for(package, weights):
    (weights / CLASSIFIER).unlink()
    assert json.loads(run(FAMILIES, package=package, weights=weights))[0] == ["regression"]


@pytest.mark.skipif(find_spec("tabicl") is not None, reason="the package is installed")
def test_it_is_not_offered_without_the_package(weights):
    assert json.loads(run(FAMILIES, weights=weights))[0] == []


def test_it_is_not_offered_without_weights(package, tmp_path):
    assert json.loads(run(FAMILIES, package=package, weights=tmp_path))[0] == []


@pytest.mark.usefixtures("gone")
def test_who_asks_for_it_where_it_is_not_is_told_so():
    X = np.zeros((20, 2))
    with pytest.raises(UserError, match=r"tabicl is not offered here for binary; take of: .*lightgbm"):
        AutoMLClassifier(max_trials=2, families=["linear", "tabicl"]).fit(X, np.arange(20) % 2)


@pytest.fixture
def offered(monkeypatch):
    """As if the package and its weights were there."""
    monkeypatch.setattr(LEARNERS["tabicl"], "_weights", dict.fromkeys(TaskType, "here"))


def families_of(study, trials=16):
    """The families that a search tries."""
    told = []
    while len(told) < trials and (found := study.ask(told)):
        number = len(told)
        told.append(TrialRecord(number, found[0].family, found[0].params, found[0].origin,
                                TrialState.COMPLETE, -1.0 / (number + 1), (0.5,) * 5, 1.0))  # fmt: skip
    return {record.family for record in told}


@pytest.mark.usefixtures("offered")
def test_a_search_tries_it_on_small_tables_only():
    assert families_of(Study(DATA, families=ASKED, budget=Budget(max_trials=16))) == {*ASKED}
    large = replace(DATA, rows=LEARNERS["tabicl"].most_rows + 1)
    assert families_of(Study(large, families=ASKED, budget=Budget(max_trials=16))) == {"linear"}


@pytest.fixture
def gone(monkeypatch):
    """As if they were not, or not any more."""
    monkeypatch.setattr(LEARNERS["tabicl"], "_weights", {})


@pytest.mark.usefixtures("gone")
def test_a_search_goes_on_when_its_package_is_gone():
    study = Study(DATA, families=ASKED, budget=Budget(max_trials=16))
    told = TrialRecord(0, "tabicl", LEARNERS["tabicl"].first(DATA), Origin.DEFAULT,
                       TrialState.COMPLETE, 0.9, (0.9,) * 5, 1.0)  # fmt: skip

    assert study.ask([told])[0].family == "linear"
    assert study.best([told]) is told
    assert families_of(study) == {"linear"}


@pytest.mark.usefixtures("gone")
def test_a_search_of_nothing_else_ends_when_its_package_is_gone():
    study = Study(DATA, families=["tabicl"], budget=Budget(seconds=60))
    assert study.ask([], remaining=60.0) == []
    assert study.is_done([], elapsed=1.0)
    assert why_nothing(study) == "There is nothing to try. TabICL: It is not installed here."


@pytest.mark.usefixtures("offered")
def test_who_asks_for_it_alone_on_a_large_table_is_told_why_nothing_is_tried():
    study = Study(replace(DATA, rows=5_001), families=["tabicl"], budget=Budget(seconds=60))
    assert why_nothing(study).endswith(
        "TabICL: A search tries it by itself on up to 5,000 rows; you can on more."
    )
    assert why_nothing(Study(DATA, families=["tabicl"])) == ""


def test_a_folder_that_can_not_be_looked_into_holds_no_weights(weights, monkeypatch):
    monkeypatch.setenv("AUTOML_TABICL", "~nobody-of-this-name")
    assert find_weights(CLASSIFIER) is None
    monkeypatch.setenv("AUTOML_TABICL", str(weights))
    assert find_weights(CLASSIFIER) == weights / CLASSIFIER
    monkeypatch.setattr(Path, "is_file", refuse)
    assert find_weights(CLASSIFIER) is None


def refuse(path):
    raise PermissionError(path)


@pytest.mark.parametrize(
    ("variable", "folder"), [("HF_HUB_CACHE", ""), ("HF_HOME", "hub"), ("XDG_CACHE_HOME", "huggingface/hub")]
)
def test_weights_are_found_where_the_package_puts_them(tmp_path, monkeypatch, variable, folder):
    for name in ("AUTOML_TABICL", "HF_HUB_CACHE", "HF_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(variable, str(tmp_path))
    assert find_weights(CLASSIFIER) is None

    place = tmp_path / folder / "models--jingang--TabICL" / "snapshots" / "0a1b" / CLASSIFIER
    place.parent.mkdir(parents=True)
    place.touch()

    assert find_weights(CLASSIFIER) == place
    assert find_weights(REGRESSOR) is None


@pytest.mark.slow
def test_it_is_a_row_on_the_leaderboard_and_no_part_of_the_bundle(package, weights, tmp_path):
    bundle = tmp_path / "model.zip"
    said = run(SEARCH, bundle, package=package, weights=weights)

    board, best = json.loads(said.splitlines()[-1])
    assert board[0] == "tabicl"
    assert best != "tabicl"
    with zipfile.ZipFile(bundle) as files, zipfile.ZipFile(files.open("model.skops")) as model:
        assert b"tabicl" not in files.read("requirements.txt")
        assert b"LogisticRegression" in model.read("schema.json")
        assert b"tabicl" not in model.read("schema.json").lower()


def test_all_folds_hold_one_network(package, weights, monkeypatch):
    spec = spec_from_file_location("tabicl", package / "tabicl.py")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setitem(sys.modules, "tabicl", module)
    monkeypatch.setenv("AUTOML_TABICL", str(weights))
    learner, table = TabICL(), make_table(TaskType.BINARY)

    one, two = (fit_fold(learner, table, learner.first(table.data)).fit.estimator for _ in range(2))

    assert one is not two
    assert one.model_ is two.model_


def checkpoints(folder):
    """Small networks of chance, in the form of the real ones."""
    import torch
    from tabicl._model.tabicl import TabICL as Network

    torch.manual_seed(0)
    small = {"embed_dim": 16, "col_num_blocks": 1, "col_nhead": 2, "col_num_inds": 8, "row_num_blocks": 1,
             "row_nhead": 2, "row_num_cls": 2, "icl_num_blocks": 2, "icl_nhead": 2}  # fmt: skip
    for name, classes in ((CLASSIFIER, 10), (REGRESSOR, 0)):
        config = {**small, "max_classes": classes}
        torch.save({"config": config, "state_dict": Network(**config).state_dict()}, folder / name)


@pytest.mark.skipif(find_spec("tabicl") is None, reason="the package is not installed")
@pytest.mark.parametrize("task", list(TaskType))
def test_the_real_package_fits_and_is_stored(tmp_path, monkeypatch, task):
    checkpoints(tmp_path)
    monkeypatch.setenv("AUTOML_TABICL", str(tmp_path))
    learner = TabICL()
    table = make_table(task)

    fitted = fit_fold(learner, table, learner.first(table.data))

    values = fitted.predict(table.data)
    assert np.isfinite(values).all()
    assert fitted.fit.learned == {"rows": len(table.y), "columns": fitted.X.shape[1]}
    other = fit_fold(learner, table, learner.first(table.data))
    assert other.fit.estimator.model_ is fitted.fit.estimator.model_
    again = pickle.loads(pickle.dumps(fitted.fit.estimator))
    assert np.allclose(outputs(again, fitted.X_valid, table.data), values, atol=1e-5)
