"""Scripts of trials that learn from what others predict."""

import json
import re
import subprocess
import sys

import pytest

from automl.engine.evaluation import read_fitting
from automl.engine.preparation import open_prepared
from automl.engine.training_code.script import scripts
from tests.engine.test_training_code import TARGETS, member, table, written

pytestmark = pytest.mark.slow


def stacked(folder, metric, first=0):
    """The scripts of two trials and of three that are based on them, beside the table; and the three."""
    bases = [
        member(folder, "linear", first, metric=metric),
        member(folder, "lightgbm", first + 1, metric=metric, n_estimators=20, num_leaves=4),
    ]
    quick = {
        "stacked_network": {"epochs": 6, "width": 16},
        "stacked_trees": {"n_estimators": 20},
        "stacked_lightgbm": {"n_estimators": 30},
    }
    trials = [
        member(folder, family, number, metric=metric, bases=bases, **params)
        for number, (family, params) in enumerate(quick.items(), start=first + 2)
    ]
    schema = json.loads((folder / "prepared" / "schema.json").read_text())
    every = [*trials, *bases]
    fittings = [read_fitting(trial["dir"]) for trial in every]
    found = scripts(every, fittings, open_prepared(folder / "prepared"), schema, {})
    for name, text in found.items():
        (folder / name).write_text(text, encoding="utf-8")
    return found, trials


@pytest.mark.parametrize(("target", "metric"), TARGETS.items())
def test_a_stacked_trial_has_the_others_fitted_first(tmp_path, target, metric):
    # Without the class of a single row, of which nothing is predicted out of fold.
    folder = written(tmp_path, table().drop(5), target)
    found, trials = stacked(folder, metric)

    assert sorted(found) == [f"train_{number}.py" for number in range(5)]
    for trial in trials:
        name = f"train_{trial['number']}.py"
        done = subprocess.run(
            [sys.executable, "-B", name, "table.csv"], check=False, capture_output=True, text=True, cwd=folder
        )
        assert done.returncode == 0, done.stderr
        *_, last = re.findall(r"out of fold: ([-+\d.e]+);", done.stdout)
        assert float(last) == pytest.approx(trial["value"], abs=1e-6, rel=1e-6)
        assert len(done.stdout.splitlines()) == 3


def test_of_rows_that_only_train_nothing_is_told(tmp_path):
    found, _ = stacked(written(tmp_path, table(640), "plan"), "log_loss", first=20)
    assert sorted(found) == ["train_20.py", "train_21.py"]
