from __future__ import annotations

import pytest
from django.db.models import F

from automl.engine.learners import LEARNERS
from automl.experiments.models import Experiment
from tests.factories import ExperimentFactory, TrialFactory
from tests.searches import long_search


def test_it_tells_what_decided_and_what_tuning_was_worth(api, alice):
    experiment = long_search(alice, 200, families=("lightgbm", "linear"))
    body = api.get(f"experiments/{experiment.id}/insight/?family=lightgbm").json()
    assert body["family"] == "lightgbm"
    assert body["importance"]["dials"][0]["name"] == "learning_rate"
    (rate,) = [each for each in body["responses"] if each["name"] == "learning_rate"]
    (danger,) = [each for each in rate["dangers"] if each["summary"].startswith("Above")]
    assert danger["summary"].startswith(f"Above {danger['low']} it ")
    assert 0.15 < danger["low"] < 0.3
    assert body["worth"]["verdict"] in ("better", "worse", "within chance")
    assert body["worth"]["outlook"]["chance"] is not None


def test_what_was_tried_is_told_of_where_its_family_is_not_offered_any_more(api, alice, monkeypatch):
    monkeypatch.setattr(LEARNERS["tabicl"], "_weights", {})
    experiment = long_search(alice, 40, families=("linear",))
    assert api.get(f"experiments/{experiment.id}/insight/?family=tabicl").status_code == 422
    tried = {"n_estimators": 4, "numeric": "power"}
    TrialFactory(
        experiment=experiment, number=90, family="tabicl", state="complete", score=0.9, hyperparameters=tried
    )
    Experiment.objects.filter(id=experiment.id).update(version=F("version") + 1)
    body = api.get(f"experiments/{experiment.id}/insight/?family=tabicl").json()
    assert (body["family"], body["families"]["tabicl"]) == ("tabicl", 1)


def test_a_danger_of_a_choice_names_the_choice(api, alice):
    experiment = ExperimentFactory(owner=alice, state="complete")
    for number in range(30):
        penalty = ("l2", "elasticnet")[number % 2]
        TrialFactory(
            experiment=experiment,
            number=number,
            family="linear",
            state="failed" if penalty == "elasticnet" else "complete",
            score=None if penalty == "elasticnet" else 0.8 + number / 1000,
            hyperparameters={"penalty": penalty},
        )
    body = api.get(f"experiments/{experiment.id}/insight/?family=linear").json()
    (penalty,) = [each for each in body["responses"] if each["name"] == "penalty"]
    (danger,) = penalty["dangers"]
    assert (danger["low"], danger["high"]) == ("elasticnet", "elasticnet")


def test_scores_are_in_the_metrics_own_unit(api, alice):
    experiment = ExperimentFactory(owner=alice, task_type="regression", metric="rmse", state="complete")
    experiment.prepared["profile"].update(task_type="regression", classes=0, metric="rmse")
    Experiment.objects.filter(id=experiment.id).update(prepared=experiment.prepared)
    for number in range(12):
        TrialFactory(
            experiment=experiment,
            number=number,
            score=-2.0 - number / 100,
            hyperparameters={"learning_rate": 0.01 * (1 + number), "num_leaves": 31},
        )
    body = api.get(f"experiments/{experiment.id}/insight/").json()
    step = next(s for s in body["responses"][0]["curve"] if s["score"] is not None)
    assert step["score_low"] <= step["score"] <= step["score_high"]
    assert step["score"] > 0
    assert body["worth"]["default"]["score"] == pytest.approx(2.0)


def test_before_anything_has_ended_it_is_empty(api, alice):
    body = api.get(f"experiments/{ExperimentFactory(owner=alice, state='pending').id}/insight/").json()
    assert (body["family"], body["responses"], body["worth"]["verdict"]) == (None, [], "unknown")


def test_a_family_that_is_not_tried_is_named(api, alice):
    answer = api.get(f"experiments/{ExperimentFactory(owner=alice).id}/insight/?family=prophet")
    assert answer.status_code == 422
    assert "prophet" in answer.json()["errors"][0]["message"]
