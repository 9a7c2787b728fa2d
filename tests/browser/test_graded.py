"""Graded interruption at the page, asserted on what was heard: a cough, "mm-hm", "stop", an e-mail that waits.

The three lanes of a recording and the gate's own events share the audio context's clock. Ghost
speech is meant strictly here: from the moment the gate has closed until it opens for the next
reply, not one sample other than zero reaches the ear, and when it opens, nothing of the reply
that was cut is still on its way.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Browser

from agent.bench.alignment import Reference, continuity
from agent.timeline.entry import Entry
from tests.browser.conftest import LONG_QUESTION
from tests.browser.page import RATE, Heard, TalkPage
from tests.fixtures.server import Server, payloads, wait_idle
from tests.fixtures.speech import Pcm, has_flite, resampled, sounds, speak

pytestmark = pytest.mark.realtime

AUDIBLE = 200.0
WINDOW_S = 0.02
QUANTUM = 128
"""Samples that the audio graph renders at once; the gate's gain ramps within one."""
QUIET_WINDOWS = 5
"""As long as this nothing comes in, once the rest of what was cut has gone by."""
QUESTION = "what time is it in tokyo right now"
MORE = " and the sea has the news of the village: who has married and whose boat needs paint" * 3
LETTER = "send an email to anna saying the lighthouse is lit again and all three boats are back in the harbor"
CARD = "#proposal:visible"
FIGURES = "() => { const { cuts, ghostSamples } = window.voiceAgent.state().figures; return [cuts, ghostSamples]; }"
WORD_MS = 500.0
"""No word of the long answer is longer."""
KEEP_PEERS = """() => {
  const Real = RTCPeerConnection;
  window.testPeers = [];
  window.RTCPeerConnection = class extends Real {
    constructor(...args) { super(...args); window.testPeers.push(this); }
  };
}"""
LOST_MS = """async () => {
  let samples = 0;
  for (const peer of window.testPeers) for (const report of (await peer.getStats()).values()) {
    if (report.type === 'inbound-rtp') samples += report.removedSamplesForAcceleration + report.concealedSamples;
  }
  return samples / 48;
}"""
"""What the browser's own receiver left out or made up, because the machine stalled."""
NO_SOURCES = "() => { delete RTCRtpReceiver.prototype.getSynchronizationSources; }"
"""A browser that does not name the frame that it played last."""
LATE_SOCKET = """
const Real = WebSocket;
window.WebSocket = class extends Real {
  addEventListener(type, listener) {
    super.addEventListener(type, type === 'message' ? (event) => setTimeout(listener, 600, event) : listener);
  }
};
"""
"""A network over which everything that comes down a WebSocket takes so many milliseconds."""
STOP_THRICE = """() => {
  for (let i = 0; i < 2; i++) document.dispatchEvent(new KeyboardEvent('keydown', { code: 'Escape', bubbles: true }));
  document.getElementById('stop').click();
}"""


BACKCHANNELS = {
    "mm-hm": lambda: sounds("ah m hh ah m", "rms", RATE),
    "okay": lambda: speak("okay", "rms", RATE),
}


def outbox(server: Server) -> list[Path]:
    return sorted((server.folder / "voice-agent-outbox").rglob("*.eml"))


def types(entries: list[Entry], prefix: str) -> list[str]:
    return [entry.event.type for entry in entries if entry.event.type.startswith(prefix)]


def tell(talk: TalkPage, after_ms: int, asked: str = "tell me a story") -> None:
    """The story, until so far into it."""
    talk.type(asked)
    talk.until(lambda: talk.mode() == "speaking", "the story")
    talk.page.wait_for_timeout(after_ms)


def ended(server: Server, replies: int) -> list[Entry]:
    """The timeline, empty as long as fewer replies have ended."""
    entries = server.entries()
    return entries if len(payloads(entries, "reply.done")) >= replies else []


def listen(talk: TalkPage, server: Server, sound: Pcm) -> None:
    """Makes a sound, and again where a starved browser swallowed it; it is heard."""
    before = len(payloads(server.entries(), "speech.started"))
    for _ in range(2):
        talk.say_pcm(sound)
        with suppress(AssertionError):
            talk.until(lambda: len(payloads(server.entries(), "speech.started")) > before, "that it hears it", 3)
            return
    raise AssertionError("the sound was not heard")


def say_until(talk: TalkPage, word: str, check: Callable[[], Any], what: str) -> None:
    """Says it again, as a person would, where the machine was too slow to recognise it."""
    for _ in range(2):
        talk.say(word)
        with suppress(AssertionError):
            talk.until(check, what, 6)
            return
    talk.say(word)
    talk.until(check, what)


