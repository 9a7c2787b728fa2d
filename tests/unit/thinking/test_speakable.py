"""Text as a voice can say it, however it comes in pieces."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.thinking.speakable import MAX_HELD_CHARS, Speakable


def cleaned(*pieces: str) -> str:
    speakable = Speakable()
    return "".join([*map(speakable.push, pieces), speakable.flush()])


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("It's five o'clock.", "It's five o'clock."),
        ("**Sure!** The *best* __one__ is `this` ~~that~~.", "Sure! The best one is this that."),
        ("# Shopping\n\n- Milk\n* Eggs\n+ Tea\n• Jam", "Shopping\nMilk\nEggs\nTea\nJam"),
        ("1. Milk\n2) Eggs", "1, Milk\n2, Eggs"),
        ("42.", "42."),
        ("In 1945. Or 3.5.", "In 1945. Or 3.5."),
        ("5*3, 5 * 3 and 2**3", "5 times 3, 5 times 3 and 2 to the power of 3"),
        ("a snake_case name", "a snake_case name"),
        ("[the page](https://example.org/a?b=c) and ![a cat](cat.png)", "the page and a cat"),
        ("See https://www.example.org/a/b?c=d, or (http://x.example).", "See example.org, or (x.example)."),
        ("An array[1] [sic] and [", "An array[1] [sic] and ["),
        ("Great 👍🏽 news 👩‍👩‍👧!", "Great news !"),
        ("1️⃣ first", "1 first"),
        ("| a | b |\n|---|---|\n| 1 | 2 |", "a b \n1 2 "),
        ("```python\nx = 1\n```\nDone.", "x = 1\nDone."),
        ("---\nNext", "Next"),
        ("5 < 6 <br> and <b>bold</b>", "5 < 6 and bold"),
        ("<think>\nthe user wants\n</think>\n\nHello.", "Hello."),
        ("<THINK>what", ""),
        ("not \\*that\\*", "not that"),
        ("naïve 東京 क्‍ष", "naïve 東京 क्‍ष"),
        ("half \ud83d a pair\x07", "half a pair"),
        ("", ""),
    ],
)
def test_what_is_for_the_eye_alone_is_left_out(written: str, said: str) -> None:
    assert cleaned(written) == said
    assert cleaned(*written) == said


PIECES = [
    "**",
    "_",
    "[",
    "](",
    ")",
    "<think>",
    "</think>",
    "<",
    ">",
    "http://a.b/",
    "1.",
    "- ",
    "\n",
    " ",
    "!",
    "🙂",
    "a",
    "5",
]


@given(st.lists(st.sampled_from(PIECES), max_size=20), st.lists(st.integers(0, 60), max_size=6))
def test_it_makes_no_difference_where_the_text_is_cut(parts: list[str], cuts: list[int]) -> None:
    text = "".join(parts)
    places = sorted({min(cut, len(text)) for cut in cuts})
    pieces = [text[a:b] for a, b in zip([0, *places], [*places, len(text)], strict=True)]
    assert cleaned(*pieces) == cleaned(text)


def test_words_are_given_out_as_soon_as_they_are_whole() -> None:
    speakable = Speakable()
    assert [speakable.push(piece) for piece in ("Hel", "lo", " wor", "ld.", " ")] == ["", "", "Hello ", "", "world. "]


def test_what_never_closes_is_not_held_back_for_ever() -> None:
    speakable = Speakable()
    assert speakable.push("[" + "never closes " * 60).startswith("[never closes")
    assert len(Speakable().push("x" * (MAX_HELD_CHARS + 1))) == MAX_HELD_CHARS + 1
