"""A server killed or frozen in mid-call: the page says so within seconds, keeps the transcript, and calls again."""

from __future__ import annotations

import signal
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser

from tests.browser.page import TalkPage
from tests.fixtures.server import Server, payloads, start_server

pytestmark = pytest.mark.live

SAID_WITHIN_S = 4.0
"""Three seconds are meant; one more is for a machine that others use too."""
FILL = """
async () => {
  for (let sent = 0; sent < 120; sent += 1) {
    window.voiceAgent.send('settings.changed', { changes: { 'browser.vad': true } });
    await new Promise((done) => setTimeout(done, 12));
  }
}
"""
TRANSPORTS = pytest.mark.parametrize("webrtc", [True, False], ids=["webrtc", "websocket"])


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[Server]:
    """A server that the test may break."""
    server = start_server(tmp_path)
    yield server
    server.process.kill()
    server.process.wait()


@contextmanager
def calling(browser: Browser, server: Server, *, webrtc: bool) -> Iterator[TalkPage]:
    """A page in a call in which something was said already."""
    context = browser.new_context(bypass_csp=True)
    talk = TalkPage(context.new_page(), server.url, webrtc=webrtc)
    talk.connect()
    talk.type("what is seven times eight")
    talk.until(lambda: any("56" in text for text in talk.agent_texts()), "the product")
    talk.until(lambda: talk.mode() == "listening", "the end of the answer")
    talk.until(lambda: not any("Not spoken" in text for text in talk.agent_texts()), "that all of it was spoken")
    yield talk
    context.close()


def connected(talk: TalkPage) -> bool:
    return talk.page.get_attribute("html", "data-phase") == "connected" and talk.mode() != "connecting"


def ask_again(talk: TalkPage) -> None:
    talk.type("what is three times four")
    talk.until(lambda: any("12" in text for text in talk.agent_texts()), "an answer in the new call")


@TRANSPORTS
def test_a_killed_server_is_noticed_and_called_again(own_server: Server, browser: Browser, *, webrtc: bool) -> None:
    with calling(browser, own_server, webrtc=webrtc) as talk:
        before = talk.agent_texts()
        own_server.process.kill()
        talk.until(lambda: not connected(talk), "the loss", SAID_WITHIN_S)
        talk.until(lambda: "agent" in talk.status().lower(), "what was lost")
        talk.until(lambda: "Trying again" in talk.status(), "that it tries again", 10)
        assert talk.agent_texts() == before, "what was said stays on the page"
        own_server.process.wait()
        again = start_server(own_server.folder, f"server.port={urlsplit(own_server.url).port}")
        try:
            talk.until(lambda: connected(talk), "the new call", 40)
            ask_again(talk)
            assert talk.page.locator("#items li.note").count() == 0, "it is the same conversation"
            assert talk.agent_texts()[: len(before)] == before
            assert len(payloads(again.entries(), "session.resumed")) == 1
            talk.until(lambda: talk.mode() == "listening", "the end of the answer")
            talk.say("what time is it in tokyo right now")
            talk.until(lambda: payloads(again.entries(), "speech.started"), "that the microphone is heard")
            again.process.kill()
            talk.until(lambda: "Trying again" in talk.status(), "that it tries again", 10)
            hang_up_for_good(talk)
        finally:
            again.process.kill()
            again.process.wait()
        assert not talk.errors


def hang_up_for_good(talk: TalkPage) -> None:
    """Between two attempts; no further one may follow."""
    asked: list[str] = []
    talk.page.click("#hangup")
    talk.page.on("request", lambda request: asked.append(request.url))
    talk.page.wait_for_timeout(3_000)
    assert talk.page.get_attribute("html", "data-phase") == "ended"
    assert not asked


def test_a_conversation_that_breaks_off_is_taken_up_again(browser: Browser, tmp_path: Path) -> None:
    """The store takes nothing for so long that no more can wait for it."""
    server = start_server(tmp_path, "limits.memory_events=100", "asr.engine=tests.fixtures.deaf:Deaf")
    context = browser.new_context(bypass_csp=True)
    try:
        talk = TalkPage(context.new_page(), server.url)
        talk.connect(microphone=False)
        ask_again(talk)
        with closing(sqlite3.connect(tmp_path / "timeline.sqlite3")) as in_the_way:
            in_the_way.execute("BEGIN IMMEDIATE")
            talk.page.evaluate(FILL)
            talk.until(lambda: "broke off" in server.log(), "what happened")
        talk.until(lambda: connected(talk), "the new call")
        assert talk.page.locator("#items li.note").count() == 0, "it is the same conversation"
        talk.type("what is seven times eight")
        talk.until(lambda: any("56" in text for text in talk.agent_texts()), "an answer in it")
        assert "12" in talk.agent_texts()[0]
        assert len(payloads(server.entries(), "session.resumed")) == 1
        assert not talk.errors
    finally:
        context.close()
        server.process.kill()
        server.process.wait()


@TRANSPORTS
def test_a_frozen_server_is_noticed_and_waited_for(server: Server, browser: Browser, *, webrtc: bool) -> None:
    with calling(browser, server, webrtc=webrtc) as talk:
        server.process.send_signal(signal.SIGSTOP)
        try:
            talk.until(lambda: "does not answer" in talk.status(), "that it does not answer", SAID_WITHIN_S)
        finally:
            server.process.send_signal(signal.SIGCONT)
        talk.until(lambda: connected(talk), "life", 40)
        ask_again(talk)


def test_a_page_that_lacks_a_part_says_so(server: Server, browser: Browser) -> None:
    context = browser.new_context()
    page = context.new_page()
    page.route("**/latency.js", lambda route: route.abort())
    page.goto(server.url)
    page.get_by_text("did not arrive").wait_for(state="visible", timeout=10_000)
    page.unroute("**/latency.js")
    page.reload()
    page.wait_for_function("() => window.voiceAgent")
    assert page.locator("#unloaded").count() == 0
    context.close()
