"""A conversation that moves to another device of the network: HTTPS, a link with its QR code, a second page."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from agent.errors import SettingsError
from agent.lan import address
from tests.browser.page import TalkPage
from tests.fixtures.server import Server, payloads, start_server, stop_server

pytestmark = pytest.mark.live


@pytest.fixture
def lan_server(tmp_path: Path) -> Iterator[Server]:
    try:
        address()
    except SettingsError as error:
        pytest.skip(str(error))
    server = start_server(tmp_path, words=("serve", "--lan"))
    yield server
    stop_server(server)


def test_a_conversation_moves_by_its_link(lan_server: Server, chromium: Callable[..., Browser]) -> None:
    token = (lan_server.folder / "voice-agent-lan" / "token").read_text()
    assert token not in lan_server.log(), "a log keeps no secret"
    browser = chromium()
    pages = [browser.new_context(bypass_csp=True, ignore_https_errors=True) for _ in range(2)]
    laptop = TalkPage(pages[0].new_page(), f"{lan_server.url}?token={token}")
    laptop.connect()
    laptop.type("what is seven times eight")
    laptop.until(lambda: any("56" in text for text in laptop.agent_texts()), "the product")
    laptop.page.click("#tab-settings")
    laptop.page.click("#elsewhere")
    laptop.page.wait_for_selector("#link-anchor:visible")
    assert laptop.page.evaluate("() => document.getElementById('link-code').decode().then(() => true)")
    link = str(laptop.page.get_attribute("#link-anchor", "href"))
    assert re.fullmatch(rf"{re.escape(lan_server.url)}#join=[\w.-]+", link)

    phone = TalkPage(pages[1].new_page(), link)
    assert token not in link
    assert "#" not in phone.page.url, "the token does not stay in the address"
    assert "go on with your conversation" in phone.page.inner_text("#notices")
    phone.connect()
    phone.until(lambda: any("56" in text for text in phone.agent_texts()), "what was said before")
    phone.say("hello")
    phone.until(lambda: payloads(lan_server.entries(), "speech.started"), "that its microphone is heard")
    phone.type("what time is it in tokyo right now")
    for page in (phone, laptop):
        page.until(lambda at=page: any("Tokyo" in text for text in at.agent_texts()), "the answer")
    laptop.until(lambda: "live" in laptop.page.inner_text("#devices"), "that the other device is live")
    assert not phone.errors
    assert not laptop.errors
    for page in pages:
        page.close()
