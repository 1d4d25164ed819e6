"""Trials by hand and sweeps: in a search that goes on, in one that has ended, and what is refused."""

from __future__ import annotations

import pytest

from automl.core.errors import Conflict, InvalidInput, QuotaExceeded
from automl.engine.budget import Budget
from automl.engine.learners import LEARNERS
from automl.experiments.forecasts import Outlook
from automl.experiments.models import Experiment, Sweep, TrainedModel
from automl.experiments.services.by_hand import add_sweep, add_trial
from automl.experiments.services.results import finish_experiment
from automl.experiments.services.steering import extend_experiment, pause_experiment, skip_trial
from automl.experiments.services.trials import claim_trial, evaluate_trial, plan_trials
from tests.experiments.rows import again, best_model_id
from tests.factories import ExperimentFactory, TrialFactory
from tests.seats import RESULTS, outcome

pytestmark = pytest.mark.django_db
GRID = {"learning_rate": [0.05, 0.1], "num_leaves": [15, 31, 63]}


# --- Sweeps -------------------------------------------------------------------------------------


def test_a_sweep_adds_every_combination_and_wakes_seats(sent, django_capture_on_commit_callbacks):
    experiment = ExperimentFactory()
    TrialFactory(experiment=experiment, number=4)

    with django_capture_on_commit_callbacks(execute=True):
        added = add_sweep(experiment, family="lightgbm", grid=GRID, base={"subsample": 0.8})

    trials = list(added.sweep.trials.order_by("number"))
    assert [trial.number for trial in trials] == list(range(5, 11))
    assert {(trial.origin, trial.state) for trial in trials} == {("sweep", "waiting")}
    assert [trial.hyperparameters["num_leaves"] for trial in trials] == [15, 31, 63] * 2
    assert {trial.hyperparameters["subsample"] for trial in trials} == {0.8}
    assert sent[0] == ("evaluate", trials[0].id)
    assert {name for name, _ in sent} == {"evaluate"}
    assert (added.sweep.grid, added.sweep.size, added.sweep.skipped) == (GRID, 6, 0)


def test_a_family_that_is_known_but_not_installed_is_refused(monkeypatch):
    monkeypatch.setattr(LEARNERS["tabicl"], "_weights", {})
    with pytest.raises(InvalidInput) as caught:
        add_trial(ExperimentFactory(), family="tabicl", hyperparameters={})
    assert "'tabicl' is not offered for binary. Choose one of: dummy, linear" in caught.value.fields["family"]


def test_what_was_tried_before_is_skipped_and_counted():
    experiment = ExperimentFactory()
    first = add_sweep(experiment, family="lightgbm", grid={"num_leaves": [15, 31]})
    stopped, cancelled = first.trials
    skip_trial(cancelled)

    second = add_sweep(experiment, family="lightgbm", grid={"num_leaves": [15, 31, 63]})

    assert (second.sweep.size, second.sweep.skipped) == (3, 1)
    assert [trial.hyperparameters["num_leaves"] for trial in second.trials] == [31, 63]
    third = add_sweep(experiment, family="lightgbm", grid={"num_leaves": [15]})
    assert (third.trials, third.sweep.skipped, Sweep.objects.count()) == ([], 1, 3)
    assert again(stopped).state == "waiting"


def test_a_stacked_configuration_is_swept_again_as_there_may_be_better_to_learn_from():
    experiment = ExperimentFactory()
    for family in ("lightgbm", "xgboost"):
        TrialFactory(experiment=experiment, family=family, state="complete")
    asked = {"family": "stacked_trees", "grid": {"n_estimators": [50]}}
    first = add_sweep(experiment, **asked)
    assert add_sweep(experiment, **asked).sweep.skipped == 1

    first.sweep.trials.update(state="complete", score=0.9, value=0.9)

    assert add_sweep(experiment, **asked).sweep.skipped == 0


@pytest.mark.parametrize(("status", "skipped"), [("error", 1), ("timeout", 0), ("memory", 0)])
def test_what_failed_is_tried_again_unless_its_settings_were_at_fault(seat, status, skipped):
    experiment = ExperimentFactory()
    first = add_sweep(experiment, family="lightgbm", grid={"num_leaves": [15]})
    seat.answers["evaluate"] = lambda **_: outcome(status, error="It broke.")
    evaluate_trial("here")
    assert again(first.trials[0]).state == "failed"
    assert add_sweep(experiment, family="lightgbm", grid={"num_leaves": [15]}).sweep.skipped == skipped


