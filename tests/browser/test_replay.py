"""The page that plays a stored conversation back, in Chromium, behind a server that has nothing else."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from playwright.sync_api import Browser, Page, expect

from agent.audio.wav import write_wav
from agent.recordings import Recordings
from agent.serving import web_folder
from agent.settings import Server, Settings
from agent.timeline.codec import loads
from agent.timeline.entry import Entry
from agent.timeline.summary import Summary
from agent.transport.archive import Archive
from agent.transport.http import create_app
from agent.transport.port import Sessions
from agent.transport.server import serve
from agent.transport.session_token import TokenKey

pytestmark = pytest.mark.live

ENTRIES = [
    loads(line)
    for line in (Path(__file__).parents[1] / "fixtures" / "timeline_barge_in.jsonl").read_text().splitlines()
]
KEY = TokenKey(bytes(32))
FAR_S = 4_000_000_000
START_S = 20.0


@dataclass(frozen=True)
class Stored:
    url: str
    recordings: Recordings

    def link(self, session_id: str) -> str:
        return f"{self.url}replay.html?session={session_id}#session_token={KEY.issue(session_id, 0, FAR_S, 'w')}"

    def record(self, session_id: str) -> None:
        """One second of the user's voice at 1 s, then one of the agent's."""
        tone = (8_000 * np.sin(np.arange(16_000) * 0.15)).astype(np.int16)
        block = np.zeros((32_000, 2), np.int16)
        block[:16_000, 0] = block[16_000:, 1] = tone
        write_wav(self.recordings.new(session_id, 1_000), iter([block]), 16_000, channels=2)


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stored]:
    """Every session is the same one; `heard` has audio."""
    recordings = Recordings(tmp_path_factory.mktemp("archive") / "audio")
    started, found = threading.Event(), dict[str, Any]()

    async def entries(session_id: str) -> list[Entry]:
        return ENTRIES

    async def none(owner: str, limit: int) -> list[Summary]:
        return []

    async def main() -> None:
        nobody = cast(Sessions, None)  # nobody calls here
        app = create_app(nobody, Settings(), web=web_folder(), key=KEY, archive=Archive(entries, recordings, none))

        def ready(url: str) -> None:
            found["url"] = url
            started.set()

        found["loop"], found["task"] = asyncio.get_running_loop(), asyncio.current_task()
        await serve(app, Server(port=0), ready)

    def run() -> None:
        with pytest.raises(asyncio.CancelledError):
            asyncio.run(main())

    thread = threading.Thread(target=run)
    thread.start()
    assert started.wait(START_S)
    made = Stored(found["url"], recordings)
    made.record("heard")
    yield made
    found["loop"].call_soon_threadsafe(found["task"].cancel)
    thread.join(START_S)


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    page = context.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    yield page
    context.close()
    assert errors == []


def users(page: Page) -> list[str]:
    return [text.removeprefix("You: ") for text in page.locator(".said.user .text").all_text_contents()]


def test_it_is_stepped_through_event_by_event_with_the_keyboard(page: Page, stored: Stored) -> None:
    page.goto(stored.link("silent"))
    expect(page.locator("#sound")).to_contain_text("No audio was kept")
    assert "session_token" not in page.url, "the address can be shown and copied"
    expect(page.locator("#count")).to_have_text(f"1 of {len(ENTRIES)}")
    for number in range(2, 6):
        page.keyboard.press("ArrowRight")
        expect(page.locator("#count")).to_have_text(f"{number} of {len(ENTRIES)}")
    expect(page.locator("#event")).to_contain_text(ENTRIES[4].event.type)
    assert users(page) == ["tell me a story"]
    page.keyboard.press("ArrowLeft")
    expect(page.locator("#count")).to_have_text(f"4 of {len(ENTRIES)}")
    page.keyboard.press("End")
    expect(page.locator("#count")).to_have_text(f"{len(ENTRIES)} of {len(ENTRIES)}")
    assert users(page) == ["tell me a story", "stop what day is it"]
    expect(page.locator(".said.agent del").first).to_be_visible()
    page.keyboard.press("Home")
    assert users(page) == []


def test_a_moment_takes_there(page: Page, stored: Stored) -> None:
    page.goto(stored.link("silent"))
    page.get_by_role("tab", name="Moments").click()
    page.get_by_role("button", name="interrupted (words)").click()
    expect(page.locator("#event")).to_contain_text("interruption.confirmed")
    expect(page.locator("#time")).to_contain_text("3.0 s of")
    page.get_by_role("tab", name="Latency").click()
    expect(page.locator("#waterfall li").first).to_be_visible()


def test_it_plays_both_sides_where_they_were_recorded(page: Page, stored: Stored) -> None:
    page.goto(stored.link("heard"))
    expect(page.locator("#ears")).to_be_visible()
    expect(page.locator("#sound")).to_be_hidden()
    page.keyboard.press("Space")
    expect(page.locator("#play")).to_have_text("Pause")
    expect(page.locator("#event")).to_contain_text("playback", timeout=20_000)
    page.keyboard.press("Space")
    expect(page.locator("#play")).to_have_text("Play")
    page.get_by_role("button", name="Hear agent").click()
    expect(page.locator("#hear-agent")).to_have_attribute("aria-pressed", "false")


def test_a_reload_keeps_it_and_nobody_else_has_it(page: Page, stored: Stored) -> None:
    page.goto(stored.link("silent"))
    expect(page.locator("#play")).to_be_visible()
    page.reload()
    expect(page.locator("#play")).to_be_visible()
    page.goto(f"{stored.url}replay.html?session=another")
    expect(page.locator("#sound")).to_contain_text("sessions link ID")
    expect(page.locator("#play")).to_be_hidden()


@pytest.mark.parametrize("width", [1280, 360])
def test_it_fits(page: Page, stored: Stored, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 800})
    page.goto(stored.link("heard"))
    expect(page.locator("#ears")).to_be_visible()
    page.keyboard.press("End")
    assert page.evaluate("document.documentElement.scrollWidth") == width
    box = page.locator("#transcript").bounding_box()
    assert box is not None
    assert box["height"] > 200, "there is room for what was said"
