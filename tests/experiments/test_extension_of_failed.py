"""More time for a search that has ended for failures, or has given up families."""

from __future__ import annotations

import pytest

from automl.core.errors import InvalidInput
from automl.experiments.services.lifecycle import stop_experiment
from automl.experiments.services.results import finish_experiment
from automl.experiments.services.steering import change_experiment, extend_experiment
from automl.experiments.services.trials import MOST_FAILURES, plan_trials
from tests.experiments.rows import again
from tests.factories import ExperimentFactory, TrialFactory

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("seat")]


def failed_search(*, own_fault):
    experiment = ExperimentFactory(spent=20.0, search="random")
    for _ in range(MOST_FAILURES):
        TrialFactory(
            experiment=experiment,
            state="failed",
            own_fault=own_fault,
            error="It took too much.",
            score=None,
            losses=3,
        )
    waiting = TrialFactory(experiment=experiment, state="waiting", score=None)
    plan_trials(experiment.id)
    finish_experiment(experiment.id)
    assert again(experiment).state == "failed"
    assert "in a row had failed" in again(waiting).error
    return experiment


def test_a_search_that_failed_for_want_of_something_tries_that_again_when_it_is_extended():
    experiment = failed_search(own_fault=False)

    extend_experiment(experiment, seconds=60)
    plan_trials(experiment.id)

    assert again(experiment).state == "running"
    assert set(experiment.trials.values_list("state", "error", "losses")) == {("waiting", "", 0)}


def test_a_search_of_which_all_fails_by_itself_is_not_extended_in_vain():
    experiment = failed_search(own_fault=True)

    with pytest.raises(InvalidInput) as error:
        extend_experiment(experiment, seconds=60)

    assert "the latest with: It took too much." in error.value.fields["time_budget"]


def test_a_search_goes_on_where_some_of_what_failed_may_fare_better():
    experiment = failed_search(own_fault=True)
    experiment.trials.filter(number=MOST_FAILURES - 1).update(own_fault=False)

    extend_experiment(experiment, seconds=60)
    plan_trials(experiment.id)

    assert again(experiment).state == "running"


def given_up(*, own_fault, **fields):
    """An auto search of one family, of which three trials have failed."""
    experiment = ExperimentFactory(spent=20.0, families=["kernel"], **fields)
    for _ in range(3):
        TrialFactory(experiment=experiment, state="failed", own_fault=own_fault, family="kernel")
    return experiment


def test_what_the_end_cut_short_may_still_come_to_a_score():
    experiment = given_up(own_fault=True, state="failed")
    last = TrialFactory(experiment=experiment, state="cancelled", cut_short=True, family="kernel", score=None)

    extend_experiment(experiment, seconds=60)

    assert again(last).state == "waiting"


def test_a_search_that_was_opened_again_for_trials_by_hand_is_extended_as_what_it_is():
    experiment = given_up(own_fault=False, state="complete", by_hand_only=True)

    extend_experiment(experiment, seconds=60)

    assert set(experiment.trials.values_list("state", flat=True)) == {"waiting"}


def test_a_family_that_fails_by_itself_is_not_tried_again_for_one_that_ran_into_a_limit():
    experiment = ExperimentFactory(spent=20.0, state="complete", families=["kernel", "lightgbm"])
    TrialFactory(experiment=experiment)
    for own_fault in (True, True, False):
        TrialFactory(experiment=experiment, state="failed", own_fault=own_fault, family="kernel")

    extend_experiment(experiment, seconds=60)

    assert set(experiment.trials.filter(family="kernel").values_list("state", flat=True)) == {"failed"}


def test_another_time_for_a_search_that_runs_revives_no_failures():
    experiment = given_up(own_fault=False)

    change_experiment(experiment, {"time_budget": 50.0})
    change_experiment(experiment, {"time_budget": 80.0})

    assert set(experiment.trials.values_list("state", flat=True)) == {"failed"}


def test_what_failed_long_ago_is_no_reason_to_extend_a_search_in_vain():
    experiment = failed_search(own_fault=True)
    TrialFactory(experiment=experiment, state="complete", number=100)
    TrialFactory(experiment=experiment, state="failed", own_fault=False, number=101)
    for number in range(102, 102 + MOST_FAILURES):
        TrialFactory(experiment=experiment, state="failed", own_fault=True, error="It broke.", number=number)

    with pytest.raises(InvalidInput) as error:
        extend_experiment(experiment, seconds=60)

    assert "the latest with: It broke." in error.value.fields["time_budget"]


def test_a_family_that_a_search_gave_up_for_want_of_something_is_tried_again_when_it_is_extended():
    experiment = ExperimentFactory(spent=20.0)
    for _ in range(3):
        TrialFactory(experiment=experiment, state="failed", own_fault=False, family="kernel")
    other = TrialFactory(experiment=experiment, state="failed", own_fault=False, family="lightgbm")
    TrialFactory(experiment=experiment, family="lightgbm")
    stop_experiment(again(experiment))
    finish_experiment(experiment.id)

    extend_experiment(experiment, seconds=60)

    assert set(experiment.trials.filter(family="kernel").values_list("state", flat=True)) == {"waiting"}
    assert again(other).state == "failed"
