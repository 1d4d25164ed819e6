"""What a bundle says of an ensemble: by predictions of weights that were chosen without the rows."""

import json

import numpy as np
import pytest

from automl.engine.calibration import fit_temperature
from automl.engine.evaluation import write_predictions
from automl.engine.inference import finish_probabilities, temper
from automl.engine.metrics import METRICS
from automl.engine.preparation import open_prepared
from tests.engine.tables import people
from tests.engine.test_bundle import packaged


def doubtful(folder, target):
    """Predictions of the people that are worse than any member's: of the rows in another order."""
    y = {"bought": lambda people: people["bought"] == "yes", "spent": lambda people: people["spent"]}
    truth = y[target](people()).to_numpy(float)
    shuffled = np.random.default_rng(0).permutation(truth)
    if target == "bought":
        second = 0.5 + 0.2 * (truth - 0.5) + 0.2 * (shuffled - 0.5)
        found = np.column_stack([1 - second, second])
    else:
        found = 0.5 * truth + 0.5 * shuffled
    write_predictions(folder, found)
    return found


@pytest.mark.parametrize(
    ("target", "metric", "others"),
    [("bought", "roc_auc", ["log_loss", "accuracy"]), ("spent", "rmse", ["mae", "r2"])],
)
def test_other_metrics_and_what_intervals_are_made_of_are_the_honest_ones(tmp_path, target, metric, others):
    found = doubtful(tmp_path / "honest", target)
    result, folder = packaged(tmp_path, target, metric, honest=tmp_path / "honest")
    plain, _ = packaged(tmp_path / "plain", target, metric)

    y = np.asarray(open_prepared(tmp_path / "prepared").y)
    if target == "bought":
        found = temper(finish_probabilities(found), fit_temperature(y, found))
    said = result["metrics"]["validation"]
    for other in others:
        assert said[other]["value"] == pytest.approx(METRICS[other].value(y, found), rel=1e-4)
        assert said[other]["value"] != pytest.approx(plain["metrics"]["validation"][other]["value"], rel=0.01)
    honest, flattered = (
        json.loads((each / "conformal.json").read_text()) for each in (folder, tmp_path / "plain" / "bundle")
    )
    assert honest != flattered
    assert result["metrics"]["uncertainty"] != plain["metrics"]["uncertainty"]


def test_predictions_that_are_damaged_cost_no_model(tmp_path):
    doubtful(tmp_path / "honest", "bought")
    (tmp_path / "honest" / "oof.npy").write_bytes(b"nothing")

    result, _ = packaged(tmp_path, "bought", "roc_auc", honest=tmp_path / "honest")
    plain, _ = packaged(tmp_path / "plain", "bought", "roc_auc")

    assert result["metrics"]["validation"] == plain["metrics"]["validation"]