def test_of_several_that_tried_the_same_one_with_a_score_is_named():
    experiment = ExperimentFactory()
    for state in ("cancelled", "failed", "complete", "complete"):
        TrialFactory(experiment=experiment, state=state, hyperparameters={"num_leaves": 20})
    found = Outlook(experiment).same_as("lightgbm", {"num_leaves": 20})
    assert (found.number, found.state) == (2, "complete")


@pytest.mark.parametrize(
    ("asked", "field", "words"),
    [
        ({"family": "nothing", "grid": GRID}, "family", "Choose one of"),
        ({"family": "lightgbm", "grid": {}}, "grid", "empty"),
        ({"family": "lightgbm", "grid": {"num_leaves": [3]}}, "grid", "give a whole number from 4 to 256"),
        ({"family": "lightgbm", "grid": GRID, "base": {"speed": 1}}, "base", "not a hyperparameter"),
        ({"family": "lightgbm", "grid": {"num_leaves": list(range(4, 24))}}, "grid", "20 combinations"),
    ],
)
def test_a_sweep_that_can_not_be_is_refused_and_adds_nothing(settings, asked, field, words):
    settings.MAX_SWEEP = 12
    experiment = ExperimentFactory()
    with pytest.raises(InvalidInput) as refused:
        add_sweep(experiment, **asked)
    assert words in refused.value.fields[field]
    assert (experiment.trials.count(), Sweep.objects.count()) == (0, 0)


@pytest.mark.parametrize("room", [0, 5])
def test_an_experiment_takes_no_more_trials_than_it_may_have(settings, room):
    settings.MAX_TRIALS = room
    experiment = ExperimentFactory()
    with pytest.raises(InvalidInput, match=f"add 6 trials, and the experiment has room for {room} more"):
        add_sweep(experiment, family="lightgbm", grid=GRID)
    assert experiment.trials.count() == 0


def test_a_paused_search_takes_a_sweep_that_waits():
    experiment = ExperimentFactory()
    pause_experiment(experiment)
    add_sweep(experiment, family="lightgbm", grid=GRID)
    assert again(experiment).state == "paused"
    assert claim_trial("here") is None


def test_by_hand_comes_first_then_sweeps_then_the_search():
    experiment = ExperimentFactory()
    for origin in ("search", "default", "sweep", "manual", "sweep", "manual"):
        TrialFactory(experiment=experiment, state="waiting", origin=origin)
    claimed = [claim_trial("here") for _ in range(6)]
    assert [(trial.origin, trial.number) for trial in claimed if trial] == [
        ("manual", 3),
        ("manual", 5),
        ("sweep", 2),
        ("sweep", 4),
        ("search", 0),
        ("default", 1),
    ]


# --- By hand ------------------------------------------------------------------------------------


def test_a_trial_by_hand_keeps_what_was_expected_of_it():
    experiment = ExperimentFactory()
    for place in range(6):
        params = {"num_leaves": 10 + 20 * place}
        TrialFactory(experiment=experiment, hyperparameters=params, score=0.8 + 0.01 * place, seconds=2.0)
    found = add_trial(experiment, family="lightgbm", hyperparameters={"num_leaves": 60}).prediction
    assert found["low"] <= found["value"] <= found["high"]
    assert 0.78 < found["value"] < 0.87
    assert found["seconds"] > 0
    unknown = add_trial(experiment, family="xgboost", hyperparameters={}).prediction
    assert unknown["value"] is None and unknown["seconds"] > 0


@pytest.mark.parametrize("metric", ["rmse", "roc_auc"])
def test_a_band_in_the_metrics_own_unit_begins_with_its_lower_end(metric):
    experiment = ExperimentFactory(metric=metric)
    sign = -1 if metric == "rmse" else 1
    for place in range(6):
        params = {"num_leaves": 10 + 20 * place}
        TrialFactory(experiment=experiment, hyperparameters=params, score=sign * (0.5 + place / 50))
    found = add_trial(experiment, family="lightgbm", hyperparameters={"num_leaves": 61}).prediction
    assert 0 < found["low"] < found["value"] < found["high"]


