"""What every recogniser has to do, with real engines, in virtual time."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from agent.clock import Clock, run_virtual
from agent.errors import AsrError, LimitReached
from agent.hearing.asr_pocketsphinx import PocketsphinxAsr
from agent.hearing.asr_whisper import WhisperAsr
from agent.hearing.port import Asr, AsrStream, Hypothesis, Pcm
from agent.settings import AsrSettings
from tests.conformance.holdings import cycles, holdings
from tests.fixtures.speech import has_flite, noise_burst, silence, sounds, speak
from tests.fixtures.spelled_speech import ReadingAsr, spelled

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


SETTLED = 1 if "CONFORMANCE_CYCLES" in os.environ else 100
"""One in so many of a thousand turns is decoded to its end, unless it is done by hand; the others are cut before."""
FIXTURE_MODEL = Path(__file__).parents[1] / "fixtures" / "whisper_fixture"


@dataclass(frozen=True)
class Engine:
    """`partial`: what is heard while "what time is it" is said. `say`: speech that it understands.
    `pid`: of the process that decodes for a stream, of which it has one. `tells_stable`: what of a partial stays."""

    name: str
    make: Callable[[Clock], Asr]
    partial: str
    say: Callable[..., Pcm]
    pid: Callable[[Asr, AsrStream], int] | None = None
    request: str = "set a timer for ten minutes"
    short: str = "stop"
    tells_stable: bool = True


def said(text: str, voice: str = "slt") -> Pcm:
    return np.concatenate((silence(250, rms=15), speak(text, voice), silence(100, rms=15)))


POCKETSPHINX = Engine(
    "pocketsphinx",
    lambda clock: PocketsphinxAsr(AsrSettings(workers=2, spare=1), SENTENCES, clock),
    "what time",
    said,
    lambda asr, stream: stream.pid,  # type: ignore[attr-defined]
    tells_stable=False,
)
WHISPER = Engine(
    "whisper",
    lambda clock: WhisperAsr(
        AsrSettings(workers=2, model=str(FIXTURE_MODEL), threads=1, compute_type="float32", min_context_ms=1_000),
        clock,
        FIXTURE_MODEL.parent,
    ),
    "",
    said,
    lambda asr, stream: asr.pid,  # type: ignore[attr-defined]
    "what time is it in tokyo",
    "what time is it",
)
"""A toy model: what it is asked to hear is what it was trained on, and not in two pieces."""
READER = Engine("reader", ReadingAsr, "what time", lambda text, voice="": spelled(text, silence_ms=100))
ENGINES = [POCKETSPHINX, WHISPER, READER]
each_engine = pytest.mark.parametrize("engine", ENGINES, ids=[engine.name for engine in ENGINES])
each_process = pytest.mark.parametrize("engine", [POCKETSPHINX, WHISPER], ids=["pocketsphinx", "whisper"])
needs_flite = pytest.mark.skipif(not has_flite(), reason="recognition is tested with flite's voices; flite is absent")


class Ear:
    """A stream, what it said by itself and called stable, and a way to talk to it in real-time pieces."""

    def __init__(self) -> None:
        self.partials: list[str] = []
        self.stable: list[str] = []
        self.errors: list[str] = []
        self.stream: AsrStream | None = None

    def take(self, text: str, stable: int = 0) -> None:
        self.partials.append(text)
        self.stable.append(text[:stable])

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
    ear.stream = await asr.open(ear.take, ear.errors.append)
    return ear


def with_engine(engine: Engine, scene: Callable[[Asr], Awaitable[None]]) -> None:
    async def main() -> None:
        asr = engine.make(Clock())
        await asr.start()
        try:
            await scene(asr)
        finally:
            await asr.close()

    run_virtual(main())


@needs_flite
@pytest.mark.parametrize("engine", [POCKETSPHINX, READER], ids=["pocketsphinx", "reader"])
def test_a_turn_is_heard_as_it_is_spoken_and_may_go_on(engine: Engine) -> None:
    async def scene(asr: Asr) -> None:
        ear = await ear_of(asr)
        await ear.hear(engine.say("what time is it"))
        first = await ear.text()
        assert first.text == "what time is it"
        assert first.understood
        assert engine.partial in ear.partials
        await ear.hear(engine.say("in tokyo"))
        assert (await ear.text()).text == "what time is it in tokyo"
        assert ear.stream is not None
        assert any(ear.stable) == engine.tells_stable
        ear.stream.reset()
        await ear.hear(engine.say("stop"))
        assert (await ear.text()).text == "stop"
        assert ear.errors == []

    with_engine(engine, scene)


@needs_flite
def test_whisper_hears_words_with_their_times_while_they_are_spoken() -> None:
    async def scene(asr: Asr) -> None:
        ear = await ear_of(asr)
        audio = said("what time is it in tokyo")
        await ear.hear(audio)
        found = await ear.text()
        assert found.text == "what time is it in tokyo"
        assert [word.text for word in found.words] == found.text.split()
        starts = [word.start_ms for word in found.words]
        assert starts == sorted(starts)
        assert found.words[-1].end_ms <= audio.size // 16
        assert len(ear.partials) >= 2
        assert ear.errors == []

    with_engine(WHISPER, scene)


@needs_flite
@each_engine
def test_the_same_turns_give_the_same_words_in_any_stream(engine: Engine) -> None:
    async def scene(asr: Asr) -> None:
        audio = engine.say("how many miles is ten kilometers", "rms")
        heard: list[list[tuple[str, list[str]]]] = []
        for ear in (await ear_of(asr), await ear_of(asr)):
            turns = []
            for _ in range(2):
                await ear.hear(audio)
                turns.append(((await ear.text()).text, ear.partials.copy()))
                ear.partials.clear()
                assert ear.stream is not None
                ear.stream.reset()
            heard.append(turns)
        assert heard[0] == heard[1]

    with_engine(engine, scene)


@needs_flite
def test_pocketsphinx_gets_used_to_who_talks_and_to_no_noise() -> None:
    async def scene(asr: Asr) -> None:
        stranger, friend = await ear_of(asr), await ear_of(asr)
        short = said("no", "kal")
        await stranger.hear(short)
        assert (await stranger.text()).text != "no"
        for turn in [*(said(text, "kal") for text in SENTENCES[:4]), noise_burst(300), noise_burst(300)]:
            await friend.hear(turn)
            await friend.text()
            assert friend.stream is not None
            friend.stream.reset()
        await friend.hear(short)
        found = await friend.text()
        assert (found.text, found.understood) == ("no", True)

    with_engine(POCKETSPHINX, scene)


@needs_flite
@pytest.mark.parametrize("engine", [WHISPER, READER], ids=["whisper", "reader"])
def test_what_is_stable_stays_and_the_final_begins_with_it(engine: Engine) -> None:
    async def scene(asr: Asr) -> None:
        ear = await ear_of(asr)
        await ear.hear(engine.say(engine.request))
        assert (await ear.text()).text.startswith(ear.stable[-1])
        await ear.hear(engine.say(engine.short))
        whole = (await ear.text()).text
        assert all(later.startswith(earlier) for earlier, later in pairwise([*ear.stable, whole]))
        assert any(ear.stable)

    with_engine(engine, scene)


@needs_flite
def test_what_is_not_of_the_domain_is_not_understood() -> None:
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

    with_engine(POCKETSPHINX, scene)


@needs_flite
def test_a_hummed_mm_hm_is_heard_as_one() -> None:
    """It lets the agent go on, and must not become other words."""

    async def scene(asr: Asr) -> None:
        ear = await ear_of(asr)
        assert ear.stream is not None
        for voice in ("rms", "awb"):
            await ear.hear(np.concatenate((silence(250, rms=15), sounds("ah m hh ah m", voice), silence(100, rms=15))))
            assert (await ear.text()).text == "mhm"
            ear.stream.reset()

    with_engine(POCKETSPHINX, scene)


@each_engine
def test_without_audio_the_text_is_empty(engine: Engine) -> None:
    async def scene(asr: Asr) -> None:
        ear = await ear_of(asr)
        assert (await ear.text()).text == ""

    with_engine(engine, scene)


@each_engine
def test_the_pool_is_bounded_and_a_closed_stream_frees_its_place(engine: Engine) -> None:
    async def scene(asr: Asr) -> None:
        first, _second = await ear_of(asr), await ear_of(asr)
        with pytest.raises(LimitReached):
            await ear_of(asr)
        assert first.stream is not None
        await first.stream.close()
        await first.stream.close()
        await ear_of(asr)

    with_engine(engine, scene)


@needs_flite
@each_process
def test_a_killed_process_is_replaced_told_and_the_turn_is_not_lost(engine: Engine) -> None:
    async def scene(asr: Asr) -> None:
        ear = await ear_of(asr)
        assert ear.stream is not None
        assert engine.pid is not None
        audio = engine.say(engine.request)
        half = audio.size // 2 // 640 * 640
        await ear.hear(audio[:half])
        os.kill(engine.pid(asr, ear.stream), signal.SIGKILL)
        await ear.hear(audio[half:])
        assert (await ear.text()).text == engine.request
        assert [error.split(":")[0] for error in ear.errors] == ["asr.worker_died"]

    with_engine(engine, scene)


@each_process
def test_closing_leaves_no_process_behind(engine: Engine) -> None:
    pids: list[int] = []

    async def scene(asr: Asr) -> None:
        ear = await ear_of(asr)
        assert ear.stream is not None
        assert engine.pid is not None
        pids.append(engine.pid(asr, ear.stream))

    with_engine(engine, scene)
    with suppress(ProcessLookupError):
        os.kill(pids[0], 0)
        pytest.fail("the recogniser's process is still there")


@needs_flite
@each_engine
def test_a_reset_at_any_moment_is_the_end_of_what_was_said(engine: Engine) -> None:
    """Before it is asked for, while it is decoded, and just as it is there."""

    async def scene(asr: Asr) -> None:
        ear = await ear_of(asr)
        assert ear.stream is not None
        audio = engine.say(engine.request)
        for steps in (0, 1, 2, 5, 20):
            ear.stream.push(audio)
            asked = asyncio.create_task(ear.stream.settle())
            for _ in range(steps):
                await asyncio.sleep(0)
            ear.stream.reset()
            with suppress(AsrError):
                await asked
            ear.partials.clear()
            await asyncio.sleep(1)
            assert ear.partials == []
        await ear.hear(engine.say(engine.short))
        assert (await ear.text()).text == engine.short
        assert engine.request not in ear.partials

    with_engine(engine, scene)


@needs_flite
@each_engine
def test_whoever_waits_may_go_away_at_any_moment(engine: Engine) -> None:
    async def scene(asr: Asr) -> None:
        ear = await ear_of(asr)
        assert ear.stream is not None
        ear.stream.push(engine.say("what time is it"))
        for steps in (0, 1, 3):
            asked = asyncio.create_task(ear.stream.settle())
            for _ in range(steps):
                await asyncio.sleep(0)
            asked.cancel()
            with suppress(asyncio.CancelledError):
                await asked
        assert (await ear.text()).text == "what time is it"

    with_engine(engine, scene)


@needs_flite
@each_engine
def test_a_closed_stream_says_nothing_and_answers_with_an_error(engine: Engine) -> None:
    async def scene(asr: Asr) -> None:
        ear = await ear_of(asr)
        assert ear.stream is not None
        ear.stream.push(engine.say("what time is it"))
        await asyncio.sleep(0)
        await ear.stream.close()
        ear.partials.clear()
        with pytest.raises(AsrError):
            await ear.stream.settle()
        await asyncio.sleep(1)
        assert ear.partials == []
        assert ear.errors == []

    with_engine(engine, scene)


@each_engine
def test_nothing_can_be_opened_before_the_start_and_after_the_close(engine: Engine) -> None:
    async def main() -> None:
        asr = engine.make(Clock())
        with pytest.raises(AsrError):
            await ear_of(asr)
        await asr.start()
        await asr.close()
        with pytest.raises(AsrError):
            await ear_of(asr)

    run_virtual(main())


@each_engine
def test_a_thousand_turns_leave_nothing_behind(engine: Engine) -> None:
    async def scene(asr: Asr) -> None:
        ear = await ear_of(asr)
        assert ear.stream is not None
        piece, held, many = noise_burst(40), [], cycles()
        for turn in range(many):
            ear.stream.push(piece)
            if turn % SETTLED == 0:
                await ear.text()
            ear.stream.reset()
            await asyncio.sleep(0)
            if turn % (many // 10) == many // 10 - 1:
                pid = engine.pid(asr, ear.stream) if engine.pid is not None else None
                held.append((holdings(pid), len(asyncio.all_tasks())))
        assert len({(now.threads, now.files, now.processes, tasks) for now, tasks in held}) == 1
        (first, _), (last, _) = held[0], held[-1]
        assert last.kib - first.kib < 4_096

    with_engine(engine, scene)
