"""What every synthesiser has to do, run on every one that is embedded, in real and in virtual time."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import numpy as np
import pytest

from agent.clock import Clock, run_virtual
from agent.errors import TtsError
from agent.settings import TtsSettings
from agent.speaking.port import Speech, SpokenWord, Tts
from agent.speaking.tts_espeak import MAX_TEXT_CHARS, EspeakTts

ENGINES: list[Callable[[Clock], Tts]] = [lambda clock: EspeakTts(TtsSettings(), clock)]
RUNNERS: list[Callable[[Any], Any]] = [asyncio.run, run_virtual]

each_engine = pytest.mark.parametrize("engine", ENGINES, ids=["espeak"])
each_time = pytest.mark.parametrize("runner", RUNNERS, ids=["real", "virtual"])

TEXTS = [
    "Hello there.",
    "It is 9:41 PM in Tokyo, on 21 November 2026.",
    "That's 12.5 kilometres -- or 7,767 miles; roughly 50% more!",
    "Zürich — naïve café, $12.50 & “quotes” 東京 🙂 done.",
    "of the people, by the people, in the end I am not",
    "  leading and\n\n trailing   space  ",
    "3.14159265358979 1234567890 https://example.org/a?b=c",
    "… !",
    "supercalifragilistic" * 20,
    "Wait... what?! (Really?) \"Yes\" - 'no'.",
]


def with_engine(
    engine: Callable[[Clock], Tts], runner: Callable[[Any], Any], use: Callable[[Tts], Awaitable[Any]]
) -> Any:
    async def main() -> Any:
        tts = engine(Clock())
        await tts.start()
        try:
            return await use(tts)
        finally:
            await tts.close()

    return runner(main())


async def say(tts: Tts, text: str, speed: float = 1.0) -> tuple[np.ndarray, list[SpokenWord], list[Speech]]:
    pieces = [speech async for speech in tts.synthesize(text, speed)]
    pcm = np.concatenate([piece.pcm for piece in pieces]) if pieces else np.zeros(0, np.int16)
    return pcm, [word for piece in pieces for word in piece.words], pieces


@each_engine
@each_time
@pytest.mark.parametrize("text", TEXTS)
def test_every_token_has_one_word_in_order(engine: Any, runner: Any, text: str) -> None:
    pcm, words, pieces = with_engine(engine, runner, lambda tts: say(tts, text))
    assert pcm.dtype == np.int16
    assert pcm.ndim == 1
    assert [text[: word.text_end].split()[-1] for word in words] == text.split()
    assert all(text[word.text_end :][:1].strip() == "" for word in words)
    last = 0
    for word in words:
        assert last <= word.start_sample <= word.end_sample <= len(pcm)
        last = word.end_sample
    assert all(0 < word.text_end <= len(text) for word in words)
    start = 0
    for piece in pieces:
        start += len(piece.pcm)
        assert all(word.end_sample <= start for word in piece.words)
    if any(map(str.isalnum, text)):
        assert max(word.end_sample for word in words) == len(pcm)


@each_engine
@each_time
def test_spoken_words_sound_and_the_ends_are_not_silent(engine: Any, runner: Any) -> None:
    async def use(tts: Tts) -> tuple[np.ndarray, list[SpokenWord], int]:
        return (*(await say(tts, "Paris is sunny, and Tokyo has rain."))[:2], tts.sample_rate)

    pcm, words, rate = with_engine(engine, runner, use)
    for word in words:
        sound = pcm[word.start_sample : word.end_sample].astype(float)
        assert len(sound) > 0.04 * rate
        assert np.sqrt(np.mean(sound**2)) > 300
    loud = np.flatnonzero(np.abs(pcm.astype(int)) > 60)
    assert loud[0] < 0.02 * rate
    assert len(pcm) - loud[-1] < 0.03 * rate
    sunny, and_ = words[2], words[3]
    assert and_.start_sample - sunny.end_sample > 0.1 * rate  # the comma's pause is no part of a word


@each_engine
@each_time
@pytest.mark.parametrize("text", ["", "   \n", "."])
def test_nothing_to_say_is_no_error(engine: Any, runner: Any, text: str) -> None:
    pcm, words, _ = with_engine(engine, runner, lambda tts: say(tts, text))
    assert len(pcm) == 0
    assert len(words) == len(text.split())


@each_engine
@each_time
def test_a_very_long_text_is_streamed_whole(engine: Any, runner: Any) -> None:
    text = "The quick brown fox jumps over the lazy dog, again and again. " * 40

    async def use(tts: Tts) -> tuple[np.ndarray, list[SpokenWord], int]:
        return (*(await say(tts, text))[:2], tts.sample_rate)

    pcm, words, rate = with_engine(engine, runner, use)
    assert [text[: word.text_end].split()[-1] for word in words[:30]] == text.split()[:30]
    assert len(words) == len(text.split())
    assert len(pcm) > 100 * rate
    assert words[-1].end_sample == len(pcm)
    starts = [word.start_sample for word in words]
    assert starts == sorted(starts)


@each_engine
@each_time
def test_a_text_beyond_the_limit_is_refused(engine: Any, runner: Any) -> None:
    with pytest.raises(TtsError, match="too long"):
        with_engine(engine, runner, lambda tts: say(tts, "x" * (MAX_TEXT_CHARS + 1)))


@each_engine
@each_time
def test_speed_changes_the_length(engine: Any, runner: Any) -> None:
    async def use(tts: Tts) -> list[int]:
        return [len((await say(tts, "one two three four five", speed))[0]) for speed in (0.5, 1.0, 2.0)]

    slow, normal, fast = with_engine(engine, runner, use)
    assert slow > 1.4 * normal
    assert normal > 1.4 * fast


@each_engine
@each_time
@pytest.mark.parametrize("marked", ["one <break time='5s'/> two", "[[h@'loU]]", "a\x01+50S b \x00 \ud800 c"])
def test_markup_and_commands_are_text(engine: Any, runner: Any, marked: str) -> None:
    async def use(tts: Tts) -> tuple[int, int, list[SpokenWord], int]:
        pcm, words, _ = await say(tts, marked)
        before = await say(tts, "plain words")
        return len(pcm), len(before[0]), words, tts.sample_rate

    samples, plain, words, rate = with_engine(engine, runner, use)
    assert len(words) == len(marked.split())
    assert 0 < samples < 5 * rate
    assert 0.4 * rate < plain < 1.2 * rate  # no setting was changed by it


@each_engine
@each_time
def test_closing_stops_the_engine_and_the_next_text_is_spoken(engine: Any, runner: Any) -> None:
    async def use(tts: Tts) -> int:
        stream = tts.synthesize("This is a long sentence that nobody wants to hear to its end. " * 20)
        first = await anext(stream)
        assert len(first.pcm)
        await stream.aclose()  # type: ignore[attr-defined]
        return len((await say(tts, "short"))[0])

    assert with_engine(engine, runner, use) > 0


@each_engine
@each_time
def test_cancelling_the_reader_leaves_a_working_engine(engine: Any, runner: Any) -> None:
    async def use(tts: Tts) -> int:
        task = asyncio.create_task(say(tts, "a long sentence, spoken to nobody at all " * 20))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return len((await say(tts, "short"))[0])

    assert with_engine(engine, runner, use) > 0


@each_engine
@each_time
def test_sessions_at_once_each_get_their_own_text(engine: Any, runner: Any) -> None:
    texts = [f"session number {number} says {number}" for number in range(6)]

    async def use(tts: Tts) -> list[tuple[np.ndarray, list[SpokenWord], list[Speech]]]:
        return await asyncio.gather(*(say(tts, text) for text in texts))

    for (pcm, words, _), text in zip(with_engine(engine, runner, use), texts, strict=True):
        assert len(words) == len(text.split())
        assert words[-1].end_sample == len(pcm)


@each_engine
def test_the_same_calls_give_the_same_audio_in_virtual_time(engine: Any) -> None:
    async def use(tts: Tts) -> list[bytes]:
        return [(await say(tts, text))[0].tobytes() for text in ("Good morning.", "It is 2026.", "Good morning.")]

    assert with_engine(engine, run_virtual, use) == with_engine(engine, run_virtual, use)


@each_engine
def test_synthesis_takes_no_virtual_time_to_speak_of(engine: Any) -> None:
    async def use(tts: Tts) -> int:
        clock = Clock()
        await say(tts, "A sentence of some length, to be spoken.")
        return clock.now_us()

    assert with_engine(engine, run_virtual, use) < 100


def test_an_unknown_voice_is_an_error_that_says_what_to_do() -> None:
    async def main() -> None:
        await EspeakTts(TtsSettings(voice="klingon-hd"), Clock()).start()

    with pytest.raises(TtsError, match=r"tts\.voice"):
        asyncio.run(main())


def test_an_engine_that_was_not_started_says_so() -> None:
    async def main() -> None:
        await say(EspeakTts(TtsSettings(), Clock()), "hello")

    with pytest.raises(TtsError, match="start"):
        asyncio.run(main())
