from __future__ import annotations

import pytest

from agent.hearing.hallucination import believed, without_loop
from agent.hearing.port import HeardWord
from agent.hearing.whisper_protocol import Transcript


def words(text: str) -> tuple[HeardWord, ...]:
    return tuple(HeardWord(word, at, at + 1) for at, word in enumerate(text.split()))


def text(found: tuple[HeardWord, ...]) -> str:
    return " ".join(word.text for word in found)


def test_speech_is_believed() -> None:
    said = Transcript(words("What time is it in Tokyo?"), no_speech=0.02, log_probability=-0.2)
    assert text(believed(said, 1_500)) == "What time is it in Tokyo?"


@pytest.mark.parametrize(
    ("no_speech", "log_probability", "kept"), [(0.9, -1.5, ""), (0.9, -0.3, "you"), (0.1, -1.5, "you")]
)
def test_what_is_unsure_where_nobody_speaks_is_not(no_speech: float, log_probability: float, kept: str) -> None:
    assert text(believed(Transcript(words("you"), no_speech, log_probability), 500)) == kept


def test_more_words_than_anybody_says_in_that_time_are_none() -> None:
    assert believed(Transcript(words("Thank you so much for watching this video")), 200) == ()


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("set a timer a timer a timer a timer a timer", "set a timer"),
        ("no No, no. no no", "no"),
        ("no no no", "no no no"),
        ("one two one two one two", "one two one two one two"),
        ("", ""),
    ],
)
def test_a_loop_is_heard_once(said: str, kept: str) -> None:
    assert text(without_loop(words(said))) == kept


def test_a_text_that_repeats_itself_with_variations_is_none() -> None:
    said = " ".join(f"and then he said that he would go there again {n % 3}" for n in range(12))
    assert believed(Transcript(words(said)), 60_000) == ()
