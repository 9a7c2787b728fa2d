"""Is the user done? Judged by the words."""

from __future__ import annotations

import pytest

from agent.conversation.endpointing import completeness, delay_ms
from agent.conversation.policy import Endpointing


@pytest.mark.parametrize(
    ("text", "understood", "judged"),
    [
        ("what time is it", True, "complete"),
        ("What time is it?", True, "complete"),
        ("what time is it", False, "neutral"),
        ("", True, "neutral"),
        ("...", True, "neutral"),
        ("set a timer for", True, "incomplete"),
        ("set a timer for", False, "incomplete"),
        ("Add milk AND", True, "incomplete"),
        ("add milk, um...", True, "incomplete"),
        ("what", True, "complete"),
        ("so what", True, "incomplete"),
        ("what is that", True, "complete"),
        ("repeat that", True, "neutral"),
        ("remind me that", False, "incomplete"),
        ("turn it on", True, "neutral"),
    ],
)
def test_completeness(text, understood, judged):
    assert completeness(text, understood=understood) == judged


def test_the_delay_of_each_judgement():
    policy = Endpointing(floor_ms=1, neutral_ms=2, ceiling_ms=3)
    assert [delay_ms(judged, policy) for judged in ("complete", "neutral", "incomplete")] == [1, 2, 3]
