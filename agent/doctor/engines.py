"""The engines: whether each starts, how long that takes, and how fast it then is."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator
from importlib import metadata
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from agent.app import App
from agent.audio.resample import Resampler
from agent.clock import Clock
from agent.doctor.check import INSTALL, Check
from agent.doctor.language_model import language_model
from agent.errors import AgentError
from agent.hearing.port import HEARING_RATE, Asr
from agent.settings import Settings, TimelineSettings
from agent.speaking.port import Tts

SENTENCE = "what time is it in tokyo"
REPEATS = 3
LISTEN_S = 20.0
SLOW = 0.5
"""A recogniser that takes this share of real time leaves too little for everything else."""


class _Starts(Protocol):
    name: str

    async def start(self) -> None: ...


async def engines(settings: Settings) -> AsyncIterator[Check]:
    """Start each engine as it is set, and measure those that have a speed."""
    brain_settings = settings.brain.model_copy(update={"memory": Path(":memory:")})
    private = settings.model_copy(update={"brain": brain_settings, "timeline": TimelineSettings(store="memory")})
    with tempfile.TemporaryDirectory(prefix="voice-agent-") as folder:
        try:
            app = App(private, cache=Path(folder))
        except (AgentError, ImportError) as error:
            yield Check("engines", False, str(error), INSTALL)
            return
        yield Check("voice activity", True, app.engines.names["vad"])
        brain, tts, asr = app.engines.brain, app.engines.tts, app.engines.asr
        started = {}
        try:
            for kind, engine in (("brain", brain), ("speech", tts), ("recogniser", asr)):
                check = await _start(kind, engine, app.clock)
                started[kind] = bool(check.ok)
                yield check
            if started["brain"] and brain.name == "openai":
                specs = [tool.spec for tool in app.engines.tools]
                yield await language_model(brain, specs, app.clock, fallback=app.engines.fallback is not None)
            if started["speech"]:
                async for check in _speeds(tts, asr if started["recogniser"] else None, app.clock):
                    yield check
        finally:
            for engine in (asr, tts, brain):
                await engine.close()


async def _start(kind: str, engine: _Starts, clock: Clock) -> Check:
    began_us = clock.now_us()
    try:
        await engine.start()
    except AgentError as error:
        return Check(kind, False, str(error), INSTALL)
    version = ""
    for package in (engine.name, f"{engine.name}ng-loader"):
        try:
            version = f" {metadata.version(package)}"
        except metadata.PackageNotFoundError:
            continue
    return Check(kind, True, f"{engine.name}{version}, started in {(clock.now_us() - began_us) / 1_000:.0f} ms")


async def _speeds(tts: Tts, asr: Asr | None, clock: Clock) -> AsyncIterator[Check]:
    """Synthesis and recognition of a sentence, a few times; the best counts."""
    first_ms, pcm = [], np.zeros(0, np.int16)
    for _ in range(REPEATS):
        began_us = clock.now_us()
        pieces: list[NDArray[np.int16]] = []
        async for speech in tts.synthesize(SENTENCE):
            if not pieces:
                first_ms.append((clock.now_us() - began_us) / 1_000)
            pieces.append(speech.pcm)
        resampler = Resampler(tts.sample_rate, HEARING_RATE)
        pcm = np.concatenate((resampler.push(np.concatenate(pieces)), resampler.flush()))
    yield Check("speech speed", True, f"first audio after {min(first_ms):.1f} ms")
    if asr is None:
        return
    try:
        share = await _recognition(asr, pcm, clock)
    except (AgentError, TimeoutError) as error:
        yield Check("recogniser speed", False, str(error) or f"no answer within {LISTEN_S:.0f} s", INSTALL)
        return
    fast = share < SLOW
    says = f"{share:.2f} of real time" + (f": {1 / share:.0f} speakers a core" if fast else "")
    mend = "" if fast else "other work keeps the machine busy, or it is too slow for a fluent conversation"
    yield Check("recogniser speed", True if fast else None, says, mend)


async def _recognition(asr: Asr, pcm: NDArray[np.int16], clock: Clock) -> float:
    """The share of real time that recognising takes. Raises `AsrError`, `LimitReached`, `TimeoutError`."""
    async with asyncio.timeout(LISTEN_S):
        stream = await asr.open(lambda text: None, lambda message: None)
        shares = []
        try:
            for _ in range(REPEATS):
                began_us = clock.now_us()
                stream.push(pcm)
                await stream.settle()
                shares.append((clock.now_us() - began_us) / 1e6 / (pcm.size / HEARING_RATE))
                stream.reset()
        finally:
            await stream.close()
    return min(shares)
