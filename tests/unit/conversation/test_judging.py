"""Judging a sound by what is known of it: words, voice, and whether it still goes on."""

from __future__ import annotations

import pytest

from agent.conversation.interruption import judge, meaningful_words
from agent.conversation.policy import Interruption


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", 0),
        ("uh", 0),
        ("Yeah.", 0),
        ("i see", 0),
        ("uh yeah", 0),
        ("Mm-hm!", 0),
        ("stop", 1),
        ("uh stop now", 2),
        ("yeah i see", 0),
        ("see", 1),
    ],
)
def test_a_backchannel_is_no_word(text, words):
    assert meaningful_words(text, Interruption()) == words


@pytest.mark.parametrize(
    ("language", "text", "words"),
    [
        ("de", "Ja, genau.", 0),
        ("de", "ach so", 0),
        ("de", "nein", 1),
        ("de", "yeah", 1),
        ("fr", "Oui, bien sûr", 0),
        ("fr", "sûr", 1),  # what has several words counts as a whole
        ("fr", "Bien sûr !", 0),
        ("es", "¡Sí!", 0),
        ("es", "no", 1),
        ("it", "Ho capito…", 0),
        ("", "yeah", 0),
        ("pl", "tak", 1),
    ],
)
def test_a_backchannel_is_one_of_the_language_that_is_spoken(language, text, words):
    assert meaningful_words(text, Interruption(language=language)) == words


def test_a_list_of_one_s_own_leaves_those_of_other_languages():
    mine = {"de": ("eben",)}
    assert meaningful_words("eben ja", Interruption(language="de", backchannels=mine)) == 1
    assert meaningful_words("oui", Interruption(language="fr", backchannels=mine)) == 0


@pytest.mark.parametrize(
    ("text", "voiced_ms", "final", "understood", "verdict"),
    [
        ("", 599, False, True, ("wait", "")),
        ("", 600, False, True, ("confirm", "voiced")),
        ("uh", 600, False, True, ("confirm", "voiced")),
        ("stop", 219, False, True, ("wait", "")),
        ("stop", 220, False, True, ("confirm", "words")),
        ("uh", 400, False, True, ("wait", "")),
        ("stop", 150, True, True, ("confirm", "words")),
        ("stop", 149, True, True, ("dismiss", "no_words")),
        ("stop", 400, True, False, ("dismiss", "no_words")),
        ("stop now", 400, True, False, ("confirm", "words")),
        ("uh", 400, True, True, ("dismiss", "backchannel")),
        ("", 400, True, True, ("dismiss", "no_words")),
        ("um", 400, False, True, ("wait", "")),
        ("and", 500, False, True, ("wait", "")),  # a hummed "mm-hm", for as long as it lasts
        ("um how", 500, False, True, ("wait", "")),
        ("um no", 500, False, True, ("wait", "")),
        ("mhm", 400, True, True, ("dismiss", "backchannel")),
        ("okay stop", 300, True, True, ("confirm", "words")),
        ("okay stop now", 300, False, True, ("confirm", "words")),
        ("what time", 349, False, True, ("wait", "")),
        ("what time", 350, False, True, ("confirm", "words")),
        ("what time is", 220, False, True, ("confirm", "words")),
    ],
)
def test_the_verdict_on_a_sound(text, voiced_ms, final, understood, verdict):
    assert judge(text, voiced_ms, final=final, understood=understood, policy=Interruption()) == verdict


@pytest.mark.parametrize(
    ("text", "voiced_ms", "stable", "verdict"),
    [
        ("what", 350, 0, ("wait", "")),
        ("what", 350, 4, ("confirm", "words")),
        ("what?", 350, 4, ("confirm", "words")),
        ("what", 349, 4, ("wait", "")),
        ("what time", 349, 4, ("wait", "")),
        ("what time", 220, 9, ("confirm", "words")),
        ("mhm", 500, 3, ("wait", "")),
    ],
)
def test_while_it_goes_on_its_last_word_counts_once_it_is_stable(text, voiced_ms, stable, verdict):
    assert judge(text, voiced_ms, final=False, stable=stable, policy=Interruption()) == verdict


def test_a_single_short_word_interrupts_only_if_it_is_one_that_stops():
    """A 270 ms "uh" comes back from a recogniser as "but" or "her"."""

    def verdict(text: str, voiced_ms: int, final: bool = True) -> str:
        return judge(text, voiced_ms, final=final, understood=True, policy=Interruption())[0]

    assert verdict("but", 180) == "dismiss"
    assert verdict("stop", 180) == "confirm"
    assert verdict("paris", 380) == "confirm"
    assert verdict("go away", 180) == "confirm"
    assert verdict("but", 250, final=False) == "wait"
    assert verdict("stop", 250, final=False) == "confirm"
