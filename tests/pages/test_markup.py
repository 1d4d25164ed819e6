"""Every page keeps to the content security policy, and is labelled for those who can't see it."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest
from django.test import Client
from django.urls import reverse

from tests.factories import DatasetFactory, ExperimentFactory, TrainedModelFactory, TrialFactory
from tests.pages.conftest import make_world
from tests.pages.test_insight import long_search

FRAGMENTS = ("progress", "board", "limits", "state", "shown", "worth", "predictions")
VOID = {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"}


class Page(HTMLParser):
    """Reads a page and notes what it must not have."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.faults: list[str] = []
        self.open: list[str] = []
        self.ids: list[str] = []
        self.labelled: set[str] = set()
        self.controls: list[dict[str, str | None]] = []
        self.headings = 0
        self.landmarks: set[str] = set()
        self.feed(text)
        self.close()
        if self.open:
            self.faults.append(f"not closed: {self.open}")
        for twice in {each for each in self.ids if self.ids.count(each) > 1}:
            self.faults.append(f"id twice: {twice}")
        for control in self.controls:
            if not (control.get("aria-label") or control.get("id") in self.labelled):
                self.faults.append(f"no label: {control}")

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        inside_label = "label" in self.open
        self.faults += [f"{tag} {name}" for name in found if name == "style" or name.startswith("on")]
        self.faults += [f"{tag} {name}" for name in found if name.startswith(("hx-on", "hx-vars"))]
        if tag == "style" or (tag == "script" and not found.get("src")):
            self.faults.append(f"inline <{tag}>")
        if tag == "script" and not (found.get("src") or "").startswith("/static/"):
            self.faults.append(f"script from {found.get('src')}")
        if (found.get("href") or "").startswith("javascript:"):
            self.faults.append("javascript: address")
        if tag == "img" and "alt" not in found:
            self.faults.append("image without alt")
        if tag == "th" and "scope" not in found:
            self.faults.append("table heading without scope")
        if tag == "label" and found.get("for"):
            self.labelled.add(found["for"])
        if tag in ("input", "select", "textarea") and found.get("type") != "hidden" and not inside_label:
            self.controls.append(found)
        if "id" in found:
            self.ids.append(found["id"])
        self.headings += tag == "h1"
        if tag in ("main", "header", "nav"):
            self.landmarks.add(tag)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        if tag in VOID:
            return
        if not self.open or self.open.pop() != tag:
            self.faults.append(f"</{tag}> closes nothing")


def check(answer, *, whole: bool = True) -> None:
    page = Page(answer.content.decode())
    assert page.faults == []
    if whole:
        assert page.headings == 1
        assert {"main", "header"} <= page.landmarks


def test_the_reader_sees_faults():
    faulty = Page(
        '<p style="color:red" onclick="x()"><script>1</script><b></p><input><img><a href="javascript:1">'
    )
    assert len(faulty.faults) >= 7


@pytest.mark.parametrize(
    "state", ["pending", "running", "paused", "stopping", "complete", "failed", "cancelled"]
)
def test_pages_of_an_experiment_in_every_state(browser_client, alice, state):
    world = make_world(alice, state=state)
    for name, address in world.addresses().items():
        answer = browser_client.get(address)
        check(answer, whole=name.split("_")[-1] not in FRAGMENTS)


def test_what_a_long_search_shows(browser_client, alice):
    experiment = long_search(alice, 120)
    for name in ("search", "search_shown", "insight_shown", "worth"):
        answer = browser_client.get(reverse(f"pages:{name}", args=[experiment.id]))
        check(answer, whole=name == "search")


@pytest.mark.parametrize("name", ["home", "datasets", "experiments", "upload", "account"])
@pytest.mark.parametrize("with_rows", [True, False])
def test_lists_and_forms(browser_client, alice, name, with_rows):
    if with_rows:
        make_world(alice)
    check(browser_client.get(reverse(f"pages:{name}")))


