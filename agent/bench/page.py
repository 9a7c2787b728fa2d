"""How fast the page in a real Chromium silences itself, by its own voice detection."""

from __future__ import annotations

import asyncio
import shutil
from dataclasses import dataclass
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
SILENCE_S = 3.0
"""Between two barge-ins: the agent has begun its next reply by then."""
LOAD_S = 30.0
LOOK_S = 0.5

_MODE = "() => window.voiceAgent.mode()"
_CONNECT = "() => window.voiceAgent.connect(true)"
_ASK = "text => { window.voiceAgent.send('text.input', { text }); }"
_CUTS = "() => window.voiceAgent.gateEvents.filter(event => event.type === 'closed' && event.byVoice)"
_OUTPUT = """() => {
  const { context } = window.voiceAgent.audio();
  return 1000 * (context.baseLatency + (context.outputLatency || 0));
}"""


@dataclass(frozen=True, slots=True)
class PageCuts:
    """Onset of speech to silence in the page's render graph, and what lies behind the graph.
    `missing` says why nothing was measured."""

    cuts_ms: list[float]
    output_ms: float = 0.0
    missing: str = ""


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
    for _ in range(round(seconds / LOOK_S)):
        # Whatever the microphone has cut, there is soon something to cut again.
        if await page.evaluate(_MODE) == "listening":
            await page.evaluate(_ASK, STORY)
        await asyncio.sleep(LOOK_S)
    cuts = await page.evaluate(_CUTS)
    output_ms = float(await page.evaluate(_OUTPUT))
    found = [1_000 * (float(cut["closedAt"]) - float(cut["onsetAt"])) for cut in cuts]
    return PageCuts(found, output_ms, "" if found else "the page made no cut")
