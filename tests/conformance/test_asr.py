"""What every recogniser has to do, with real engines, in virtual time."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable
from contextlib import suppress

import numpy as np
import pytest

from agent.clock import Clock, run_virtual
from agent.errors import LimitReached
from agent.hearing.asr_pocketsphinx import PocketsphinxAsr
from agent.hearing.port import Asr, AsrStream, Hypothesis, Pcm
from agent.settings import AsrSettings
from tests.fixtures.speech import has_flite, noise_burst, silence, sounds, speak

SENTENCES = [
    "what time is it",
    "what time is it in tokyo",
    "what time is it in tokyo right now",
    "what time is it in paris",
    "set a timer for ten minutes",
    "set a timer for twenty minutes",
    "add milk to my shopping list",
    "what's on my to do list",
    "how many miles is ten kilometers",
    "repeat that",
    "never mind",
    "stop",
    "yes",
    "no",
]

Make = Callable[[Clock], Asr]
ENGINES: list[Make] = [lambda clock: PocketsphinxAsr(AsrSettings(workers=2, spare=1), SENTENCES, clock)]
each_engine = pytest.mark.parametrize("make", ENGINES, ids=["pocketsphinx"])
needs_flite = pytest.mark.skipif(not has_flite(), reason="recognition is tested with flite's voices; flite is absent")


class Ear:
    """A stream, what it said by itself, and a way to talk to it in real-time pieces."""

    def __init__(self) -> None:
        self.partials: list[str] = []
        self.errors: list[str] = []
        self.stream: AsrStream | None = None

    async def hear(self, pcm: Pcm, piece_ms: int = 40) -> None:
        assert self.stream is not None
        size = 16 * piece_ms
        for at in range(0, pcm.size, size):
            await asyncio.sleep(piece_ms / 1_000)
            self.stream.push(pcm[at : at + size])

    async def text(self) -> Hypothesis:
        assert self.stream is not None
        return await self.stream.settle()


async def ear_of(asr: Asr) -> Ear:
    ear = Ear()
    ear.stream = await asr.open(ear.partials.append, ear.errors.append)
    return ear


def with_engine(make: Make, scene: Callable[[Asr], Awaitable[None]]) -> None:
    async def main() -> None:
        asr = make(Clock())
        await asr.start()
        try:
            await scene(asr)
        finally:
            await asr.close()

    run_virtual(main())


def said(text: str, voice: str = "slt") -> Pcm:
    return np.concatenate((silence(250, rms=15), speak(text, voice), silence(100, rms=15)))


@needs_flite
@each_engine
def test_a_turn_is_heard_as_it_is_spoken_and_may_go_on(make: Make) -> None:
    async def scene(asr: Asr) -> None:
        ear = await ear_of(asr)
        await ear.hear(said("what time is it"))
        first = await ear.text()
        assert first.text == "what time is it"
        assert first.understood
        assert "what time" in ear.partials
        await ear.hear(said("in tokyo"))
        assert (await ear.text()).text == "what time is it in tokyo"
        assert ear.stream is not None
        ear.stream.reset()
        await ear.hear(said("stop"))
        assert (await ear.text()).text == "stop"
        assert ear.errors == []

    with_engine(make, scene)


@needs_flite
@each_engine
def test_the_same_audio_gives_the_same_words_every_time(make: Make) -> None:
    async def scene(asr: Asr) -> None:
        ear, other = await ear_of(asr), await ear_of(asr)
        assert ear.stream is not None
        audio = said("how many miles is ten kilometers", "rms")
        heard: list[tuple[str, list[str]]] = []
        for _ in range(2):
            await ear.hear(audio)
            heard.append(((await ear.text()).text, ear.partials.copy()))
            ear.partials.clear()
            ear.stream.reset()
        await other.hear(audio)
        heard.append(((await other.text()).text, other.partials))
        assert heard[0] == heard[1] == heard[2]

    with_engine(make, scene)


@needs_flite
@each_engine
def test_what_is_not_of_the_domain_is_not_understood(make: Make) -> None:
    async def scene(asr: Asr) -> None:
        ear = await ear_of(asr)
        assert ear.stream is not None
        for text in (
            "the committee rejected the proposal on monday afternoon",
            "my grandmother used to bake wonderful apple pies",
        ):
            await ear.hear(said(text))
            found = await ear.text()
            assert not found.understood, found
            assert len(set(found.text.split()) & set(text.split())) >= 3, found
            ear.stream.reset()
        await ear.hear(np.concatenate((silence(250, rms=15), noise_burst(150), silence(200, rms=15))))
        assert not (await ear.text()).understood

    with_engine(make, scene)


@needs_flite
@each_engine
def test_a_hummed_mm_hm_is_heard_as_one(make: Make) -> None:
    """It lets the agent go on, and must not become other words."""

    async def scene(asr: Asr) -> None:
        ear = await ear_of(asr)
        assert ear.stream is not None
        for voice in ("rms", "awb"):
            await ear.hear(np.concatenate((silence(250, rms=15), sounds("ah m hh ah m", voice), silence(100, rms=15))))
            assert (await ear.text()).text == "mhm"
            ear.stream.reset()

    with_engine(make, scene)


@each_engine
def test_without_audio_the_text_is_empty(make: Make) -> None:
    async def scene(asr: Asr) -> None:
        ear = await ear_of(asr)
        assert (await ear.text()).text == ""

    with_engine(make, scene)


@each_engine
def test_the_pool_is_bounded_and_a_closed_stream_frees_its_place(make: Make) -> None:
    async def scene(asr: Asr) -> None:
        first, _second = await ear_of(asr), await ear_of(asr)
        with pytest.raises(LimitReached):
            await ear_of(asr)
        assert first.stream is not None
        await first.stream.close()
        await first.stream.close()
        await ear_of(asr)

    with_engine(make, scene)


@needs_flite
def test_a_killed_process_is_replaced_told_and_the_turn_is_not_lost() -> None:
    async def scene(asr: Asr) -> None:
        ear = await ear_of(asr)
        audio = said("set a timer for ten minutes")
        half = audio.size // 2 // 640 * 640
        await ear.hear(audio[:half])
        os.kill(ear.stream.pid, signal.SIGKILL)  # type: ignore[union-attr, attr-defined]
        await ear.hear(audio[half:])
        assert (await ear.text()).text == "set a timer for ten minutes"
        assert [error.split(":")[0] for error in ear.errors] == ["asr.worker_died"]

    with_engine(ENGINES[0], scene)


def test_closing_leaves_no_process_behind() -> None:
    pids: list[int] = []

    async def scene(asr: Asr) -> None:
        ear = await ear_of(asr)
        pids.append(ear.stream.pid)  # type: ignore[union-attr, attr-defined]

    with_engine(ENGINES[0], scene)
    with suppress(ProcessLookupError):
        os.kill(pids[0], 0)
        pytest.fail("the recogniser's process is still there")