def assert_no_ghost_speech(talk: TalkPage, heard: Heard) -> None:
    """Of the only cut that stood, the last: silence to the sample at the ear, and nothing old behind it."""
    events = talk.gate_events()
    closed = [event for event in events if event["type"] == "closed"][-1]
    opened = next(event for event in events[events.index(closed) :] if event["type"] == "opened")
    first, last = (round((at - heard.started_at) * heard.rate) for at in (closed["closedAt"], opened["at"]))
    window = round(WINDOW_S * heard.rate)
    before, silent = heard.ear[first - 25 * window : first - QUANTUM], heard.ear[first + QUANTUM : last]
    assert before.any(), "it was speaking when it was cut"
    assert silent.size > 0
    assert not silent.any(), f"ghost speech: {np.count_nonzero(silent) / heard.rate * 1_000:.1f} ms at the ear"
    quiet = heard.level(heard.remote[first:last]) < AUDIBLE
    drained = np.convolve(quiet, np.ones(QUIET_WINDOWS), "valid").max(initial=0) == QUIET_WINDOWS
    assert drained, "the rest of what was cut was still coming in when the gate opened for the next"
    figures = talk.page.evaluate(FIGURES)
    assert figures == [1, 0], "cuts and ghost samples, by the page's own figures"


def cough() -> Pcm:
    """200 ms of noise that dies away."""
    noise = np.random.default_rng(7).standard_normal(RATE // 5) * np.exp(-np.arange(RATE // 5) / (RATE * 0.06))
    return np.asarray(np.clip(noise * 6_000, -32_768, 32_767), np.int16)


def test_coughs_and_a_listener_s_words_cost_nothing_of_the_answer(
    server: Server, talk: TalkPage, long_answer: Reference
) -> None:
    talk.page.evaluate(KEEP_PEERS)
    talk.connect()
    lost_ms = -talk.page.evaluate(LOST_MS)
    talk.record()
    tell(talk, 1_500, LONG_QUESTION)
    for _ in range(3):
        talk.say_pcm(cough())
        talk.page.wait_for_timeout(2_000)
    coughs = [event for event in talk.gate_events() if event["type"] == "closed" and event["byVoice"]]
    assert coughs, "the page cut its playback by itself"
    assert len(payloads(server.entries(), "playback.resume")) == len(coughs)
    for sound in BACKCHANNELS.values() if has_flite() else ():
        listen(talk, server, sound())
        talk.page.wait_for_timeout(1_500)
    entries = talk.until(lambda: ended(server, 1), "the end of the answer", 60)
    talk.until(lambda: talk.mode() == "listening", "that it listens")
    talk.page.wait_for_timeout(300)
    heard = talk.recording()
    lost_ms += talk.page.evaluate(LOST_MS)

    judged = types(entries, "interruption.")
    assert judged == ["interruption.suspected", "interruption.dismissed"] * (len(judged) // 2), judged
    assert [stop.method for stop in payloads(entries, "playback.stop")] == ["complete"]
    assert len(payloads(entries, "turn.end")) <= 1, "none of it is a turn"
    assert len(talk.agent_texts()) == 1, "nothing is answered"
    assert talk.page.locator("#items del.cut").count() == 0

    found = continuity(resampled(heard.ear, heard.rate, 16_000), long_answer)
    cuts = [event for event in talk.gate_events() if event["type"] == "closed"]
    assert found is not None, "the answer was heard"
    print(f"{found}; the browser itself lost {lost_ms:.1f} ms; {len(cuts)} cuts")
    assert found.missing_ms is not None
    assert found.missing_ms <= lost_ms, f"{found}; the browser itself lost {lost_ms:.0f} ms"
    assert found.repeated_ms is not None
    assert found.repeated_ms < len(cuts) * WORD_MS
    said = np.flatnonzero(heard.level(heard.microphone) > AUDIBLE)
    assert heard.level(heard.ear)[said[-1] + 50 :].max() > AUDIBLE, "it went on behind the last sound"
    assert not talk.errors


def test_stop_stops_without_ghost_speech_and_the_next_question_is_answered(server: Server, talk: TalkPage) -> None:
    talk.connect()
    talk.record()
    tell(talk, 2_500)
    say_until(talk, "stop", lambda: payloads(server.entries(), "playback.stop"), "that it stops")
    talk.until(lambda: ended(server, 2), "an answer to that")
    talk.until(lambda: talk.mode() == "listening", "that it listens")
    talk.type(QUESTION)
    talk.until(lambda: any("Tokyo" in text for text in talk.agent_texts()), "the answer to the next question")
    entries = talk.until(lambda: ended(server, 3), "the end of that answer")
    talk.until(lambda: talk.mode() == "listening", "that it listens again")
    heard = talk.recording()

    story, *others = payloads(entries, "playback.stop")
    assert story.heard_text
    assert story.unheard_text
    assert f"{story.heard_text} {story.unheard_text}".startswith("Once upon a time")
    assert [stop.method for stop in others] == ["complete", "complete"]
    assert len(payloads(entries, "interruption.confirmed")) == 1
    assert [turn.text for turn in payloads(entries, "turn.end")][1:] == ["stop", QUESTION]
    assert talk.page.locator("#items del.cut").count() == 1
    assert_no_ghost_speech(talk, heard)
    stopped = np.flatnonzero(heard.level(heard.microphone) > AUDIBLE)[-1]
    assert (heard.level(heard.ear)[stopped:] > AUDIBLE).sum() > 50, "the answer was audible"
    assert not talk.errors


def test_two_escapes_and_the_button_at_once_are_one_stop(server: Server, talk: TalkPage) -> None:
    talk.page.evaluate(NO_SOURCES)
    talk.connect()
    talk.record()
    tell(talk, 2_000)
    talk.page.evaluate(STOP_THRICE)
    talk.until(lambda: talk.page.locator("#items del.cut").count() == 1, "the cut part")
    talk.page.wait_for_timeout(1_000)
    talk.type("what is seven times eight")
    talk.until(lambda: any("56" in text for text in talk.agent_texts()), "the product")
    entries = talk.until(lambda: ended(server, 2), "the end of the answer")
    talk.until(lambda: talk.mode() == "listening", "that it listens")
    heard = talk.recording()

    assert len(payloads(entries, "control.stop")) == 3, "each arrived"
    assert len(payloads(entries, "interruption.confirmed")) == 1
    assert len(payloads(entries, "interruption.recorded")) == 1
    story, answer = payloads(entries, "playback.stop")
    assert story.unheard_text
    assert answer.method == "complete", "the answer is not stopped by an old stop"
    assert story.method == "device_stats"
    asked = [(event.reply_id, event.target) for event in payloads(entries, "cancel.requested")]
    assert len(asked) == len(set(asked)), "nothing is cancelled twice"
    assert sorted(asked) == sorted((event.reply_id, event.target) for event in payloads(entries, "cancel.ack"))
    assert [event["type"] for event in talk.gate_events()][:2] == ["closed", "opened"]
    assert_no_ghost_speech(talk, heard)
    assert not types(entries, "error")
    assert not talk.errors


def test_over_a_slow_websocket_what_was_heard_is_what_the_page_had_played(server: Server, browser: Browser) -> None:
    context = browser.new_context(bypass_csp=True)
    context.add_init_script(LATE_SOCKET)
    talk = TalkPage(context.new_page(), server.url, webrtc=False)
    talk.connect()
    talk.record()
    tell(talk, 2_000)
    talk.page.keyboard.press("Escape")
    talk.until(lambda: talk.page.locator("#items del.cut").count() == 1, "the cut part")
    heard, [closed] = talk.recording(), [event for event in talk.gate_events() if event["type"] == "closed"]
    talk.leave()

    entries = server.entries()
    [story] = payloads(entries, "playback.stop")
    sent_ms = max(mark.sample for mark in payloads(entries, "playback.mark")) / 48
    began = np.flatnonzero(heard.level(heard.ear) > AUDIBLE)[0] * WINDOW_S
    audible_ms = (closed["closedAt"] - heard.started_at - began) * 1_000
    print(f"heard {story.heard_ms} ms, audible {audible_ms:.0f} ms, sent {sent_ms:.0f} ms and more")
    assert story.method == "device_player"
    assert abs(story.heard_ms - audible_ms) < 100
    assert sent_ms - story.heard_ms > 300, "it does not follow what was sent"
    assert f"{story.heard_text} {story.unheard_text}".startswith("Once upon a time")
    wait_idle(server)
    context.close()


def ask_for_letter(talk: TalkPage, more: str = "") -> None:
    """Types what to write, and waits for the card; the agent is about to read it out."""
    talk.connect()
    talk.record()
    talk.type(LETTER + more)
    talk.until(lambda: talk.page.locator(CARD).count() == 1, "the card")
    card = talk.page.inner_text(CARD)
    assert "send email" in card
    assert "Anna Lee" in card
    assert "ighthouse" in card


def yes_by_voice(server: Server, talk: TalkPage) -> None:
    """Says it, behind the whole question. What a starved machine takes for another word withdraws the
    e-mail; a person then asks for it once more."""
    for attempt in (1, 2, 3):
        settled = 2 * attempt
        say_until(talk, "yes", lambda so=settled: types(server.entries(), "action.")[so - 1 :], "a verdict")
        if "action.confirmed" in types(server.entries(), "action."):
            return
        talk.until(lambda so=settled: ended(server, so), "what it says to that other word")
        talk.type("send it")
        talk.until(lambda so=settled: ended(server, so + 1), "the end of the question")
        talk.until(lambda: talk.mode() == "listening", "that it listens")
    raise AssertionError("three times yes was not understood")


def test_an_email_is_read_out_and_goes_out_once_on_yes(server: Server, talk: TalkPage) -> None:
    before = outbox(server)
    ask_for_letter(talk)
    talk.until(lambda: ended(server, 1), "the end of the question")
    talk.until(lambda: talk.mode() == "listening", "that it listens")
    asked = talk.recording()
    assert (asked.level(asked.ear) > AUDIBLE).sum() > 50, "a question of at least a second was heard"
    assert outbox(server) == before, "nothing goes out unasked"
    yes_by_voice(server, talk)
    talk.until(lambda: any("outbox" in text for text in talk.agent_texts()), "that it tells how it ended")
    talk.until(lambda: talk.page.locator(CARD).count() == 0, "that the card is gone")
    talk.until(lambda: talk.mode() == "listening", "that it listens")
    entries = server.entries()

    sent = [path for path in outbox(server) if path not in before]
    assert len(sent) == 1
    letter = sent[0].read_text()
    assert "anna@example.org" in letter
    assert "ighthouse" in letter
    *withdrawn, _, _, _, _ = actions = types(entries, "action.")
    assert actions[-4:] == ["action.proposed", "action.confirmed", "action.started", "action.committed"]
    assert withdrawn == ["action.proposed", "action.rejected"] * (len(withdrawn) // 2), "and nothing else was done"
    order = ["action.proposed", "playback.stop", "action.confirmed"]
    recent = [entry.event.type for entry in entries if entry.event.type in order]
    assert recent[recent.index("action.confirmed") - 2 :][:3] == order, "confirmed only behind the whole question"
    assert not talk.errors


@pytest.mark.parametrize("word", ["no", "stop"])
def test_interrupting_the_question_sends_nothing_and_closes_the_card(server: Server, talk: TalkPage, word: str) -> None:
    before = outbox(server)
    ask_for_letter(talk, MORE)
    talk.until(lambda: talk.mode() == "speaking", "the question")
    talk.page.wait_for_timeout(700)
    say_until(talk, word, lambda: talk.page.locator(CARD).count() == 0, "that the card is gone")
    talk.until(lambda: ended(server, 2), "an answer to that")
    talk.until(lambda: talk.mode() == "listening", "that it listens")
    talk.type("yes")
    entries = talk.until(lambda: ended(server, 3), "an answer to a yes that comes too late")
    talk.until(lambda: talk.mode() == "listening", "that it listens")
    heard = talk.recording()

    assert payloads(entries, "playback.stop")[0].unheard_text, "the question was cut"
    assert types(entries, "action.") == ["action.proposed", "action.rejected"]
    assert outbox(server) == before
    assert talk.page.locator(CARD).count() == 0
    assert_no_ghost_speech(talk, heard)
    assert not talk.errors


def test_the_card_s_button_sends_it_once(server: Server, talk: TalkPage) -> None:
    before = outbox(server)
    talk.connect()
    talk.type(LETTER)
    accept = talk.page.locator(f"{CARD} [data-accept=true]")
    talk.until(lambda: accept.count() == 1, "the card")
    accept.dblclick(force=True)
    talk.until(lambda: talk.page.locator(CARD).count() == 0, "that the card is gone")
    talk.until(lambda: "action.committed" in types(server.entries(), "action."), "that it is done")
    talk.until(lambda: any("outbox" in text for text in talk.agent_texts()), "that it says so")
    talk.until(lambda: talk.mode() == "listening", "that it listens")
    assert len(outbox(server)) == len(before) + 1
    done = ["action.proposed", "action.confirmed", "action.started", "action.committed"]
    assert types(server.entries(), "action.") == done
    assert not talk.errors
