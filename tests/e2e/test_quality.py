"""What every page keeps: it can be used by everybody, it is light, it fits, and it holds still."""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.contrib.staticfiles import finders
from playwright.sync_api import Browser, BrowserContext, Page, expect

from automl.accounts.models import User
from automl.experiments.models import Diagnosis, Experiment
from automl.experiments.selectors import trial_name
from automl.experiments.services.diagnoses import request_comparison, request_diagnosis
from tests.diagnoses import comparison, diagnosis
from tests.e2e.conftest import Watch
from tests.e2e.pages import Shop, Spot, addresses
from tests.e2e.test_browser import experiment_of, model_of
from tests.factories import DatasetFactory, EnsembleFactory, TrialFactory

pytestmark = [pytest.mark.e2e, pytest.mark.django_db(transaction=True)]

LIGHTEST = 150_000
AXE = Axe()
TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
SMALLEST_TARGET = 24

# What stands alone, for a finger: a link in the middle of a sentence has the height of its line.
SMALL_TARGETS = """least => Array.from(document.querySelectorAll(
    'button, select, input:not([type=hidden]), summary, nav a, .button, [role=button]'))
  .filter(each => each.checkVisibility({visibilityProperty: true}) && !each.closest('.hidden'))
  .filter(each => !each.disabled)
  .map(each => [each, (each.matches('[type=checkbox], [type=radio]') && each.labels[0] || each)])
  .map(([each, area]) => [each, area.getBoundingClientRect()])
  .filter(([each, box]) => box.width > 1 && (box.width < least || box.height < least))
  .map(([each, box]) => `${each.outerHTML.slice(0, 90)} ${box.width}x${box.height}`)"""


@dataclass
class Finding:
    page: str
    what: str


def shop_of(alice: User) -> Shop:
    """Rows enough for every page to have something to show."""
    running = experiment_of(alice, trials=24)
    ended = experiment_of(alice, state="complete", trials=12)
    Experiment.objects.filter(id=ended.id).update(name="Finished search")
    TrialFactory(experiment=ended, number=60, family="xgboost", origin="manual", score=0.9295)
    TrialFactory(experiment=ended, number=61, family="lightgbm", origin="sweep", score=0.9155)
    EnsembleFactory(experiment=ended, score=0.9333, tied_with_best=True)
    DatasetFactory(owner=alice, name="broken.csv", state="failed", error="Line 3 has 5 cells.")
    trial = ended.trials.get(number=0)
    rounds = list(range(1, 101))
    trial.learning_curve = {
        "unit": "rounds",
        "x": rounds,
        "best": 80,
        "metric": "log loss",
        "train": [0.2 + 0.5 * 0.96**r for r in rounds],
        "valid": [0.28 + 0.42 * 0.95**r + (r - 80) ** 2 * 3e-6 for r in rounds],
    }
    trial.learned = {"rounds": 80, "trees": 80, "importance": [["age", 0.52], ["city", 0.31]]}
    trial.save()
    diagnose(trial)
    User.objects.filter(id=alice.id).update(is_staff=True)
    return Shop(alice, running, ended, trial, model_of(trial, is_best=True))


def diagnose(trial) -> None:
    """Have the diagnosis of a trial, and the comparison that a page shows, there already."""
    found = request_diagnosis(trial)
    Diagnosis.objects.filter(id=found.id).update(state="ready", result=diagnosis())
    two = list(trial.experiment.trials.filter(state="complete").order_by("number")[:2])
    pair = request_comparison(trial.experiment, two)
    result = comparison(*((str(each.id), trial_name(each)) for each in two))
    Diagnosis.objects.filter(id=pair.id).update(state="ready", result=result)


@pytest.fixture
def shop(alice: User) -> Shop:
    return shop_of(alice)


@pytest.fixture
def anonymous(browser: Browser, live_server, watch: Watch) -> Iterator[Page]:
    context: BrowserContext = browser.new_context(base_url=live_server.url)
    context.on("page", watch.follow)
    yield context.new_page()
    context.close()


OVERHANG = """() => {
  const box = document.getElementById('leaderboard-box');
  return box.scrollWidth - box.clientWidth;
}"""


def visit(page: Page, spot: Spot, address: str) -> None:
    page.goto(address)
    # What loads where it is shown has loaded.
    for part in page.locator("[hx-trigger*=revealed]").all():
        part.scroll_into_view_if_needed()
        expect(part.locator("> a")).to_have_count(0)
    if page.locator("[hx-trigger*=load]").count():
        page.wait_for_load_state("networkidle")
    page.evaluate("window.scrollTo(0, 0)")


