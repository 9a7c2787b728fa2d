"""Who was cut off early and goes on is still in the same turn."""

from __future__ import annotations

import pytest

from agent.conversation import decisions as d
from agent.conversation import events as e
from agent.conversation.policy import Endpointing
from tests.unit.conversation.script import Script

REJOIN_MS = Endpointing().rejoin_ms


def cut_off(text: str = "set a timer for ten minutes", *, understood: bool = True, **settings: e.Json) -> Script:
    """The silence in mid-sentence was long enough to end the turn, and it is being answered."""
    return Script(settings).says(text, understood=understood).wait(40)


def goes_on(script: Script, text: str, *, after_ms: int = 300, understood: bool = True) -> Script:
    script.wait(after_ms).starts().wait(400).voiced(350).partial(text).stops(400).wait(20)
    return script.final(text, understood=understood).wait(600)


def test_the_continuation_joins_the_turn():
    script = goes_on(cut_off(), "and thirty seconds")
    first, second = script.all(d.TurnStart)
    assert second.continues == first.turn_id
    assert script.turns == ["set a timer for ten minutes", "set a timer for ten minutes and thirty seconds"]
    assert (script.model.text, script.model.context) == (script.turns[1], ()), "nothing is told twice"
    assert script.thinks("Done.").plays_out().last(d.ReplyDone).outcome == "completed"
    assert [done.outcome for done in script.all(d.ReplyDone)] == ["interrupted", "completed"]
    script.types("thanks")
    assert script.model.context == (script.all(d.TurnEnd)[1].event_id, script.last(d.PlaybackStop).event_id)


@pytest.mark.parametrize(
    ("first", "rest", "text", "joins"),
    [
        ("set a timer", "for ten minutes", "set a timer for ten minutes", "t1"),
        ("set a timer", "set a timer", "set a timer set a timer", "t1"),
        ("set a timer", "no wait", "no wait", ""),
        ("no no", "no no", "no no", ""),
    ],
)
def test_the_end_of_a_turn_names_the_turn_that_it_is_one_with(first: str, rest: str, text: str, joins: str):
    """Words alone do not tell: who takes back may say the same again."""
    script = goes_on(cut_off(first, **{"endpointing.neutral_ms": 160}), rest)
    assert [(end.text, end.joins) for end in script.all(d.TurnEnd)] == [(first, ""), (text, joins)]


def test_a_sound_that_was_nothing_lets_the_answer_go_on():
    script = cut_off().thinks("Done.").wait(200).starts().wait(100).stops(0).final("", understood=False)
    assert script.plays_out().one(d.ReplyDone).outcome == "completed"
    assert len(script.turns) == 1


def test_it_may_be_cut_off_twice():
    script = goes_on(goes_on(cut_off(), "and thirty seconds", after_ms=100), "for the eggs", after_ms=0)
    assert script.turns[-1] == "set a timer for ten minutes and thirty seconds for the eggs"
    assert script.model.context == ()


@pytest.mark.parametrize("after_ms", [REJOIN_MS, REJOIN_MS + 1])
def test_only_within_the_window(after_ms: int):
    script = goes_on(cut_off(), "and thirty seconds", after_ms=after_ms)
    joined = after_ms <= REJOIN_MS
    assert script.turns[1].startswith("set a timer") is joined
    assert bool(script.all(d.TurnStart)[1].continues) is joined


def test_not_once_a_word_of_the_reply_was_heard():
    script = goes_on(cut_off().thinks("Done now.").synthesised().plays(1), "and thirty seconds")
    assert script.turns[1] == "and thirty seconds"
    assert script.model.context == (script.all(d.TurnEnd)[0].event_id, script.one(d.PlaybackStop).event_id)


@pytest.mark.parametrize("risk", ["low", "high"])
def test_not_once_something_was_done_or_proposed(risk: str):
    script = goes_on(cut_off().calls("c1", "write", risk=risk), "and thirty seconds")
    assert script.turns[1] == "and thirty seconds"


@pytest.mark.parametrize("answer", ["yes", "no"])
def test_an_answer_to_a_proposal_stands(answer: str):
    script = Script().types("mail anna").calls("c1", "write", risk="high").done().plays_out().says(answer).wait(500)
    assert len(script.turns) == 2
    goes_on(script, "what time is it", after_ms=0)
    assert script.turns[2] == "what time is it"


def test_words_that_take_back_do_not_join():
    script = goes_on(cut_off(), "no wait twenty minutes")
    assert script.turns[1] == "no wait twenty minutes"
    assert len(script.model.context) == 2


def test_a_turn_that_was_ended_by_hand_was_not_cut_off():
    script = Script().starts().wait(500)
    script.post(e.ControlDone())
    goes_on(script.stops(400).final("set a timer"), "and thirty seconds")
    assert script.turns[1] == "and thirty seconds"
    assert goes_on(Script().types("set a timer"), "for ten minutes").turns[1] == "for ten minutes"


def test_nothing_behind_the_cut_leaves_what_was_said_before_it():
    script = cut_off().wait(100).starts().wait(700).voiced(650).stops(700).final("", understood=False).wait(600)
    assert script.one(d.InterruptionConfirmed).evidence == "voiced"
    assert script.turns == ["set a timer for ten minutes"] * 2
    assert script.last(d.TurnEnd).joins == "t1"
    assert (script.model.text, script.model.context) == (script.turns[0], ())


def test_typing_instead_keeps_what_was_said():
    script = cut_off().wait(100).starts().wait(400).voiced(350).partial("and then").types("what time is it")
    assert script.turns == ["set a timer for ten minutes", "", "what time is it"]
    assert [end.joins for end in script.all(d.TurnEnd)] == ["", "", ""]
    assert script.model.context.count(script.all(d.TurnEnd)[0].event_id) == 1


def test_understood_is_what_either_part_was():
    script = goes_on(cut_off(understood=False, **{"endpointing.neutral_ms": 160}), "for ten minutes")
    assert script.model.understood
    both = cut_off(understood=False, **{"endpointing.neutral_ms": 160})
    assert not goes_on(both, "blah blah", understood=False).model.understood


def test_a_window_of_nothing_turns_it_off():
    script = goes_on(cut_off(**{"endpointing.rejoin_ms": 0}), "and thirty seconds")
    assert script.turns[1] == "and thirty seconds"
