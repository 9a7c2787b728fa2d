"""What a reply looked up, and which of it a claim rests on."""

from __future__ import annotations

from agent.conversation import decisions as d
from agent.conversation import reports as r
from tests.unit.conversation.script import Script

PASSAGES = (
    r.Passage("boiler.md", "line 3", "The boiler needs water once a month."),
    r.Passage("roof.md", "line 1", "The roof was mended in April by Mr Lee."),
)


def test_a_claim_names_the_passages_that_it_rests_on():
    script = Script().types("when was the roof mended").calls("c1", name="search")
    script.post(r.RetrieveDone(event_id="e9", reply_id="r1", call_id="c1", corpus="documents", passages=PASSAGES))
    assert script.step == []
    script.done().result("c1")
    script.thinks("The roof was mended in April. The boiler needs water. Nobody knows more.")
    by_text = {say.text: say.rests_on for say in script.all(d.TtsSay)}
    assert by_text == {
        "The roof was mended in April.": ("r1-c1-result", "e9#2"),
        "The boiler needs water.": ("r1-c1-result", "e9#1"),
        "Nobody knows more.": ("r1-c1-result", "e9#1", "e9#2"),
    }


def test_what_was_looked_up_for_another_reply_supports_nothing():
    script = Script().types("when was the roof mended").calls("c1", name="search")
    script.post(r.RetrieveDone(event_id="e9", reply_id="r0", call_id="c1", corpus="documents", passages=PASSAGES))
    script.done().result("c1").thinks("The roof was mended in April.")
    assert script.last(d.TtsSay).rests_on == ("r1-c1-result",)
