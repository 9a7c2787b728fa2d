"""A person at the page: talk, hear the answer, interrupt it. Real Chromium, real WebRTC, asserted on audio."""

from __future__ import annotations

import re
import wave
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from playwright.sync_api import Browser

from agent.conversation.decisions import CancelRequested, PlaybackStop
from tests.browser.page import TalkPage
from tests.fixtures.server import Server, payloads
from tests.fixtures.speech import silence, speak

AUDIBLE = 200.0
QUESTION = "what time is it in tokyo right now"


def tokyo_times() -> set[str]:
    """How the agent may say what time it is there, now or a minute ago."""
    said = set()
    for minutes in (0, 1):
        now = datetime.now(ZoneInfo("Asia/Tokyo")) - timedelta(minutes=minutes)
        hour = now.hour % 12 or 12
        said.add(f"{hour} {now:%p}" if now.minute == 0 else f"{hour}:{now:%M} {now:%p}")
    return said


@pytest.mark.realtime
def test_a_spoken_question_gets_a_spoken_correct_answer(
    server: Server, chromium: Callable[..., Browser], tmp_path: Path
) -> None:
    """Chromium's own fake microphone, fed from a WAV, as a person's would be."""
    path = tmp_path / "microphone.wav"
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(48_000)
        # Chromium plays the file round and round: who is not understood asks again.
        question = [silence(3_000, 48_000, 4.0), speak(QUESTION, rate=48_000), silence(9_000, 48_000, 4.0)]
        file.writeframes(np.concatenate(question).tobytes())
    browser = chromium(f"--use-file-for-fake-audio-capture={path}")
    context = browser.new_context(bypass_csp=True)
    talk = TalkPage(context.new_page(), server.url, own_microphone=False)
    talk.connect()
    talk.record()
    said = talk.until(lambda: next((t for t in talk.agent_texts() if "Tokyo" in t), ""), "an answer about Tokyo", 60)
    talk.until(lambda: talk.mode() == "listening", "the end of the answer")
    heard = talk.recording()
    context.close()
    browser.close()
    assert any(time in said for time in tokyo_times()), said
    assert any(QUESTION in text.lower() for text in talk_texts(server)), "the words were recognised"
    asking, answering = heard.level(heard.microphone) > AUDIBLE, heard.level(heard.ear) > AUDIBLE
    assert asking.sum() > 50, "the question was heard"
    assert answering.sum() > 30, "an answer of at least 0.6 s was audible"
    both = min(asking.size, answering.size)
    assert (asking[:both] & answering[:both]).sum() < 15, "it did not talk over the question"


def talk_texts(server: Server) -> list[str]:
    return [event.text for event in payloads(server.entries(), "turn.end")]