def test_every_page_can_be_used_by_everybody_and_fits(signed_in: Page, anonymous: Page, shop: Shop, picture):
    """What axe finds, in light at a desk's width and a telephone's; in dark what depends on colours.

    Pictures are taken on the way, with --screenshots.
    """
    found: list[Finding] = []
    for spot, address in addresses(shop):
        page = signed_in if spot.signed_in else anonymous
        page.emulate_media(color_scheme="light", reduced_motion="reduce")
        page.set_viewport_size({"width": 1440, "height": 900})
        visit(page, spot, address)
        for width in (1440, 390, 768, 2560):
            page.set_viewport_size({"width": width, "height": 900})
            wide = page.evaluate("document.documentElement.scrollWidth")
            if wide > width:
                found.append(Finding(f"{spot.name} {width}", f"is {wide} wide"))
            if width > 1440 or width == 768:
                continue
            page.emulate_media(color_scheme="light")
            found += faults(page, f"{spot.name} {width}", TAGS)
            found += [Finding(f"{spot.name} {width}", f"small: {each}") for each in small_targets(page)]
            page.emulate_media(color_scheme="dark")
            found += faults(page, f"{spot.name} {width} dark", ["color-contrast"])
        picture(page, spot.name)
    assert not found, "\n".join(f"{each.page}: {each.what}" for each in found[:40])


def faults(page: Page, where: str, only: list[str]) -> list[Finding]:
    said = AXE.run(page, options={"runOnly": only, "resultTypes": ["violations"]}).response
    return [
        Finding(where, f"{each['id']}: {node['html'][:140]} {node.get('any', [{}])[:1]}")
        for each in said["violations"]
        for node in each["nodes"][:3]
    ]


def small_targets(page: Page) -> list[str]:
    return page.evaluate(SMALL_TARGETS, SMALLEST_TARGET)


def test_the_first_paint_of_every_page_is_light(signed_in: Page, anonymous: Page, shop: Shop):
    """The page as it is sent, raw, and its styles as WhiteNoise sends them, with gzip; no script blocks."""
    found = []
    for spot, address in addresses(shop):
        page = signed_in if spot.signed_in else anonymous
        text = page.request.get(address).body()
        names = re.findall(rb'<link rel="stylesheet" href="/static/([^"]+)"', text)
        styles = sum(len(compressed(name.decode())) for name in names)
        blocking = re.findall(rb"<script(?![^>]*\bdefer\b)[^>]*>", text)
        if len(text) + styles > LIGHTEST or blocking:
            found.append(f"{spot.name}: {len(text)} + {styles} bytes, blocking: {blocking}")
    assert not found


def compressed(name: str) -> bytes:
    path = finders.find(name)
    assert isinstance(path, str)
    return gzip.compress(Path(path).read_bytes())


WATCH_SHIFTS = """() => {
  window.shifts = [];
  const named = source => source.node && (source.node.id || source.node.nodeName);
  new PerformanceObserver(list => list.getEntries().forEach(
    each => window.shifts.push([each.value, each.sources.map(named).join(' ')])
  )).observe({type: 'layout-shift', buffered: false});
}"""


def test_the_board_updates_without_shifting_anything(signed_in: Page, alice: User):
    experiment = experiment_of(alice, trials=24)
    signed_in.goto(f"/experiments/{experiment.id}/")
    expect(signed_in.locator(".leaderboard tbody tr")).to_have_count(24)
    signed_in.evaluate("window.scrollTo(0, document.querySelector('#leaderboard').offsetTop - 20)")
    signed_in.wait_for_timeout(400)
    signed_in.evaluate(WATCH_SHIFTS)
    for number in range(30, 34):
        TrialFactory(experiment=experiment, number=number, score=0.93 + number / 10_000)
        Experiment.objects.filter(id=experiment.id).update(version=number)
        expect(signed_in.get_by_role("link", name=f"LightGBM #{number}").first).to_be_visible(timeout=2500)
        signed_in.wait_for_timeout(400)
    shifts = signed_in.evaluate("window.shifts")
    assert sum(value for value, _ in shifts) < 0.02, shifts


def test_a_reader_loses_nothing_when_the_board_updates(signed_in: Page, alice: User):
    experiment = experiment_of(alice, trials=60)
    signed_in.set_viewport_size({"width": 1440, "height": 700})
    signed_in.goto(f"/experiments/{experiment.id}/")
    signed_in.get_by_role("button", name="95 % interval").click()
    expect(signed_in.locator("th[aria-sort=descending]")).to_have_count(1)
    signed_in.get_by_label("Family").select_option("lightgbm")
    expect(signed_in.locator("tr[id^=row-]")).to_have_count(8)
    row = signed_in.locator("tr[id^=row-]").nth(5)
    row.get_by_role("button", name="Details of").click()
    expect(signed_in.locator("tr.opened")).to_have_count(1)
    signed_in.get_by_placeholder("Find a trial").fill("Light")
    kept = signed_in.locator("tr[id^=row-]").nth(3).get_by_role("link")
    kept.focus()
    signed_in.wait_for_timeout(700)
    before = kept.bounding_box()
    name = kept.inner_text()
    scrolled = signed_in.evaluate("window.scrollY")

    TrialFactory(experiment=experiment, number=90, family="catboost", score=0.99)
    TrialFactory(experiment=experiment, number=91, family="lightgbm", score=0.2)
    Experiment.objects.filter(id=experiment.id).update(version=7)
    expect(signed_in.get_by_role("link", name="LightGBM #91")).to_be_visible(timeout=2500)
    expect(signed_in.locator("tr[id^=row-]")).to_have_count(9)
    signed_in.wait_for_timeout(400)

    focused = signed_in.evaluate("document.activeElement.innerText")
    assert focused == name
    assert kept.bounding_box() == before
    assert signed_in.evaluate("window.scrollY") == scrolled
    expect(signed_in.locator("tr.opened")).to_have_count(1)
    expect(signed_in.get_by_placeholder("Find a trial")).to_have_value("Light")
    address = signed_in.evaluate("location.search")
    assert "family=lightgbm" in address
    assert "sort=-interval" in address
    assert "open=" in address
    signed_in.reload()
    expect(signed_in.locator("tr.opened")).to_have_count(1)
    expect(signed_in.locator("tr[id^=row-]")).to_have_count(9)


