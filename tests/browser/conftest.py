"""A real server, and a real Chromium with a microphone that a test speaks into."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tests.browser.page import TalkPage
from tests.fixtures.server import Server, start_server, stop_server, wait_idle

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = (
    "--no-sandbox",
    "--use-fake-ui-for-media-stream",
    "--use-fake-device-for-media-stream",
    "--disable-background-networking",
    "--allow-loopback-in-peer-connection",
)
SOUND_AT_ONCE = "--autoplay-policy=no-user-gesture-required"  # a second flag of this name does not replace the first


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = start_server(tmp_path_factory.mktemp("server"))
    yield server
    stop_server(server)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Callable[..., Browser]]:
    """Launches Chromium with further flags; every browser is closed at the end of the module.

    Playwright keeps an event loop running in this thread as long as it lives, and other modules
    run loops of their own.
    """
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed (apt-get install chromium)")
    with sync_playwright() as playwright:
        browsers: list[Browser] = []

        def launch(*flags: str, sound: str = SOUND_AT_ONCE) -> Browser:
            browsers.append(playwright.chromium.launch(executable_path=CHROMIUM, args=[*FLAGS, sound, *flags]))
            return browsers[-1]

        yield launch
        for browser in browsers:
            browser.close()


@pytest.fixture(scope="module")
def browser(chromium: Callable[..., Browser]) -> Browser:
    return chromium()


@pytest.fixture
def talk(server: Server, browser: Browser) -> Iterator[TalkPage]:
    """The page, opened but not connected, with a microphone to speak into."""
    context = browser.new_context(bypass_csp=True, viewport={"width": 1280, "height": 800})
    page = TalkPage(context.new_page(), server.url)
    yield page
    page.page.goto("about:blank")  # the page hangs up as it goes
    context.close()
    wait_idle(server)


def page_errors(page: Page) -> list[str]:
    """Collects what goes wrong in a page from now on."""
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    return errors
