"""The caller's voice: flite where it is installed, else another voice of the agent's own engine.

All speech is int16 mono at 48 kHz, cut to the spoken part: the last sample is the last of speech.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from agent.app import App
from agent.audio.resample import Resampler
from agent.errors import AudioError
from agent.hearing.port import HEARING_RATE, Asr
from agent.settings import BrainSettings, Settings, TimelineSettings, TtsSettings
from agent.speaking.port import Tts
from agent.transport.audio_file import read_audio

Pcm = NDArray[np.int16]

RATE = 48_000
WINDOW = RATE // 100
SPEECH_PEAK = 20_000
SPEECH_FLOOR_RMS = 104.0
"""50 dB below full scale; 10 ms below it at either end are cut off."""
FLITE_VOICES = ("slt", "rms")
ENGINE_VOICES = {"en-us+f5": 0.75, "en-us+f3": 0.9}
"""Voices of the agent's own synthesiser that its own recogniser understands best, and their speeds."""
FLITE_S = 30.0
SETTLE_S = 10.0


@dataclass(frozen=True, slots=True)
class Voice:
    """Who speaks. `misheard` maps what the recogniser did not get to what it made of it."""

    name: str
    lines: Mapping[str, Pcm]
    misheard: Mapping[str, str]


async def choose_voice(texts: Sequence[str], sounds: Sequence[str]) -> Voice:
    """The first voice whose `texts` the recogniser understands, else the best understood one.

    `sounds` are said too but not recognised. Raises `AgentError` when an engine cannot start.
    """
    best: Voice | None = None
    app = App(private(Settings()))
    try:
        await app.engines.asr.start()
        for name in (*(FLITE_VOICES if shutil.which("flite") else ()), *ENGINE_VOICES):
            lines = await _say_all((*texts, *sounds), name)
            wrong = await _misheard({text: lines[text] for text in texts}, app.engines.asr)
            voice = Voice(f"flite {name}" if name in FLITE_VOICES else f"espeak-ng {name}", lines, wrong)
            if best is None or len(wrong) < len(best.misheard):
                best = voice
            if not best.misheard:
                break
    finally:
        await app.engines.asr.close()
        await app.store.close()
    if best is None:
        raise AudioError("no voice could be made")
    return best


def private(settings: Settings) -> Settings:
    """The same, leaving no trace."""
    brain, timeline = BrainSettings(memory=Path(":memory:")), TimelineSettings(store="memory")
    return settings.model_copy(update={"brain": brain, "timeline": timeline, "mcp": {}})


async def _say_all(texts: Sequence[str], name: str) -> dict[str, Pcm]:
    if name in FLITE_VOICES:
        return {text: spoken_part(await _flite(text, name)) for text in texts}
    app = App(private(Settings(tts=TtsSettings(voice=name))))
    tts = app.engines.tts
    await tts.start()
    try:
        return {text: spoken_part(await _engine(text, tts, ENGINE_VOICES[name])) for text in texts}
    finally:
        await tts.close()
        await app.store.close()


async def _engine(text: str, tts: Tts, speed: float) -> Pcm:
    pieces = [speech.pcm async for speech in tts.synthesize(text, speed)]
    resampler = Resampler(tts.sample_rate, RATE)
    return np.concatenate((resampler.push(np.concatenate(pieces)), resampler.flush()))


async def _flite(text: str, voice: str) -> Pcm:
    with tempfile.TemporaryDirectory(prefix="voice-agent-") as folder:
        path = Path(folder) / "said.wav"
        process = await asyncio.create_subprocess_exec("flite", "-voice", voice, "-t", text, "-o", str(path))
        try:
            async with asyncio.timeout(FLITE_S):
                code = await process.wait()
        except TimeoutError as error:
            process.kill()
            raise AudioError(f"flite did not end within {FLITE_S:.0f} s; reinstall it, or remove it") from error
        if code:
            raise AudioError(f"flite failed with exit status {code}; reinstall it, or remove it")
        return read_audio(path).pcm_48k


async def _misheard(lines: Mapping[str, Pcm], asr: Asr) -> dict[str, str]:
    wrong = {}
    stream = await asr.open(lambda text, stable=0: None, lambda message: None)
    try:
        for text, pcm in lines.items():
            down = Resampler(RATE, HEARING_RATE)
            stream.push(np.concatenate((down.push(pcm), down.flush())))
            stream.push(np.zeros(HEARING_RATE // 10, np.int16))
            async with asyncio.timeout(SETTLE_S):
                found = await stream.settle()
            stream.reset()
            if found.text != text or not found.understood:
                wrong[text] = found.text
    finally:
        await stream.close()
    return wrong


def loud_windows(pcm: Pcm) -> NDArray[np.intp]:
    """Which of its windows of 10 ms are speech and not silence."""
    blocks = pcm[: pcm.size // WINDOW * WINDOW].reshape(-1, WINDOW).astype(np.float64)
    return np.flatnonzero(np.sqrt(np.mean(blocks**2, axis=1)) > SPEECH_FLOOR_RMS)


def spoken_part(pcm: Pcm) -> Pcm:
    """Without the silence around it, at a fixed peak. Raises `AudioError` for silence alone."""
    loud = loud_windows(pcm)
    if not loud.size:
        raise AudioError("the voice made no sound; try another one")
    part = pcm[loud[0] * WINDOW : (loud[-1] + 1) * WINDOW].astype(np.float64)
    scaled: Pcm = (part * min(4.0, SPEECH_PEAK / np.abs(part).max())).astype(np.int16)
    return scaled


def noise_burst(ms: int = 150) -> Pcm:
    """Something dropped on a table: coloured noise, attack 10 ms, decay 60 ms, always the same."""
    samples = RATE * ms // 1_000
    time_s = np.arange(samples) / RATE
    noise = np.convolve(np.random.default_rng(7).normal(0, 1, samples), np.ones(6) / 6, "same")
    noise *= np.minimum(1, time_s / 0.01) * np.exp(-time_s / 0.06)
    burst: Pcm = (noise / np.abs(noise).max() * SPEECH_PEAK).astype(np.int16)
    return burst


def shortened(pcm: Pcm, ms: int) -> Pcm:
    """At most this long, faded out over 10 ms where it is cut."""
    samples = RATE * ms // 1_000
    if pcm.size <= samples:
        return pcm
    cut = pcm[:samples].astype(np.float64)
    fade = min(RATE // 100, samples)
    cut[-fade:] *= np.linspace(1, 0, fade)
    return cut.astype(np.int16)
