"""Models that learn from what other models predict."""

from __future__ import annotations

import json
import zipfile
from dataclasses import replace

import numpy as np
import pytest

from automl.engine.blending import _parts, blend_trials
from automl.engine.budget import MOST_BYTES, most_bytes
from automl.engine.bundle import package
from automl.engine.diagnostics.outoffold import OutOfFold
from automl.engine.errors import UserError
from automl.engine.evaluation import (
    read_bases,
    read_fitting,
    read_members,
    read_predictions,
    seconds_of,
    size_of,
)
from automl.engine.inference import load
from automl.engine.inference.onnx_model import is_offered
from automl.engine.preparation import open_prepared
from automl.engine.search import AutoMLRegressor
from automl.engine.stacking import choose_bases
from tests.engine.tables import evaluated, people, prepared

TARGETS = [("bought", "roc_auc"), ("plan", "log_loss"), ("spent", "rmse")]
QUICK = {
    "lightgbm": {"n_estimators": 20},
    "stacked_network": {"epochs": 5, "width": 16, "numeric": "standard"},
    "stacked_lightgbm": {"n_estimators": 20},
}


def trials_on(folder, target, metric):
    """Two trials on a table, and two that are based on them."""
    prepared(folder, people(), target)
    bases = [
        evaluated(folder, name, number, metric, **QUICK.get(name, {}))
        for number, name in enumerate(("linear", "lightgbm"))
    ]
    chosen = choose_bases(bases)
    return [
        *bases,
        evaluated(folder, "stacked_network", 2, metric, bases=chosen, **QUICK["stacked_network"]),
        evaluated(folder, "stacked_lightgbm", 3, metric, bases=chosen, **QUICK["stacked_lightgbm"]),
    ]


@pytest.fixture(scope="module", params=TARGETS, ids=[target for target, _ in TARGETS])
def stack(request, tmp_path_factory):
    """Folder, metric and trials; not to be changed."""
    folder = tmp_path_factory.mktemp("stack")
    return folder, request.param[1], trials_on(folder, *request.param)


def rest_of(folder):
    profile = open_prepared(folder / "prepared").profile
    return {"classes": profile.classes, "categorical": profile.categorical}


def candidate(number, family, score, size=1):
    return {"number": number, "family": family, "score": score, "size": size, "dir": f"trial-{number}"}


def fold_of(member, fold):
    """One fold of a member, and of what it is based on."""
    bases = [fold_of(base, fold) for base in member.bases]
    return replace(member, models=[member.models[fold]], bases=bases)


def package_of(folder, out, members, metric):
    args = {
        "prepared": str(folder / "prepared"),
        "members": members,
        "metric": metric,
        "name": "Ensemble",
        "experiment": {"name": "people", "dataset": "people.csv", "rows": 240, "warnings": []},
        "leaderboard": [],
        "test_table": None,
        "out": str(out / "model.zip"),
    }
    package(args)
    with zipfile.ZipFile(out / "model.zip") as archive:
        archive.extractall(out / "bundle")


def test_the_best_of_each_family_are_learned_from():
    trials = [
        candidate(0, "dummy", 0.99),
        candidate(1, "linear", 0.7),
        candidate(2, "linear", 0.8),
        candidate(3, "neighbors", 0.95),
        candidate(4, "lightgbm", 0.9),
        candidate(5, "stacked_network", 0.97),
        candidate(6, "random_forest", 0.92, size=MOST_BYTES),
        candidate(7, "random_forest", 0.6),
    ]
    assert [base["number"] for base in choose_bases(trials)] == [4, 2, 7]


def test_where_nothing_fits_the_smallest_are_learned_from():
    large = MOST_BYTES
    trials = [
        candidate(0, "xgboost", 0.95, size=large),
        candidate(1, "random_forest", 0.92, size=2 * large),
        candidate(2, "random_forest", 0.91, size=large),
        candidate(3, "lightgbm", 0.9, size=1000),
    ]
    assert {base["number"] for base in choose_bases(trials)} == {3, 0}


