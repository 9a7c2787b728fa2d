"""A page leaves its conversation in odd ways, and comes back to it: hung up too early, duplicated, cut off."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.browser.page import MICROPHONE, TalkPage
from tests.fixtures.server import Server, payloads, start_server, stop_server, wait_idle

pytestmark = pytest.mark.live

ASK_FOR_LEAVE = """
const open = navigator.mediaDevices.getUserMedia;
navigator.mediaDevices.getUserMedia = (wanted) => new Promise((resolve) => {
  window.allow = async () => {
    window.allowed = await open(wanted);
    resolve(window.allowed);
  };
});
"""
SLOW_OFFERS = """
const fetchNow = window.fetch;
window.fetch = async (url, options) => {
  if (options?.method === 'POST') await new Promise((resolve) => { window.letOfferGo = resolve; });
  return fetchNow(url, options);
};
"""


def phase(talk: TalkPage) -> str | None:
    return talk.page.get_attribute("html", "data-phase")


def test_leave_given_after_hanging_up_opens_no_microphone(server: Server, browser: Browser) -> None:
    context = browser.new_context(bypass_csp=True)
    for script in (MICROPHONE, ASK_FOR_LEAVE):
        context.add_init_script(script)
    talk = TalkPage(context.new_page(), server.url, own_microphone=False)
    talk.page.click("#connect")
    talk.until(lambda: talk.page.evaluate("() => 'allow' in window"), "that leave is asked for")
    talk.page.click("#hangup")
    talk.page.evaluate("() => window.allow()")
    talk.until(lambda: talk.page.evaluate("() => window.allowed.getTracks()[0].readyState") == "ended", "a closed one")
    assert phase(talk) == "ended"
    assert talk.page.evaluate("() => window.voiceAgent.state().microphone.state") == "off"
    context.close()


def test_hung_up_while_calling_the_next_call_is_made_and_the_first_is_over(server: Server, browser: Browser) -> None:
    context = browser.new_context(bypass_csp=True)
    context.add_init_script(SLOW_OFFERS)
    talk, before = TalkPage(context.new_page(), server.url), server.newest()
    talk.page.click("#connect-typing")
    talk.until(lambda: talk.page.evaluate("() => 'letOfferGo' in window"), "the offer")
    talk.page.click("#hangup")
    talk.page.evaluate("() => { const go = window.letOfferGo; delete window.letOfferGo; go(); }")
    talk.page.wait_for_timeout(1_000)
    assert phase(talk) == "ended", talk.status()
    talk.until(lambda: server.newest() != before, "the conversation")
    talk.until(lambda: payloads(server.entries(), "session.closed"), "that the agent was told that it is over")
    talk.page.click("#connect-typing")
    talk.until(lambda: talk.page.evaluate("() => 'letOfferGo' in window"), "another offer")
    talk.page.evaluate("() => window.letOfferGo()")
    talk.until(lambda: phase(talk) == "connected", "the next call")
    context.close()


def duplicate(talk: TalkPage, context: BrowserContext) -> Page:
    """The page in another tab, with a copy of what this one keeps."""
    with context.expect_page() as opened:
        talk.page.evaluate("() => void window.open(location.href)")
    return opened.value


def test_a_page_that_gave_way_to_its_double_shows_what_is_going_on_once_it_is_back(
    server: Server, browser: Browser
) -> None:
    context = browser.new_context(bypass_csp=True)
    context.add_init_script(MICROPHONE)
    talk = TalkPage(context.new_page(), server.url, own_microphone=False)
    talk.connect()
    talk.type("tell me a story")
    talk.until(lambda: talk.mode() == "speaking", "the story")
    duplicate(talk, context)
    talk.until(lambda: phase(talk) == "ended", "that it gives way")
    assert talk.page.locator("#items li").count() == 2
    talk.connect()
    talk.until(lambda: talk.mode() == "speaking", "the story, which goes on")
    assert "The call ended" not in talk.page.inner_text("#items")
    talk.page.keyboard.press("Escape")
    talk.until(lambda: talk.mode() == "interrupted", "silence")
    assert talk.page.locator("#items li.agent").count() == 1
    assert not talk.errors
    talk.leave()
    wait_idle(server)
    context.close()


def test_an_earlier_conversation_is_looked_at_and_gone_on_with(server: Server, browser: Browser) -> None:
    said = "what is eleven times twelve"  # in no other conversation with the same server
    before = TalkPage(browser.new_context(bypass_csp=True).new_page(), server.url)
    before.connect(microphone=False)
    before.type(said)
    before.until(lambda: any("132" in text for text in before.agent_texts()), "the answer")
    before.page.context.close()
    talk = TalkPage(browser.new_context(bypass_csp=True).new_page(), server.url)
    page = talk.page
    page.locator("#earlier summary").focus()
    page.keyboard.press("Enter")
    row = page.get_by_role("list", name="Earlier conversations").get_by_role("listitem").filter(has_text=said)
    with page.context.expect_page() as replay:
        row.get_by_role("link", name=f"Look at it: {said}").click()
    expect(replay.value.locator("#session")).not_to_be_empty()
    replay.value.keyboard.press("End")
    expect(replay.value.locator("#items")).to_contain_text(said)
    row.get_by_role("button", name=f"Go on: {said}").click()
    talk.until(lambda: said in "".join(talk.user_texts()), "what was said before")
    talk.type("what did i just say")
    talk.until(lambda: any(f"You said: {said}" in text for text in talk.agent_texts()), "that it knows")
    assert not talk.errors
    talk.leave()
    wait_idle(server)
    page.context.close()


def test_who_cannot_go_on_is_told_why_the_conversation_is_a_new_one(server: Server, browser: Browser) -> None:
    context = browser.new_context(bypass_csp=True)
    context.add_init_script("sessionStorage.setItem('voice-agent', JSON.stringify({ token: 'v2.of.another.server' }))")
    talk = TalkPage(context.new_page(), server.url)
    talk.until(lambda: phase(talk) == "connected", "the new conversation")
    talk.until(lambda: "session token is not one of this server" in talk.page.inner_text("#notices"), "why it is one")
    talk.leave()
    wait_idle(server)
    context.close()


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[Server]:
    """A server that the test may stop and start again."""
    server = start_server(tmp_path)
    yield server
    stop_server(server)


def test_what_was_set_in_a_conversation_is_still_set_after_a_lost_connection(
    own_server: Server, browser: Browser
) -> None:
    context = browser.new_context(bypass_csp=True)
    talk = TalkPage(context.new_page(), own_server.url)
    talk.connect(microphone=False)
    shown = "() => window.voiceAgent.state().settings['vad.hangover_ms']"
    talk.page.evaluate("() => window.voiceAgent.send('settings.changed', { changes: { 'vad.hangover_ms': 250 } })")
    talk.until(lambda: talk.page.evaluate(shown) == 250, "the change")
    stop_server(own_server)
    talk.until(lambda: phase(talk) != "connected", "the loss")
    own_server.process = start_server(own_server.folder, f"server.port={urlsplit(own_server.url).port}").process
    talk.until(lambda: phase(talk) == "connected", "the call", 40)
    assert talk.page.evaluate(shown) == 250
    talk.page.click("#hangup")
    talk.connect(microphone=False)
    talk.until(lambda: talk.page.evaluate(shown) == 100, "a new conversation, as the agent is configured")
    context.close()
