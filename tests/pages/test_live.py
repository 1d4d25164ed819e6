"""Live fragments: nothing new costs nothing, and polling ends with the work."""

from __future__ import annotations

import re

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from automl.experiments.models import Experiment, Trial
from tests.factories import DatasetFactory, ExperimentFactory, TrainedModelFactory, TrialFactory
from tests.queries import main_table


def stamp_in(answer) -> str:
    found = re.findall(r'name="version" value="([^"]+)"', answer.content.decode())
    assert found
    return found[-1]


def poll(client, name, row, stamp):
    return client.get(reverse(f"pages:{name}", args=[row.id]), {"version": stamp})


@pytest.fixture
def experiment(alice):
    # Long enough for the clock to stand still, as it is shown, while a test runs.
    experiment = ExperimentFactory(owner=alice, time_budget=86_400.0)
    TrialFactory(experiment=experiment)
    return experiment


@pytest.mark.parametrize(
    "name",
    [
        "experiment_board",
        "experiment_progress",
        "experiment_limits",
        "search_shown",
        "insight_shown",
        "worth",
    ],
)
def test_nothing_new_is_answered_by_204(browser_client, experiment, name):
    stamp = stamp_in(browser_client.get(reverse(f"pages:{name}", args=[experiment.id])))
    answer = poll(browser_client, name, experiment, stamp)
    assert answer.status_code == 204
    assert answer.content == b""


@pytest.mark.parametrize("name", ["experiment_board", "experiment_progress", "search_shown"])
def test_a_change_brings_the_fragment(browser_client, experiment, name):
    stamp = stamp_in(browser_client.get(reverse(f"pages:{name}", args=[experiment.id])))
    experiment.version += 1
    experiment.save()
    answer = poll(browser_client, name, experiment, stamp)
    assert answer.status_code == 200
    assert stamp_in(answer) != stamp


def test_the_page_shows_what_the_poll_would_bring(browser_client, experiment):
    page = browser_client.get(reverse("pages:experiment", args=[experiment.id]))
    assert poll(browser_client, "experiment_board", experiment, stamp_in(page)).status_code == 204


def test_what_is_typed_is_replaced_only_when_a_limit_changes(browser_client, experiment):
    stamp = stamp_in(browser_client.get(reverse("pages:experiment_limits", args=[experiment.id])))
    experiment.version += 1
    experiment.spent += 10
    experiment.save()
    assert poll(browser_client, "experiment_limits", experiment, stamp).status_code == 204
    experiment.seats = 2
    experiment.save()
    assert poll(browser_client, "experiment_limits", experiment, stamp).status_code == 200


def test_the_clock_moves_the_progress_and_not_the_board(browser_client, alice):
    running = ExperimentFactory(owner=alice, time_budget=60.0)
    board = stamp_in(browser_client.get(reverse("pages:experiment_board", args=[running.id])))
    clock = stamp_in(browser_client.get(reverse("pages:experiment_progress", args=[running.id])))
    running.spent += 10
    running.save()
    assert poll(browser_client, "experiment_board", running, board).status_code == 204
    assert poll(browser_client, "experiment_progress", running, clock).status_code == 200


def test_the_clock_alone_does_not_have_every_trial_read_again(browser_client, alice):
    running = ExperimentFactory(owner=alice, time_budget=60.0)
    TrialFactory(experiment=running, family="xgboost", score=0.91)
    at_work = TrialFactory(experiment=running, state="running")
    clock = stamp_in(browser_client.get(reverse("pages:experiment_progress", args=[running.id])))
    Experiment.objects.filter(id=running.id).update(spent=running.spent + 10)
    Trial.objects.filter(id=at_work.id).update(fold_scores=[0.9] * 3)
    with CaptureQueriesContext(connection) as captured:
        answer = poll(browser_client, "experiment_progress", running, clock)
    (sql,) = (each["sql"] for each in captured if main_table(each["sql"]) == "experiments_trial")
    assert "IN ('running', 'waiting')" in sql
    text = answer.content.decode()
    assert "XGBoost #0" in text
    assert re.search(r'<td class="right">3 <span class="quiet">of 5', text)


def test_a_trial_that_ends_is_told_of_at_the_next_poll(browser_client, experiment):
    stamp = stamp_in(browser_client.get(reverse("pages:experiment_progress", args=[experiment.id])))
    TrialFactory(experiment=experiment, family="catboost", score=0.97)
    Experiment.objects.filter(id=experiment.id).update(version=experiment.version + 1)
    answer = poll(browser_client, "experiment_progress", experiment, stamp)
    assert "CatBoost #1" in answer.content.decode()


def test_a_poll_where_nothing_moved_reads_no_trial_also_with_a_limit_of_trials(browser_client, experiment):
    Experiment.objects.filter(id=experiment.id).update(max_trials=10)
    stamp = stamp_in(browser_client.get(reverse("pages:experiment_progress", args=[experiment.id])))
    with CaptureQueriesContext(connection) as captured:
        assert poll(browser_client, "experiment_progress", experiment, stamp).status_code == 204
    assert "experiments_trial" not in {main_table(each["sql"]) for each in captured}


@pytest.mark.parametrize("state", ["complete", "failed", "cancelled"])
@pytest.mark.parametrize("name", ["experiment_board", "experiment_progress", "experiment_limits"])
def test_the_last_answer_ends_the_polling(browser_client, alice, state, name):
    ended = ExperimentFactory(owner=alice, state=state)
    answer = poll(browser_client, name, ended, "old")
    assert answer.status_code == 286
    page = browser_client.get(reverse("pages:experiment", args=[ended.id])).content.decode()
    assert 'hx-trigger="every' not in page


def test_a_running_experiment_polls_each_second(browser_client, experiment):
    page = browser_client.get(reverse("pages:experiment", args=[experiment.id])).content.decode()
    assert page.count('hx-trigger="every 1s"') == 2


def test_a_dataset_that_has_become_ready_reloads_the_page(browser_client, alice):
    dataset = DatasetFactory(owner=alice, state="profiling")
    stamp = stamp_in(browser_client.get(reverse("pages:dataset_state", args=[dataset.id])))
    assert poll(browser_client, "dataset_state", dataset, stamp).status_code == 204
    dataset.state = "ready"
    dataset.save()
    assert poll(browser_client, "dataset_state", dataset, stamp).headers["HX-Refresh"] == "true"


def test_a_trial_shows_each_fold_as_it_ends(browser_client, experiment):
    trial = TrialFactory(experiment=experiment, state="running")
    stamp = stamp_in(browser_client.get(reverse("pages:trial_state", args=[trial.id])))
    assert poll(browser_client, "trial_state", trial, stamp).status_code == 204
    trial.fold_scores = [0.87654]
    trial.save()
    answer = poll(browser_client, "trial_state", trial, stamp)
    assert answer.status_code == 200
    assert b"0.8765" in answer.content


def test_a_model_is_there_once_it_is_packaged(browser_client, experiment):
    model = TrainedModelFactory(trial=experiment.trials.get(), state="packaging")
    stamp = stamp_in(browser_client.get(reverse("pages:model_state", args=[model.id])))
    assert poll(browser_client, "model_state", model, stamp).status_code == 204
    model.state = "ready"
    model.save()
    answer = poll(browser_client, "model_state", model, stamp)
    assert answer.status_code == 286
    assert reverse("pages:download_model", args=[model.id]).encode() in answer.content
