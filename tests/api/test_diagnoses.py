from __future__ import annotations

import pytest

from automl.experiments.models import Diagnosis
from tests.diagnoses import comparison, diagnosis
from tests.factories import TrialFactory

pytestmark = pytest.mark.django_db


def test_diagnostics_are_202_until_they_are_there(api, world):
    first = api.get(f"trials/{world.trial.id}/diagnostics/")
    assert (first.status_code, first.json()["status"], first.json()["result"]) == (202, "computing", None)
    assert first.headers["Retry-After"] == "1"
    Diagnosis.objects.update(state="ready", result=diagnosis(), version=1, seconds=8.2)
    done = api.get(f"trials/{world.trial.id}/diagnostics/")
    assert (done.status_code, done.json()["status"]) == (200, "ready")
    assert "Retry-After" not in done.headers
    assert set(done.json()["result"]) >= {"classification", "importance", "dependence", "worst", "metrics"}
    again = api.get(f"trials/{world.trial.id}/diagnostics/", HTTP_IF_NONE_MATCH=done.headers["ETag"])
    assert again.status_code == 304


def test_a_model_has_the_diagnostics_of_its_trial(api, world):
    of_trial = api.get(f"trials/{world.trial.id}/diagnostics/").json()
    of_model = api.get(f"models/{world.model.id}/diagnostics/").json()
    assert of_trial["id"] == of_model["id"]
    assert of_model["entries"] == [str(world.trial.id)]


def test_a_trial_that_runs_has_none(api, world):
    running = TrialFactory(experiment=world.experiment, state="running")
    answer = api.get(f"trials/{running.id}/diagnostics/")
    assert answer.status_code == 409
    assert "only a complete trial" in answer.json()["detail"]


def test_trials_are_compared_in_the_order_asked_for(api, world):
    other = TrialFactory(experiment=world.experiment)
    address = f"experiments/{world.experiment.id}/compare/?trial={other.id}&trial={world.trial.id}"
    first = api.get(address)
    assert first.status_code == 202
    assert first.json()["entries"] == [str(other.id), str(world.trial.id)]
    found = comparison((str(other.id), "A"), (str(world.trial.id), "B"))
    Diagnosis.objects.update(state="ready", result=found, version=1)
    pair = api.get(address).json()["result"]["pairs"][0]
    assert pair["one"] == str(other.id)
    assert not pair["tied"]


@pytest.mark.parametrize("query", ["", "?trial={trial}", "?trial={trial}&trial={trial}"])
def test_one_alone_is_no_comparison(api, world, query):
    answer = api.get(f"experiments/{world.experiment.id}/compare/{query.format(trial=world.trial.id)}")
    assert answer.status_code == 409
    assert "From 2 to 8" in answer.json()["detail"]


def test_a_trial_of_another_experiment_is_not_found(api, world):
    stranger = TrialFactory()
    query = f"?trial={world.trial.id}&trial={stranger.id}"
    assert api.get(f"experiments/{world.experiment.id}/compare/{query}").status_code == 404


def test_what_is_not_yours_is_not_there(charlies, anonymous, world):
    for address in (
        f"trials/{world.trial.id}/diagnostics/",
        f"models/{world.model.id}/diagnostics/",
        f"experiments/{world.experiment.id}/compare/?trial={world.trial.id}&trial=ensemble",
    ):
        assert charlies.get(address).status_code == 404
        assert anonymous.get(address).status_code == 401
    assert not Diagnosis.objects.exists()
