"""Turns of several microphones in front of one decoder, in virtual time; the decoder reads spelled speech."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from agent.clock import Clock, run_virtual
from agent.errors import AsrError
from agent.hearing.port import HeardWord
from agent.hearing.whisper_protocol import Request, Transcript
from agent.hearing.whisper_queue import WhisperQueue
from agent.hearing.whisper_stream import MAX_SAMPLES, TRIM_SAMPLES
from tests.fixtures.spelled_speech import WORDS, Pcm, Reader, spelled

PIECE = 640


class Ear:
    """One microphone; `partials`, what of each was `stable`, and the time at which it came."""

    def __init__(self, queue: WhisperQueue) -> None:
        self.partials: list[str] = []
        self.stable: list[str] = []
        self.at_ms: list[int] = []
        self.errors: list[str] = []
        self._queue = queue
        self.stream = queue.open(self._take, self.errors.append)

    def _take(self, text: str, stable: int = 0) -> None:
        self.partials.append(text)
        self.stable.append(text[:stable])
        self.at_ms.append(self._queue.now_us() // 1_000)

    async def hear(self, pcm: Pcm) -> None:
        for at in range(0, pcm.size, PIECE):
            await asyncio.sleep(0.04)
            self.stream.push(pcm[at : at + PIECE])


def scene(play: Callable[[WhisperQueue], Awaitable[None]], decoder: object, **settings: int) -> None:
    async def main() -> None:
        queue = WhisperQueue(decoder, Clock(), settings.get("partial_ms", 300), settings.get("max_partial_ms", 1_500))  # type: ignore[arg-type]
        queue.start()
        try:
            await play(queue)
        finally:
            await queue.close()

    run_virtual(main())


def test_a_turn_is_told_while_it_is_spoken_and_what_was_stable_stays() -> None:
    async def play(queue: WhisperQueue) -> None:
        ear = Ear(queue)
        await ear.hear(spelled("one two three four five", silence_ms=100))
        found = await ear.stream.settle()
        assert found.text == "one two three four five"
        assert found.understood
        assert len(ear.partials) >= 4
        assert ear.partials[-1] == found.text
        assert [word.start_ms for word in found.words] == [0, 320, 640, 960, 1_280]
        await ear.hear(spelled("six", silence_ms=100))
        assert (await ear.stream.settle()).text == "one two three four five six"

    scene(play, Reader())


def test_a_final_behind_a_pause_needs_no_decode_of_its_own() -> None:
    async def play(queue: WhisperQueue) -> None:
        ear = Ear(queue)
        await ear.hear(spelled("one two", silence_ms=100))
        await asyncio.sleep(0.05)
        asked_us, decodes = queue.now_us(), len(reader.requests)
        assert (await ear.stream.settle()).text == "one two"
        assert queue.now_us() == asked_us
        assert len(reader.requests) == decodes

    reader = Reader(takes_ms=40)
    scene(play, reader)


def test_stable_words_are_not_decoded_again() -> None:
    async def play(queue: WhisperQueue) -> None:
        ear = Ear(queue)
        await ear.hear(spelled("one two three four five six"))
        assert reader.requests[-1].prefix.startswith("one two three")

    reader = Reader()
    scene(play, reader)


def test_a_long_turn_is_cut_behind_stable_words_and_nothing_is_lost() -> None:
    said = " ".join(random.Random(1).choices(WORDS, k=120))

    async def play(queue: WhisperQueue) -> None:
        ear = Ear(queue)
        await ear.hear(spelled(said, silence_ms=100))
        found = await ear.stream.settle()
        assert found.text == said
        longest = max(len(request.samples) for request in reader.requests) // 2
        assert longest < TRIM_SAMPLES + 16_000
        assert reader.requests[-1].context
        assert reader.requests[-1].context in said
        starts = [word.start_ms for word in found.words]
        assert starts == [320 * index for index in range(len(starts))]

    reader = Reader()
    scene(play, reader)


@pytest.mark.parametrize("seed", range(5))
def test_what_was_told_as_stable_never_changes_whatever_the_decoder_makes_of_it(seed: int) -> None:
    """Other words, another spelling, fewer words, and windows cut meanwhile."""

    class Unsure(Reader):
        async def transcribe(self, request: Request) -> Transcript:
            words = (await super().transcribe(request)).words
            kept = words[: len(words) - dice.choice((0, 0, 0, 2, 9))]
            return Transcript(tuple(replace(word, text=self.heard(word.text)) for word in kept))

        def heard(self, word: str) -> str:
            return dice.choice((word, word, word, word.title(), f"{word},", f'"{word}."', "..."))

    async def play(queue: WhisperQueue) -> None:
        ear = Ear(queue)
        finals = []
        for _ in range(2):
            await ear.hear(spelled(" ".join(dice.choices(WORDS, k=30)), silence_ms=100))
            finals.append((await ear.stream.settle()).text)
            assert finals[-1].startswith(ear.stable[-1])
        assert all(later.startswith(earlier) for earlier, later in pairwise(ear.stable))
        assert len(set(ear.stable)) > 5

    dice = random.Random(seed)
    scene(play, Unsure(), partial_ms=400)


def test_a_window_in_which_nothing_is_stable_does_not_grow_for_ever() -> None:
    class Fickle(Reader):
        async def transcribe(self, request: Request) -> Transcript:
            self.requests.append(request)
            return Transcript((HeardWord(f"guess{len(self.requests)}", 0, 100),))

    async def play(queue: WhisperQueue) -> None:
        await Ear(queue).hear(np.full(16_000 * 40, 9_000, np.int16))
        assert max(len(request.samples) for request in reader.requests) <= 2 * (MAX_SAMPLES + PIECE)

    reader = Fickle()
    scene(play, reader, partial_ms=1_000)


def test_after_a_reset_and_after_a_close_nothing_comes_any_more() -> None:
    async def play(queue: WhisperQueue) -> None:
        ear, other = Ear(queue), Ear(queue)
        for end in (ear.stream.reset, None):
            await ear.hear(spelled("one two"))
            asked = asyncio.create_task(ear.stream.settle())
            await asyncio.sleep(0.01)
            before = len(ear.partials)
            if end:
                end()
            else:
                await ear.stream.close()
            with pytest.raises(AsrError):
                await asked
            await asyncio.sleep(2)
            assert len(ear.partials) == before
        await other.hear(spelled("five", silence_ms=100))
        assert (await other.stream.settle()).text == "five"

    scene(play, Reader(takes_ms=500))


def test_a_new_turn_does_not_get_the_words_of_the_one_before() -> None:
    async def play(queue: WhisperQueue) -> None:
        ear = Ear(queue)
        await ear.hear(spelled("one two three"))
        ear.stream.reset()
        ear.partials.clear()
        await ear.hear(spelled("nine", silence_ms=100))
        found = await ear.stream.settle()
        assert found.text == "nine"
        assert found.words == (HeardWord("nine", 0, 300),)
        assert all(set(text.split()) <= {"nine", "half"} for text in ear.partials)

    scene(play, Reader(takes_ms=150))


def test_silence_and_nothing_at_all_are_not_decoded() -> None:
    async def play(queue: WhisperQueue) -> None:
        ear = Ear(queue)
        assert (await ear.stream.settle()).text == ""
        await ear.hear(np.zeros(16_000, np.int16))
        found = await ear.stream.settle()
        assert (found.text, found.understood) == ("", False)
        assert reader.requests == []

    reader = Reader()
    scene(play, reader)


def test_sessions_take_turns_and_no_partial_is_stale() -> None:
    async def play(queue: WhisperQueue) -> None:
        ears = [Ear(queue) for _ in range(3)]
        words = " ".join("one two three four five six seven eight nine ten".split())
        await asyncio.gather(*(ear.hear(spelled(words)) for ear in ears))
        counts = [len(ear.partials) for ear in ears]
        assert min(counts) >= 3
        assert max(counts) - min(counts) <= 1
        for ear in ears:
            assert max(np.diff(ear.at_ms)) <= 1_500
            assert ear.errors == []

    scene(play, Reader(takes_ms=100))


def test_partials_leave_the_decoder_half_of_its_time() -> None:
    async def play(queue: WhisperQueue) -> None:
        ear = Ear(queue)
        await ear.hear(spelled(" ".join(["one", "two", "three"] * 10)))
        assert len(reader.requests) * 400 <= 9_600 * 0.6

    reader = Reader(takes_ms=400)
    scene(play, reader)


def test_a_decoder_that_is_too_slow_gives_finals_only_and_says_so_once() -> None:
    async def play(queue: WhisperQueue) -> None:
        ears = [Ear(queue), Ear(queue)]
        await asyncio.gather(*(ear.hear(spelled("one two three four five six seven eight nine ten")) for ear in ears))
        before = len(reader.requests)
        for ear in ears:
            ear.stream.reset()
        await asyncio.gather(*(ear.hear(spelled("one two three four five six")) for ear in ears))
        assert len(reader.requests) - before <= 1
        found = await asyncio.gather(*(ear.stream.settle() for ear in ears))
        assert [each.text for each in found] == ["one two three four five six"] * 2
        for ear in ears:
            assert [error.partition(":")[0] for error in ear.errors].count("asr.behind") in (1, 2)  # once a turn

    reader = Reader(takes_ms=900)
    scene(play, reader)


def test_a_decoder_that_fails_is_told_and_the_next_turn_is_heard() -> None:
    class Broken(Reader):
        broken = True

        async def transcribe(self, request: Request) -> Transcript:
            if self.broken:
                raise AsrError("it broke")
            return await super().transcribe(request)

    async def play(queue: WhisperQueue) -> None:
        ear = Ear(queue)
        await ear.hear(spelled("one two three"))
        assert ear.errors == ["asr: it broke"]
        with pytest.raises(AsrError):
            await ear.stream.settle()
        decoder.broken = False
        ear.stream.reset()
        await ear.hear(spelled("four", silence_ms=100))
        assert (await ear.stream.settle()).text == "four"

    decoder = Broken()
    scene(play, decoder)
