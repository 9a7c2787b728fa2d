"""The engines: whether each starts, how long that takes, and how fast it then is."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from agent.app import App
from agent.audio.resample import Resampler
from agent.auto import CANDIDATES, Choice, Present, Table, applied, available, choose, present
from agent.bench.speech_cost import speech_cost
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
"""An engine that takes this share of real time leaves too little for everything else."""
TOO_SLOW = "other work keeps the machine busy, or it is too slow for a fluent conversation"


class _Starts(Protocol):
    name: str

    async def start(self) -> None: ...


async def engines(settings: Settings) -> AsyncIterator[Check]:
    """Start each engine as it is set, measure those that have a speed, and then the others that are present."""
    brain_settings = settings.brain.model_copy(update={"memory": Path(":memory:")})
    timeline = TimelineSettings(store="memory")
    private = settings.model_copy(update={"brain": brain_settings, "timeline": timeline, "mcp": {}})
    with tempfile.TemporaryDirectory(prefix="voice-agent-") as folder:
        try:
            app = App(private, cache=Path(folder))
        except (AgentError, ImportError) as error:
            yield Check("engines", False, str(error), INSTALL)
            return
        for choice in app.chosen:
            yield Check("auto", True, str(choice))
        yield Check("voice activity", True, app.engines.names["vad"])
        brain, tts, asr = app.engines.brain, app.engines.tts, app.engines.asr
        pcm = np.zeros(0, np.int16)
        try:
            thinking = await _start("brain", brain, app.clock)
            yield thinking
            if thinking.ok and brain.name == "openai":
                specs = [tool.spec for tool in app.engines.tools]
                yield await language_model(brain, specs, app.clock, fallback=app.engines.fallback is not None)
            async for check, said in _voice(tts, app.clock, ""):
                yield check
                pcm = said if said.size else pcm
            async for check in _ears(asr, pcm, app.clock, ""):
                yield check
        finally:
            for engine in (asr, tts, brain):
                await engine.close()
        async for check in _others(app.settings, pcm, Path(folder)):
            yield check


async def _others(settings: Settings, pcm: NDArray[np.int16], cache: Path) -> AsyncIterator[Check]:
    """The engines that are present and not in use, and those that would be better than what is present."""
    try:
        here = present(settings)
    except AgentError as error:
        yield Check("models", False, str(error), "mend models/manifest.toml, or delete it")
        return
    for choice in _unused(settings, here):
        try:
            app = App(applied(settings, choice), cache=cache)
        except (AgentError, ImportError) as error:
            yield Check(f"{choice.table}, {choice.engine}", None, str(error), INSTALL)
            continue
        async for check in _other(choice, app, pcm):
            yield replace(check, ok=None) if check.ok is False else check  # it is not in use
    for check in better(settings, here):
        yield check


async def _other(choice: Choice, app: App, pcm: NDArray[np.int16]) -> AsyncIterator[Check]:
    """Start and measure an engine that is not in use."""
    which = f", {choice.engine}"
    if choice.table == "tts":
        try:
            async for check, _ in _voice(app.engines.tts, app.clock, which):
                yield check
        finally:
            await app.engines.tts.close()
    else:
        try:
            async for check in _ears(app.engines.asr, pcm, app.clock, which):
                yield check
        finally:
            await app.engines.asr.close()


def better(settings: Settings, here: Present) -> Iterator[Check]:
    """What would be better than what is in use: here already, or to be fetched."""
    for table, candidates in CANDIDATES.items():
        own = getattr(settings, table)
        choice = choose(table, getattr(own, "model", ""), here)
        if own.engine not in [candidate.engine for candidate in candidates]:
            continue  # the user's own
        if own.engine != choice.engine and own.engine != candidates[0].engine:
            yield Check(f"better {table}", None, f"{choice.engine} is here", f"set {table}.engine to auto")
        elif choice.better and own.engine != candidates[0].engine:
            yield Check(f"better {table}", None, "not here", choice.better)


def _unused(settings: Settings, here: Present) -> Iterator[Choice]:
    """Those that have a speed; nothing where the user has an engine of their own."""
    tables: tuple[Table, ...] = ("tts", "asr")
    for table in tables:
        own = getattr(settings, table)
        if own.engine in [candidate.engine for candidate in CANDIDATES[table]]:
            yield from (one for one in available(table, getattr(own, "model", ""), here) if one.engine != own.engine)


async def _start(kind: str, engine: _Starts, clock: Clock) -> Check:
    began_us = clock.now_us()
    try:
        await engine.start()
    except AgentError as error:
        return Check(kind, False, str(error), INSTALL)
    version = ""
    for package in (engine.name, f"{engine.name}ng-loader", f"{engine.name}-tts", f"faster-{engine.name}"):
        try:
            version = f" {metadata.version(package)}"
        except metadata.PackageNotFoundError:
            continue
    return Check(kind, True, f"{engine.name}{version}, started in {(clock.now_us() - began_us) / 1_000:.0f} ms")


async def _voice(tts: Tts, clock: Clock, which: str) -> AsyncIterator[tuple[Check, NDArray[np.int16]]]:
    """Start a synthesiser and measure it; with its check, the sentence for a recogniser."""
    nothing = np.zeros(0, np.int16)
    started = await _start(f"speech{which}", tts, clock)
    yield started, nothing
    if not started.ok:
        return
    try:
        cost = await speech_cost(tts, clock, REPEATS, (SENTENCE,))
    except (AgentError, TimeoutError) as error:
        yield Check(f"speech speed{which}", False, str(error) or "no audio in time", INSTALL), nothing
        return
    resampler = Resampler(tts.sample_rate, HEARING_RATE)
    pcm = np.concatenate((resampler.push(cost.pcm), resampler.flush()))
    fast = cost.real_time_share < SLOW
    says = f"first audio after {cost.first_ms:.1f} ms, {cost.real_time_share:.3f} of real time"
    yield Check(f"speech speed{which}", True if fast else None, says, "" if fast else TOO_SLOW), pcm


async def _ears(asr: Asr, pcm: NDArray[np.int16], clock: Clock, which: str) -> AsyncIterator[Check]:
    """Start a recogniser and measure it with a sentence, if there is one."""
    started = await _start(f"recogniser{which}", asr, clock)
    yield started
    if not started.ok or not pcm.size:
        return
    try:
        share = await _recognition(asr, pcm, clock)
    except (AgentError, TimeoutError) as error:
        says = str(error) or f"no answer within {LISTEN_S:.0f} s"
        yield Check(f"recogniser speed{which}", False, says, INSTALL)
        return
    fast = share < SLOW
    says = f"{share:.2f} of real time" + (f": {1 / share:.0f} speakers a core" if fast else "")
    yield Check(f"recogniser speed{which}", True if fast else None, says, "" if fast else TOO_SLOW)


async def _recognition(asr: Asr, pcm: NDArray[np.int16], clock: Clock) -> float:
    """The share of real time that recognising takes. Raises `AsrError`, `LimitReached`, `TimeoutError`."""
    async with asyncio.timeout(LISTEN_S):
        stream = await asr.open(lambda text, stable=0: None, lambda message: None)
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
