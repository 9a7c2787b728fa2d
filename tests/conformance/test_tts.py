"""What every synthesiser has to do, run on every one that is embedded, in real and in virtual time."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agent.clock import Clock, run_virtual
from agent.errors import TtsError
from agent.settings import TtsSettings
from agent.speaking.port import MAX_TEXT_CHARS, Speech, SpokenWord, Tts
from agent.speaking.tts_espeak import EspeakTts
from agent.speaking.tts_piper import PiperTts
from tests.conformance.holdings import Holdings, cycles, holdings
from tests.fixtures.even_voice import EvenVoice

ACK_BUDGET_US = 50_000
VOICES = Path(__file__).parents[1] / "fixtures" / "voice"

Engine = Callable[[Clock], Tts]
Runner = Callable[[Any], Any]


def espeak(clock: Clock) -> Tts:
    return EspeakTts(TtsSettings(), clock)


def piper(clock: Clock) -> Tts:
    """piper itself, with a fixture for a voice."""
    return PiperTts(TtsSettings(model=str(VOICES / "tones.onnx")), Path("nowhere"), clock)


def unaligned(clock: Clock) -> Tts:
    """As above, with a voice that does not say where its words lie."""
    return PiperTts(TtsSettings(model=str(VOICES / "unaligned.onnx")), Path("nowhere"), clock)


def fake(clock: Clock) -> Tts:
    return EvenVoice(TtsSettings(), clock)


def on(*cases: tuple[str, Engine, Runner]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(("engine", "runner"), [case[1:] for case in cases], ids=[case[0] for case in cases])


# A process for each test is slow, so piper runs in real time only where that can make a difference.
EMBEDDED = (("espeak-real", espeak, asyncio.run), ("espeak-virtual", espeak, run_virtual))
QUICK = (*EMBEDDED, ("piper-virtual", piper, run_virtual))
each = on(*QUICK)
each_and_fakes = on(*QUICK, ("unaligned-virtual", unaligned, run_virtual), ("fake", fake, run_virtual))
each_virtual = pytest.mark.parametrize("engine", [espeak, piper, fake], ids=["espeak", "piper", "fake"])
each_streaming = on(*QUICK, ("piper-real", piper, asyncio.run))
each_cancelled = on(*QUICK, ("piper-real", piper, asyncio.run), ("fake", fake, asyncio.run))

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


def with_engine(engine: Engine, runner: Runner, use: Callable[[Tts], Awaitable[Any]]) -> Any:
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


@each_and_fakes
def test_every_token_has_one_word_in_order(engine: Engine, runner: Runner) -> None:
    async def use(tts: Tts) -> None:
        for text in TEXTS:
            one_word_a_token(text, *await say(tts, text))

    with_engine(engine, runner, use)


def one_word_a_token(text: str, pcm: np.ndarray, words: list[SpokenWord], pieces: list[Speech]) -> None:
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


@each
def test_spoken_words_sound_and_the_ends_are_not_silent(engine: Engine, runner: Runner) -> None:
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


@each
def test_nothing_to_say_is_no_error(engine: Engine, runner: Runner) -> None:
    async def use(tts: Tts) -> None:
        for text in ("", "   \n", "."):
            pcm, words, _ = await say(tts, text)
            assert len(pcm) == 0
            assert len(words) == len(text.split())

    with_engine(engine, runner, use)


@each
def test_a_very_long_text_is_streamed_whole(engine: Engine, runner: Runner) -> None:
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


@each
def test_a_text_beyond_the_limit_is_refused(engine: Engine, runner: Runner) -> None:
    with pytest.raises(TtsError, match="too long"):
        with_engine(engine, runner, lambda tts: say(tts, "x" * (MAX_TEXT_CHARS + 1)))


@each
def test_speed_changes_the_length(engine: Engine, runner: Runner) -> None:
    async def use(tts: Tts) -> list[int]:
        return [len((await say(tts, "one two three four five", speed))[0]) for speed in (0.5, 1.0, 2.0)]

    slow, normal, fast = with_engine(engine, runner, use)
    assert slow > 1.4 * normal
    assert normal > 1.4 * fast


@each
def test_markup_and_commands_are_text(engine: Engine, runner: Runner) -> None:
    async def use(tts: Tts) -> None:
        for marked in ("one <break time='5s'/> two", "[[h@'loU]]", "a\x01+50S b \x00 \ud800 c"):
            pcm, words, _ = await say(tts, marked)
            after = await say(tts, "plain words")
            assert len(words) == len(marked.split())
            assert 0 < len(pcm) < 5 * tts.sample_rate
            assert 0.4 * tts.sample_rate < len(after[0]) < 1.2 * tts.sample_rate  # no setting was changed by it

    with_engine(engine, runner, use)


@each_streaming
def test_closing_stops_the_engine_and_the_next_text_is_spoken(engine: Engine, runner: Runner) -> None:
    async def use(tts: Tts) -> int:
        stream = tts.synthesize("This is a long sentence that nobody wants to hear to its end. " * 20)
        first = await anext(stream)
        assert len(first.pcm)
        await stream.aclose()  # type: ignore[attr-defined]
        return len((await say(tts, "short"))[0])

    assert with_engine(engine, runner, use) > 0


@each_streaming
def test_cancelling_the_reader_leaves_a_working_engine(engine: Engine, runner: Runner) -> None:
    async def use(tts: Tts) -> int:
        task = asyncio.create_task(say(tts, "a long sentence, spoken to nobody at all " * 20))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return len((await say(tts, "short"))[0])

    assert with_engine(engine, runner, use) > 0


@each_cancelled
def test_sessions_at_once_each_get_their_own_text(engine: Engine, runner: Runner) -> None:
    texts = [f"session number {number} says {number}" for number in range(6)]

    async def use(tts: Tts) -> list[tuple[np.ndarray, list[SpokenWord], list[Speech]]]:
        return await asyncio.gather(*(say(tts, text) for text in texts))

    for (pcm, words, _), text in zip(with_engine(engine, runner, use), texts, strict=True):
        assert len(words) == len(text.split())
        assert words[-1].end_sample == len(pcm)


@each_virtual
def test_the_same_calls_give_the_same_audio_in_virtual_time(engine: Engine) -> None:
    async def use(tts: Tts) -> list[bytes]:
        return [(await say(tts, text))[0].tobytes() for text in ("Good morning.", "It is 2026.", "Good morning.")]

    assert with_engine(engine, run_virtual, use) == with_engine(engine, run_virtual, use)


@each_virtual
def test_synthesis_takes_no_virtual_time_to_speak_of(engine: Engine) -> None:
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


@pytest.mark.parametrize("engine", [espeak, piper], ids=["espeak", "piper"])
def test_an_engine_that_was_not_started_says_so(engine: Engine) -> None:
    async def main() -> None:
        await say(engine(Clock()), "hello")

    with pytest.raises(TtsError, match="start"):
        asyncio.run(main())


@each_cancelled
def test_nothing_comes_once_it_is_closed_and_nothing_is_left_behind(engine: Engine, runner: Runner) -> None:
    """A thousand syntheses, each cancelled at another moment; the engine says the last one whole."""

    async def cut_off(tts: Tts, steps: int) -> int:
        """Microseconds until nothing of it runs any more."""
        heard: list[Speech] = []

        async def read() -> None:
            async for speech in tts.synthesize("A word, then another. And so on, and so forth."):
                heard.append(speech)  # noqa: PERF401 - what came before the cut is kept

        reader, clock = asyncio.create_task(read()), Clock()
        for _ in range(steps):
            await asyncio.sleep(0)
        cut_us = clock.now_us()
        reader.cancel()
        await asyncio.wait({reader})
        took_us = clock.now_us() - cut_us
        assert reader.cancelled() or reader.exception() is None
        before = len(heard)
        await asyncio.sleep(0)
        assert len(heard) == before
        return took_us

    async def use(tts: Tts) -> tuple[Holdings, Holdings, list[int], int]:
        for cycle in range(50):
            await cut_off(tts, cycle % 13)
        before = holdings(getattr(tts, "pid", None))
        took_us = sorted([await cut_off(tts, cycle % 13) for cycle in range(cycles())])
        return before, holdings(getattr(tts, "pid", None)), took_us, len((await say(tts, "short"))[0])

    before, after, took_us, samples = with_engine(engine, runner, use)
    assert samples > 0
    assert (after.threads, after.files, after.processes) <= (before.threads, before.files, before.processes)
    assert after.kib < before.kib + 4_096
    # The machine may be busy with something else at one of them, but not at half.
    assert took_us[len(took_us) // 2] <= ACK_BUDGET_US
