"""The page under test: speak into its microphone, wait for what it shows, record what is audible.

The microphone is an AudioBufferSource in the page, so that a test can speak when it wants to; the
path from there on (WebRTC, Opus, the server and back) is the real one. The recorder is one worklet
with three inputs (microphone, remote, behind the gate), so all three share one clock.
"""

from __future__ import annotations

import base64
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from playwright.sync_api import Page

from tests.fixtures.speech import speak

RATE = 48_000

MICROPHONE = """
(() => {
  let context, destination;
  let here = true;
  const tracks = [];
  const plugged = [];
  const open = async () => {
    if (!here) throw new DOMException('', 'NotFoundError');
    if (!context) {
      context = new AudioContext({ sampleRate: 48000 });
      destination = context.createMediaStreamDestination();
      const hum = new OscillatorNode(context, { frequency: 60 });
      hum.connect(new GainNode(context, { gain: 0.0003 })).connect(destination);
      hum.start();
    }
    await context.resume();
    const stream = destination.stream.clone();
    tracks.push(...stream.getTracks());
    return stream;
  };
  navigator.mediaDevices.getUserMedia = open;
  const enumerate = navigator.mediaDevices.enumerateDevices.bind(navigator.mediaDevices);
  navigator.mediaDevices.enumerateDevices = async () =>
    [...(await enumerate()).filter(({ kind }) => here || kind !== 'audioinput'), ...plugged];
  const changed = () => navigator.mediaDevices.dispatchEvent(new Event('devicechange'));
  window.fakeMicrophone = {
    unplug() {
      here = false;
      for (const track of tracks.splice(0)) {
        track.stop();
        track.dispatchEvent(new Event('ended'));
      }
      changed();
    },
    plug(label) {
      here = true;
      plugged.push({ deviceId: label, kind: 'audioinput', label, groupId: '' });
      changed();
    },
    async say(base64) {
      await open();
      const bytes = Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
      const pcm = new Int16Array(bytes.buffer);
      const buffer = context.createBuffer(1, pcm.length, 48000);
      buffer.copyToChannel(Float32Array.from(pcm, (s) => s / 32768), 0);
      const source = new AudioBufferSourceNode(context, { buffer });
      source.connect(destination);
      source.start();
    },
  };
})();
"""

RECORDER = """
class Recorder extends AudioWorkletProcessor {
  process(inputs) {
    const lanes = inputs.map((input) => (input.length ? input[0].slice() : new Float32Array(128)));
    this.port.postMessage({ at: currentTime, lanes });
    return true;
  }
}
registerProcessor('test-recorder', Recorder);
"""

START_RECORDING = """
async (code) => {
  const { context, gate, microphone, remote } = window.voiceAgent.audio();
  await context.audioWorklet.addModule(URL.createObjectURL(new Blob([code], { type: 'text/javascript' })));
  const node = new AudioWorkletNode(context, 'test-recorder', { numberOfInputs: 3, numberOfOutputs: 1 });
  const lanes = [[], [], []];
  window.testRecording = { startedAt: context.currentTime, rate: context.sampleRate, lanes };
  node.port.onmessage = ({ data }) => {
    if (!lanes[0].length) window.testRecording.startedAt = data.at; // it runs a little later than it was made
    data.lanes.forEach((lane, i) => lanes[i].push(lane));
  };
  microphone?.connect(node, 0, 0);
  remote.connect(node, 0, 1);
  gate.connect(node, 0, 2);
  node.connect(context.destination);
}
"""

READ_RECORDING = """
() => {
  const { startedAt, rate, lanes } = window.testRecording;
  const packed = lanes.map((blocks) => {
    const pcm = new Int16Array(blocks.length * 128);
    const clip = (x) => Math.max(-32768, Math.min(32767, x * 32768));
    blocks.forEach((block, i) => block.forEach((x, k) => { pcm[i * 128 + k] = clip(x); }));
    const bytes = new Uint8Array(pcm.buffer);
    let text = '';
    for (let i = 0; i < bytes.length; i += 32768) text += String.fromCharCode(...bytes.subarray(i, i + 32768));
    return btoa(text);
  });
  return { startedAt, rate, packed };
}
"""


@dataclass
class Heard:
    """Three lanes of one recording, int16: what the microphone, the network and the ear got."""

    started_at: float
    rate: int
    microphone: NDArray[np.int16]
    remote: NDArray[np.int16]
    ear: NDArray[np.int16]

    def level(self, lane: NDArray[np.int16], window_ms: int = 20) -> NDArray[np.float64]:
        """RMS per window."""
        size = self.rate * window_ms // 1_000
        whole = lane[: lane.size // size * size].reshape(-1, size).astype(np.float64)
        return np.sqrt((whole**2).mean(axis=1))


class TalkPage:
    def __init__(self, page: Page, url: str, *, own_microphone: bool = True, webrtc: bool = True) -> None:
        self.page = page
        self.errors: list[str] = []
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        if own_microphone:
            page.add_init_script(MICROPHONE)
        if not webrtc:
            page.add_init_script("delete window.RTCPeerConnection")
        page.emulate_media(reduced_motion="reduce")  # what is painted in software is taken from what plays
        page.goto(url)

    def connect(self, microphone: bool = True) -> None:
        self.page.click("#connect" if microphone else "#connect-typing")
        self.until(lambda: self.page.get_attribute("html", "data-phase") == "connected", "connected")

    def leave(self) -> None:
        """Go elsewhere: the page hangs up as it goes. A context that is closed too soon keeps that from the agent."""
        self.page.goto("about:blank")

    def say(self, text: str, voice: str = "slt") -> None:
        """Speak into the microphone; returns at once."""
        self.say_pcm(speak(text, voice, RATE))

    def say_pcm(self, pcm: NDArray[np.int16]) -> None:
        self.page.evaluate("(audio) => window.fakeMicrophone.say(audio)", base64.b64encode(pcm.tobytes()).decode())

    def type(self, text: str) -> None:
        self.page.fill("#text", text)
        self.page.press("#text", "Enter")

    def until(self, check: Any, what: str, limit_s: float = 30.0) -> Any:
        """Poll until `check()` is true; fails with what the page shows otherwise."""
        end = time.monotonic() + limit_s
        while time.monotonic() < end:
            if found := check():
                return found
            self.page.wait_for_timeout(30)
        shown = self.page.inner_text("body")
        raise AssertionError(f"not seen within {limit_s} s: {what}\nerrors: {self.errors}\nthe page:\n{shown}")

    def mode(self) -> str:
        return str(self.page.evaluate("() => window.voiceAgent.mode()"))

    def status(self) -> str:
        return self.page.inner_text("#status")

    def agent_texts(self) -> list[str]:
        return self.page.locator("#items li.agent").all_inner_texts()

    def user_texts(self) -> list[str]:
        return self.page.locator("#items li.user").all_inner_texts()

    def gate_events(self) -> list[dict[str, Any]]:
        return list(self.page.evaluate("() => window.voiceAgent.gateEvents"))

    def record(self) -> None:
        self.page.evaluate(START_RECORDING, RECORDER)

    def recording(self) -> Heard:
        got = self.page.evaluate(READ_RECORDING)
        lanes = [np.frombuffer(base64.b64decode(lane), np.int16) for lane in got["packed"]]
        return Heard(got["startedAt"], int(got["rate"]), *lanes)
