"""The script in a bundle is what the trial did: run on the table it comes to the leaderboard's score."""

import ast
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from threadpoolctl import threadpool_limits

from automl.engine import preparation
from automl.engine.evaluation import evaluate, read_fitting
from automl.engine.inference import encoder
from automl.engine.learners import families_for, stacks
from automl.engine.metrics import METRICS
from automl.engine.preparation import open_prepared, prepare_table
from automl.engine.profiling import profile_table, table_profile_to_json
from automl.engine.reading import ReadLimits, convert_table
from automl.engine.training_code.script import scripts
from tests.engine.tables import go

# Small dials, so that each family fits in a moment.
QUICK = {
    "random_forest": {"n_estimators": 20},
    "extra_trees": {"n_estimators": 20},
    "hist_boosting": {"max_iter": 40, "max_features": 0.5},
    "lightgbm": {"n_estimators": 60, "subsample": 0.7, "colsample_bytree": 0.7},
    "catboost": {"iterations": 30, "rsm": 0.6},
    "xgboost": {"n_estimators": 40, "subsample": 0.7},
    "neural_network": {"epochs": 8, "width": 16},
}
LIBRARIES = (
    "numpy",
    "pandas",
    "scipy",
    "sklearn",
    "skops",
    "threadpoolctl",
    "lightgbm",
    "xgboost",
    "catboost",
)
# Enough words for components that trees leave out.
VOCABULARY = [f"word{number}" for number in range(600)]
# Those that learn from columns alone.
FAMILIES = [key for key in families_for() if not stacks(key)]
TARGETS = {"bought": "roc_auc", "plan": "log_loss", "spent": "rmse"}


def table(rows=260):
    """Numbers, flags, words, dates, text, missing cells, a category of many levels, a skewed amount."""
    chance = np.random.default_rng(4)
    age = chance.integers(18, 80, rows).astype(float)
    city = chance.choice(["Paris", "Rome", "Oslo", "Żółw"], rows)
    signal = age / 20 + 1.5 * (city == "Oslo") + chance.normal(0, 0.6, rows)
    joined = pd.Timestamp("2020-01-01") + pd.to_timedelta(chance.integers(0, 1000, rows), unit="D")
    words = chance.choice(["red fast car", "blue slow boat", "green old bike", "red old boat"], rows)
    frame = pd.DataFrame(
        {
            "id": np.arange(rows) + 1000,
            "age": age,
            "city": city,
            "street [1]": [f"{'slr'[at % 3]}{'/ '[at % 2]}{at / 4}" for at in chance.integers(0, 120, rows)],
            "rooms": chance.choice([1, 2, 3], rows),
            "is_new": chance.choice(["true", "false"], rows),
            "joined": joined.strftime("%d.%m.%Y"),
            "note": [f"{word} number {number}" for word, number in zip(words, range(rows), strict=True)],
            "story": [" ".join(said) for said in chance.choice(VOCABULARY, (rows, 8))],
            "plan": np.where(signal > 4, "gold", np.where(signal > 2.5, "silver", "bronze")),
            "bought": np.where(signal > 3.2, "yes", "no"),
            "spent": np.exp(1.5 * signal).round(3),
        }
    )
    frame.loc[::17, "age"] = np.nan
    frame.loc[::23, "city"] = "?"
    frame.loc[5, "plan"] = "platinum"
    frame.loc[[7, 9], ["bought", "spent"]] = np.nan
    return frame


pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    """A folder for each target, with the table as it was uploaded and prepared as the service does."""
    return {
        target: written(tmp_path_factory.mktemp(target), table(rows), target)
        for target, rows in zip(TARGETS, (260, 640, 640), strict=True)
    }


def written(folder, frame, target, *, metric="auto", parquet=False, seconds=None, **dialect):
    source = folder / "table.csv"
    # What a file is its content says, not its name.
    frame.to_parquet(source) if parquet else frame.to_csv(source, index=False, **dialect)
    stored = folder / "table.arrow"
    read = convert_table(source, stored, filename=source.name, limits=ReadLimits(max_bytes=1 << 24))
    profile = table_profile_to_json(profile_table(stored, dialect=read.dialect, warnings=read.warnings))
    for column in profile["columns"]:
        if column["name"] == "rooms":
            column["kind"] = "categorical"
    prepare_table(
        stored,
        folder / "prepared",
        columns=profile["columns"],
        dialect=profile["dialect"],
        target=target,
        task_type="auto",
        metric=metric,
        ignore_columns=[*({"plan", "bought", "spent"} - {target})],
        seed=3,
        time_budget=seconds,
    )
    return folder


