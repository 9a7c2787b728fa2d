"""Whether speech went on where it left off, against the same speech undisturbed."""

import numpy as np
import pytest

from agent.bench.alignment import HOP_MS, Reference, continuity, segments
from agent.bench.heard import RATE


def voice(seconds, seed):
    """Something like speech: a tone that glides unpredictably, under noise that swells."""
    dice = np.random.default_rng(seed)
    steps = int(seconds * 20) + 2
    time = np.arange(int(seconds * RATE)) / RATE
    pitch = np.interp(time, np.arange(steps) / 20, dice.uniform(200, 3_500, steps))
    swell = np.interp(time, np.arange(steps) / 20, dice.uniform(0.4, 1.0, steps))
    tone = np.sin(2 * np.pi * np.cumsum(pitch) / RATE)
    return (3_000 * swell * (tone + dice.normal(0, 0.1, time.size))).astype(np.int16)


def silent(ms):
    return np.zeros(RATE * ms // 1_000, np.int16)


FIRST, SECOND = voice(3.0, 1), voice(3.0, 2)
WHOLE = np.concatenate((FIRST, silent(300), SECOND))
REFERENCE = Reference(WHOLE)


def at(ms):
    return RATE * ms // 1_000


def test_the_same_again_neither_pauses_nor_loses():
    found = continuity(WHOLE[at(1_000) : at(5_000)], REFERENCE)
    assert (found.paused_ms, found.missing_ms, found.repeated_ms) == (0, 0, 0)


def test_a_pause_counts_beyond_the_silence_that_belongs_there():
    pcm = np.concatenate((WHOLE[at(500) : at(3_000)], silent(700), WHOLE[at(3_300) : at(6_000)]))
    found = continuity(pcm, REFERENCE)
    assert found.paused_ms == pytest.approx(400, abs=3 * HOP_MS)
    assert found.missing_ms == 0


def test_a_pause_inside_speech_loses_nothing():
    pcm = np.concatenate((WHOLE[at(500) : at(1_500)], silent(350), WHOLE[at(1_500) : at(2_800)]))
    found = continuity(pcm, REFERENCE)
    assert found.paused_ms == pytest.approx(350, abs=3 * HOP_MS)
    assert (found.missing_ms, found.repeated_ms) == (0, 0)


def test_what_is_left_out_is_missing_and_what_comes_again_is_repeated():
    lost = np.concatenate((WHOLE[at(500) : at(1_500)], silent(350), WHOLE[at(1_900) : at(2_900)]))
    assert continuity(lost, REFERENCE).missing_ms == pytest.approx(400, abs=4 * HOP_MS)
    again = np.concatenate((WHOLE[at(500) : at(1_500)], silent(350), WHOLE[at(1_200) : at(2_500)]))
    found = continuity(again, REFERENCE)
    assert found.missing_ms == 0
    assert found.repeated_ms == pytest.approx(300, abs=6 * HOP_MS)


def test_a_skip_without_a_pause_is_found():
    pcm = np.concatenate((WHOLE[at(200) : at(1_200)], WHOLE[at(1_700) : at(2_700)]))
    assert continuity(pcm, REFERENCE).missing_ms == pytest.approx(500, abs=4 * HOP_MS)


def test_other_speech_cannot_be_compared():
    pcm = np.concatenate((voice(1.0, 8), silent(300), voice(1.0, 9)))
    found = continuity(pcm, REFERENCE)
    assert (found.paused_ms, found.missing_ms) == (300, None)
    assert continuity(silent(500), REFERENCE) is None


def test_segments_are_parted_by_long_silences_only():
    pcm = np.concatenate((FIRST[: at(400)], silent(40), FIRST[: at(300)], silent(200), FIRST[: at(200)]))
    assert len(segments(pcm)) == 2
