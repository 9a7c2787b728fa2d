"""What the recogniser and the session get of an echo: nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import numpy as np

from agent.clock import Clock, run_virtual
from agent.conversation.events import Event, SpeechStarted
from agent.hearing.loop import HearingLoop
from agent.hearing.port import Hypothesis, Pcm
from agent.hearing.vad_webrtc import WebRtcVad
from agent.settings import EchoSettings, VadSettings
from tests.fixtures.loopback import RATE, Audio, echo, microphone, noise, scaled
from tests.fixtures.speech import resampled, speak

STORY = "Every evening its keeper climbed the stairs and lit the lamp, and then she wrote down what the sea had said."
WORDS = "stop that please"
AT_MS = 4_000


class Listener:
    """A recogniser that keeps what it is given, and its stream."""

    name = "listener"

    def __init__(self) -> None:
        self.pieces: list[Pcm] = []

    async def start(self) -> None: ...

    async def open(self, on_partial: Callable[[str], None], on_error: Callable[[str], None]) -> Listener:
        return self

    def push(self, pcm: Pcm) -> None:
        self.pieces.append(pcm)

    async def settle(self) -> Hypothesis:
        return Hypothesis("")

    def reset(self) -> None: ...

    async def close(self) -> None: ...


def played() -> Pcm:
    spoken = speak(STORY, "espeak:en-us", 48_000)
    return spoken[: spoken.size // 960 * 960]


def hear(sound: Audio, settings: EchoSettings | None = None) -> tuple[list[Event], Pcm]:
    """The facts, and the audio that the recogniser got."""

    async def main() -> tuple[list[Event], Pcm]:
        facts: list[Event] = []
        listener, clock, vad = Listener(), Clock(), VadSettings()
        loop = HearingLoop(WebRtcVad(vad), listener, vad, clock, facts.append, settings)
        running = asyncio.ensure_future(loop.run())
        frames, pcm = played().reshape(-1, 960), microphone(sound)
        for number in range(pcm.size // 320):
            loop.played(frames[number] if number < len(frames) else None)
            await asyncio.sleep(0.02)
            loop.hear(pcm[number * 320 : number * 320 + 320])
        running.cancel()
        await asyncio.wait([running])
        return facts, np.concatenate(listener.pieces) if listener.pieces else np.zeros(0, np.int16)

    return run_virtual(main())


def background() -> Audio:
    spoken = resampled(played(), 48_000, RATE)
    return echo(np.concatenate((spoken, np.zeros(RATE, np.int16))), -12, 130) + noise(spoken.size + RATE)


def with_words(sound: Audio) -> Audio:
    spoken, mixed = scaled(speak(WORDS).astype(float), 2_000), sound.copy()
    mixed[AT_MS * 16 : AT_MS * 16 + spoken.size] += spoken
    return mixed


def test_an_echo_is_neither_told_nor_recognised() -> None:
    facts, recognised = hear(background())
    assert facts == []
    assert recognised.size == 0


def test_without_the_guard_it_is_both() -> None:
    facts, recognised = hear(background(), EchoSettings(guard=False))
    assert any(isinstance(fact, SpeechStarted) for fact in facts)
    assert recognised.size > RATE


def test_of_the_echo_before_a_persons_words_the_recogniser_gets_silence() -> None:
    """Its preroll is 300 ms; all but the last of it, where the words may begin, is surely echo."""
    facts, recognised = hear(with_words(background()))
    started = [fact for fact in facts if isinstance(fact, SpeechStarted)]
    assert 0 <= started[0].onset_us / 1_000 - AT_MS <= 250
    assert recognised.size > RATE // 2
    assert not recognised[: RATE * 100 // 1_000].any()


def test_without_echo_the_recogniser_gets_every_sample_as_without_the_guard() -> None:
    sound = with_words(noise(played().size // 3 + RATE))
    facts, recognised = hear(sound)
    facts_off, recognised_off = hear(sound, EchoSettings(guard=False))
    assert len(facts) == len(facts_off)
    assert np.array_equal(recognised[-RATE // 2 :], recognised_off[-RATE // 2 :])
    assert abs(recognised.size - recognised_off.size) <= RATE * 60 // 1_000