def member(folder, family, number=0, *, metric, seconds=60.0, bases=(), **params):
    out = folder / f"{family}-{number}-{metric}"
    args = {
        "prepared": str(folder / "prepared"),
        "family": family,
        "params": params,
        "seed": 11,
        "metric": metric,
        "threads": 1,
        "out": str(out),
        "deadline_seconds": seconds,
        "bases": list(bases),
    }
    with threadpool_limits(1):
        result = evaluate(args, go)
    return {
        "number": number,
        "family": family,
        "params": params,
        "weight": 1.0,
        "dir": str(out),
        "seconds": 0.1,
    } | result


def script(folder, trial):
    found = scripts_of(folder, trial, read_fitting(trial["dir"]))
    path = folder / f"{Path(trial['dir']).name}.py"
    path.write_text(found["train.py"], encoding="utf-8")
    return path


def scripts_of(folder, trial, fitting):
    return scripts(
        [trial],
        [fitting],
        open_prepared(folder / "prepared"),
        json.loads((folder / "prepared" / "schema.json").read_text()),
        {"dataset": 'a "table" \\ of\n"""people', "rows": 260, "dataset_sha256": "0" * 64},
    )


# One interpreter for many scripts: importing the libraries is most of the time.
RUNNER = """
import io, json, os, runpy, sys, warnings
from contextlib import redirect_stdout
warnings.simplefilter("ignore")
for path in sys.argv[1:]:
    said = io.StringIO()
    os.chdir(os.path.dirname(path))
    sys.argv[:] = [path, "table.csv", path + ".skops"]
    with redirect_stdout(said):
        runpy.run_path(path, run_name="__main__")
    print(json.dumps([path, said.getvalue()]))
assert not [name for name in sys.modules if name.split(".")[0] in ("automl", "django", "workers")]
"""


def values_of(paths):
    """What scripts print for a score, by their path; run in an interpreter that knows nothing of us."""
    done = subprocess.run(
        [sys.executable, "-IBc", RUNNER, *map(str, paths)],
        check=False,
        capture_output=True,
        text=True,
        env={"OMP_NUM_THREADS": "1"},
        timeout=150,
    )
    assert done.returncode == 0, done.stderr
    told = dict(json.loads(line) for line in done.stdout.splitlines())
    return {path: float(re.search(r"out of fold: ([-+\d.e]+);", told[str(path)])[1]) for path in paths}


def imported(text):
    nodes = list(ast.walk(ast.parse(text)))
    names = [each.name for node in nodes if isinstance(node, ast.Import) for each in node.names]
    names += [node.module for node in nodes if isinstance(node, ast.ImportFrom)]
    return {name.split(".")[0] for name in names}


def compared(cases):
    """The script, the value of the trial and that of the script, for cases of a folder and a trial."""
    paths = {name: script(*case) for name, case in cases.items()}
    values = values_of(list(paths.values()))
    return {name: (path, cases[name][1]["value"], values[path]) for name, path in paths.items()}


@pytest.fixture(scope="module")
def told(places):
    """Every family on every target."""
    return compared(
        {
            (family, target): (
                places[target],
                member(places[target], family, metric=metric, **QUICK.get(family, {})),
            )
            for target, metric in TARGETS.items()
            for family in FAMILIES
        }
    )


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("family", FAMILIES)
def test_the_script_of_a_trial_comes_to_its_score(told, family, target):
    _, expected, value = told[family, target]

    # A network's numbers are of single precision.
    assert value == pytest.approx(expected, abs=1e-6, rel=1e-8 if family == "neural_network" else 1e-9)


@pytest.mark.parametrize("family", ["lightgbm", "hist_boosting", "extra_trees", "catboost"])
def test_trees_in_a_script_leave_out_minor_components_where_no_category_is_encoded(tmp_path, family):
    folder = written(tmp_path, table(640).drop(columns="street [1]"), "bought")
    assert open_prepared(folder / "prepared").profile.minor
    trial = member(folder, family, metric="roc_auc", **QUICK.get(family, {}))

    ((path, expected, value),) = compared({family: (folder, trial)}).values()

    assert ('at["minor"]' if family == "catboost" else 'at["kept"]') in path.read_text()
    assert value == pytest.approx(expected, abs=1e-6, rel=1e-9)


def earlier(folder, monkeypatch, *dropped):
    """A prepared table as an earlier release left it, and its schema, which lacks what it did not know."""
    monkeypatch.setattr(preparation, "_places", lambda *_: 0)
    for module in (preparation, encoder):
        monkeypatch.setattr(module, "with_lengths", lambda text: text)
    folder = written(folder, table(640), "bought")
    path = folder / "prepared" / "schema.json"
    schema = json.loads(path.read_text())
    for column in schema["columns"]:
        for name in dropped:
            column.pop(name, None)
    return folder, schema


