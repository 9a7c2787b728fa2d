"""What a person's devices do in a call: sound that is blocked, a muted microphone, one that is unplugged."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from playwright.sync_api import Browser

from tests.browser.page import TalkPage
from tests.fixtures.server import Server, payloads, wait_idle

AUDIBLE = 200.0
# Without a microphone: a page that listens may play, too.
CONNECT_WITHOUT_GESTURE = """
window.addEventListener('load', () => {
  const wait = setInterval(() => {
    if (!window.voiceAgent) return;
    clearInterval(wait);
    window.voiceAgent.connect(false);
  }, 100);
});
"""
SOUND = '[data-notice="sound"]'


def sound_state(talk: TalkPage) -> str:
    return str(talk.page.evaluate("() => window.voiceAgent.audio().context.state"))


def loudest(talk: TalkPage) -> float:
    heard = talk.recording()
    return float(heard.level(heard.ear).max(initial=0.0))


@pytest.mark.realtime
def test_sound_that_the_browser_blocks_is_asked_for_and_comes_with_the_next_gesture(
    server: Server, chromium: Callable[..., Browser]
) -> None:
    browser = chromium(sound="--autoplay-policy=document-user-activation-required")
    context = browser.new_context(bypass_csp=True)
    page = context.new_page()
    page.add_init_script(CONNECT_WITHOUT_GESTURE)
    talk = TalkPage(page, server.url)
    page.wait_for_timeout(5_000)  # what a test asks the page counts as a gesture
    talk.until(lambda: talk.page.get_attribute("html", "data-phase") == "connected", "a call without a gesture")
    talk.until(lambda: talk.page.locator(SOUND).count() == 1, "that sound is blocked")
    assert "tap" in talk.page.inner_text(SOUND)
    assert talk.page.locator(f"{SOUND} button", has_text="Enable sound").is_visible()
    talk.page.click("#mode")
    talk.until(lambda: sound_state(talk) == "running", "sound after a tap anywhere")
    talk.until(lambda: talk.page.locator(SOUND).count() == 0, "that nothing is asked for any more")
    talk.record()
    talk.type("what is seven times eight")
    talk.until(lambda: any("56" in text for text in talk.agent_texts()), "the product")
    talk.until(lambda: loudest(talk) > AUDIBLE, "an answer that can be heard")
    talk.leave()
    wait_idle(server)
    context.close()
    browser.close()


@pytest.mark.live
def test_sound_that_stops_in_mid_call_comes_back_with_the_next_gesture(talk: TalkPage) -> None:
    """As when a phone is locked, or a call comes in."""
    talk.connect(microphone=False)
    talk.page.evaluate("() => window.voiceAgent.audio().context.suspend()")
    talk.until(lambda: talk.page.locator(SOUND).count() == 1, "that sound is blocked")
    talk.page.click(f"{SOUND} button:has-text('Enable sound')")
    talk.until(lambda: sound_state(talk) == "running", "sound")
    talk.until(lambda: talk.page.locator(SOUND).count() == 0, "that nothing is asked for any more")
    assert not talk.errors


@pytest.mark.live
def test_muted_nothing_is_sent_and_the_page_shows_it(server: Server, talk: TalkPage) -> None:
    talk.connect()
    talk.record()
    talk.page.click("#mute")
    talk.until(lambda: talk.page.inner_text("#mute") == "Unmute", "that it is muted")
    assert talk.page.get_attribute("#mute", "aria-pressed") == "true"
    talk.until(lambda: "muted" in talk.status().lower(), "that it is muted")
    talk.page.wait_for_timeout(500)
    muted_from = talk.recording().microphone.size
    talk.say("what time is it in tokyo")
    talk.page.wait_for_timeout(2_500)
    while_muted = talk.recording().microphone[muted_from:]
    assert while_muted.size > 48_000
    assert not np.any(while_muted), "the track is silent to the sample"
    assert not payloads(server.entries(), "speech.started"), "the agent hears nothing"
    talk.page.click("#mute")
    talk.until(lambda: talk.page.inner_text("#mute") == "Mute", "that it is not muted")
    talk.say("what time is it in tokyo")
    talk.until(lambda: payloads(server.entries(), "speech.started"), "that the agent hears again")
    assert not talk.errors


@pytest.mark.live
def test_an_unplugged_microphone_leaves_typing_and_one_plugged_in_is_used(server: Server, talk: TalkPage) -> None:
    talk.connect()
    state = "() => window.voiceAgent.state().microphone.state"
    labels = "() => [...document.querySelectorAll('#microphones option')].map((option) => option.text)"
    talk.page.evaluate("() => window.fakeMicrophone.unplug()")
    talk.until(lambda: talk.page.evaluate(state) == "absent", "that there is none")
    notice = talk.page.inner_text('[data-notice="microphone"]')
    assert "microphone" in notice
    assert "type instead" in notice
    assert talk.page.is_disabled("#talk")
    talk.until(lambda: "Type a message" in talk.status(), "what to do")
    talk.until(lambda: talk.page.evaluate(labels) == ["System default"], "a list without it")
    talk.type("what is seven times eight")
    talk.until(lambda: any("56" in text for text in talk.agent_texts()), "an answer to what was typed")
    talk.until(lambda: talk.mode() == "listening", "the end of the answer")
    talk.page.evaluate("() => window.fakeMicrophone.plug('A new microphone')")
    talk.until(lambda: talk.page.evaluate(state) == "on", "that it is used")
    talk.until(lambda: "A new microphone" in talk.page.evaluate(labels), "that it is listed")
    before = len(payloads(server.entries(), "speech.started"))
    talk.say("what time is it in tokyo")
    talk.until(lambda: len(payloads(server.entries(), "speech.started")) > before, "that the agent hears it")
    assert not talk.errors
