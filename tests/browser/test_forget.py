"""Forgetting as somebody at the page does it: the conversation goes on without what was said."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.browser.page import TalkPage
from tests.fixtures.server import Server

pytestmark = pytest.mark.live

RARE = "seventeen"
"""In no other conversation with the same server."""


def test_what_was_said_leaves_page_and_file_and_can_be_played_back_no_more(server: Server, talk: TalkPage) -> None:
    page = talk.page
    talk.connect(microphone=False)
    talk.type(f"what is {RARE} times three")
    talk.until(lambda: any("51" in text for text in talk.agent_texts()), "the product")
    talk.until(lambda: talk.mode() == "listening", "the end of the answer")
    with page.context.expect_page() as opened:
        page.click("#replay")
    replay = opened.value
    expect(replay.locator("#sound")).to_contain_text("No audio was kept")
    replay.keyboard.press("End")
    expect(replay.locator("#items")).to_contain_text(RARE)
    page.on("dialog", lambda dialog: dialog.accept())
    page.click("#forget")
    talk.until(lambda: "is forgotten" in page.inner_text("#items"), "the page's word for it")
    assert RARE not in page.inner_text("#items")
    replay.reload()
    replay.keyboard.press("End")
    expect(replay.locator("#items")).to_contain_text("is forgotten")
    expect(replay.locator("#items")).not_to_contain_text(RARE)
    talk.type("what is three times four")
    talk.until(lambda: any("12" in text for text in talk.agent_texts()), "an answer behind it")
    files = [path for path in server.folder.glob("timeline.sqlite3*") if path.is_file()]
    assert files
    assert all(RARE.encode() not in path.read_bytes() for path in files)
    assert not talk.errors
