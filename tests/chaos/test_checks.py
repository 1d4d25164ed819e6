"""The checks after chaos can fail: each finds what it is there for."""

from __future__ import annotations

import pytest

from tests.chaos import checks
from tests.chaos.searches import Found, Plan, found_by
from tests.factories import EnsembleFactory, ExperimentFactory, TrainedModelFactory, TrialFactory

PLAN = Plan("binary", ("linear",), 1, 2)
TRIALS = ((0, "linear", (), "default", "complete", 0.5), (1, "linear", (), "search", "complete", 0.6))
FOUND = Found("complete", TRIALS, (((0, 1.0),),))


def test_a_search_that_is_as_it_should_be_passes():
    assert checks.not_final({"a": FOUND}) == []
    assert checks.lost_or_doubled({"a": FOUND}, {"a": PLAN}) == []
    assert checks.other_than_undisturbed({"a": FOUND}, {"a": PLAN}, {PLAN: FOUND}) == []


@pytest.mark.parametrize("status", ["running", "stopping", "failed"])
def test_a_search_that_did_not_complete_is_found(status):
    assert checks.not_final({"a": Found(status, (), ())}) == [f"a is {status}"]


@pytest.mark.parametrize(
    "trials", [TRIALS[:1], (*TRIALS, TRIALS[1]), (TRIALS[0], (*TRIALS[1][:4], "failed", None))]
)
def test_a_lost_a_doubled_and_a_failed_trial_are_found(trials):
    assert len(checks.lost_or_doubled({"a": Found("complete", trials, ())}, {"a": PLAN})) == 1


def test_another_score_and_another_ensemble_are_found():
    other = Found("complete", (TRIALS[0], (*TRIALS[1][:5], 0.61)), (((1, 1.0),),))
    assert len(checks.other_than_undisturbed({"a": other}, {"a": PLAN}, {PLAN: FOUND})) == 2


@pytest.mark.django_db
def test_three_losses_are_found():
    trial = TrialFactory(losses=3)
    TrialFactory(experiment=trial.experiment, losses=2)
    assert len(checks.too_many_attempts([trial.experiment_id])) == 1


@pytest.mark.django_db
def test_a_model_that_is_missing_or_not_whole_is_found(private_files):
    without = ExperimentFactory(state="complete")
    model = TrainedModelFactory(is_best=True)
    path = private_files / model.bundle
    path.parent.mkdir(parents=True)
    path.write_bytes(b"half")
    found = checks.models_that_are_not_whole([without.id, model.experiment_id])
    assert found == [
        f"{without.id} has no model that is ready",
        f"{model.experiment_id}: the bundle is not the one that was written",
    ]


@pytest.mark.django_db
def test_drafts_and_the_folders_of_dead_attempts_are_found(tmp_path, settings):
    settings.FILES_ROOT = tmp_path / "files"
    trial = TrialFactory(attempt=2)
    trials = settings.FILES_ROOT / trial.folder
    for name in (trials.name, f".{trials.name}.77", f"{trial.number:05d}-1"):
        (trials.parent / name).mkdir(parents=True)
    (tmp_path / "tmp").mkdir()
    (tmp_path / "tmp" / "pymp-1").mkdir()
    assert len(checks.files_left(tmp_path)) == 3


@pytest.mark.django_db
def test_what_a_search_found_is_read_by_number_and_not_by_identifier():
    experiment = ExperimentFactory(state="complete")
    trials = [TrialFactory(experiment=experiment) for _ in range(2)]
    EnsembleFactory(experiment=experiment, weights={str(trials[1].id): 0.75, str(trials[0].id): 0.25})
    found = found_by(str(experiment.id))
    assert [trial[0] for trial in found.trials] == [0, 1]
    assert found.ensembles[0][0] == ((0, 0.25, 0.0), (1, 0.75, 0.0))