def scripts_are_right(folder, schema):
    trials = [
        member(folder, family, metric="roc_auc", **QUICK.get(family, {})) for family in ("linear", "lightgbm")
    ]
    for trial in trials:
        found = scripts([trial], [read_fitting(trial["dir"])], open_prepared(folder / "prepared"), schema, {})
        (folder / f"{trial['family']}.py").write_text(found["train.py"], encoding="utf-8")

    values = values_of([folder / f"{trial['family']}.py" for trial in trials])

    assert [*values.values()] == pytest.approx([trial["value"] for trial in trials], abs=1e-6, rel=1e-9)


def test_the_script_of_an_experiment_of_before_words_were_told_one_by_one(tmp_path, monkeypatch):
    folder, schema = earlier(tmp_path, monkeypatch, "places")
    assert open_prepared(folder / "prepared").profile.minor
    scripts_are_right(folder, schema)


def test_a_table_in_which_a_column_is_called_as_a_part_of_another_has_no_script(tmp_path):
    frame = table(640).rename(columns={"age": "story: place 1"})
    folder = written(tmp_path, frame, "bought")
    trial = member(folder, "lightgbm", metric="roc_auc", **QUICK.get("lightgbm", {}))

    assert scripts_of(folder, trial, read_fitting(trial["dir"])) == {}


def test_the_script_of_an_experiment_of_before_texts_had_many_components(tmp_path, monkeypatch):
    features = preparation._features
    monkeypatch.setattr(preparation, "MOST_COMPONENTS", 16)
    monkeypatch.setattr(preparation, "_spread", lambda components: 1.0)
    monkeypatch.setattr(
        preparation,
        "_features",
        lambda *column: [
            {name: each[name] for name in ("name", "column", "kind", "levels") if name in each}
            for each in features(*column)
        ],
    )
    folder, schema = earlier(tmp_path, monkeypatch, "places", "components")
    assert not open_prepared(folder / "prepared").profile.words
    scripts_are_right(folder, schema)


def test_scripts_import_nothing_of_ours_and_are_short(told):
    for (family, _), (path, _, _) in told.items():
        lines = path.read_text().splitlines()
        assert imported(path.read_text()) <= {*LIBRARIES} | sys.stdlib_module_names
        # Every kind of column takes some lines, and few tables have all of them. How a network is trained
        # is no library's code, nor how words are weighed or numbers are found in levels.
        assert len(lines) <= {"neural_network": 670, "linear": 490}.get(family, 400)
        assert max(map(len, lines)) <= 110


def test_the_script_of_a_network_of_many_rows_keeps_the_best_epoch(places, monkeypatch):
    monkeypatch.setattr("automl.engine.learners.network.LUCKY_ROWS", 100)
    cases = {
        target: (places[target], member(places[target], "neural_network", 13, metric=metric, epochs=12))
        for target, metric in TARGETS.items()
    }
    for path, expected, value in compared(cases).values():
        assert "X_valid" in path.read_text()
        assert value == pytest.approx(expected, abs=1e-6, rel=1e-6)


def test_the_script_of_a_trial_whose_labels_are_decided_comes_to_its_score(places):
    cases = {
        target: (places[target], member(places[target], "lightgbm", 14, metric=metric, **QUICK["lightgbm"]))
        for target, metric in {"bought": "f1", "plan": "balanced_accuracy"}.items()
    }
    for path, expected, value in compared(cases).values():
        assert "LABEL_FACTORS" in path.read_text()
        assert value == pytest.approx(expected, abs=1e-9)


def test_a_network_that_the_library_trained_has_no_script(places):
    trial = member(places["bought"], "neural_network", 12, metric="roc_auc", epochs=5)
    fitting = read_fitting(trial["dir"])
    old = {name: value for name, value in fitting.items() if name != "training"}

    assert scripts_of(places["bought"], trial, fitting)
    assert scripts_of(places["bought"], trial, old) == {}


def test_the_script_of_a_plain_table_is_shorter_than_two_hundred_lines(odd):
    assert len(odd[1]["plain"][0].read_text().splitlines()) < 200


def test_scripts_are_clean(told):
    rules = "E,F,W,I,UP,B,C4,SIM,RET,PTH,N,PL,RUF,PIE"
    ignored = "N803,N806,PLR2004,PLR0913,PLR0917,RUF001,RUF003"
    done = subprocess.run(
        [sys.executable, "-m", "ruff", "check", "--isolated", "--line-length=110", f"--select={rules}",
         f"--ignore={ignored}", "--target-version=py311", "--output-format=concise", "--no-cache",
         *(str(path) for path, _, _ in told.values())],
        check=False,
        capture_output=True,
        text=True,
    )  # fmt: skip

    assert done.returncode == 0, done.stdout


LATE = ["lightgbm", "xgboost", "hist_boosting", "catboost", "extra_trees", "neural_network"]
WRITTEN = ["parquet", "semicolons", "whole_numbers", "truth_values", "plain"]


