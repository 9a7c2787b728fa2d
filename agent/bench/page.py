"""How fast the page in a real Chromium silences itself, by its own voice detection.

Measured twice: as the page's own events say, and from what came by in its audio graph (microphone,
agent, behind the gate: three inputs of one worklet, so on one clock), where nothing has to be believed.
"""

from __future__ import annotations

import asyncio
import base64
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agent.audio.wav import write_wav
from agent.bench.plan import STORY

CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    "--no-sandbox",
    "--use-fake-ui-for-media-stream",
    "--use-fake-device-for-media-stream",
    "--autoplay-policy=no-user-gesture-required",
    "--disable-background-networking",
    "--allow-loopback-in-peer-connection",
)
RATE = 48_000
QUANTUM = 128
SILENCE_S = 3.0
"""Between two barge-ins: the agent has begun its next reply by then."""
LOAD_S = 30.0
LOOK_S = 0.5
LOUD = 10**-4.5
"""Mean square of a loud quantum: -45 dBFS, the level below which the page takes the microphone for silent."""
SILENT = 1e-10
QUIET_MS = 500.0
"""The microphone's silence before an onset."""
RECENT_MS = 200.0
"""There is something to cut if the agent was audible so recently."""
LATEST_MS = 1_000.0
"""What is not cut by then is missed."""

Powers = NDArray[np.float32]

_MODE = "() => window.voiceAgent.mode()"
_CONNECT = "() => window.voiceAgent.connect(true)"
_ASK = "text => { window.voiceAgent.send('text.input', { text }); }"
_CUTS = "() => window.voiceAgent.gateEvents.filter(event => event.type === 'closed' && event.byVoice)"
_OUTPUT = """() => {
  const { context } = window.voiceAgent.audio();
  return 1000 * (context.baseLatency + (context.outputLatency || 0));
}"""
_METER = """
class Meter extends AudioWorkletProcessor {
  constructor() {
    super();
    this.powers = [];
  }
  process(inputs) {
    for (const [channel] of inputs) {
      let sum = 0;
      for (const x of channel ?? []) sum += x * x;
      this.powers.push(channel ? sum / channel.length : 0);
    }
    if (this.powers.length >= 3 * 256) this.port.postMessage(Float32Array.from(this.powers.splice(0)));
    return true;
  }
}
registerProcessor('bench-meter', Meter);
"""
_LISTEN = """async (code) => {
  const { context, gate, microphone, remote } = window.voiceAgent.audio();
  await context.audioWorklet.addModule(URL.createObjectURL(new Blob([code], { type: 'text/javascript' })));
  const meter = new AudioWorkletNode(context, 'bench-meter', { numberOfInputs: 3, numberOfOutputs: 1 });
  window.benchPowers = [];
  meter.port.onmessage = ({ data }) => window.benchPowers.push(data);
  [microphone, remote, gate].forEach((node, input) => node.connect(meter, 0, input));
  meter.connect(context.destination);
}"""
_POWERS = """async () => {
  const blob = new Blob(window.benchPowers);
  const url = await new Promise((done) => {
    const reader = new FileReader();
    reader.onload = () => done(reader.result);
    reader.readAsDataURL(blob);
  });
  return { powers: url.slice(url.indexOf(',') + 1), rate: window.voiceAgent.audio().context.sampleRate };
}"""


@dataclass(frozen=True, slots=True)
class PageCuts:
    """Onset of speech to silence in the page's render graph, and what lies behind the graph.

    cuts_ms       as the page's own events say
    lane_cuts_ms  from the first loud quantum of the microphone to the first silent one behind the gate
    missed        onsets over the agent's speech that were not cut within a second
    missing       why nothing was measured
    """

    cuts_ms: list[float]
    output_ms: float = 0.0
    missing: str = ""
    lane_cuts_ms: list[float] = field(default_factory=list)
    missed: int = 0


def lane_cuts(microphone: Powers, remote: Powers, ear: Powers, quantum_ms: float) -> tuple[list[float], int]:
    """The cuts seen in three lanes of mean squares, one value a render quantum; and how many were missed.

    An onset counts when the agent is audible; a cut is silence at the ear while the agent is still sent. One that fell
    into a pause of the agent's cannot be told from the pause, and is left out.
    """
    cuts_ms: list[float] = []
    missed = 0
    quiet, recent, latest = (round(ms / quantum_ms) for ms in (QUIET_MS, RECENT_MS, LATEST_MS))
    loud = np.flatnonzero(microphone >= LOUD)
    before = np.diff(loud, prepend=-quiet - 1)
    for onset in loud[before > quiet]:
        if onset + latest > microphone.size or not (ear[max(onset - recent, 0) : onset + 1] >= LOUD).any():
            continue
        silent = ear[onset : onset + latest] <= SILENT
        held_back = np.flatnonzero(silent & (remote[onset : onset + latest] >= LOUD))
        if not held_back.size:
            missed += 1
            continue
        heard = np.flatnonzero(~silent[: held_back[0]])
        first = int(heard[-1]) + 1 if heard.size else 0
        if remote[onset + first] > SILENT:
            cuts_ms.append(first * quantum_ms)
    return cuts_ms, missed


async def page_cuts(url: str, stop: NDArray[np.int16], folder: Path, seconds: float) -> PageCuts:
    """Talk into the page's fake microphone for so long; `stop` is int16 at 48 kHz."""
    browser_path = next(filter(None, map(shutil.which, CHROMIUM)), None)
    if browser_path is None:
        return PageCuts([], missing="needs Chromium")
    try:
        from playwright.async_api import Error, async_playwright
    except ImportError:
        return PageCuts([], missing="needs playwright: pip install 'voice-agent[dev]'")
    speech = folder / "barge.wav"
    silence = np.zeros(round(RATE * SILENCE_S), np.int16)
    write_wav(speech, [silence[:, None], stop[:, None]], RATE, 1)
    try:
        async with async_playwright() as playwright:
            flags = [*FLAGS, f"--use-file-for-fake-audio-capture={speech}"]
            browser = await playwright.chromium.launch(executable_path=browser_path, args=flags)
            try:
                return await _talk(await browser.new_page(bypass_csp=True), url, seconds)
            finally:
                await browser.close()
    except Error as error:
        return PageCuts([], missing=f"Chromium failed: {str(error).splitlines()[0]}")


async def _talk(page: Any, url: str, seconds: float) -> PageCuts:
    await page.goto(url)
    await page.wait_for_function("() => window.voiceAgent", timeout=LOAD_S * 1_000)
    await page.evaluate(_CONNECT)
    await page.evaluate(_LISTEN, _METER)
    for _ in range(round(seconds / LOOK_S)):
        # Whatever the microphone has cut, there is soon something to cut again.
        if await page.evaluate(_MODE) == "listening":
            await page.evaluate(_ASK, STORY)
        await asyncio.sleep(LOOK_S)
    cuts = await page.evaluate(_CUTS)
    output_ms = float(await page.evaluate(_OUTPUT))
    found = [1_000 * (float(cut["closedAt"]) - float(cut["onsetAt"])) for cut in cuts]
    recorded = await page.evaluate(_POWERS)
    lanes = np.frombuffer(base64.b64decode(recorded["powers"]), "<f4").reshape(-1, 3).T
    in_lanes, missed = lane_cuts(lanes[0], lanes[1], lanes[2], 1_000 * QUANTUM / float(recorded["rate"]))
    return PageCuts(found, output_ms, "" if found else "the page made no cut", in_lanes, missed)
