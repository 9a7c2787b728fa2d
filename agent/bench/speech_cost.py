"""What an engine takes to speak: time to the first audio, and processor time."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agent.app import App
from agent.auto import applied, available, present
from agent.bench.machine import cpu_s
from agent.bench.media_clock import media_clock
from agent.clock import Clock
from agent.errors import TtsError
from agent.settings import Settings, TimelineSettings
from agent.speaking.port import Tts
from agent.transport.frame_clock import Jitter

SENTENCES = ("What time is it in Tokyo?", "It is a quarter past nine in the evening there, and it rains a little.")
SPEAK_S = 30.0


@dataclass(frozen=True, slots=True)
class SpeechCost:
    """`cpu_share`: processor seconds for a second of speech, its own process and its children taken together;
    None where that cannot be told. `pcm`: what it said last. `jitter`: of a playout's clock in the same program
    meanwhile."""

    engine: str
    first_ms: float
    real_time_share: float
    cpu_share: float | None
    pcm: NDArray[np.int16]
    jitter: Jitter | None = None
    failure: str = ""
    """Why there are no figures."""


async def speech_cost(tts: Tts, clock: Clock, repeats: int, sentences: tuple[str, ...] = SENTENCES) -> SpeechCost:
    """Say the sentences `repeats` times. The quickest first audio counts, and the processor time of all.

    Raises `TtsError`, `TimeoutError`.
    """
    first_ms: list[float] = []
    pieces: list[NDArray[np.int16]] = []
    samples = 0
    cpu_before_s, began_us = cpu_s(os.getpid()), clock.now_us()
    async with asyncio.timeout(SPEAK_S), media_clock(clock) as frames:
        for sentence in sentences * repeats:
            asked_us, pieces = clock.now_us(), []
            async for pcm in _audio(tts, sentence):
                if not pieces:
                    first_ms.append((clock.now_us() - asked_us) / 1_000)
                pieces.append(pcm)
                samples += pcm.size
    seconds = max(samples / tts.sample_rate, 1e-9)
    cpu_after_s = cpu_s(os.getpid())
    known = cpu_before_s is not None and cpu_after_s is not None
    cpu_share = (cpu_after_s - cpu_before_s) / seconds if known else None  # type: ignore[operator]
    share = (clock.now_us() - began_us) / 1e6 / seconds
    said = np.concatenate(pieces) if pieces else np.zeros(0, np.int16)
    return SpeechCost(tts.name, min(first_ms, default=0.0), share, cpu_share, said, frames.jitter())


async def speech_costs(settings: Settings, clock: Clock, repeats: int) -> list[SpeechCost]:
    """Of each engine that is present, the best first. Raises `ModelError` for a manifest that cannot be read."""
    found = []
    private = settings.model_copy(update={"timeline": TimelineSettings(store="memory")})
    for choice in available("tts", settings.tts.model, present(settings)):
        tts = App(applied(private, choice)).engines.tts
        try:
            await tts.start()
            found.append(await speech_cost(tts, clock, repeats))
        except (TtsError, TimeoutError) as error:
            reason = str(error) or f"it took more than {SPEAK_S:g} s"
            found.append(SpeechCost(tts.name, 0.0, 0.0, None, np.zeros(0, np.int16), failure=reason))
        finally:
            await tts.close()
    return found


async def _audio(tts: Tts, text: str) -> AsyncIterator[NDArray[np.int16]]:
    async for speech in tts.synthesize(text):
        if speech.pcm.size:
            yield speech.pcm
