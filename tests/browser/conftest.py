"""A real server, and a real Chromium with a microphone that a test speaks into."""

from __future__ import annotations

import shutil
import wave
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from agent.audio.wav import write_wav
from agent.bench.alignment import Reference
from tests.browser.page import TalkPage
from tests.fixtures.server import Server, run_command, start_server, stop_server, wait_idle
from tests.fixtures.speech import resampled, silence, speak

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = (
    "--no-sandbox",
    "--use-fake-ui-for-media-stream",
    "--use-fake-device-for-media-stream",
    "--disable-background-networking",
    "--allow-loopback-in-peer-connection",
)
LONG_QUESTION = "what can you do"
"""Its answer is spoken for some 18 s."""
SOUND_AT_ONCE = "--autoplay-policy=no-user-gesture-required"  # a second flag of this name does not replace the first


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One for all conversations, which begin one after the other. It may write e-mails, to an outbox folder."""
    mail = ('mail.own=["home = Ada <ada@example.org>"]', 'mail.contacts=["anna = Anna Lee <anna@example.org>"]')
    server = start_server(tmp_path_factory.mktemp("server"), *mail)
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

        def launch(*flags: str, sound: str = SOUND_AT_ONCE, program: str | None = CHROMIUM) -> Browser:
            browsers.append(playwright.chromium.launch(executable_path=program, args=[*FLAGS, sound, *flags]))
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
    page.leave()
    wait_idle(server)
    context.close()


@pytest.fixture(scope="session")
def long_answer(tmp_path_factory: pytest.TempPathFactory) -> Reference:
    """The answer to `LONG_QUESTION` as it leaves the agent, 16 kHz, without network and machine in between."""
    folder = tmp_path_factory.mktemp("answer")
    question = np.concatenate(
        [silence(500, 16_000, 4.0), speak(LONG_QUESTION, rate=16_000), silence(1_000, 16_000, 4.0)]
    )
    write_wav(folder / "question.wav", [question[:, None]], 16_000, 1)
    done = run_command(folder, "file", "question.wav", "--out", "talk.wav")
    assert done.returncode == 0, done.stdout
    with wave.open(str(folder / "talk.wav")) as file:
        pcm = np.frombuffer(file.readframes(file.getnframes()), "<i2").reshape(-1, 2)
        return Reference(resampled(pcm[:, 1], file.getframerate(), 16_000))


def page_errors(page: Page) -> list[str]:
    """Collects what goes wrong in a page from now on."""
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    return errors
