"""Cutting a stream of text into pieces worth speaking."""

from __future__ import annotations

import pytest

from agent.conversation.chunker import Chunker


def stream(text: str, *, size: int = 3, first: int = 10, longest: int = 60) -> list[str]:
    chunker = Chunker(first, longest)
    pieces = [piece for i in range(0, len(text), size) for piece in chunker.push(text[i : i + size])]
    return pieces + chunker.flush()


@pytest.mark.parametrize("size", [1, 3, 1_000])
def test_pieces_do_not_depend_on_the_deltas(size):
    text = "Well, let me think about it, really. It is nine. Is it? Yes!\nGood"
    assert stream(text, size=size) == [
        "Well, let me think about it,", "really.", "It is nine.", "Is it?", "Yes!", "Good",
    ]  # fmt: skip


def test_only_the_first_piece_ends_at_a_comma():
    assert stream("First of all, this, and that. Then, well, more.") == [
        "First of all,", "this, and that.", "Then, well, more.",
    ]  # fmt: skip


def test_a_short_first_clause_waits_for_more():
    assert stream("Yes, it is nine.", first=24) == ["Yes, it is nine."]


@pytest.mark.parametrize(
    "text",
    [
        "It is 3.14 in all",
        "Mr. Smith is here",
        "At 10:45 p.m. it ends",
        "See e.g. the other one",
        "J. Smith came",
        "a,b",
    ],
)
def test_a_stop_inside_a_word_is_no_end(text):
    assert stream(text, first=1) == [text]


def test_the_last_character_is_judged_once_more_is_known():
    chunker = Chunker(10, 60)
    assert chunker.push("It is 3.") == []
    assert chunker.push("14 today. ") == ["It is 3.14 today."]


def test_an_endless_sentence_is_cut_between_words():
    pieces = stream("word " * 40, longest=23)
    assert all(len(piece) <= 23 for piece in pieces)
    assert " ".join(pieces) == ("word " * 40).strip()


def test_an_endless_word_is_cut_all_the_same():
    assert "".join(stream("x" * 100, longest=30)) == "x" * 100
    assert max(map(len, stream("x" * 100, longest=30))) == 30


@pytest.mark.parametrize("text", ["", "   ", "\n\n"])
def test_nothing_is_nothing(text):
    assert stream(text) == []


def test_quotes_stay_with_their_sentence():
    assert stream('He said "Go on." Then he left.') == ['He said "Go on."', "Then he left."]


@pytest.mark.parametrize("size", [1, 3, 1_000])
def test_a_time_of_day_may_end_a_sentence(size):
    assert stream("It is 9 p.m. Good night.", size=size) == ["It is 9 p.m.", "Good night."]
    assert stream("At 9 p.m. in Paris. Yes.", size=size, first=40) == ["At 9 p.m. in Paris.", "Yes."]