@pytest.mark.realtime
def test_interrupting_silences_both_ends_and_the_next_answer_is_to_the_interruption(
    server: Server, talk: TalkPage
) -> None:
    talk.connect()
    talk.record()
    talk.page.wait_for_timeout(1_000)
    talk.say("tell me a story")
    talk.until(lambda: talk.mode() == "speaking", "the story")
    talk.page.wait_for_timeout(1_800)
    talk.say(QUESTION)
    talk.until(lambda: any("Tokyo" in text for text in talk.agent_texts()), "the answer to the interruption")
    talk.until(lambda: talk.mode() == "listening", "the end of that answer")
    heard = talk.recording()
    talk.page.click("#hangup")
    events = server.entries()

    story = next(e for e in payloads(events, "playback.stop") if e.unheard_text)
    full = f"{story.heard_text} {story.unheard_text}"
    assert story.heard_text
    assert full.startswith("Once upon a time")
    assert full.startswith(story.heard_text)
    assert QUESTION in payloads(events, "turn.end")[1].text

    # The page was silent before the server could have told it to be: by its own voice detection.
    closed = [event for event in talk.gate_events() if event["type"] == "closed"]
    assert closed, "the page cut its playback by itself"
    assert closed[0]["byVoice"]
    # On the recording: once the second question has begun, the ear goes silent and stays so
    # until it has ended; and so does the network, because the server stopped sending speech.
    microphone, remote, ear = (heard.level(lane) for lane in (heard.microphone, heard.remote, heard.ear))
    spoken = np.flatnonzero(microphone > AUDIBLE)
    second = spoken[np.flatnonzero(np.diff(spoken) > 50)[-1] + 1]
    end = spoken[-1]
    assert ear[second - 20 : second].max() > AUDIBLE, "it was speaking when it was interrupted"
    assert ear[second + 25 : end - 5].max() < AUDIBLE, "ghost speech at the ear"
    assert remote[second + 60 : end - 5].max() < AUDIBLE, "the server went on sending speech"
    assert ear[end:].max() > AUDIBLE, "the next answer was audible"

    types = [entry.event.type for entry in events]
    order = ["interruption.suspected", "playback.pause", "interruption.confirmed", "playback.stop",
             "cancel.requested", "interruption.recorded", "reply.done"]  # fmt: skip
    places = [types.index(type_, types.index("playback.start")) for type_ in order]
    assert places == sorted(places), dict(zip(order, places, strict=True))
    asked = {(e.reply_id, e.target) for e in payloads(events, "cancel.requested") if isinstance(e, CancelRequested)}
    assert asked == {(e.reply_id, e.target) for e in payloads(events, "cancel.ack")}
    cut = talk.page.locator("#items del.cut")
    assert cut.count() == 1, "the page shows what was not heard as cut"
    assert not talk.errors


@pytest.mark.realtime
def test_typing_works_without_a_microphone(server: Server, talk: TalkPage) -> None:
    talk.connect(microphone=False)
    talk.type("what is 18 percent of 240?")
    talk.until(lambda: any("43.2" in text for text in talk.agent_texts()), "the sum")
    talk.until(lambda: talk.mode() == "listening", "the end of the answer")
    stops = [event for event in payloads(server.entries(), "playback.stop") if isinstance(event, PlaybackStop)]
    assert stops[-1].method == "complete"


@pytest.mark.live
def test_the_stop_key_stops_and_a_reload_goes_on(server: Server, talk: TalkPage) -> None:
    talk.connect(microphone=False)
    talk.type("tell me a story")
    talk.until(lambda: talk.mode() == "speaking", "the story")
    talk.page.wait_for_timeout(700)
    talk.page.keyboard.press("Escape")
    talk.until(lambda: talk.page.locator("#items del.cut").count() == 1, "the cut part")
    first, shown = server.entries()[0].session_id, talk.page.inner_text("#items")
    talk.page.reload()
    talk.until(lambda: talk.page.get_attribute("html", "data-phase") == "connected", "the call, by itself")
    talk.until(lambda: talk.page.inner_text("#items") == shown, "what was said before")
    talk.type("what is seven times eight")
    talk.until(lambda: any("56" in text for text in talk.agent_texts()), "an answer after the reload")
    entries = server.entries()
    assert entries[0].session_id == first
    assert not [entry for entry in entries if entry.event.type == "error"]
    talk.until(lambda: talk.mode() == "listening", "the end of the answer")
    talk.page.click("#hangup")
    talk.page.reload()
    talk.connect(microphone=False)
    talk.type("what is three times four")
    talk.until(lambda: any("12" in text for text in talk.agent_texts()), "an answer")
    assert server.entries()[0].session_id != first, "what was hung up is over"


@pytest.mark.live
def test_the_page_fits_a_phone_and_every_control_has_a_name(talk: TalkPage) -> None:
    talk.connect(microphone=False)
    for width, height in ((320, 480), (360, 740)):
        talk.page.set_viewport_size({"width": width, "height": height})
        wide = talk.page.evaluate("() => document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert wide <= 0, f"the page scrolls sideways at {width}"
    for control in talk.page.locator("button:visible, input:visible, select:visible").all():
        name = control.evaluate("e => e.getAttribute('aria-label') || e.labels?.[0]?.innerText || e.innerText")
        assert re.search(r"\w", name or ""), control.evaluate("e => e.outerHTML")
