"""The speaking loop with a fake engine in virtual time: order, cancellation, failures."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

import numpy as np
import pytest

from agent.clock import Clock, run_virtual
from agent.conversation.decisions import (
    CancelRequested,
    PlaybackPause,
    PlaybackRelease,
    PlaybackResume,
    PlaybackStop,
    ReplyDone,
    TtsSay,
)
from agent.conversation.events import (
    CancelAck,
    CancelFreed,
    Event,
    Fault,
    PlaybackMark,
    PlaybackStarted,
    TtsChunk,
    TtsFailed,
    Word,
)
from agent.errors import TtsError
from agent.settings import PlayoutSettings, TtsSettings
from agent.speaking.loop import MAX_QUEUED, SpeakingLoop
from agent.speaking.port import Speech, SpokenWord
from agent.speaking.tts_espeak import EspeakTts


@dataclass
class FakeTts:
    """100 ms of sound per word, each after `delay_s`; `fail_at` names words that raise."""

    name: str = "fake"
    sample_rate: int = 16_000
    delay_s: float = 0.0
    free_s: float = 0.0
    errors: dict[str, BaseException] = field(default_factory=dict)
    heard: list[tuple[str, float]] = field(default_factory=list)
    closed: int = 0

    async def start(self) -> None: ...

    async def close(self) -> None: ...

    async def synthesize(self, text: str, speed: float = 1.0) -> AsyncIterator[Speech]:
        self.heard.append((text, speed))
        try:
            at = 0
            for index, word in enumerate(text.split()):
                await asyncio.sleep(self.delay_s)
                if word in self.errors:
                    raise self.errors[word]
                end = text.index(word, at) + len(word)
                at = end
                spoken = SpokenWord(index * 1_600, (index + 1) * 1_600 - 100, end)
                yield Speech(np.full(1_600, 6_000, np.int16), (spoken,))
        finally:
            await asyncio.sleep(self.free_s)
            self.closed += 1


def say(text: str, reply_id: str = "r1", chunk: int = 0) -> TtsSay:
    return TtsSay(reply_id=reply_id, chunk=chunk, text=text, phase="claim", rests_on=("e1",))


Scenario = Callable[[SpeakingLoop, list[Event]], Awaitable[None]]


def play(tts: FakeTts, scenario: Scenario, **settings: float) -> list[Event]:
    """Run a scenario beside the loop; everything that was posted."""
    facts: list[Event] = []

    async def main() -> None:
        loop = SpeakingLoop(tts, Clock(), facts.append, PlayoutSettings(**settings), lambda: 1.5)
        task = asyncio.create_task(loop.run())
        await scenario(loop, facts)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    run_virtual(main())
    return facts


def frames(loop: SpeakingLoop, count: int) -> int:
    return sum(loop.next_frame() is not None for _ in range(count))


def of(facts: list[Event], kind: type[Event]) -> list[Event]:
    return [fact for fact in facts if isinstance(fact, kind)]


def test_a_chunk_becomes_audio_with_words_in_reply_samples() -> None:
    tts = FakeTts()

    async def scenario(loop: SpeakingLoop, facts: list[Event]) -> None:
        loop.apply(say("one two"))
        loop.apply(PlaybackRelease(reply_id="r1"))
        await asyncio.sleep(1)
        assert frames(loop, 20) == 10 + 1

    facts = play(tts, scenario)
    chunk = of(facts, TtsChunk)[0]
    assert chunk == TtsChunk(
        reply_id="r1",
        chunk=0,
        text="one two",
        phase="claim",
        rests_on=("e1",),
        start_sample=0,
        samples=9_600,
        words=(Word(0, 4_500, 3), Word(4_800, 9_300, 7)),
    )
    assert of(facts, PlaybackMark) == [
        PlaybackMark(reply_id="r1", sample=4_500),
        PlaybackMark(reply_id="r1", sample=9_600),
    ]
    assert tts.heard == [("one two", 1.5)]


def test_chunks_follow_each_other_with_a_breath_in_order() -> None:
    async def scenario(loop: SpeakingLoop, facts: list[Event]) -> None:
        loop.apply(say("Done.", chunk=0))
        loop.apply(say("next", chunk=1))
        await asyncio.sleep(1)

    first, second = of(play(FakeTts(), scenario), TtsChunk)
    assert (first.start_sample, first.samples) == (0, 4_800)
    assert second.start_sample == 4_800
    assert second.samples == 220 * 48 + 4_800
    assert second.words[0].start_sample == 4_800 + 220 * 48


def test_audio_can_be_heard_before_its_chunk_is_whole() -> None:
    async def scenario(loop: SpeakingLoop, facts: list[Event]) -> None:
        loop.apply(PlaybackRelease(reply_id="r1"))
        loop.apply(say("one two three"))
        await asyncio.sleep(1.1)
        assert frames(loop, 4) == 4
        assert of(facts, PlaybackStarted)
        assert not of(facts, TtsChunk)
        await asyncio.sleep(3)
        assert of(facts, TtsChunk)

    play(FakeTts(delay_s=1.0), scenario)


def test_the_end_is_marked_after_the_chunk_even_if_it_was_played_before() -> None:
    async def scenario(loop: SpeakingLoop, facts: list[Event]) -> None:
        loop.apply(PlaybackRelease(reply_id="r1"))
        loop.apply(say("one"))
        for _ in range(200):
            loop.next_frame()
            await asyncio.sleep(0.02)

    facts = play(FakeTts(delay_s=1.0), scenario)
    assert facts[-1] == PlaybackMark(reply_id="r1", sample=4_800)
    assert [type(fact) for fact in facts].index(TtsChunk) < len(facts) - 1


def test_a_reply_that_is_listened_to_is_synthesised_first() -> None:
    tts = FakeTts(delay_s=0.1)

    async def scenario(loop: SpeakingLoop, facts: list[Event]) -> None:
        loop.apply(say("now", "r1", 0))
        await asyncio.sleep(0.01)
        loop.apply(say("speculative", "r2", 0))
        loop.apply(PlaybackRelease(reply_id="r1"))
        loop.apply(say("more", "r1", 1))
        await asyncio.sleep(2)

    play(tts, scenario)
    assert [text for text, _ in tts.heard] == ["now", "more", "speculative"]


def test_a_pause_is_marked_in_the_same_call_and_a_resume_loses_nothing() -> None:
    async def scenario(loop: SpeakingLoop, facts: list[Event]) -> None:
        loop.apply(say("one two three"))
        loop.apply(PlaybackRelease(reply_id="r1"))
        await asyncio.sleep(1)
        frames(loop, 3)
        loop.apply(PlaybackPause(reply_id="r1"))
        assert facts[-1] == PlaybackMark(reply_id="r1", sample=2_880)
        assert frames(loop, 5) == 1  # the fade
        loop.apply(PlaybackResume(reply_id="r1", sample=2_880))
        assert frames(loop, 40) == 12 + 1
        assert facts[-1] == PlaybackMark(reply_id="r1", sample=14_400)

    play(FakeTts(), scenario)


@pytest.mark.parametrize("target", ["playback", "tts"])
def test_a_cancel_is_acked_at_once_and_freed_when_the_engine_stopped(target: str) -> None:
    tts = FakeTts(delay_s=1.0, free_s=0.5)

    async def scenario(loop: SpeakingLoop, facts: list[Event]) -> None:
        loop.apply(PlaybackRelease(reply_id="r1"))
        loop.apply(say("one two three"))
        loop.apply(say("four", chunk=1))
        await asyncio.sleep(1.5)
        frames(loop, 2)
        loop.apply(PlaybackStop(reply_id="r1", heard_ms=0, heard_text="", unheard_text="", method="sent"))
        loop.apply(CancelRequested(reply_id="r1", target=target))
        assert facts[-1] == CancelAck(reply_id="r1", target=target)
        assert frames(loop, 5) == 1  # the fade
        before = len(facts)
        await asyncio.sleep(0.4)
        assert len(facts) == before
        await asyncio.sleep(5)
        assert facts[before:] == [CancelFreed(reply_id="r1", target=target)]
        assert frames(loop, 5) == 0

    play(tts, scenario)
    assert tts.closed == 1
    assert tts.heard == [("one two three", 1.5)]


def test_a_cancel_of_nothing_is_acked_and_freed_once() -> None:
    async def scenario(loop: SpeakingLoop, facts: list[Event]) -> None:
        loop.apply(CancelRequested(reply_id="r9", target="tts"))
        loop.apply(CancelRequested(reply_id="r9", target="model"))
        await asyncio.sleep(1)

    facts = play(FakeTts(), scenario)
    assert facts == [CancelAck(reply_id="r9", target="tts"), CancelFreed(reply_id="r9", target="tts")]


def test_the_next_reply_is_spoken_after_a_cancel() -> None:
    async def scenario(loop: SpeakingLoop, facts: list[Event]) -> None:
        loop.apply(say("one two"))
        await asyncio.sleep(0.5)
        loop.apply(CancelRequested(reply_id="r1", target="tts"))
        loop.apply(say("other", "r2"))
        loop.apply(PlaybackRelease(reply_id="r2"))
        await asyncio.sleep(3)
        assert frames(loop, 10) == 6

    facts = play(FakeTts(delay_s=1.0), scenario)
    assert [fact.reply_id for fact in of(facts, TtsChunk)] == ["r2"]


def test_an_engine_that_never_stops_is_left_behind() -> None:
    @dataclass
    class Deaf(FakeTts):
        """Swallows every cancellation of its first synthesis."""

        asked: int = 0

        async def synthesize(self, text: str, speed: float = 1.0) -> AsyncIterator[Speech]:
            self.asked += 1
            while self.asked == 1:
                try:
                    await asyncio.sleep(3_600)
                except asyncio.CancelledError:
                    continue
            async for speech in super().synthesize(text, speed):
                yield speech

    async def scenario(loop: SpeakingLoop, facts: list[Event]) -> None:
        loop.apply(say("Never."))
        await asyncio.sleep(0.1)
        loop.apply(CancelRequested(reply_id="r1", target="tts"))
        loop.apply(say("Again.", "r2"))
        await asyncio.sleep(10)
        assert of(facts, CancelAck)
        assert [fact.code for fact in of(facts, Fault)] == ["tts"]
        assert [fact.target for fact in of(facts, CancelFreed)] == ["tts"], "given up, so it waits for it no more"
        assert [chunk.reply_id for chunk in of(facts, TtsChunk)] == ["r2"]

    play(Deaf(), scenario)


@pytest.mark.parametrize("error", [TtsError("no voice"), ValueError("a bug")])
def test_a_failing_engine_fails_the_chunk_and_the_loop_goes_on(error: Exception) -> None:
    async def scenario(loop: SpeakingLoop, facts: list[Event]) -> None:
        loop.apply(say("one bad", chunk=0))
        loop.apply(say("good", chunk=1))
        await asyncio.sleep(1)

    facts = play(FakeTts(errors={"bad": error}), scenario)
    assert [fact.chunk for fact in of(facts, TtsFailed)] == [0]
    assert len(of(facts, Fault)) == isinstance(error, ValueError)
    chunk = of(facts, TtsChunk)[0]
    assert (chunk.chunk, chunk.start_sample, chunk.samples) == (1, 0, 4_800)  # nothing is left of the failed one


def test_what_was_heard_of_a_failing_chunk_is_recorded() -> None:
    async def scenario(loop: SpeakingLoop, facts: list[Event]) -> None:
        loop.apply(PlaybackRelease(reply_id="r1"))
        loop.apply(say("one bad end"))
        for _ in range(200):
            loop.next_frame()
            await asyncio.sleep(0.02)

    facts = play(FakeTts(delay_s=0.5, errors={"bad": TtsError("broken")}), scenario)
    chunk = of(facts, TtsChunk)[0]
    assert chunk.text == "one"
    assert facts.index(chunk) < facts.index(of(facts, TtsFailed)[0])


def test_a_silent_engine_is_given_up() -> None:
    async def scenario(loop: SpeakingLoop, facts: list[Event]) -> None:
        loop.apply(say("one"))
        await asyncio.sleep(4.9)
        assert facts == []
        await asyncio.sleep(0.2)
        assert "no audio for 5 s" in of(facts, TtsFailed)[0].message

    tts = FakeTts(delay_s=60.0)
    play(tts, scenario)
    assert tts.closed == 1


def test_the_queue_is_bounded() -> None:
    async def scenario(loop: SpeakingLoop, facts: list[Event]) -> None:
        for chunk in range(MAX_QUEUED + 2):
            loop.apply(say("word", chunk=chunk))
        assert [fact.chunk for fact in of(facts, TtsFailed)] == [MAX_QUEUED, MAX_QUEUED + 1]

    play(FakeTts(), scenario)


def test_a_reply_that_is_too_long_is_cut() -> None:
    async def scenario(loop: SpeakingLoop, facts: list[Event]) -> None:
        loop.apply(say("word " * 60))
        await asyncio.sleep(1)

    facts = play(FakeTts(), scenario, max_reply_s=5)
    assert "max_reply_s" in of(facts, TtsFailed)[0].message


def test_a_discarded_reply_is_dropped_without_a_word() -> None:
    async def scenario(loop: SpeakingLoop, facts: list[Event]) -> None:
        loop.apply(say("one two three"))
        await asyncio.sleep(1.5)
        loop.apply(ReplyDone(reply_id="r1", outcome="discarded"))
        await asyncio.sleep(5)
        loop.apply(PlaybackPause(reply_id="r1"))

    assert play(FakeTts(delay_s=1.0), scenario) == []


def test_keeping_too_many_replies_drops_the_oldest_and_says_so() -> None:
    async def scenario(loop: SpeakingLoop, facts: list[Event]) -> None:
        for number in range(1, 5):
            loop.apply(say("word", f"r{number}"))
        await asyncio.sleep(5)

    facts = play(FakeTts(delay_s=0.1), scenario)
    assert [fact.reply_id for fact in of(facts, TtsFailed)] == ["r1"]
    assert [fact.reply_id for fact in of(facts, TtsChunk)] == ["r2", "r3", "r4"]


def test_a_failing_chunk_leaves_the_one_before_it_whole() -> None:
    async def scenario(loop: SpeakingLoop, facts: list[Event]) -> None:
        loop.apply(say("one two", chunk=0))
        loop.apply(say("three bad", chunk=1))
        loop.apply(PlaybackRelease(reply_id="r1"))
        await asyncio.sleep(0.25)
        frames(loop, 2)
        await asyncio.sleep(1)
        assert frames(loop, 20) == 8 + 1

    facts = play(FakeTts(delay_s=0.1, errors={"bad": TtsError("broken")}), scenario)
    assert [fact.chunk for fact in of(facts, TtsChunk)] == [0]
    assert of(facts, PlaybackMark)[-1] == PlaybackMark(reply_id="r1", sample=9_600)


def test_a_real_engine_speaks_through_the_loop_the_same_way_each_time() -> None:
    def once() -> tuple[list[Event], bytes]:
        facts: list[Event] = []
        heard: list[np.ndarray] = []

        async def main() -> None:
            clock = Clock()
            tts = EspeakTts(TtsSettings(), clock)
            await tts.start()
            loop = SpeakingLoop(tts, clock, facts.append, PlayoutSettings(), lambda: 1.0)
            task = asyncio.create_task(loop.run())
            loop.apply(say("It is 9:41 PM in Tokyo."))
            loop.apply(say("Anything else?", chunk=1))
            loop.apply(PlaybackRelease(reply_id="r1"))
            for _ in range(250):
                await asyncio.sleep(0.02)
                frame = loop.next_frame()
                heard.append(np.zeros(960, np.int16) if frame is None else frame)
            task.cancel()
            await asyncio.wait({task})
            await tts.close()

        run_virtual(main())
        return facts, np.concatenate(heard).tobytes()

    facts, audio = once()
    first, second = of(facts, TtsChunk)
    assert second.start_sample == first.start_sample + first.samples
    assert [first.text[: word.text_end].split()[-1] for word in first.words] == first.text.split()
    assert facts[-1] == PlaybackMark(reply_id="r1", sample=second.start_sample + second.samples)
    ends = {word.end_sample for chunk in (first, second) for word in chunk.words}
    assert {fact.sample for fact in of(facts, PlaybackMark)} <= ends | {facts[-1].sample}
    assert (facts, audio) == once()


class StubbornTts(FakeTts):
    """Goes on after its cancellation; then fails, or finishes."""

    fails = True

    async def synthesize(self, text: str, speed: float = 1.0) -> AsyncIterator[Speech]:
        try:
            await asyncio.sleep(1.0)
        except asyncio.CancelledError:
            if self.fails:
                raise TtsError("stopped half way") from None
        yield Speech(np.full(1_600, 6_000, np.int16), (SpokenWord(0, 1_600, 4),))


@pytest.mark.parametrize("fails", [True, False])
def test_nothing_follows_an_ack_whatever_the_engine_does(fails: bool) -> None:
    async def scenario(loop: SpeakingLoop, facts: list[Event]) -> None:
        loop.apply(PlaybackRelease(reply_id="r1"))
        loop.apply(say("word"))
        await asyncio.sleep(0.5)
        loop.apply(CancelRequested(reply_id="r1", target="tts"))
        await asyncio.sleep(5)
        assert frames(loop, 10) == 0

    tts = StubbornTts()
    tts.fails = fails
    assert [type(fact) for fact in play(tts, scenario)] == [CancelAck, CancelFreed]


def test_the_end_of_a_reply_does_not_break_into_the_engines_clean_up() -> None:
    async def scenario(loop: SpeakingLoop, facts: list[Event]) -> None:
        loop.apply(say("one two"))
        await asyncio.sleep(0.5)
        loop.apply(CancelRequested(reply_id="r1", target="tts"))
        await asyncio.sleep(0.1)
        loop.apply(ReplyDone(reply_id="r1", outcome="interrupted"))
        await asyncio.sleep(5)

    tts = FakeTts(delay_s=1.0, free_s=0.5)
    play(tts, scenario)
    assert tts.closed == 1
