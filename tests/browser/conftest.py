"""A real server in a process of its own, and a real Chromium with a microphone that a test speaks into."""

from __future__ import annotations

import asyncio
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from agent.timeline.entry import Entry
from agent.timeline.sqlite import SqliteStore
from tests.browser.page import TalkPage

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = (
    "--no-sandbox",
    "--use-fake-ui-for-media-stream",
    "--use-fake-device-for-media-stream",
    "--autoplay-policy=no-user-gesture-required",
    "--disable-background-networking",
    "--allow-loopback-in-peer-connection",
)
START_S = 60


@dataclass
class Server:
    url: str
    folder: Path
    process: subprocess.Popen[str]

    def entries(self) -> list[Entry]:
        """The newest stored session's timeline."""
        # In a thread of its own: Playwright keeps an event loop running in this one.
        with ThreadPoolExecutor(1) as thread:
            return thread.submit(lambda: asyncio.run(_newest(self.folder / "timeline.sqlite3"))).result(20)


async def _newest(path: Path) -> list[Entry]:
    store = SqliteStore(path)
    try:
        newest = (await store.sessions(1))[0]
        return await store.read(newest.session_id, 0, 100_000)
    finally:
        await store.close()


def start_server(folder: Path, *overrides: str) -> Server:
    settings = ("timeline.path=timeline.sqlite3", "brain.memory=memory.sqlite3", "server.port=0", *overrides)
    flags = [part for setting in settings for part in ("--set", setting)]
    command = [sys.executable, "-m", "agent", "serve", *flags]
    process = subprocess.Popen(command, cwd=folder, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert process.stdout is not None
    printed = []
    for line in process.stdout:
        printed.append(line)
        if found := re.search(r"http://\S+", line):
            return Server(found.group(), folder, process)
    raise AssertionError("the server ended: " + "".join(printed))


def stop_server(server: Server) -> None:
    server.process.terminate()
    try:
        server.process.wait(20)
    except subprocess.TimeoutExpired:
        server.process.kill()
        raise


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = start_server(tmp_path_factory.mktemp("server"))
    yield server
    stop_server(server)


@pytest.fixture(scope="session")
def chromium() -> Iterator[Callable[..., Browser]]:
    """Launches Chromium with further flags; every browser is closed at the end."""
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed (apt-get install chromium)")
    with sync_playwright() as playwright:
        browsers: list[Browser] = []

        def launch(*flags: str) -> Browser:
            browsers.append(playwright.chromium.launch(executable_path=CHROMIUM, args=[*FLAGS, *flags]))
            return browsers[-1]

        yield launch
        for browser in browsers:
            browser.close()


@pytest.fixture(scope="session")
def browser(chromium: Callable[..., Browser]) -> Browser:
    return chromium()


@pytest.fixture
def talk(server: Server, browser: Browser) -> Iterator[TalkPage]:
    """The page, opened but not connected, with a microphone to speak into."""
    context = browser.new_context(bypass_csp=True, viewport={"width": 1280, "height": 800})
    page = TalkPage(context.new_page(), server.url)
    yield page
    context.close()
    wait_idle(server)


def wait_idle(server: Server, limit_s: float = 20.0) -> None:
    """Until the server has noticed that everybody left."""
    end = time.monotonic() + limit_s
    while time.monotonic() < end:
        if httpx.get(server.url + "healthz", timeout=5).json().get("sessions", 0) == 0:
            return
        time.sleep(0.1)


def page_errors(page: Page) -> list[str]:
    """Collects what goes wrong in a page from now on."""
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    return errors


def payloads(entries: list[Entry], type_: str) -> list[Any]:
    return [entry.event for entry in entries if entry.event.type == type_]
