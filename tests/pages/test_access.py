from __future__ import annotations

import pytest
from django.test import Client
from django.urls import reverse

from automl.experiments.models import Experiment

LISTS = ["home", "datasets", "experiments", "upload", "account"]


def test_the_owner_sees_every_page(browser_client, world):
    statuses = {name: browser_client.get(address).status_code for name, address in world.addresses().items()}
    # 286 ends the polling of what has come to its end.
    final = {name: statuses.pop(name) for name in ("trial_state", "model_state", "predictions")}
    assert set(statuses.values()) == {200}, statuses
    assert set(final.values()) == {286}


def test_somebody_else_finds_nothing(charlies, world):
    statuses = {name: charlies.get(address).status_code for name, address in world.addresses().items()}
    assert set(statuses.values()) == {404}, statuses


def test_somebody_else_changes_nothing(charlies, world):
    statuses = {name: charlies.post(address).status_code for name, address in world.actions().items()}
    assert set(statuses.values()) == {404}, statuses
    world.experiment.refresh_from_db()
    assert world.experiment.state == "running"
    assert Experiment.objects.count() == 1


def test_strangers_are_sent_to_sign_in(client, world):
    for address in (*world.addresses().values(), *(reverse(f"pages:{name}") for name in LISTS)):
        answer = client.get(address)
        assert answer.status_code == 302
        assert answer.headers["Location"].startswith(reverse("account_login")), address


def test_strangers_change_nothing(client, world):
    for address in world.actions().values():
        assert client.post(address).status_code == 302
    world.experiment.refresh_from_db()
    assert world.experiment.state == "running"


def test_a_poll_whose_session_has_ended_sends_the_page_to_sign_in(client, world):
    answer = client.get(world.addresses()["experiment_board"], headers={"HX-Request": "true"})
    assert answer.status_code == 204
    assert answer.headers["HX-Redirect"] == reverse("account_login")


@pytest.mark.parametrize("name", LISTS)
def test_lists_show_only_what_is_ones_own(charlies, world, name):
    body = charlies.get(reverse(f"pages:{name}")).content.decode()
    assert world.dataset.name not in body
    assert world.experiment.name not in body


@pytest.mark.parametrize(
    "name",
    [
        "pause_experiment",
        "resume_experiment",
        "extend_experiment",
        "change_experiment",
        "stop_experiment",
        "cancel_experiment",
        "skip_trial",
        "package_trial",
        "package_entry",
        "try_row",
        "predict_file",
        "remove_prediction",
        "dataset_kinds",
    ],
)
def test_looking_changes_nothing(browser_client, world, name):
    assert browser_client.get(world.actions()[name]).status_code == 405


def test_a_form_of_another_site_is_refused(alice, world):
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(alice)
    answer = strict.post(world.actions()["cancel_experiment"])
    assert answer.status_code == 403
    assert b"out of date" in answer.content
