"""A change of owner may stand anywhere in a timeline, and what is made of the timeline stays the same."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.conversation.core import Conversation
from agent.conversation.events import OwnerChanged
from agent.timeline.codec import loads

FIXTURES = Path(__file__).parents[2] / "fixtures"


@pytest.mark.parametrize("name", ["timeline_answer", "timeline_barge_in"])
def test_the_core_takes_no_notice_of_who_owns_the_session(name: str) -> None:
    lines = (FIXTURES / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
    facts = [entry for entry in map(loads, lines) if entry.role == "fact"]
    alone, owned = Conversation(), Conversation()
    assert owned.handle(OwnerChanged(event_id="owner:1", source="store", epoch=1, owner="a"), 0) == ()
    decided = 0
    for epoch, entry in enumerate(facts, 2):
        decisions = alone.handle(entry.event, entry.now_us)
        assert owned.handle(entry.event, entry.now_us) == decisions
        change = OwnerChanged(event_id=f"owner:{epoch}", source="store", epoch=epoch, owner="b")
        assert owned.handle(change, entry.now_us) == ()
        assert owned.next_deadline_us() == alone.next_deadline_us()
        decided += len(decisions)
    assert decided > 10
