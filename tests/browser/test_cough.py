"""A cough at the page: it falls silent by itself, and plays on with nothing missing and less than a word said twice."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from agent.bench.alignment import Reference, continuity
from tests.browser.conftest import LONG_QUESTION
from tests.browser.page import RATE, Heard, TalkPage
from tests.fixtures.server import Server, payloads
from tests.fixtures.speech import resampled

pytestmark = pytest.mark.realtime

WORD_MS = 500.0
"""No word of the answer is longer."""

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


def cough() -> NDArray[np.int16]:
    """200 ms of noise that dies away."""
    noise = np.random.default_rng(7).standard_normal(RATE // 5) * np.exp(-np.arange(RATE // 5) / (RATE * 0.06))
    return np.asarray(np.clip(noise * 6_000, -32_768, 32_767), np.int16)


def tell(talk: TalkPage, *coughs_after_ms: int) -> Heard:
    """A long answer, coughed into after so many ms each."""
    talk.record()
    talk.type(LONG_QUESTION)
    talk.until(lambda: talk.mode() == "speaking", "the answer")
    for wait_ms in coughs_after_ms:
        talk.page.wait_for_timeout(wait_ms)
        talk.say_pcm(cough())
    talk.until(lambda: talk.mode() == "listening", "its end", 60)
    talk.page.wait_for_timeout(300)
    return talk.recording()


def test_a_cough_costs_nothing_of_the_reply(server: Server, talk: TalkPage, long_answer: Reference) -> None:
    talk.page.evaluate(KEEP_PEERS)
    talk.connect()
    lost_ms = -talk.page.evaluate(LOST_MS)
    heard = tell(talk, 2_500, 3_000, 3_000)
    lost_ms += talk.page.evaluate(LOST_MS)
    disturbed = resampled(heard.ear, heard.rate, 16_000)
    found = continuity(disturbed, long_answer)
    assert found is not None, "the answer was heard"
    cuts = [event for event in talk.gate_events() if event["type"] == "closed" and event["byVoice"]]
    assert cuts, "the page cut its playback by itself"
    assert len(payloads(server.entries(), "playback.resume")) == len(cuts)
    assert found.missing_ms is not None
    assert found.missing_ms <= lost_ms, f"{found}; the browser itself lost {lost_ms:.0f} ms"
    assert found.repeated_ms is not None
    assert found.repeated_ms < len(cuts) * WORD_MS
    assert not talk.errors