@pytest.mark.parametrize(("metric", "sign"), [("roc_auc", 1), ("rmse", -1)])
def test_a_predicted_band_stays_within_what_the_metric_can_be(metric, sign):
    experiment = ExperimentFactory(metric=metric)
    for place, value in enumerate((0.99, 0.992, 0.991, 0.993, 0.99, 0.5, 0.992, 0.991)):
        params = {"num_leaves": 10 + 20 * place}
        TrialFactory(experiment=experiment, hyperparameters=params, score=sign * value)
    for leaves in (15, 61, 115, 250):
        found = Outlook(experiment).forecast("lightgbm", {"num_leaves": leaves})
        assert 0 <= found.low <= found.value <= found.high <= (1 if sign == 1 else 2)


def test_an_end_that_was_decided_a_moment_before_is_void(monkeypatch):
    experiment = ExperimentFactory(max_trials=1)
    TrialFactory(experiment=experiment)
    from automl.experiments.services import trials

    history = trials.history_of

    def added_meanwhile(of):
        seen = history(of)
        add_trial(experiment, family="dummy", hyperparameters={})
        return seen

    monkeypatch.setattr(trials, "history_of", added_meanwhile)
    plan_trials(experiment.id)

    assert again(experiment).state == "running"
    assert experiment.trials.get(family="dummy").state == "waiting"


def test_a_sweep_that_leads_through_ruin_does_not_end_the_search():
    experiment = ExperimentFactory()
    for _ in range(20):
        TrialFactory(experiment=experiment, state="failed", origin="sweep")
    plan_trials(experiment.id)
    assert again(experiment).state == "running"


# --- After the end ------------------------------------------------------------------------------


@pytest.mark.parametrize("state", ["complete", "failed", "cancelled"])
def test_an_experiment_that_has_ended_goes_on_for_this_alone(state):
    experiment = ExperimentFactory(state=state, spent=59.0, error="It broke.")
    TrialFactory(experiment=experiment)
    cut_short = TrialFactory(experiment=experiment, state="cancelled", cut_short=True)

    trial = add_trial(experiment, family="lightgbm", hyperparameters={"num_leaves": 40})

    again(experiment)
    assert (experiment.state, experiment.phase, experiment.by_hand_only) == ("running", "searching", True)
    assert (experiment.finished_at, experiment.error) == (None, "")
    assert 59 + 30 <= experiment.time_budget <= 59 + 30 + 20
    assert Budget(experiment.time_budget).remaining(59.0) >= 29.9  # beside what is kept back
    assert again(cut_short).state == "cancelled"
    plan_trials(experiment.id)
    assert list(experiment.trials.filter(state="waiting")) == [trial]
    assert again(experiment).state == "running"


def test_one_that_had_failed_for_its_failures_goes_on_all_the_same():
    experiment = ExperimentFactory(state="failed")
    for _ in range(20):
        TrialFactory(experiment=experiment, state="failed")
    add_trial(experiment, family="dummy", hyperparameters={})
    plan_trials(experiment.id)
    assert again(experiment).state == "running"


def test_time_that_was_left_over_is_taken_first():
    experiment = ExperimentFactory(state="complete", spent=10.0, time_budget=600.0, max_trials=1)
    add_trial(experiment, family="dummy", hyperparameters={})
    assert again(experiment).time_budget == 600.0


def test_a_long_sweep_after_the_end_gets_the_time_that_it_should_take():
    experiment = ExperimentFactory(state="complete", spent=60.0)
    for place in range(12):
        params = {"learning_rate": 0.05, "n_estimators": 600 + place}
        TrialFactory(experiment=experiment, hyperparameters=params, seconds=100.0)
    add_sweep(experiment, family="lightgbm", grid={"num_leaves": list(range(30, 70))})
    assert again(experiment).time_budget > 500


def test_it_ends_again_by_itself_and_the_old_model_is_there_meanwhile(seat):
    experiment = ExperimentFactory(state="complete", spent=59.0)
    old = TrialFactory(experiment=experiment, score=0.8, hyperparameters={"num_leaves": 20})
    model = TrainedModel.objects.create(
        experiment=experiment, trial=old, name="LightGBM #0", state="ready", is_best=True
    )
    seat.answers["evaluate"] = lambda **_: outcome("ok", {**RESULTS["evaluate"], "score": 0.95})

    trial = add_trial(experiment, family="lightgbm", hyperparameters={"num_leaves": 40})
    assert best_model_id(experiment) == str(model.id)
    assert evaluate_trial("here")
    plan_trials(experiment.id)

    assert again(experiment).state == "stopping"
    assert best_model_id(experiment) == str(model.id)
    finish_experiment(experiment.id)
    assert (again(experiment).state, again(trial).state) == ("complete", "complete")
    assert best_model_id(experiment) not in (None, str(model.id))
    assert again(model).state == "ready"
    assert experiment.spent <= experiment.time_budget


