"""A real browser against a real server; whatever it complains about fails the test."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, sync_playwright

from automl.accounts.models import User
from automl.accounts.services import make_sign_in_link

# Playwright's synchronous interface keeps an event loop in this thread, which Django takes for an async view.
os.environ.setdefault("DJANGO_ALLOW_ASYNC_UNSAFE", "true")

PICTURES = Path(__file__).resolve().parent.parent.parent / "var" / "screenshots"
NAMES = ("chromium", "chromium-browser", "google-chrome")
ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
LEFT = ("htmx:afterRequest", "htmx:sendAbort", "htmx:sendError")
SIZES = {"1440": (1440, 900), "390": (390, 844)}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--screenshots", action="store_true", help="keep the pictures, in var/screenshots")


def find_chromium() -> str | None:
    return next((path for name in NAMES if (path := shutil.which(name))), None)


def install_chromium() -> str | None:
    """Debian's package, where we may install it."""
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        return None
    for command in (
        ["apt-get", "update"],
        ["apt-get", "install", "-y", "--no-install-recommends", "chromium"],
    ):
        subprocess.run(
            command,
            check=False,
            capture_output=True,
            timeout=150,
            env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
        )
    return find_chromium()


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    path = find_chromium() or install_chromium()
    if path is None:
        words = "There is no Chromium, and it could not be installed. On Debian: apt-get install chromium"
        if os.environ.get("CI"):
            pytest.fail(words)
        pytest.skip(words)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield browser
        browser.close()


class Watch:
    """Notes what the browser complains about: blocked content, scripts that fail, files that are missing."""

    def __init__(self) -> None:
        self.complaints: list[str] = []

    def follow(self, page: Page) -> None:
        page.on("console", self._heard)
        page.on("pageerror", lambda error: self.complaints.append(f"script: {error}"))

    def _heard(self, message: ConsoleMessage) -> None:
        # An answer of 4xx to a form is what some tests ask for, and a poll is cut off where a page is left
        # while it is under way (of one that fails the browser itself says so). All else in red is a fault.
        expected = "status of 4" in message.text or message.text.startswith(LEFT)
        if message.type == "error" and not expected:
            self.complaints.append(f"{message.text} ({message.location})")


@pytest.fixture
def watch() -> Iterator[Watch]:
    watch = Watch()
    yield watch
    assert watch.complaints == []


@pytest.fixture
def context(browser: Browser, live_server, watch: Watch) -> Iterator[BrowserContext]:
    context = browser.new_context(
        base_url=live_server.url,
        viewport={"width": 1440, "height": 900},
        permissions=["clipboard-read", "clipboard-write"],
    )
    context.set_default_timeout(15_000)
    context.on("page", watch.follow)
    yield context
    context.close()


@pytest.fixture
def page(context: BrowserContext) -> Page:
    return context.new_page()


@pytest.fixture
def alice(transactional_db) -> User:
    """Owns what the test is about."""
    from tests.factories import UserFactory

    return UserFactory(username="alice")


@pytest.fixture
def signed_in(page: Page, alice: User) -> Page:
    """A page of alice, who came by her sign-in link."""
    page.goto("/sign-in/" + make_sign_in_link(alice).split("/sign-in/")[1])
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url("/")
    return page


@pytest.fixture
def picture(request: pytest.FixtureRequest) -> Callable[[Page, str], list[Path]]:
    """Sees that nothing sticks out sideways; with `--screenshots` takes each width in light and dark."""
    kept = request.config.getoption("--screenshots", default=False)
    if kept:
        PICTURES.mkdir(parents=True, exist_ok=True)

    def take(page: Page, name: str) -> list[Path]:
        taken = []
        for size, (width, height) in SIZES.items():
            page.set_viewport_size({"width": width, "height": height})
            assert page.evaluate("document.documentElement.scrollWidth") <= width, (
                f"{name} is too wide at {size}"
            )
            for scheme in ("light", "dark") if kept else ():
                page.emulate_media(color_scheme=scheme)
                path = PICTURES / f"{name}-{size}-{scheme}.png"
                page.screenshot(path=path, full_page=True)
                taken.append(path)
        page.set_viewport_size({"width": 1440, "height": 900})
        page.emulate_media(color_scheme="light")
        return taken

    return take