@pytest.fixture(scope="module")
def odd(places, tmp_path_factory):
    """Fits that time ended, every metric, other ways to write a table, weights for each level."""
    cases = {}
    for family in LATE:
        cases[family] = (places["plan"], member(places["plan"], family, 7, metric="log_loss", seconds=0.05))
    for metric in METRICS.values():
        target = {"b": "bought", "m": "plan", "r": "spent"}[sorted(metric.task_types)[-1][0]]
        target = (
            "bought"
            if metric.name in ("roc_auc", "f1", "precision", "recall", "average_precision")
            else target
        )
        trial = member(places[target], "lightgbm", 8, metric=metric.name, n_estimators=20, num_leaves=4)
        cases[metric.name] = (places[target], trial)
    hot = member(places["bought"], "linear", 9, metric="roc_auc", categories="one_hot", penalty="elasticnet")
    cases["one_hot"] = (places["bought"], hot)
    cautious = member(
        places["plan"], "random_forest", 9, metric="log_loss", min_samples_leaf=50, max_features=0.1
    )
    cases["cautious"] = (places["plan"], cautious)
    frame = table(220).dropna(subset="bought")
    flag = frame["bought"] == "yes"
    joined = pd.to_datetime(frame["joined"], format="%d.%m.%Y")
    days = joined.dt.strftime("%Y%m%d").astype(float)[9:]  # the first are missing
    paid = [f"₹{at % 90 + 1},{'500' if at % 3 else '20,000'}" for at in range(len(frame))]
    tables = {
        "semicolons": (
            frame.replace("Żółw", "Köln"),
            "spent",
            "rmse",
            {"sep": ";", "decimal": ",", "encoding": "cp1252"},
        ),
        "whole_numbers": (
            frame.assign(bought=flag.astype(int), joined=days, paid=paid),
            "bought",
            "roc_auc",
            {},
        ),
        "truth_values": (frame.assign(bought=flag.map(str).str.upper()), "bought", "roc_auc", {}),
    }
    typed = frame.assign(
        joined=joined + pd.Timedelta(hours=5),
        is_new=frame["is_new"] == "true",
        city=frame["city"].replace("?", None),
    )
    tables["parquet"] = (typed, "bought", "roc_auc", {"parquet": True})
    letters = str.maketrans("0123456789./ ", "abcdefghijklm")
    plain = frame[["age", "city", "street [1]", "bought"]].assign(
        **{"street [1]": frame["street [1]"].str.translate(letters)}
    )
    tables["plain"] = (plain, "bought", "roc_auc", {})
    for name, (uploaded, target, metric, dialect) in tables.items():
        folder = written(tmp_path_factory.mktemp(name), uploaded, target, **dialect)
        cases[name] = (folder, member(folder, "linear", 10, metric=metric))
    return cases, compared(cases)


@pytest.mark.parametrize("name", [*LATE, *METRICS, *WRITTEN, "one_hot", "cautious"])
def test_the_script_comes_to_the_score_also_of(odd, name):
    _, expected, value = odd[1][name]

    assert value == pytest.approx(expected, abs=1e-6, rel=1e-9)


@pytest.mark.parametrize("family", LATE)
def test_a_script_trains_as_long_as_there_was_time_for(odd, family):
    _, trial = odd[0][family]
    fitting = read_fitting(trial["dir"])

    assert fitting["is_late"]
    text = odd[1][family][0].read_text()
    assert f"ROUNDS = {fitting['lengths']}" in text
    assert "X_valid" not in text


def test_chances_are_made_surer_in_the_script_where_they_were_in_the_trial(odd):
    _, trial = odd[0]["cautious"]

    assert read_fitting(trial["dir"])["temperature"] < 1
    assert "def temper(p, y)" in odd[1]["cautious"][0].read_text()


def test_a_trial_that_did_not_write_down_how_it_was_fitted_has_no_script(places):
    trial = member(places["bought"], "dummy", 12, metric="roc_auc")

    assert scripts([trial], [None], open_prepared(places["bought"] / "prepared"), {}, {}) == {}


def test_members_of_an_ensemble_have_a_script_each(places):
    trials = [{**member(places["bought"], "dummy", n, metric="roc_auc"), "weight": 0.5} for n in (13, 14)]
    schema = json.loads((places["bought"] / "prepared" / "schema.json").read_text())
    fittings = [read_fitting(trial["dir"]) for trial in trials]

    found = scripts(trials, fittings, open_prepared(places["bought"] / "prepared"), schema, {})

    assert list(found) == ["train_13.py", "train_14.py"]
    assert "python train_13.py table.csv" in found["train_13.py"]
    assert "weighs 50.0%" in found["train_13.py"]