@pytest.mark.parametrize("state", ["profiling", "failed"])
def test_a_dataset_that_is_not_ready(browser_client, alice, state):
    dataset = DatasetFactory(
        owner=alice, state=state, error="Line 3 has 5 cells." if state == "failed" else ""
    )
    check(browser_client.get(reverse("pages:dataset", args=[dataset.id])))


@pytest.mark.parametrize("state", ["waiting", "running", "complete", "pruned", "failed", "cancelled"])
def test_a_trial_in_every_state(browser_client, alice, state):
    trial = TrialFactory(experiment=ExperimentFactory(owner=alice), state=state)
    check(browser_client.get(reverse("pages:trial", args=[trial.id])))


@pytest.mark.parametrize("state", ["packaging", "ready", "failed"])
def test_a_model_in_every_state(browser_client, alice, state):
    trial = TrialFactory(experiment=ExperimentFactory(owner=alice))
    model = TrainedModelFactory(trial=trial, state=state, error="No room." if state == "failed" else "")
    check(browser_client.get(reverse("pages:model", args=[model.id])))


@pytest.mark.parametrize("name", ["account_login", "account_signup", "account_reset_password"])
def test_pages_before_signing_in(client, db, name):
    check(client.get(reverse(name)))


def test_what_follows_a_password_reset(client, db):
    check(client.get(reverse("account_reset_password_done")))
    check(client.get(reverse("account_reset_password_from_key_done")))
    check(client.get(reverse("account_reset_password_from_key", args=["0", "wrong"])))


def test_sign_up_when_it_is_closed(client, db, settings):
    settings.SIGNUP_OPEN = False
    answer = client.get(reverse("account_signup"))
    check(answer)
    assert b"Closed to newcomers" in answer.content


@pytest.mark.parametrize("name", ["account_logout", "account_email", "account_change_password"])
def test_pages_of_the_account(browser_client, name):
    check(browser_client.get(reverse(name)))


def test_a_person_without_a_password_may_set_one(browser_client, alice):
    alice.set_unusable_password()
    alice.save()
    browser_client.force_login(alice)
    check(browser_client.get(reverse("pages:account")))
    check(browser_client.get(reverse("account_set_password")))


def test_error_pages(browser_client, alice, rf):
    from django.template.loader import render_to_string

    for template in ("400.html", "403.html", "404.html", "413.html", "500.html", "403_csrf.html"):
        page = Page(render_to_string(template))
        assert page.faults == []
        assert page.headings == 1
    missing = browser_client.get("/nowhere/")
    assert missing.status_code == 404
    check(missing)


def test_a_bug_is_answered_in_generic_words(alice, monkeypatch):
    def broken(user):
        raise RuntimeError("secret detail")

    monkeypatch.setattr("automl.datasets.selectors.list_datasets", broken)
    client = Client(raise_request_exception=False)
    client.force_login(alice)
    answer = client.get(reverse("pages:datasets"))
    assert answer.status_code == 500
    assert b"Something went wrong" in answer.content
    assert b"secret" not in answer.content


def test_the_policy_is_sent_with_every_page(browser_client, world):
    policy = browser_client.get(world.addresses()["experiment"]).headers["Content-Security-Policy"]
    assert "script-src 'self'" in policy
    assert "unsafe" not in policy


def test_names_are_shown_as_text(browser_client, alice):
    experiment = ExperimentFactory(owner=alice, name="<script>alert(1)</script>", target='"><b>')
    answer = browser_client.get(reverse("pages:experiment", args=[experiment.id]))
    check(answer)
    assert b"<script>alert" not in answer.content


def test_who_has_no_javascript_gets_a_page_that_reloads_while_something_moves(browser_client, alice):
    running = ExperimentFactory(owner=alice)
    ended = ExperimentFactory(owner=alice, state="complete")
    refresh = '<noscript><meta http-equiv="refresh"'
    assert refresh in browser_client.get(reverse("pages:experiment", args=[running.id])).content.decode()
    assert refresh not in browser_client.get(reverse("pages:experiment", args=[ended.id])).content.decode()
