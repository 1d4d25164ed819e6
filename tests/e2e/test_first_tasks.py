"""Three things that a person does first, in a fresh install and with nothing read.

Clicks, fields typed into and seconds are counted, and printed with `-s`.
"""

from __future__ import annotations

import random
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.urls import NoReverseMatch, reverse
from playwright.sync_api import Browser, Locator, Page, expect

from tests.e2e.conftest import Watch
from tests.service import Service

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(300)]
BUDGET = 20


class Person:
    """Somebody who clicks and types, and is counted."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.clicks = 0
        self.typed = 0
        self.begun = time.monotonic()

    def click(self, what: Locator) -> None:
        self.clicks += 1
        what.click()

    def type(self, where: Locator, text: str) -> None:
        self.typed += 1
        where.fill(text)

    def report(self, task: str) -> None:
        seconds = time.monotonic() - self.begun
        print(f"\n{task}: {self.clicks} clicks, {self.typed} fields typed, {seconds:.0f} s")


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    service = Service(tmp_path_factory.mktemp("fresh"), AUTOML_SEATS="2")
    try:
        service.start()
        yield service
    finally:
        service.close()


@pytest.fixture(scope="module")
def visitor(fresh: Service, browser: Browser) -> Iterator[Page]:
    """A browser that has come by the link that `make run` prints."""
    watch = Watch()
    context = browser.new_context(base_url=fresh.url, viewport={"width": 1440, "height": 900})
    context.set_default_timeout(20_000)
    context.on("page", watch.follow)
    page = context.new_page()
    page.goto("/sign-in/" + fresh.manage("sign_in_link", "admin").strip().split("/sign-in/")[1])
    page.get_by_role("button", name="Sign in").click()
    yield page
    context.close()
    assert watch.complaints == []


@pytest.fixture(scope="module")
def trained(visitor: Page, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The first task; the others go on from what it made."""
    folder = tmp_path_factory.mktemp("own")
    table = folder / "customers.csv"
    table.write_text(own_table())
    person = Person(visitor)
    visitor.goto("/")
    person.clicks += 1  # the file is chosen in the system's own window
    visitor.get_by_label("Choose a file").set_input_files(table)
    person.click(visitor.get_by_role("button", name="Upload"))
    person.click(visitor.get_by_role("link", name="New experiment"))
    visitor.get_by_label("Column to predict").select_option("stays")
    person.click(visitor.get_by_text("20 s", exact=True))
    person.click(visitor.get_by_role("button", name="Start"))
    download = visitor.get_by_role("link", name="Download best model")
    expect(download).to_be_visible(timeout=(2 * BUDGET + 20) * 1000)
    with visitor.expect_download() as fetched:
        person.click(download)
    path = Path(fetched.value.path())
    assert path.read_bytes()[:2] == b"PK"
    person.report("Train on an own CSV and download")
    assert person.clicks <= 6
    return {"address": visitor.url}


def own_table() -> str:
    luck = random.Random(5)
    lines = ["age,plan,visits,spent,stays"]
    for _ in range(900):
        age, visits = luck.randrange(18, 80), luck.randrange(40)
        plan = luck.choice(["basic", "plus", "pro"])
        spent = round(luck.gauss(40, 12) + 8 * (plan == "pro"), 2)
        stays = visits + 6 * (plan != "basic") + luck.gauss(0, 6) > 22
        lines.append(f"{age},{plan},{visits},{spent},{'yes' if stays else 'no'}")
    return "\n".join(lines) + "\n"


def needs(*names: str) -> None:
    for name in names:
        try:
            reverse(name, args=["00000000-0000-0000-0000-000000000000"])
        except NoReverseMatch:
            pytest.skip(f"There is no page {name}.")


def test_train_on_an_own_table_and_download(trained: dict[str, str]):
    assert trained["address"]


def test_find_which_dial_matters_most(trained: dict[str, str], visitor: Page):
    needs("pages:insight")
    visitor.goto(trained["address"])
    person = Person(visitor)
    person.click(visitor.get_by_role("link", name="What mattered"))
    expect(visitor.get_by_role("heading", level=1)).to_be_visible()
    expect(visitor.locator("main table").first).to_be_attached()
    person.report("Find which dial matters most")
    assert person.clicks <= 2


def test_try_a_hand_tuned_model_and_compare_it_with_the_best(trained: dict[str, str], visitor: Page):
    needs("pages:dials", "pages:compare")
    visitor.goto(trained["address"])
    person = Person(visitor)
    row = visitor.locator("tr[id^=row-]").filter(has_text="LightGBM").first
    person.click(row.get_by_role("button", name="Details of"))
    person.click(visitor.get_by_role("link", name="Tweak this"))
    number = visitor.locator("main input[type=number]").first
    person.type(
        number, str(number.evaluate("e => Number(e.max) > 1 ? Math.round(e.value * 1.2) : e.value / 2"))
    )
    person.click(visitor.get_by_role("button", name="Train it"))
    compare = visitor.get_by_role("link", name=re.compile("Compare .* with the (next )?best"))
    expect(compare).to_be_visible(timeout=60_000)
    person.click(compare)
    expect(visitor.get_by_role("heading", level=1)).to_be_visible()
    expect(visitor.locator("#comparison")).to_contain_text(re.compile("tied|better"), timeout=30_000)
    person.report("Try a hand-tuned model and compare it with the best")
    assert person.clicks <= 4