def test_a_long_search_learns_from_larger_models():
    trials = [
        candidate(0, "xgboost", 0.95, size=MOST_BYTES // 3),
        candidate(1, "random_forest", 0.92, size=MOST_BYTES // 3),
        candidate(2, "lightgbm", 0.9, size=1000),
    ]
    assert [base["number"] for base in choose_bases(trials, most_bytes(60.0))] == [0, 2]
    assert [base["number"] for base in choose_bases(trials, most_bytes(300.0))] == [0, 1, 2]


@pytest.mark.parametrize("number", [2, 3])
def test_a_fold_is_judged_by_what_it_predicts_of_new_rows(stack, number):
    folder, _, trials = stack
    table = open_prepared(folder / "prepared")
    X, folds, rest = np.asarray(table.X), np.asarray(table.folds[0]), rest_of(folder)

    (member,) = read_members([{**trials[number], "weight": 1.0}])

    plain = replace(member, temperature=1.0, factor=1.0)
    each = [fold_of(plain, fold).predict(X, **rest) for fold in range(len(member.models))]
    np.testing.assert_allclose(plain.predict(X, **rest), np.mean(each, axis=0), rtol=1e-9)
    judged = read_predictions(trials[number]["dir"])
    for fold in range(len(member.models)):
        # Its bases' models of the same fold have not seen these rows either.
        own = np.flatnonzero(folds == fold)
        found = fold_of(member, fold).predict(X[own], **rest)
        np.testing.assert_allclose(found, judged[own], rtol=2e-3, atol=2e-4)
    assert sorted(trials[number]["learned"]["based_on"]) == ["LightGBM #1", "Linear model #0"]


def test_a_trial_consists_of_its_own_models_and_of_those_that_it_is_based_on(stack):
    _, _, trials = stack
    sizes = {trial["number"]: trial["size"] for trial in trials[:2]}

    parts = _parts(trials[3])

    assert parts == sizes | {3: trials[3]["size"] - sum(sizes.values())}
    assert 0 < parts[3] < trials[3]["size"]
    assert _parts(trials[1]) == {1: sizes[1]}


def test_rows_are_predicted_again_as_they_were(stack):
    folder, _, trials = stack
    rows = np.arange(0, 240, 7)
    # One is a member itself, the other is only learned from.
    members = [{**trials[number], "weight": 1 / 3} for number in (1, 2, 3)]

    again = OutOfFold(open_prepared(folder / "prepared"), read_members(members), rows)

    before = sum(read_predictions(member["dir"])[rows] for member in members) / 3
    np.testing.assert_allclose(again.predict(again.X), before, rtol=2e-3, atol=2e-4)


def test_a_bundle_holds_what_its_members_are_based_on(stack, tmp_path):
    folder, metric, trials = stack
    members = [{**trials[number], "weight": 1 / 3} for number in (1, 2, 3)]

    package_of(folder, tmp_path, members, metric)

    bundle = tmp_path / "bundle"
    model, frame = load(bundle, runtime="skops"), people(60, seed=3)
    assert [len(member.bases) for member in model.members] == [0, 2, 2]
    assert model.members[0].key in {base.key for base in model.members[1].bases}
    X, rest = model.encoder.transform(frame), rest_of(folder)
    for member, own in zip(model.members, read_members(members), strict=True):
        np.testing.assert_allclose(member.predict(X, **rest), own.predict(X, **rest), rtol=1e-6)
    # The graph is offered only where it says the same.
    assert is_offered(bundle)
    graph = load(bundle, runtime="onnx")
    np.testing.assert_allclose(graph.predict_raw(frame), model.predict_raw(frame), rtol=1e-4, atol=1e-5)
    card = (bundle / "model_card.md").read_text()
    assert "| Linear model \\#0 | none |" in card
    assert "predict, fold by fold: Stacked network \\#2, Stacked LightGBM \\#3." in card
    assert {path.name for path in bundle.glob("train_*.py")} == {f"train_{number}.py" for number in range(4)}
    assert "learn from what it predicts" in (bundle / "train_0.py").read_text()


def test_what_a_model_is_only_based_on_is_required_too(stack, tmp_path):
    folder, metric, trials = stack
    package_of(folder, tmp_path, [{**trials[2], "weight": 1.0}], metric)
    assert "lightgbm==" in (tmp_path / "bundle" / "requirements.txt").read_text()
    assert len(load(tmp_path / "bundle", runtime="skops").members) == 1


def test_its_size_and_its_time_are_those_of_all_models_that_it_needs(stack):
    linear, boosted, trial, _ = stack[2]
    assert trial["size"] > linear["size"] + boosted["size"]
    assert trial["predict_time"] > linear["predict_time"] + boosted["predict_time"]


def test_what_several_are_based_on_counts_once(stack):
    linear, boosted, network, stacked = stack[2]
    own = [trial["size"] - linear["size"] - boosted["size"] for trial in (network, stacked)]
    whole = sum(own) + linear["size"] + boosted["size"]
    assert size_of([network, stacked]) == size_of([boosted, network, stacked]) == whole
    assert size_of([linear, boosted]) == linear["size"] + boosted["size"]
    each = [trial["predict_time"] for trial in (linear, boosted, network, stacked)]
    assert seconds_of([network, stacked]) == pytest.approx(each[2] + each[3] - each[0] - each[1])


def test_a_stacked_trial_that_does_not_say_what_it_is_based_on_is_damaged(tmp_path):
    trials = trials_on(tmp_path, "bought", "roc_auc")
    (tmp_path / "trial-2" / "fitting.json").unlink()
    found = blend_trials(
        {"prepared": str(tmp_path / "prepared"), "metric": "roc_auc", "seed": 0, "trials": trials}
    )
    assert set(found["damaged"]) == {"2"}


def test_there_has_to_be_something_to_learn_from(tmp_path):
    prepared(tmp_path, people(), "bought")
    only = evaluated(tmp_path, "linear")
    with pytest.raises(UserError, match="at least 2 families need a complete trial; there are 1"):
        evaluated(tmp_path, "stacked_network", 1, bases=[only])


def test_a_trial_whose_bases_are_damaged_is_no_member(tmp_path):
    trials = trials_on(tmp_path, "bought", "roc_auc")
    (tmp_path / "trial-0" / "oof.npy").write_bytes(b"nothing")
    found = blend_trials(
        {"prepared": str(tmp_path / "prepared"), "metric": "roc_auc", "seed": 0, "trials": trials}
    )
    assert set(found["damaged"]) == {"0", "2", "3"}


def test_folders_may_be_moved_together(tmp_path):
    trials = trials_on(tmp_path / "before", "bought", "roc_auc")
    (tmp_path / "before").rename(tmp_path / "after")
    moved = {**trials[2], "weight": 1.0, "dir": str(tmp_path / "after" / "trial-2")}
    assert {base["dir"] for base in read_bases(moved)} == {
        str(tmp_path / "after" / f"trial-{number}") for number in (0, 1)
    }
    assert len(read_members([moved])[0].bases) == 2
    assert json.dumps(read_fitting(moved["dir"]))


def test_an_estimator_stacks_and_can_be_saved(tmp_path):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(1000, 3))
    y = X[:, 0] * X[:, 1] + np.abs(X[:, 2]) + 0.1 * rng.normal(size=1000)
    families = ["linear", "extra_trees", "stacked_lightgbm"]

    # Trial n knows the trials before n - 8.
    found = AutoMLRegressor(max_trials=11, families=families, random_state=0).fit(X, y)

    last = found.trials_.iloc[-1]
    assert (last["number"], last["family"], last["state"]) == (10, "stacked_lightgbm", "complete")
    assert (found.trials_["family"] == "stacked_lightgbm").sum() == 1
    path = found.save(tmp_path / "model.zip")
    with zipfile.ZipFile(path) as archive:
        archive.extractall(tmp_path / "bundle")
    frame = found._checked(X[:50], reset=False)
    np.testing.assert_allclose(
        load(tmp_path / "bundle", runtime="skops").predict(frame), found.predict(X[:50]), rtol=1e-6
    )
