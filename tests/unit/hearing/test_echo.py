"""The guard with the real detector: the agent speaks with espeak-ng's voice, people with flite's."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache

import numpy as np
import pytest

from agent.hearing.detector import SpeechDetector
from agent.hearing.echo import EchoGuard
from agent.hearing.port import Pcm
from agent.hearing.vad_webrtc import WebRtcVad
from agent.settings import EchoSettings, VadSettings
from tests.fixtures.loopback import RATE, Audio, echo, microphone, noise, room, scaled
from tests.fixtures.speech import resampled, speak

LEVELS_DB = (-6, -12, -20, -30)
STORY = (
    "Once upon a time there was a small lighthouse on a rock, far from the harbour. Every evening its keeper climbed "
    "the stairs and lit the lamp. One night a storm came, and the lamp would not burn."
)
SENTENCES = ("stop that please", "what time is it in paris", "no wait cancel that")
PEOPLE = list(zip(SENTENCES, ("slt", "rms", "kal"), strict=True))
LATENESS_MS = 150
"""What the guard may cost, from the same speech without echo and guard."""
SOON_MS = 3_000
"""Within this of beginning to speak a person is heard or not."""


@cache
def story(rate: int) -> Pcm:
    spoken = speak(STORY, "espeak:en-us", 48_000)
    spoken = spoken[: spoken.size // 960 * 960]
    return spoken if rate == 48_000 else resampled(spoken, 48_000, rate)


@dataclass
class Heard:
    """What came of it, times in ms."""

    starts: list[int] = field(default_factory=list)
    stops: list[int] = field(default_factory=list)
    voiced_ms: int = 0
    guard: EchoGuard = field(default_factory=lambda: EchoGuard(EchoSettings()))


def listen(sound: Audio, played: Pcm | None, settings: EchoSettings | None = None) -> Heard:
    """`played`, 48 kHz, begins with the microphone's first sample."""
    heard = Heard(guard=EchoGuard(settings or EchoSettings()))
    vad = VadSettings()
    detector, pcm = SpeechDetector(WebRtcVad(vad), vad, heard.guard), microphone(sound)
    for number in range(pcm.size // 320):
        frame = None if played is None else played[number * 960 : number * 960 + 960]
        silent = frame is None or frame.size < 960 or not frame.any()
        heard.guard.played(None if silent else frame, number * 20_000)
        for one in detector.feed(pcm[number * 320 : number * 320 + 320], number * 20_000 + 20_000):
            at_ms = number * 20 + 20 - one.ago_samples // 16
            if one.edge == "started":
                heard.starts.append(at_ms)
            elif one.edge == "stopped":
                heard.stops.append(at_ms)
            heard.voiced_ms = max(heard.voiced_ms, one.voiced_ms if one.speaking else 0)
    return heard


def returned(level_db: float, delay_ms: float | Audio, response: Audio | None = None) -> Audio:
    spoken = np.concatenate((story(RATE), np.zeros(RATE // 2, np.int16)))
    return echo(spoken, level_db, delay_ms, response) + noise(spoken.size)


def with_person(background: Audio, text: str, at_ms: int, rms: float, voice: str = "slt") -> Audio:
    spoken, mixed, start = scaled(speak(text, voice).astype(float), rms), background.copy(), at_ms * 16
    mixed[start : start + spoken.size] += spoken[: mixed.size - start]
    return mixed


@cache
def started_alone_ms(text: str, voice: str, at_ms: int) -> int:
    """When the same is heard without echo and guard."""
    return listen(with_person(noise((at_ms + SOON_MS) * 16), text, at_ms, 2_000, voice), None, OFF).starts[0]


OFF = EchoSettings(guard=False)


@pytest.mark.parametrize("level_db", LEVELS_DB)
@pytest.mark.parametrize("delay_ms", [0, 60, 150, 300])
def test_the_agents_own_voice_starts_nothing(level_db: int, delay_ms: int) -> None:
    heard = listen(returned(level_db, delay_ms), story(48_000))
    assert heard.starts == []
    assert heard.guard.delay is not None
    assert abs(heard.guard.delay / 16 - delay_ms) < 15


def test_without_the_guard_it_does() -> None:
    assert len(listen(returned(-20, 150), story(48_000), OFF).starts) >= 5


@pytest.mark.parametrize(("ring_s", "direct_db", "level_db"), [(0.15, 8.0, -6), (0.5, 0.0, -12), (0.8, -3.0, -20)])
def test_nor_does_it_in_other_rooms(ring_s: float, direct_db: float, level_db: int) -> None:
    assert listen(returned(level_db, 120, room(5, ring_s, direct_db)), story(48_000)).starts == []


def test_nor_through_a_loudspeaker_that_distorts() -> None:
    squeezed = np.tanh(story(RATE) / 12_000) * 12_000
    assert listen(echo(squeezed, -10, 120) + noise(squeezed.size), story(48_000)).starts == []


@pytest.mark.parametrize("drift_ppm", [300, -1_000])
def test_nor_when_the_clocks_drift(drift_ppm: int) -> None:
    delay_ms = 150 + np.arange(story(RATE).size + RATE // 2) * drift_ppm * 1e-6 / 16
    heard = listen(returned(-12, delay_ms), story(48_000))
    assert heard.starts == []
    assert heard.guard.delay is not None
    assert abs(heard.guard.delay / 16 - delay_ms[-1]) < 8


def test_when_the_delay_changes_it_starts_once_at_most() -> None:
    after = np.arange(story(RATE).size + RATE // 2) > 5 * RATE
    heard = listen(returned(-12, np.where(after, 220.0, 100.0)), story(48_000))
    assert [at_ms for at_ms in heard.starts if at_ms < 5_000] == []
    assert len(heard.starts) <= 1
    assert heard.guard.delay is not None
    assert abs(heard.guard.delay / 16 - 220) < 15


def test_when_the_volume_is_turned_up_it_starts_once_at_most() -> None:
    quiet = returned(-24, 100)
    after = np.arange(quiet.size) > 5 * RATE
    assert len(listen(np.where(after, 4.0, 1.0) * quiet, story(48_000)).starts) <= 1


# ── a person ─────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("level_db", LEVELS_DB)
@pytest.mark.parametrize("delay_ms", [20, 150, 300])
@pytest.mark.parametrize(("text", "voice"), PEOPLE)
def test_a_person_over_the_echo_is_heard(level_db: int, delay_ms: int, text: str, voice: str) -> None:
    around = returned(level_db, delay_ms)
    for at_ms in (1_500, 6_000):
        over = listen(with_person(around, text, at_ms, 2_000, voice)[: (at_ms + SOON_MS) * 16], story(48_000))
        assert over.starts, "the person was not heard"
        assert at_ms < over.starts[0] <= started_alone_ms(text, voice, at_ms) + LATENESS_MS


@pytest.mark.parametrize(("text", "voice"), PEOPLE)
def test_on_headphones_a_person_is_not_kept_waiting(text: str, voice: str) -> None:
    sound = with_person(noise(story(RATE).size), text, 6_000, 1_000, voice)
    with_guard, without = listen(sound, story(48_000)), listen(sound, story(48_000), OFF)
    assert with_guard.starts[0] - without.starts[0] <= 40


def test_before_it_is_known_whether_there_is_an_echo_a_person_waits_for_the_verdict() -> None:
    sound = with_person(noise(story(RATE).size), SENTENCES[1], 300, 1_000)
    with_guard, without = listen(sound, story(48_000)), listen(sound, story(48_000), OFF)
    assert 0 < with_guard.starts[0] - without.starts[0] <= LATENESS_MS


@pytest.mark.parametrize("voice", ["slt", "rms", "kal", "awb"])
def test_while_nothing_is_played_the_guard_changes_nothing(voice: str) -> None:
    sound = with_person(with_person(noise(8 * RATE), SENTENCES[1], 700, 2_000, voice), SENTENCES[2], 4_500, 300, voice)
    with_guard, without = listen(sound, None), listen(sound, None, OFF)
    assert (with_guard.starts, with_guard.stops, with_guard.voiced_ms) == (
        without.starts,
        without.stops,
        without.voiced_ms,
    )
    assert with_guard.starts


def test_a_second_after_the_agent_has_spoken_the_guard_changes_nothing() -> None:
    spoken = returned(-12, 100)
    quiet = np.concatenate((spoken, noise(3 * RATE, seed=2)))
    sound = with_person(quiet, SENTENCES[0], spoken.size // 16 + 600, 800)
    alone = with_person(noise(quiet.size), SENTENCES[0], spoken.size // 16 + 600, 800)
    with_guard, without = listen(sound, story(48_000)), listen(alone, None, OFF)
    assert abs(with_guard.starts[0] - without.starts[0]) <= 10


def test_the_same_audio_gives_the_same_verdicts() -> None:
    sound = with_person(returned(-12, 100), SENTENCES[0], 4_000, 2_000)
    first, second = listen(sound, story(48_000)), listen(sound, story(48_000))
    assert (first.starts, first.stops, first.guard.delay) == (second.starts, second.stops, second.guard.delay)


def test_the_guard_can_be_switched_off_and_on_again() -> None:
    guard = EchoGuard(OFF)
    frame = np.zeros(160, np.int16)
    guard.played(story(48_000)[:960], 0)
    assert guard.judge(frame, 10_000, speech=True) == "near"
    guard.configure(EchoSettings())
    guard.played(story(48_000)[:960], 20_000)
    assert guard.judge(frame, 30_000, speech=True) == "unsure"
