"""The control bar: what it offers when, and what its forms do."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from tests.factories import ExperimentFactory, TrialFactory

BUTTONS = ("pause", "resume", "stop", "cancel", "delete", "more-1", "more-own", "save-limits")


def page_of(client, experiment) -> str:
    return client.get(reverse("pages:experiment", args=[experiment.id])).content.decode()


def offered(page: str) -> set[str]:
    return {name for name in BUTTONS if f'id="{name}"' in page}


def act(client, name, row, **fields):
    return client.post(reverse(f"pages:{name}", args=[row.id]), fields)


@pytest.mark.parametrize(
    ("fields", "buttons"),
    [
        ({"state": "pending"}, {"cancel", "more-1", "more-own", "save-limits"}),
        ({"state": "running"}, {"pause", "stop", "cancel", "more-1", "more-own", "save-limits"}),
        ({"state": "running", "prepared": None}, {"cancel", "more-1", "more-own", "save-limits"}),
        ({"state": "paused"}, {"resume", "stop", "cancel", "more-1", "more-own", "save-limits"}),
        ({"state": "stopping"}, {"cancel", "more-1", "more-own"}),
        ({"state": "complete"}, {"delete", "more-1", "more-own"}),
        ({"state": "complete", "max_trials": 9}, {"delete", "more-own"}),
        ({"state": "failed", "prepared": None}, {"delete"}),
    ],
)
def test_only_what_is_possible_now_is_offered(browser_client, alice, fields, buttons):
    assert offered(page_of(browser_client, ExperimentFactory(owner=alice, **fields))) == buttons


@pytest.mark.parametrize(
    ("name", "before", "after"),
    [
        ("pause_experiment", "running", "paused"),
        ("resume_experiment", "paused", "running"),
        ("stop_experiment", "paused", "stopping"),
        ("cancel_experiment", "stopping", "cancelled"),
    ],
)
def test_a_button_does_what_it_says_and_may_be_pressed_twice(browser_client, alice, name, before, after):
    experiment = ExperimentFactory(owner=alice, state=before)
    for _ in range(2):
        answer = act(browser_client, name, experiment)
        assert answer.headers["Location"] == reverse("pages:experiment", args=[experiment.id])
    experiment.refresh_from_db()
    assert experiment.state == after


@pytest.mark.parametrize(("state", "after"), [("running", "running"), ("complete", "running")])
def test_two_people_who_press_for_a_minute_at_once_add_one(browser_client, alice, state, after):
    experiment = ExperimentFactory(owner=alice, state=state)
    shown = re.search(r'name="time_budget" value="([^"]+)" id="more-1"', page_of(browser_client, experiment))
    assert shown
    for _ in range(2):
        assert act(browser_client, "extend_experiment", experiment, time_budget=shown[1]).status_code == 302
    experiment.refresh_from_db()
    assert (experiment.time_budget, experiment.state) == (120, after)


def test_own_seconds_are_added_to_what_was_seen(browser_client, alice):
    experiment = ExperimentFactory(owner=alice)
    for _ in range(2):
        act(browser_client, "extend_experiment", experiment, since="60", seconds="45")
    experiment.refresh_from_db()
    assert experiment.time_budget == 105


def test_a_search_that_ended_by_its_trials_goes_on_with_more_of_them(browser_client, alice):
    experiment = ExperimentFactory(owner=alice, state="complete", max_trials=1)
    TrialFactory(experiment=experiment)
    refused = act(browser_client, "extend_experiment", experiment, since="60", seconds="60", max_trials="1")
    assert "are used up" in browser_client.get(refused.headers["Location"]).content.decode()
    act(browser_client, "extend_experiment", experiment, since="60", seconds="", max_trials="4")
    experiment.refresh_from_db()
    assert (experiment.state, experiment.max_trials, experiment.time_budget) == ("running", 4, 60)


def test_limits_are_saved_and_blank_is_none(browser_client, alice):
    experiment = ExperimentFactory(owner=alice, max_trials=9)
    act(browser_client, "change_experiment", experiment, max_trials="", seats="2")
    experiment.refresh_from_db()
    assert (experiment.max_trials, experiment.seats) == (None, 2)
    assert 'value="2"' in page_of(browser_client, experiment)


def test_saving_a_limit_leaves_the_other_one_to_whoever_changed_it_meanwhile(browser_client, alice):
    experiment = ExperimentFactory(owner=alice, seats=2)
    shown = {"shown_seats": "", "shown_max_trials": ""}
    act(browser_client, "change_experiment", experiment, max_trials="40", seats="", **shown)
    experiment.refresh_from_db()
    assert (experiment.max_trials, experiment.seats) == (40, 2)


@pytest.mark.parametrize(
    ("fields", "words"),
    [({"seats": "none"}, "Seats: Enter a whole number"), ({"max_trials": "999999999"}, "out of range")],
)
def test_what_can_not_be_used_is_told_on_the_page(browser_client, alice, fields, words):
    experiment = ExperimentFactory(owner=alice)
    answer = act(browser_client, "change_experiment", experiment, **fields)
    assert words in browser_client.get(answer.headers["Location"]).content.decode()
    experiment.refresh_from_db()
    assert (experiment.max_trials, experiment.seats) == (None, None)


def test_trials_at_work_are_listed_and_each_can_be_skipped(browser_client, alice):
    experiment = ExperimentFactory(owner=alice)
    running = TrialFactory(
        experiment=experiment,
        state="running",
        fold_scores=[0.8, 0.9],
        started_at=timezone.now() - timedelta(seconds=125),
    )
    waiting = TrialFactory(experiment=experiment, state="waiting", family="linear")
    page = page_of(browser_client, experiment)
    assert "2 min 05 s" in page
    assert re.search(r"2 <span[^>]*>of 5</span>", page)
    for trial in (running, waiting):
        assert f'id="skip-{trial.id}"' in page
        assert act(browser_client, "skip_trial", trial).status_code == 302
    after = page_of(browser_client, experiment)
    assert "Skipped Logistic" in after or "Skipped Linear" in after
    assert "No trial is being fitted" in after
    assert act(browser_client, "skip_trial", running).status_code == 302


def test_a_trial_that_has_ended_offers_no_skip(browser_client, alice):
    running = TrialFactory(experiment__owner=alice, state="running")
    ended = TrialFactory(experiment__owner=alice)
    assert 'id="skip"' in browser_client.get(reverse("pages:trial", args=[running.id])).content.decode()
    assert 'id="skip"' not in browser_client.get(reverse("pages:trial", args=[ended.id])).content.decode()
    assert act(browser_client, "skip_trial", ended).status_code == 409


@pytest.mark.parametrize(
    ("name", "state", "fields", "words"),
    [
        ("pause_experiment", "paused", {}, "the search is paused already"),
        ("resume_experiment", "running", {}, "the search is running already"),
        ("stop_experiment", "complete", {}, "the search is complete already"),
        ("cancel_experiment", "cancelled", {}, "the search is cancelled already"),
        ("extend_experiment", "complete", {"time_budget": "60"}, "these are its limits already"),
        ("change_experiment", "running", {}, "these are its limits already"),
    ],
)
def test_what_is_so_already_is_not_told_as_done(browser_client, alice, name, state, fields, words):
    experiment = ExperimentFactory(owner=alice, state=state)
    answer = act(browser_client, name, experiment, **fields)
    page = browser_client.get(answer.headers["Location"]).content.decode()
    assert f"Nothing was changed: {words}." in page


def test_a_trial_that_is_cancelled_already_is_not_told_as_skipped(browser_client, alice):
    trial = TrialFactory(experiment__owner=alice, state="cancelled")
    answer = act(browser_client, "skip_trial", trial)
    page = browser_client.get(answer.headers["Location"]).content.decode()
    assert "was cancelled already." in page and "Skipped" not in page