def test_several_by_hand_after_the_end_end_with_the_last_of_them():
    experiment = ExperimentFactory(state="complete")
    first = add_trial(experiment, family="dummy", hyperparameters={})
    budget = again(experiment).time_budget
    add_trial(experiment, family="linear", hyperparameters={})
    assert again(experiment).time_budget == budget
    skip_trial(first)
    plan_trials(experiment.id)
    assert again(experiment).state == "running"
    for trial in experiment.trials.filter(state="waiting"):
        skip_trial(trial)
    plan_trials(experiment.id)
    assert again(experiment).state == "stopping"


def test_an_extension_lets_the_search_itself_go_on_too():
    experiment = ExperimentFactory(state="complete", spent=59.0)
    cut_short = TrialFactory(experiment=experiment, state="cancelled", cut_short=True)
    add_trial(experiment, family="dummy", hyperparameters={})

    extend_experiment(again(experiment), seconds=60)

    assert not again(experiment).by_hand_only
    assert again(cut_short).state == "waiting"


def test_a_sweep_of_nothing_new_wakes_nothing():
    experiment = ExperimentFactory(state="complete")
    params = add_sweep(ExperimentFactory(), family="lightgbm", grid={"num_leaves": [15]}).trials[0]
    TrialFactory(experiment=experiment, hyperparameters=params.hyperparameters)
    added = add_sweep(experiment, family="lightgbm", grid={"num_leaves": [15]})
    assert (added.trials, again(experiment).state) == ([], "complete")


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"state": "stopping"}, "about to end"),
        ({"state": "failed", "prepared": None}, "never prepared"),
        ({"state": "pending"}, "still being prepared"),
    ],
)
def test_where_nothing_can_be_added_it_says_why(fields, words):
    experiment = ExperimentFactory(**fields)
    with pytest.raises(Conflict, match=words):
        add_trial(experiment, family="dummy", hyperparameters={})
    with pytest.raises(Conflict, match=words):
        add_sweep(experiment, family="lightgbm", grid=GRID)
    assert Experiment.objects.get().state == fields["state"]


def test_an_experiment_that_has_had_all_its_time_says_so(settings):
    settings.MAX_TIME_BUDGET = 60
    with pytest.raises(Conflict, match="60 s that an experiment may take are spent"):
        add_trial(ExperimentFactory(state="complete", spent=59.0), family="dummy", hyperparameters={})


def test_going_on_counts_against_the_owners_quota(settings):
    settings.MAX_ACTIVE_EXPERIMENTS = 1
    experiment = ExperimentFactory(state="complete")
    ExperimentFactory(owner=experiment.owner)
    with pytest.raises(QuotaExceeded):
        add_trial(experiment, family="dummy", hyperparameters={})
    assert again(experiment).state == "complete"


def test_what_learns_from_other_trials_is_refused_until_they_are_there():
    experiment = ExperimentFactory()
    for family in ("dummy", "neighbors", "linear", "linear"):
        TrialFactory(experiment=experiment, family=family)
    TrialFactory(experiment=experiment, family="lightgbm", state="running")
    for ask in (
        lambda: add_trial(experiment, family="stacked_trees", hyperparameters={}),
        lambda: add_sweep(experiment, family="stacked_trees", grid={"n_estimators": [20, 40]}),
    ):
        with pytest.raises(InvalidInput) as refused:
            ask()
        assert "at least 2 families need a complete trial; there are 1" in refused.value.fields["family"]

    TrialFactory(experiment=experiment, family="xgboost")
    assert add_trial(experiment, family="stacked_trees", hyperparameters={}).state == "waiting"


def test_predictions_of_rows_that_were_dealt_twice_can_not_be_learned_from():
    experiment = ExperimentFactory()
    experiment.prepared = {**experiment.prepared, "repeats": 2}
    experiment.save()
    for family in ("linear", "xgboost"):
        TrialFactory(experiment=experiment, family=family)
    with pytest.raises(InvalidInput) as refused:
        add_trial(experiment, family="stacked_trees", hyperparameters={})
    assert "older version" in refused.value.fields["family"]
