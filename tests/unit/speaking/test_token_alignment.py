"""Where tokens begin among the phonemes of a sentence."""

from __future__ import annotations

import pytest

from agent.speaking.token_alignment import token_starts


@pytest.mark.parametrize(
    ("sentence", "tokens", "starts"),
    [
        ("həlˈoʊ wˈɜːld.", ["həlˈoʊ", "wˈɜːld."], ["həl", "wˈɜ"]),
        ("ʌvðə pˈiːpəl", ["ʌv", "ðə", "pˈiːpəl"], ["ʌv", "ðə", "pˈi"]),  # two words become one
        ("tˈuː θˈaʊzənd ænd sˈɪks", ["tˈuː θˈaʊzənd ænd sˈɪks"], ["tˈu"]),  # one becomes four
        ("wˈʌn tˈuː", ["wˈʌn", "", "tˈuː"], ["wˈʌ", None, "tˈu"]),  # a dash
        ("ɐn ˈæpəl", ["ˈæn", "ˈæpəl"], ["ɐn", "ˈæp"]),  # pronounced otherwise by itself
        ("", ["ˈæ", ""], [None, None]),
        ("", [], []),
        ("ˈoʊkeɪ", ["", "ˈoʊkeɪ", ""], [None, "ˈoʊ", None]),
    ],
)
def test_tokens_begin_where_their_phonemes_do(sentence: str, tokens: list[str], starts: list[str | None]) -> None:
    found = token_starts(list(sentence), [list(token) for token in tokens])
    assert [
        None if at is None else sentence[at : at + 3][: len(want or "")] for at, want in zip(found, starts, strict=True)
    ] == starts
    places = [at for at in found if at is not None]
    assert places == sorted(set(places))