def test_nothing_is_sent_when_nothing_moves(signed_in: Page, alice: User):
    experiment = experiment_of(alice, state="paused", trials=4)
    signed_in.goto(f"/experiments/{experiment.id}/")
    signed_in.wait_for_timeout(800)  # what loads after the page has loaded
    answers: list[tuple[int, str]] = []
    signed_in.on("response", lambda answer: answers.append((answer.status, answer.url)))
    signed_in.wait_for_timeout(2300)
    assert len(answers) >= 4
    assert {status for status, _ in answers} == {204}, answers


def test_the_keyboard_alone_does_the_main_job(signed_in: Page, shop: Shop):
    signed_in.goto(f"/experiments/{shop.ended.id}/")
    signed_in.get_by_placeholder("Find a trial").focus()
    signed_in.keyboard.type("catboost")
    expect(signed_in.locator("tr[id^=row-]")).to_have_count(2)
    for _ in range(40):
        signed_in.keyboard.press("Tab")
        if signed_in.evaluate("document.activeElement.classList.contains('toggle')"):
            break
    signed_in.keyboard.press("Enter")
    expect(signed_in.locator("tr.opened")).to_have_count(1)
    assert signed_in.evaluate("document.activeElement.classList.contains('toggle')")
    signed_in.keyboard.press("Tab")
    expect(signed_in.get_by_role("link", name="Open trial")).to_be_focused()
    signed_in.keyboard.press("Enter")
    expect(signed_in.get_by_role("heading", level=1)).to_contain_text("CatBoost")


def test_on_a_telephone_the_bar_is_one_line_and_the_rest_a_menu(signed_in: Page, shop: Shop):
    signed_in.set_viewport_size({"width": 320, "height": 700})
    signed_in.goto(f"/experiments/{shop.ended.id}/insight/")
    assert signed_in.locator(".top").bounding_box()["height"] < 60
    sign_out = signed_in.get_by_role("button", name="Sign out")
    expect(sign_out).not_to_be_visible()
    signed_in.get_by_role("button", name="Menu").click()
    assert signed_in.evaluate("document.documentElement.scrollWidth") <= 320
    expect(sign_out).to_be_visible()
    signed_in.keyboard.press("Escape")
    expect(sign_out).not_to_be_visible()
    expect(signed_in.get_by_role("link", name="What mattered")).to_be_in_viewport(ratio=1)


def test_on_a_telephone_names_scores_and_buttons_of_the_board_are_in_sight(signed_in: Page, shop: Shop):
    signed_in.set_viewport_size({"width": 390, "height": 844})
    signed_in.goto(f"/experiments/{shop.ended.id}/?state=all&open={shop.trial.id}")
    expect(signed_in.locator("tr.opened")).to_have_count(1)
    assert signed_in.evaluate(OVERHANG) <= 1
    for row in signed_in.locator("tr[id^=row-]").all():
        assert row.bounding_box()["height"] < 90
        assert row.locator("th").bounding_box()["width"] > 130


def test_light_and_dark_are_remembered(signed_in: Page, shop: Shop, browser: Browser, live_server):
    signed_in.goto("/datasets/")
    signed_in.get_by_role("button", name="Change to dark").click()
    ground = "getComputedStyle(document.body).backgroundColor"
    dark = signed_in.evaluate(ground)
    signed_in.goto("/experiments/")
    assert signed_in.evaluate(ground) == dark
    assert signed_in.evaluate("document.documentElement.dataset.theme") == "dark"
    signed_in.get_by_role("button", name="Change to light").click()
    assert signed_in.evaluate(ground) != dark
    plain = browser.new_context(base_url=live_server.url, java_script_enabled=False)
    page = plain.new_page()
    page.goto("/accounts/login/")
    page.get_by_role("button", name="Change to dark").click()
    assert page.evaluate(ground) == dark
    assert page.url.endswith("/accounts/login/")
    plain.close()


def test_the_checks_can_fail(signed_in: Page):
    signed_in.goto("/datasets/")
    assert small_targets(signed_in) == []
    signed_in.evaluate("document.querySelector('main').append(document.createElement('button'))")
    signed_in.evaluate("document.querySelector('main > button').className = 'link'")
    assert AXE.run(signed_in, options={"runOnly": TAGS}).violations_count
