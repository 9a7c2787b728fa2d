"""From an engine's word starts to one honest entry per token."""

import itertools

import numpy as np
import pytest

from agent.speaking.port import SpokenWord
from agent.speaking.word_times import WordStart, WordTimer

RATE = 1_000
"""1 sample is 1 ms: 2 ms of silence are kept in front, 15 ms behind."""


def sound(*parts: int) -> np.ndarray:
    """Alternating silence and sound, in samples."""
    return np.concatenate([np.full(samples, 5_000 * (index % 2), np.int16) for index, samples in enumerate(parts)])


def words(text: str, pcm: np.ndarray, *starts: tuple[int, int], block: int = 7) -> tuple[list[SpokenWord], int]:
    timer = WordTimer(text, RATE)
    pieces = []
    for at in range(0, len(pcm), block):
        begun = [WordStart(char, sample) for char, sample in starts if at <= sample < at + block]
        pieces += timer.push(pcm[at : at + block], begun)
    pieces += timer.finish()
    return [word for piece in pieces for word in piece.words], sum(len(piece.pcm) for piece in pieces)


@pytest.mark.parametrize("block", [1, 7, 1_000])
def test_ends_are_trimmed_and_pauses_belong_to_no_word(block: int) -> None:
    got, samples = words("one, two", sound(50, 100, 80, 60, 90), (0, 10), (5, 230), block=block)
    assert got == [SpokenWord(0, 102, 4), SpokenWord(182, 257, 8)]
    assert samples == 257


def test_several_starts_in_one_token_are_one_word() -> None:
    got, _ = words("in 2026", sound(0, 300), (0, 0), (3, 100), (4, 150), (4, 200), (4, 250))
    assert got == [SpokenWord(0, 100, 2), SpokenWord(100, 300, 7)]


def test_tokens_said_as_one_share_the_time_by_their_letters() -> None:
    got, _ = words("of them all", sound(0, 700), (0, 0), (8, 600))
    assert got == [SpokenWord(0, 200, 2), SpokenWord(200, 600, 7), SpokenWord(600, 700, 11)]


def test_a_token_that_is_not_said_has_no_length() -> None:
    got, _ = words("- a -- b", sound(0, 200), (2, 0), (7, 100))
    assert got == [SpokenWord(0, 0, 1), SpokenWord(0, 100, 3), SpokenWord(100, 100, 6), SpokenWord(100, 200, 8)]


def test_a_sign_that_is_said_has_its_time() -> None:
    got, _ = words("a & b", sound(0, 300), (0, 0), (2, 100), (4, 200))
    assert got == [SpokenWord(0, 100, 1), SpokenWord(100, 200, 3), SpokenWord(200, 300, 5)]


def test_an_engine_without_word_starts_gets_times_by_letters() -> None:
    got, _ = words("ab cd", sound(0, 200))
    assert got == [SpokenWord(0, 100, 2), SpokenWord(100, 200, 5)]


def test_silence_alone_is_no_audio() -> None:
    assert words("...", sound(300)) == ([SpokenWord(0, 0, 3)], 0)


def test_starts_that_run_backwards_do_not_disturb_the_order() -> None:
    got, _ = words("a b c", sound(0, 300), (0, 0), (4, 100), (2, 200))
    assert [word.text_end for word in got] == [1, 3, 5]
    assert all(first.end_sample <= second.start_sample for first, second in itertools.pairwise(got))
