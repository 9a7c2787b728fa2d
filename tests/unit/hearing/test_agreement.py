from __future__ import annotations

from agent.hearing.agreement import LocalAgreement


def heard(*hypotheses: str) -> LocalAgreement:
    agreement = LocalAgreement()
    for text in hypotheses:
        agreement.hear(text.split())
    return agreement


def test_what_two_hypotheses_begin_with_is_stable() -> None:
    found = heard("what time", "what time is it in", "what time is it and tokyo")
    assert (found.stable, found.tail) == (["what", "time", "is", "it"], ["and", "tokyo"])


def test_a_single_hypothesis_is_all_tail() -> None:
    assert heard("what time is it").stable == []


def test_the_newest_word_is_held_back_while_somebody_speaks() -> None:
    assert heard("set a ten", "set a ten").stable == ["set", "a"]


def test_at_a_pause_the_newest_word_may_be_stable() -> None:
    found = heard("set a timer")
    found.hear("set a timer".split(), paused=True)
    assert (found.stable, found.tail) == (["set", "a", "timer"], [])


def test_what_is_stable_stays_whatever_is_heard_later() -> None:
    found = heard("one two three", "one two three four")
    found.hear("five six".split())
    assert found.stable == ["one", "two", "three"]
    found.hear([])
    assert found.words == ["one", "two", "three"]


def test_case_and_punctuation_are_no_disagreement_and_what_is_stable_keeps_its_spelling() -> None:
    found = heard("What time is it?", "what time is it in", "What time is it in Tokyo?")
    assert found.stable == ["what", "time", "is", "it", "in"]
    assert found.tail == ["Tokyo?"]


def test_the_punctuation_behind_what_is_stable_is_as_it_was_written_last() -> None:
    found = heard("what time is it?")
    found.hear("what time is it?".split(), paused=True)
    assert found.stable == ["what", "time", "is", "it?"]
    found.hear("what time is it, in".split())
    assert found.words == ["what", "time", "is", "it,", "in"]
    found.hear("what time is it in Tokyo?".split())
    assert (found.stable, found.tail) == (["what", "time", "is", "it", "in"], ["Tokyo?"])


def test_dropped_words_are_handed_back_and_gone() -> None:
    found = heard("one two three", "one two three four")
    assert found.drop(2) == ["one", "two"]
    assert found.words == ["three", "four"]
