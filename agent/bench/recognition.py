"""What each recogniser costs while somebody speaks, and how soon it has the whole text."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from agent.app import App
from agent.audio.resample import Resampler
from agent.bench import machine
from agent.bench.floor import Floor, watched
from agent.bench.media_clock import media_clock
from agent.bench.voices import RATE, Pcm, private
from agent.clock import Clock
from agent.errors import AgentError
from agent.hearing.port import HEARING_RATE, AsrStream
from agent.settings import Settings
from agent.transport.frame_clock import Jitter

RECOGNISERS = ("pocketsphinx", "whisper")
PIECE_SAMPLES = HEARING_RATE * 40 // 1000
HANGOVER_MS = 100
"""Silence behind the last sample before the final is asked for, as in a conversation."""
SETTLE_S = 20.0


@dataclass(slots=True)
class Recognition:
    """`cpu_share`: processor seconds for a second of audio, partial texts included; None where that cannot be
    told. `final_ms`: from each last sample of speech to its text. `right`: texts that were what was said.
    `jitter`: of a playout's clock in the same program meanwhile, and `floor`: what the machine allowed.
    `missing`: why nothing was measured."""

    engine: str
    cpu_share: float | None = None
    final_ms: list[float] = field(default_factory=list)
    right: int = 0
    jitter: Jitter | None = None
    floor: Floor = field(default_factory=Floor)
    missing: str = ""


async def recognitions(settings: Settings, lines: Mapping[str, Pcm], clock: Clock) -> list[Recognition]:
    """Every recogniser that comes with the agent, one after the other; `lines` at 48 kHz, in real time."""
    found = []
    for engine in RECOGNISERS:
        recognition = Recognition(engine)
        asr = settings.asr.model_copy(update={"engine": engine})
        try:
            await _measure(recognition, settings.model_copy(update={"asr": asr}), lines, clock)
        except (AgentError, TimeoutError) as error:
            recognition.missing = str(error) or f"no text within {SETTLE_S:g} s"
        found.append(recognition)
    return found


async def _measure(recognition: Recognition, settings: Settings, lines: Mapping[str, Pcm], clock: Clock) -> None:
    app = App(private(settings))
    asr = app.engines.asr
    try:
        await asr.start()
        stream = await asr.open(lambda text, stable=0: None, lambda message: None)
        try:
            async with watched() as recognition.floor, media_clock(clock) as frames:
                await _listen(recognition, stream, lines, clock)
            recognition.jitter = frames.jitter()
        finally:
            await stream.close()
    finally:
        await asr.close()
        await app.store.close()


async def _listen(recognition: Recognition, stream: AsrStream, lines: Mapping[str, Pcm], clock: Clock) -> None:
    before_s, heard_s = machine.cpu_s(os.getpid()), 0.0
    for text, line in lines.items():
        pcm = _at_hearing_rate(line)
        heard_s += pcm.size / HEARING_RATE + HANGOVER_MS / 1_000
        recognition.right += await _hear(stream, pcm, recognition.final_ms, clock) == text
    after_s = machine.cpu_s(os.getpid())
    if before_s is not None and after_s is not None:
        recognition.cpu_share = (after_s - before_s) / heard_s


async def _hear(stream: AsrStream, pcm: Pcm, final_ms: list[float], clock: Clock) -> str:
    """Say it as a microphone would, and wait for the text."""
    silence = np.zeros(HANGOVER_MS * HEARING_RATE // 1_000, np.int16)
    began_us, said = clock.now_us(), 0
    for piece in _pieces(np.concatenate((pcm, silence))):
        said += piece.size
        await clock.sleep_until(began_us + said * 1_000_000 // HEARING_RATE)
        stream.push(piece)
    async with asyncio.timeout(SETTLE_S):
        found = await stream.settle()
    final_ms.append((clock.now_us() - began_us) / 1_000 - pcm.size * 1_000 / HEARING_RATE)
    stream.reset()
    return found.text


def _pieces(pcm: Pcm) -> Sequence[Pcm]:
    return [pcm[start : start + PIECE_SAMPLES] for start in range(0, pcm.size, PIECE_SAMPLES)]


def _at_hearing_rate(pcm: Pcm) -> Pcm:
    down = Resampler(RATE, HEARING_RATE)
    return np.concatenate((down.push(pcm), down.flush()))
