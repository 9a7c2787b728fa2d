"""The guard where something else sounds besides: a fridge that starts, a sound card's offset, a person who is no
louder than the echo, or who says what the agent says."""

from __future__ import annotations

import numpy as np
import pytest

from agent.conversation.policy import Interruption
from tests.fixtures.loopback import RATE, Audio, noise, scaled
from tests.unit.hearing.test_echo import LATENESS_MS, OFF, PEOPLE, SENTENCES, listen, returned, story, with_person

SAMPLES = story(RATE).size
TIME = np.arange(SAMPLES) / RATE
POLICY = Interruption()
BEGINS_S = 3.0
PERSON_MS = 5_500
SAID_BY_THE_AGENT = "Every evening its keeper climbed the stairs and lit the lamp."
SAID_AT_MS = 4_300
"""When the agent says that, about."""


def machine(hz: int, rms: float, harmonics: int = 1) -> Audio:
    """A tone, or a hum with its harmonics, that begins in the midst of what the agent says."""
    sound = sum(np.sin(2 * np.pi * hz * k * TIME + k) / k for k in range(1, harmonics + 1))
    return np.where(TIME >= BEGINS_S, scaled(np.asarray(sound), rms), 0.0)


MACHINES = {
    "a soft tone": machine(440, 300),
    "a loud tone": machine(440, 3_000),
    "a high tone": machine(1_000, 400),
    "mains, 60 Hz": machine(60, 300, 11),
    "a loud transformer": machine(100, 1_000, 11),
    "a transformer": machine(120, 300, 11),
}


@pytest.mark.parametrize("comes_back", [False, True])
@pytest.mark.parametrize("name", MACHINES)
def test_a_machine_that_starts_does_not_interrupt_and_keeps_nobody_from_it(name: str, comes_back: bool) -> None:
    around = (returned(-12, 120)[:SAMPLES] if comes_back else noise(SAMPLES)) + MACHINES[name]
    alone = listen(around, story(48_000))
    assert alone.voiced_ms < POLICY.voiced_ms, "a pause at most"
    over = listen(with_person(around, SENTENCES[1], PERSON_MS, 2_000), story(48_000))
    spoke = [at_ms for at_ms in over.starts if at_ms > PERSON_MS]
    assert (spoke and spoke[0] < PERSON_MS + 550) or over.voiced_ms > alone.voiced_ms + POLICY.words_voiced_ms


@pytest.mark.parametrize("comes_back", [False, True])
def test_a_sound_card_s_offset_is_no_sound(comes_back: bool) -> None:
    around = (returned(-12, 120)[:SAMPLES] if comes_back else noise(SAMPLES)) + 3_000.0
    assert listen(around, story(48_000)).starts == []
    over = listen(with_person(around, SENTENCES[1], PERSON_MS, 2_000), story(48_000))
    alone = listen(with_person(noise(SAMPLES), SENTENCES[1], PERSON_MS, 2_000), None, OFF)
    assert PERSON_MS < over.starts[0] <= alone.starts[0] + LATENESS_MS


@pytest.mark.parametrize(("level_db", "rms"), [(-6, 1_000), (-6, 700), (-12, 700), (-12, 500)])
@pytest.mark.parametrize(("text", "voice"), PEOPLE)
def test_a_person_who_is_no_louder_than_the_echo_is_heard(text: str, voice: str, level_db: int, rms: int) -> None:
    """Up to 6 dB softer; the louder the echo, the more of them passes before that is sure."""
    over = listen(with_person(returned(level_db, 120), text, 6_000, rms, voice), story(48_000))
    alone = listen(with_person(noise(SAMPLES), text, 6_000, rms, voice), None, OFF)
    assert 6_000 < over.starts[0] <= alone.starts[0] + 250
    assert over.voiced_ms >= 150, "of a final text's words that is enough"


@pytest.mark.parametrize("level_db", [-6, -12, -20])
@pytest.mark.parametrize("voice", ["slt", "rms"])
def test_a_person_who_says_what_the_agent_says_is_heard(voice: str, level_db: int) -> None:
    over = listen(with_person(returned(level_db, 120), SAID_BY_THE_AGENT, SAID_AT_MS, 1_000, voice), story(48_000))
    alone = listen(with_person(noise(SAMPLES), SAID_BY_THE_AGENT, SAID_AT_MS, 1_000, voice), None, OFF)
    assert SAID_AT_MS < over.starts[0] <= alone.starts[0] + LATENESS_MS
    assert over.voiced_ms >= POLICY.words_voiced_ms
