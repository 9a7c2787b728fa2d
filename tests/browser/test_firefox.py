"""The page in the Firefox that people have: what it does differently from Chromium must not show."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

import pytest

from tests.browser.firefox import FIREFOX, Firefox
from tests.browser.page import MICROPHONE, RATE
from tests.browser.sound_server import PULSEAUDIO, SoundServer
from tests.fixtures.server import Server, payloads, wait_idle
from tests.fixtures.speech import speak

pytestmark = [
    pytest.mark.realtime,
    pytest.mark.skipif(FIREFOX is None, reason="Firefox is not installed (apt-get install firefox-esr)"),
    pytest.mark.skipif(PULSEAUDIO is None, reason="Firefox needs a sound output (apt-get install pulseaudio)"),
]

AUDIBLE_DB = -40.0
QUESTION = "what time is it in tokyo right now"

# The peer connections, to ask for their figures; and whether the page asked for what hangs Firefox on Linux.
WATCH = """
window.peers = [];
window.RTCPeerConnection = class extends RTCPeerConnection {
  constructor(...given) { super(...given); window.peers.push(this); }
};
window.askedForLatency = false;
Object.defineProperty(AudioContext.prototype, 'outputLatency', { get() { window.askedForLatency = true; return 0; } });
"""
FIGURES = """
async () => {
  const [peer] = window.peers;
  const [receiver] = peer.getReceivers();
  const reports = [...(await peer.getStats()).values()];
  return {
    received: reports.find(({ type }) => type === 'inbound-rtp').packetsReceived,
    sent: reports.find(({ type }) => type === 'outbound-rtp').packetsSent,
    rtp: receiver.getSynchronizationSources()[0]?.rtpTimestamp,
  };
}
"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Firefox]:
    sound = SoundServer()
    try:
        firefox = Firefox(sound.address)
        try:
            yield firefox
        finally:
            firefox.close()
    finally:
        sound.close()


@pytest.fixture
def firefox(server: Server, browser: Firefox) -> Iterator[Firefox]:
    yield browser
    browser.goto("about:blank")  # the page hangs up as it goes
    wait_idle(server)


def connect(firefox: Firefox, button: str = "#connect") -> dict[str, Any]:
    """Press the button; the state of the connected page."""
    firefox.until(lambda: firefox.evaluate("() => 'voiceAgent' in window"), "the page's scripts")
    firefox.click(button)
    firefox.until(lambda: phase(firefox) == "connected", "connected")
    firefox.until(lambda: firefox.evaluate("() => window.voiceAgent.levels() !== null"), "the audio graph at work")
    return dict(firefox.evaluate("() => window.voiceAgent.state()"))


def phase(firefox: Firefox) -> str:
    return str(firefox.evaluate("() => document.documentElement.dataset.phase"))


def mode(firefox: Firefox) -> str:
    return str(firefox.evaluate("() => window.voiceAgent.mode()"))


def level(firefox: Firefox, which: str) -> float:
    return float(firefox.evaluate("(which) => window.voiceAgent.levels()[which]", which))


def audible(firefox: Firefox) -> bool:
    return level(firefox, "remoteDb") > AUDIBLE_DB


def type_in(firefox: Firefox, text: str) -> None:
    firefox.evaluate("(text) => { document.querySelector('#text').value = text; }", text)
    firefox.evaluate("() => document.querySelector('#composer').requestSubmit()")


def say(firefox: Firefox, text: str) -> None:
    pcm = speak(text, "slt", RATE).tobytes()
    firefox.evaluate("(audio) => window.fakeMicrophone.say(audio)", base64.b64encode(pcm).decode())


def wait_for_answer(firefox: Firefox, words: str) -> None:
    texts = "() => [...document.querySelectorAll('#items li.agent')].map((item) => item.innerText)"
    firefox.until(lambda: any(words in text for text in firefox.evaluate(texts)), f"an answer with {words}")


def test_a_call_over_webrtc_is_heard_both_ways_stopped_hung_up_and_made_again(server: Server, firefox: Firefox) -> None:
    """Firefox's own fake microphone hums one note."""
    firefox.goto(server.url, WATCH)
    state = connect(firefox)
    assert state["connection"]["transport"] == "webrtc"
    assert state["microphone"]["state"] == "on"
    firefox.until(lambda: level(firefox, "micDb") > AUDIBLE_DB, "the microphone in the gate")
    firefox.until(lambda: payloads(server.entries(), "speech.started"), "the microphone at the agent")

    type_in(firefox, "what is 18 percent of 240?")
    firefox.until(lambda: audible(firefox), "the answer, audible")
    wait_for_answer(firefox, "43.2")
    firefox.until(lambda: mode(firefox) == "listening", "the end of the answer")

    type_in(firefox, "tell me a story")
    firefox.until(lambda: mode(firefox) == "speaking" and audible(firefox), "the story, audible")
    firefox.click("#stop")
    firefox.until(lambda: firefox.evaluate("() => document.querySelectorAll('#items del.cut').length"), "the cut part")
    firefox.until(lambda: not audible(firefox), "silence")

    figures = firefox.evaluate(FIGURES)
    assert figures["received"] > 100
    assert figures["sent"] > 100
    assert isinstance(figures["rtp"], int), "without it, cuts are known less exactly"
    assert not firefox.evaluate("() => window.askedForLatency")
    entries = server.entries()
    said = [turn.text for turn in payloads(entries, "turn.end") if turn.text]
    assert said == ["what is 18 percent of 240?", "tell me a story"], "a hum is not words"
    assert payloads(entries, "playback.stop")[-1].unheard_text

    firefox.click("#hangup")
    firefox.until(lambda: phase(firefox) == "ended", "hung up")
    assert wait_idle(server)
    firefox.reload()
    assert connect(firefox, "#connect-typing")["connection"]["transport"] == "webrtc"
    assert not firefox.errors


def test_a_voice_over_the_agents_cuts_it_and_is_answered(server: Server, firefox: Firefox) -> None:
    firefox.goto(server.url, WATCH, MICROPHONE)
    connect(firefox)
    type_in(firefox, "tell me a story")
    firefox.until(lambda: mode(firefox) == "speaking" and audible(firefox), "the story, audible")
    firefox.until(lambda: len(payloads(server.entries(), "playback.mark")) > 5, "some words of the story")
    say(firefox, QUESTION)
    wait_for_answer(firefox, "Tokyo")
    closed = [event for event in firefox.evaluate("() => window.voiceAgent.gateEvents") if event["type"] == "closed"]
    assert closed, "the page cut its playback by itself"
    assert closed[0]["byVoice"]
    events = server.entries()
    assert any(cut.played is not None for cut in payloads(events, "device.cut")), "it said where it cut"
    assert QUESTION in [turn.text for turn in payloads(events, "turn.end")]
    assert not firefox.errors


def test_without_webrtc_a_spoken_question_is_answered_over_a_websocket(server: Server, firefox: Firefox) -> None:
    firefox.goto(server.url, "delete window.RTCPeerConnection;", MICROPHONE)
    state = connect(firefox)
    assert state["connection"]["transport"] == "websocket"
    assert any("no WebRTC" in notice["text"] for notice in state["notices"])
    say(firefox, QUESTION)
    firefox.until(lambda: audible(firefox), "the answer, audible")
    wait_for_answer(firefox, "Tokyo")
    assert not firefox.errors
