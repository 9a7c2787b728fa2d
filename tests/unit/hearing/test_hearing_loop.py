from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress

import numpy as np
import pytest

from agent.clock import Clock, run_virtual
from agent.conversation.decisions import AsrFinalize, AsrReset
from agent.conversation.events import (
    AsrFailed,
    AsrFinal,
    AsrPartial,
    Event,
    Fault,
    SpeechStarted,
    SpeechStopped,
    SpeechVoiced,
)
from agent.errors import AsrError, LimitReached
from agent.hearing.loop import HearingLoop
from agent.hearing.port import Hypothesis, OnPartial, Pcm
from agent.settings import VadSettings
from tests.fixtures.level_vad import LevelVad

FRAME = LevelVad.frame_samples
QUIET = np.zeros(FRAME, dtype=np.int16)
VOICE = (4_000 * np.sin(2 * np.pi * 100 * np.arange(FRAME) / 16_000)).astype(np.int16)
SETTINGS = VadSettings(onset_ms=60, hangover_ms=100, preroll_ms=50)


def uttered(frame: Pcm, number: int) -> Pcm:
    """The frame as it is spoken in its place: no voice is steady, every other tenth of a second it is softer."""
    return (frame * (0.6 if number // 10 % 2 else 1.0)).astype(np.int16)


class ToldStream:
    """Answers `settle` with how many samples it was given, after `takes_ms`."""

    def __init__(self, asr: ToldAsr, on_partial: OnPartial, on_error: Callable[[str], None]) -> None:
        self._asr = asr
        self.on_partial = on_partial
        self.on_error = on_error
        self.samples = 0
        self.settles = 0
        self.closed = False

    def push(self, pcm: Pcm) -> None:
        self.samples += pcm.size

    async def settle(self) -> Hypothesis:
        self.settles += 1
        text = f"{self.samples} samples"
        await asyncio.sleep(self._asr.takes_ms / 1000)
        if self._asr.broken:
            raise AsrError("the recogniser broke")
        return Hypothesis(text)

    def reset(self) -> None:
        self.samples = 0

    async def close(self) -> None:
        self.closed = True


class ToldAsr:
    name = "told"

    def __init__(self, takes_ms: int = 10) -> None:
        self.takes_ms = takes_ms
        self.broken = False
        self.refuses = False
        self.streams: list[ToldStream] = []

    async def start(self) -> None:
        pass

    async def open(self, on_partial: OnPartial, on_error: Callable[[str], None]) -> ToldStream:
        if self.refuses:
            raise LimitReached("no recogniser is free")
        self.streams.append(ToldStream(self, on_partial, on_error))
        return self.streams[-1]

    async def close(self) -> None:
        pass


class Room:
    """A hearing loop with a microphone that runs in virtual time."""

    def __init__(self, asr: ToldAsr) -> None:
        self.clock = Clock()
        self.facts: list[Event] = []
        self.loop = HearingLoop(LevelVad(), asr, SETTINGS, self.clock, self.facts.append)

    async def hear(self, frame: Pcm, ms: int) -> None:
        for number in range(ms // 10):
            await asyncio.sleep(0.01)
            self.loop.hear(uttered(frame, number))

    def of(self, *kinds: type[Event]) -> list[Event]:
        return [fact for fact in self.facts if isinstance(fact, kinds)]


def in_room(scene: Callable[[Room], object], asr: ToldAsr | None = None) -> Room:
    """Run `scene` (a coroutine function) beside the loop's own `run`."""

    async def main() -> Room:
        room = Room(asr or ToldAsr())
        running = asyncio.ensure_future(room.loop.run())
        await asyncio.sleep(0)
        await scene(room)  # type: ignore[misc]
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
        return room

    return run_virtual(main())


async def one_utterance(room: Room) -> None:
    await room.hear(QUIET, 200)
    await room.hear(VOICE, 300)
    await room.hear(QUIET, 200)


def test_an_utterance_becomes_facts_in_order() -> None:
    room = in_room(one_utterance)
    kinds = [type(fact) for fact in room.facts if not isinstance(fact, SpeechVoiced)]
    assert kinds == [SpeechStarted, SpeechStopped, AsrFinal]


def test_voiced_speech_is_told_in_steps_of_a_tenth_of_a_second() -> None:
    told = [fact.voiced_ms for fact in in_room(one_utterance).of(SpeechVoiced) if isinstance(fact, SpeechVoiced)]
    assert told == [100, 200, 300]


def test_edges_carry_when_they_were_heard() -> None:
    room = in_room(one_utterance)
    started, stopped = room.of(SpeechStarted, SpeechStopped)
    assert isinstance(started, SpeechStarted)
    assert isinstance(stopped, SpeechStopped)
    assert started.onset_us == 200_000
    assert stopped.end_us == 500_000
    assert 250 <= stopped.voiced_ms <= 300


def test_audio_handed_over_in_lumps_is_placed_in_time() -> None:
    async def scene(room: Room) -> None:
        lump = np.concatenate([QUIET] * 20 + [VOICE] * 30 + [QUIET] * 20 + [QUIET[:77]])
        await asyncio.sleep(lump.size / 16_000)
        room.loop.hear(lump)

    started, stopped = in_room(scene).of(SpeechStarted, SpeechStopped)
    assert isinstance(started, SpeechStarted)
    assert isinstance(stopped, SpeechStopped)
    assert abs(started.onset_us - 200_000) <= 1
    assert abs(stopped.end_us - 500_000) <= 1


def test_the_recogniser_gets_preroll_speech_and_hangover() -> None:
    asr = ToldAsr()
    in_room(one_utterance, asr)
    assert asr.streams[0].samples == (50 + 300 + 100) * 16


def test_noise_without_voicing_is_not_decoded_but_answered() -> None:
    noise = np.random.default_rng(3).normal(0, 3_000, FRAME * 15).astype(np.int16)

    async def scene(room: Room) -> None:
        await room.hear(QUIET, 200)
        for frame in noise.reshape(-1, FRAME):
            await asyncio.sleep(0.01)
            room.loop.hear(frame)
        await room.hear(QUIET, 200)

    asr = ToldAsr()
    room = in_room(scene, asr)
    stopped, final = room.of(SpeechStopped, AsrFinal)
    assert isinstance(stopped, SpeechStopped)
    assert isinstance(final, AsrFinal)
    assert stopped.voiced_ms == 0
    assert room.of(SpeechVoiced) == []
    assert (final.text, final.understood) == ("", False)
    assert asr.streams[0].samples == 0


def test_the_text_covers_the_turn_until_it_is_reset() -> None:
    async def scene(room: Room) -> None:
        await one_utterance(room)
        await one_utterance(room)
        room.loop.apply(AsrReset())
        await one_utterance(room)

    finals = in_room(scene).of(AsrFinal)
    one, both, again = (final.text for final in finals if isinstance(final, AsrFinal))
    assert one == again
    assert both == f"{2 * int(one.split()[0])} samples"


def test_a_final_overtaken_by_speech_is_dropped() -> None:
    async def scene(room: Room) -> None:
        await one_utterance(room)
        await room.hear(VOICE, 300)
        await room.hear(QUIET, 600)

    finals = in_room(scene, ToldAsr(takes_ms=250)).of(AsrFinal)
    assert [final.utterance for final in finals if isinstance(final, AsrFinal)] == [2]


def test_finalize_settles_in_the_middle_of_speech() -> None:
    async def scene(room: Room) -> None:
        await room.hear(QUIET, 200)
        await room.hear(VOICE, 300)
        room.loop.apply(AsrFinalize())
        await room.hear(VOICE, 100)

    room = in_room(scene, ToldAsr(takes_ms=50))
    (final,) = room.of(AsrFinal)
    assert isinstance(final, AsrFinal)
    assert final.text == f"{350 * 16} samples"
    assert room.of(SpeechStopped) == []


def test_finalize_without_audio_is_an_empty_final() -> None:
    async def scene(room: Room) -> None:
        room.loop.apply(AsrFinalize())

    (final,) = in_room(scene).of(AsrFinal)
    assert isinstance(final, AsrFinal)
    assert (final.text, final.understood, final.utterance) == ("", False, 0)


def test_a_reset_makes_an_outstanding_answer_void() -> None:
    async def scene(room: Room) -> None:
        await one_utterance(room)
        room.loop.apply(AsrReset())
        await room.hear(QUIET, 500)

    assert in_room(scene, ToldAsr(takes_ms=300)).of(AsrFinal) == []


@pytest.mark.parametrize("takes_ms", [10, 10_000])
def test_a_recogniser_that_breaks_or_hangs_fails_the_utterance(takes_ms: int) -> None:
    asr = ToldAsr(takes_ms)
    asr.broken = True

    async def scene(room: Room) -> None:
        await one_utterance(room)
        await room.hear(QUIET, 3_000)

    (failed,) = in_room(scene, asr).of(AsrFailed)
    assert isinstance(failed, AsrFailed)
    assert failed.utterance == 1
    assert failed.message


def test_partials_are_posted_when_they_change() -> None:
    asr = ToldAsr()

    async def scene(room: Room) -> None:
        await room.hear(QUIET, 100)
        await room.hear(VOICE, 100)
        for text in ("what", "what", "what time"):
            asr.streams[0].on_partial(text)

    partials = in_room(scene, asr).of(AsrPartial)
    assert [(p.utterance, p.text) for p in partials if isinstance(p, AsrPartial)] == [(1, "what"), (1, "what time")]


def test_a_partial_tells_how_much_of_it_is_stable_and_is_posted_again_when_more_is() -> None:
    asr = ToldAsr()

    async def scene(room: Room) -> None:
        await room.hear(QUIET, 100)
        await room.hear(VOICE, 100)
        for text, stable in (("what tie", 0), ("what time", 4), ("what time", 4), ("what time", 9)):
            asr.streams[0].on_partial(text, stable)
        room.loop.apply(AsrReset())
        asr.streams[0].on_partial("what time")

    partials = in_room(scene, asr).of(AsrPartial)
    told = [(p.text, p.stable) for p in partials if isinstance(p, AsrPartial)]
    assert told == [("what tie", 0), ("what time", 4), ("what time", 9), ("what time", 0)]


def test_a_full_pool_is_a_fault_and_is_tried_again_at_the_next_onset() -> None:
    asr = ToldAsr()
    asr.refuses = True

    async def scene(room: Room) -> None:
        await one_utterance(room)
        asr.refuses = False
        await one_utterance(room)

    room = in_room(scene, asr)
    assert [fault.code for fault in room.of(Fault) if isinstance(fault, Fault)][-1] == "limit"
    assert [type(fact) for fact in room.of(AsrFailed, AsrFinal)] == [AsrFailed, AsrFinal]


def test_a_worker_that_died_is_a_fault_with_its_code() -> None:
    asr = ToldAsr()

    async def scene(room: Room) -> None:
        asr.streams[0].on_error("asr.worker_died: it was started again")

    (fault,) = in_room(scene, asr).of(Fault)
    assert isinstance(fault, Fault)
    assert (fault.code, fault.message) == ("asr.worker_died", "it was started again")


def test_thresholds_change_at_run_time() -> None:
    async def scene(room: Room) -> None:
        room.loop.configure(SETTINGS.model_copy(update={"hangover_ms": 300}))
        await room.hear(VOICE, 200)
        await room.hear(QUIET, 290)
        assert room.of(SpeechStopped) == []
        await room.hear(QUIET, 10)

    assert len(in_room(scene).of(SpeechStopped)) == 1


def test_the_stream_is_closed_when_the_loop_ends() -> None:
    asr = ToldAsr()
    in_room(one_utterance, asr)
    assert asr.streams[0].closed
