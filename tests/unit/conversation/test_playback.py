"""What of a reply was said, sent and heard."""

from __future__ import annotations

import pytest

from agent.conversation.events import TtsChunk, Word
from agent.conversation.playback import Playback, samples_to_ms

GAP = 50


def playback(*texts: str) -> Playback:
    """Chunks whose words last 100 samples, 50 samples of silence before each further chunk."""
    found = Playback()
    for text in texts:
        found.say(text, "claim", ())
    at = 0
    for index, text in enumerate(texts):
        at = synthesise(found, index, text, at)
    return found


def synthesise(found: Playback, index: int, text: str, at: int) -> int:
    start, words, text_end = at, [], 0
    at += GAP if index else 0
    for word in text.split():
        text_end = text.index(word, text_end) + len(word)
        words.append(Word(at, at + 100, text_end))
        at += 100
    chunk = TtsChunk(
        reply_id="r1", chunk=index, text=text, phase="claim", rests_on=(), start_sample=start, samples=at - start,
        words=tuple(words),
    )  # fmt: skip
    found.synthesised(chunk)
    return at


@pytest.mark.parametrize(
    ("sample", "heard", "rest"),
    [
        (0, "", "One two. Three four."),
        (99, "", "One two. Three four."),
        (100, "One", "two. Three four."),
        (199, "One", "two. Three four."),
        (200, "One two.", "Three four."),
        (250, "One two.", "Three four."),
        (349, "One two.", "Three four."),
        (350, "One two. Three", "four."),
        (450, "One two. Three four.", ""),
        (9_999, "One two. Three four.", ""),
    ],
)
def test_heard_to_the_word(sample, heard, rest):
    assert playback("One two.", "Three four.").heard(sample) == (heard, rest)


def test_a_chunk_that_is_not_synthesised_was_not_heard():
    found = playback("One two.")
    found.say("Three.", "claim", ())
    assert found.heard(10_000) == ("One two.", "Three.")


@pytest.mark.parametrize(
    ("sample", "at", "point"), [(150, "word", 100), (150, "sample", 150), (100, "word", 100), (199, "word", 100),
                                (225, "word", 225), (0, "word", 0), (450, "word", 450)],
)  # fmt: skip
def test_the_point_to_resume_at(sample, at, point):
    assert playback("One two.", "Three four.").resume_point(sample, at) == point


def test_the_position_does_not_run_backwards_by_itself():
    found = playback("One two.")
    found.started()
    for sample in (100, 50, 100):
        found.mark(sample)
    assert found.sent_samples == 100
    found.pause()
    found.mark(120)
    assert (found.state, found.sent_samples) == ("paused", 120)
    found.resume(100)
    assert (found.state, found.sent_samples) == ("playing", 100)


def test_states():
    found = Playback()
    assert found.state == "waiting"
    found.pause()
    found.started()
    assert found.state == "paused"
    found.resume(0)
    assert found.state == "playing", "it had begun"
    found = Playback()
    found.pause()
    found.resume(0)
    assert found.state == "waiting"
    found.resume(10)
    assert found.sent_samples == 0, "only what is paused resumes"


def test_all_is_sent_when_all_was_synthesised_and_left():
    found = playback("One two.")
    found.say("Three.", "claim", ())
    found.mark(200)
    assert not found.all_sent
    synthesise(found, 1, "Three.", 200)
    assert not found.all_sent
    found.mark(350)
    assert found.all_sent


def test_a_failed_chunk_is_lost():
    found = playback("One two.")
    found.say("Three.", "claim", ())
    found.failed(1)
    found.failed(7)
    found.mark(200)
    assert found.all_sent
    assert (found.said_text, found.lost_text) == ("One two.", "Three.")
    assert found.heard(200) == ("One two.", "")


def test_a_chunk_of_which_only_silence_was_played_leaves_no_gap_in_the_text():
    found = playback("One two.")
    found.say("Three.", "claim", ())
    found.say("Four.", "claim", ())
    synthesise(found, 1, "", 200)
    found.failed(1)
    assert (found.said_text, found.lost_text) == ("One two. Four.", "Three.")


def test_words_of_a_chunk_that_broke_off_are_not_forgotten():
    """Synthesis broke off behind words that had been played: their audio is told, then the failure."""
    found = Playback()
    found.say("One two three.", "claim", ())
    words = (Word(0, 100, 3), Word(100, 200, 7))
    found.synthesised(
        TtsChunk(
            reply_id="r1", chunk=0, text="One two", phase="claim", rests_on=(), start_sample=0, samples=200, words=words
        )
    )
    found.failed(0)
    found.failed(0)
    found.mark(200)
    assert found.all_sent
    assert (found.said_text, found.lost_text) == ("One two", "three.")
    assert found.heard(150) == ("One", "two")


def test_a_chunk_of_nothing_known_is_ignored():
    found = playback("One.")
    synthesise(found, 3, "Two.", 0)
    assert found.said_text == "One."


def test_what_was_claimed():
    found = Playback()
    found.say("One.", "claim", ("e1",))
    found.say("Two.", "claim", ("e2",))
    synthesise(found, 0, "One.", 0)
    assert found.claims("e2")
    assert not found.claims("e3")
    assert [found.claimed_on("e1", sample) for sample in (0, 1)] == [False, True]
    assert not found.claimed_on("e2", 10_000), "it has no audio yet"


def test_milliseconds_of_samples():
    assert samples_to_ms(48_000) == 1_000
